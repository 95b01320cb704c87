//! `bell pool`

use std::time::Duration;

use api::ask;
use api::time::Span;
use api::worker::Pool;
use clap::Subcommand;
use domain::id::{Kind, PoolName};
use domain::time::show_duration;

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
                let list = desk::pool::list(&engine).await?;
                context.ui.answer(&list, |list| people(&list.pools))?;
            }
            Command::Set(set) => {
                let shown = desk::pool::set(&engine, &set.name, set.asked()).await?;
                context
                    .ui
                    .answer(&shown, |shown| people(std::slice::from_ref(shown)))?;
            }
        }
        Ok(Exit::DONE)
    }
}

impl Set {
    fn asked(&self) -> ask::Pool {
        ask::Pool {
            name: None,
            min: self.min,
            max: self.max,
            up: self.up,
            down: self.down,
            interval: self.interval.map(Span),
            kinds: (!self.kinds.is_empty()).then(|| self.kinds.clone()),
        }
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
