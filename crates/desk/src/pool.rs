//! Pools and workers, as far as the store and this machine can tell.

use api::ask;
use api::worker::{Crew, Drained, Pool, Pools, Worker, Workers};
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::event::Kind;
use domain::id::{PoolName, WorkerId};
use domain::limits::PAGE_MAX;
use domain::pool::{self, crew_of};
use domain::store::Result;
use domain::task::state::State;
use domain::time::millis;
use engine::engine::Engine;
use engine::process::presence::{self, Live};
use rustc_hash::FxHashMap;
use serde_json::Value;

/// Who is there.
struct There {
    live: Vec<Live>,
    /// How many leases each worker holds, and under how many of them it works.
    leases: FxHashMap<WorkerId, (usize, usize)>,
}

impl There {
    async fn look(engine: &Engine) -> Result<There> {
        let mut live = presence::live(&engine.home.workers()).unwrap_or_default();
        live.retain(|worker| worker.info["project"] == engine.project.as_str());
        let mut leases: FxHashMap<_, (usize, usize)> = FxHashMap::default();
        for held in engine.store.leased(&engine.project, None).await? {
            let (all, busy) = leases.entry(held.worker).or_default();
            *all += 1;
            *busy += usize::from(held.state != State::Assigned);
        }
        Ok(There { live, leases })
    }

    fn here(&self, worker: &WorkerId) -> Option<&Live> {
        self.live.iter().find(|live| live.incarnation == worker.as_str())
    }
}

pub async fn workers(engine: &Engine) -> Result<Workers> {
    let there = There::look(engine).await?;
    let leader = leader(engine).await?;
    let mut names: Vec<WorkerId> = there.leases.keys().cloned().collect();
    names.extend(there.live.iter().filter_map(|live| live.incarnation.parse().ok()));
    names.sort_unstable();
    names.dedup();
    let worker = |worker: WorkerId| {
        let here = there.here(&worker);
        let info = here.map_or(&Value::Null, |live| &live.info);
        let text = |name: &str| info[name].as_str().map(str::to_owned);
        Worker {
            here: here.is_some(),
            leases: there.leases.get(&worker).map_or(0, |(all, _)| *all),
            leads: leader.as_deref() == Some(worker.as_str()),
            pid: info["pid"].as_u64(),
            pool: text("pool"),
            run: text("run"),
            jobs: info["jobs"].as_u64(),
            started_at: text("started_at"),
            worker,
        }
    };
    let workers: Vec<Worker> = names.into_iter().map(worker).collect();
    Ok(Workers {
        count: workers.len(),
        workers,
    })
}

/// Lets a worker of this machine end its attempts and go.
pub async fn drain(engine: &Engine, worker: &WorkerId) -> Result<Drained> {
    let there = There::look(engine).await?;
    if let Some(live) = there.here(worker)
        && live.drain().unwrap_or(false)
        && let Some(pid) = live.pid()
    {
        let worker = worker.clone();
        return Ok(Drained { worker, pid });
    }
    let detail = format!("no worker `{worker}` lives on this machine");
    let refusal = Refusal::new(Code::WorkerNotFound, detail);
    let names = there.live.iter().map(|live| live.incarnation.as_str());
    Err(match nearest(worker.as_str(), names) {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help("`bell worker list` shows the workers"),
    })
}

/// Who had the periodic duties last.
async fn leader(engine: &Engine) -> Result<Option<String>> {
    let entries = engine.store.entries(&engine.project, Book::Leader, "", 1).await?;
    let value: Option<Value> = entries.first().map(Entry::read).transpose()?;
    Ok(value.and_then(|value| value["who"].as_str().map(str::to_owned)))
}

/// What is set, and what comes with the program.
pub async fn list(engine: &Engine) -> Result<Pools> {
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
    let shown = set.into_iter().map(|(name, pool, preset)| {
        let own = crews.iter().filter(|(of, _)| of == name.as_str());
        let workers = own.map(|(_, crew)| member(crew, &there)).collect();
        Pool::new(name, &pool, preset, workers)
    });
    let pools: Vec<Pool> = shown.collect();
    Ok(Pools {
        count: pools.len(),
        pools,
    })
}

fn member(crew: &pool::Crew, there: &There) -> Crew {
    let busy = there.leases.get(&crew.worker).map_or(0, |(_, busy)| *busy);
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

pub async fn set(engine: &Engine, name: &PoolName, asked: ask::Pool) -> Result<Pool> {
    let keys = [name.as_str().into()];
    let found = engine.store.entries_of(&engine.project, Book::Pool, &keys);
    let found = found.await?.pop();
    let mut pool = match &found {
        Some(entry) => entry.read()?,
        None => pool::Pool::preset(name).unwrap_or_default(),
    };
    pool.min = asked.min.unwrap_or(pool.min);
    pool.max = asked.max.unwrap_or(pool.max);
    pool.up = asked.up.unwrap_or(pool.up);
    pool.down = asked.down.unwrap_or(pool.down);
    pool.kinds = asked.kinds.unwrap_or(pool.kinds);
    if let Some(interval) = asked.interval {
        pool.interval = millis(interval.0).unsigned_abs();
    }
    pool.check()?;
    let data = serde_json::json!({ "pool": name, "set": pool });
    let edit = Edit::put(Entry::new(Book::Pool, name.as_str(), &pool));
    let edit = edit.instead_of(found.as_ref()).with_event(Kind::PoolSet, &data);
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, vec![edit], engine.actor.clone(), engine.now())
        .await?;
    let shown = list(engine)
        .await?
        .pools
        .into_iter()
        .find(|pool| pool.name == *name);
    shown.ok_or_else(|| {
        Refusal::new(
            Code::PoolNotFound,
            format!("the pool {name} was taken away meanwhile"),
        )
    })
}
