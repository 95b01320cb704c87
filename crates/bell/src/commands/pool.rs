//! `bell pool`

use std::time::Duration;

use api::worker::{Crew, Pool, Pools};
use clap::Subcommand;
use domain::book::{Book, Edit, Entry};
use domain::event;
use domain::id::{Kind, PoolName};
use domain::limits::PAGE_MAX;
use domain::pool::{self, crew_of};
use domain::time::{millis, show_duration};
use engine::engine::Engine;

use super::worker::list::There;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// See and set how many tasks of some kinds are worked on at the same time
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Set(Set),
}

/// List the pools with their slots and workers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell pool list")]
struct List {}

/// Set a pool
///
/// Makes it if there is none. What is not named stays as it is; workers of the pool follow within their interval.
/// Bounds and slots are those of each process that works for it. With --min equal to --max its size is fixed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell pool set build --kinds build,link --min 1 --max 6
  bell pool set dev --up 20 --interval 2s")]
struct Set {
    /// The pool's name
    #[arg(value_parser = parse::name::<PoolName>)]
    name: PoolName,
    /// Slots at the least [default: 2]
    #[arg(long, value_name = "N")]
    min: Option<usize>,
    /// Slots at the most [default: 10]
    #[arg(long, value_name = "N")]
    max: Option<usize>,
    /// Do only tasks of these kinds
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_parser = parse::name::<Kind>)]
    kinds: Vec<Kind>,
    /// Add a slot when more than this is queued or in progress [default: 10]
    #[arg(long, value_name = "N")]
    up: Option<usize>,
    /// Retire an idle slot when less than this is [default: 2]
    #[arg(long, value_name = "N")]
    down: Option<usize>,
    /// How often to look [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    interval: Option<Duration>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(_) => {
                let pools = pools(&engine).await?;
                let list = Pools {
                    count: pools.len(),
                    pools,
                };
                context.ui.answer(&list, |list| people(&list.pools))?;
            }
            Command::Set(set) => set.run(&engine, context).await?,
        }
        Ok(Exit::DONE)
    }
}

impl Set {
    async fn run(self, engine: &Engine, context: &Context) -> Result<()> {
        let keys = [self.name.as_str().into()];
        let found = engine.store.entries_of(&engine.project, Book::Pool, &keys);
        let found = found.await?.pop();
        let mut pool = match &found {
            Some(entry) => entry.read()?,
            None => pool::Pool::preset(&self.name).unwrap_or_default(),
        };
        let set = |value: &mut usize, asked: Option<usize>| *value = asked.unwrap_or(*value);
        set(&mut pool.min, self.min);
        set(&mut pool.max, self.max);
        set(&mut pool.up, self.up);
        set(&mut pool.down, self.down);
        if !self.kinds.is_empty() {
            pool.kinds = self.kinds;
        }
        if let Some(interval) = self.interval {
            pool.interval = millis(interval).unsigned_abs();
        }
        pool.check()?;
        let entry = Entry::new(Book::Pool, self.name.as_str(), &pool);
        let data = serde_json::json!({ "pool": self.name, "set": pool });
        let edit = Edit::put(entry)
            .instead_of(found.as_ref())
            .with_event(event::Kind::PoolSet, &data);
        let (store, project) = (&engine.store, &engine.project);
        store
            .edit(project, vec![edit], engine.actor.clone(), engine.now())
            .await?;
        let shown = pools(engine)
            .await?
            .into_iter()
            .find(|pool| pool.name == self.name);
        if let Some(shown) = shown {
            context
                .ui
                .answer(&shown, |shown| people(std::slice::from_ref(shown)))?;
        }
        Ok(())
    }
}

/// What is set, and what comes with the program.
async fn pools(engine: &Engine) -> Result<Vec<Pool>> {
    let there = There::look(engine).await?;
    let (mut set, mut crews) = (Vec::new(), Vec::new());
    let mut after = String::new();
    loop {
        let page = engine
            .store
            .entries(&engine.project, Book::Pool, &after, PAGE_MAX)
            .await?;
        for entry in &page {
            match crew_of(&entry.key) {
                Some(pool) => crews.push((pool.to_owned(), entry.read::<pool::Crew>()?)),
                None => set.push((PoolName::new(&entry.key)?, entry.read::<pool::Pool>()?, false)),
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE_MAX => last.key.as_ref().clone_into(&mut after),
            _ => break,
        }
    }
    for name in pool::Pool::PRESETS {
        let name = PoolName::new(name)?;
        if let Some(preset) = pool::Pool::preset(&name)
            && set.iter().all(|(known, ..)| *known != name)
        {
            set.push((name, preset, true));
        }
    }
    set.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
    let pools = set.into_iter().map(|(name, pool, preset)| {
        let own = crews.iter().filter(|(of, _)| of == name.as_str());
        let workers = own.map(|(_, crew)| worker(crew, &there)).collect();
        Pool::new(name, &pool, preset, workers)
    });
    Ok(pools.collect())
}

fn worker(crew: &pool::Crew, there: &There) -> Crew {
    let busy = there.leases.get(&crew.worker).copied().unwrap_or(0);
    Crew {
        slots: crew.slots,
        busy,
        ups: crew.ups,
        downs: crew.downs,
        alive: match there.here(&crew.worker) {
            Some(_) => Some(true),
            None if engine::ids::is_here(&crew.worker) => Some(false),
            None => (busy > 0).then_some(true),
        },
        worker: crew.worker.clone(),
    }
}

fn people(pools: &[Pool]) -> String {
    let mut table = Table::new(&["POOL", ">SLOTS", ">BUSY", "SIZE", "LOOKS", "KINDS", "HEALTH"]);
    for pool in pools {
        let kinds: Vec<_> = pool.kinds.iter().map(Kind::as_str).collect();
        let size = match pool.fixed {
            true => format!("fixed {}", pool.min),
            false => format!("{} to {}", pool.min, pool.max),
        };
        let looks = show_duration(Duration::from_secs_f64(pool.interval));
        table.row([
            pool.name.to_string().into(),
            pool.slots.to_string().into(),
            pool.busy.to_string().into(),
            size.into(),
            format!("every {looks}").into(),
            if kinds.is_empty() {
                "any".to_owned()
            } else {
                kinds.join(" ")
            }
            .into(),
            match (pool.workers.is_empty(), pool.healthy) {
                (true, _) => "nobody works for it",
                (_, true) => "well",
                (_, false) => "a worker is missing",
            }
            .into(),
        ]);
    }
    table.render()
}
