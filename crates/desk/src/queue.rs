//! The queue as a whole: counts, order, what is stale, what is stuck.

use std::time::Duration;

use api::ask;
use api::list::{Lock, Locks, Problems};
use api::queue::{Plan, Stale, StaleTask, Status};
use domain::code::{Code, Refusal};
use domain::graph::{Dag, Graph};
use domain::id::{Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::{Filter, HeldLock, Result};
use domain::task::record::Wait;
use domain::task::state::State;
use engine::engine::Engine;
use rustc_hash::FxHashMap;

use crate::{find, invalid};

/// Waiting tasks that are named for each lock.
const NAMED: usize = 10;

/// Pages of ready tasks that are searched for them.
const PAGES: usize = 10;

pub async fn status(engine: &Engine) -> Result<Status> {
    find::catch_up(engine).await?;
    Ok(Status::from(engine.store.status(&engine.project).await?))
}

/// Looks and changes nothing: that something has to be caught up with is a problem too.
pub async fn problems(engine: &Engine) -> Result<Problems> {
    let problems = engine::health::stuck(engine).await?;
    Ok(Problems {
        count: problems.len(),
        problems,
    })
}

pub async fn locks(engine: &Engine) -> Result<Locks> {
    find::catch_up(engine).await?;
    let held = engine.store.locks(&engine.project).await?;
    let leased = engine.store.leased(&engine.project, None).await?;
    let leases: FxHashMap<_, _> = leased.iter().map(|lease| (&lease.id, lease)).collect();
    let mut waiters = waiters(engine, &held).await?;
    let now = engine.now();
    let lock = |lock: HeldLock| {
        let waiters = waiters.remove(lock.name.as_str()).unwrap_or_default();
        let lease = leases.get(&lock.holder).copied();
        Lock::new(lock, lease, waiters, now)
    };
    let locks: Vec<Lock> = held.into_iter().map(lock).collect();
    Ok(Locks {
        count: locks.len(),
        locks,
    })
}

/// The first tasks that wait for each lock, as far as a bounded look finds them.
async fn waiters(engine: &Engine, held: &[HeldLock]) -> Result<FxHashMap<String, Vec<TaskId>>> {
    let mut found: FxHashMap<String, Vec<TaskId>> = FxHashMap::default();
    let (mut after, mut pages) = (Seq(0), PAGES);
    while pages > 0 && held.iter().any(|lock| lock.waiting > 0) {
        let filter = Filter {
            states: vec![State::Ready],
            ..Filter::default()
        };
        let page = engine
            .store
            .list(&engine.project, filter, after, PAGE_MAX)
            .await?;
        pages = if page.len() < PAGE_MAX { 0 } else { pages - 1 };
        for view in page {
            after = view.task.seq;
            if let Wait::Parked(thing) = &view.task.wait {
                let waiters = found.entry(thing.to_string()).or_default();
                if waiters.len() < NAMED {
                    waiters.push(view.task.id);
                }
            }
        }
    }
    Ok(found)
}

/// Attempts that have been under way for too long, the oldest first.
pub async fn stale(engine: &Engine, asked: &ask::Stale) -> Result<Stale> {
    find::catch_up(engine).await?;
    let older = asked.older.map_or(Duration::from_secs(3_600), |span| span.0);
    let now = engine.now();
    let mut held = engine.store.leased(&engine.project, None).await?;
    held.retain(|held| held.started_at.is_some_and(|at| now.wall.since(at) > older));
    held.sort_by_key(|held| held.started_at);
    Ok(Stale {
        count: held.len(),
        tasks: held.iter().take(PAGE_MAX).map(|held| held.id.clone()).collect(),
        attempts: held.iter().take(PAGE_MAX).map(StaleTask::from).collect(),
    })
}

/// Levels inside the asked subset; never an empty one.
pub async fn order(engine: &Engine, asked: &ask::Order) -> Result<Plan> {
    find::catch_up(engine).await?;
    if asked.tasks.len() > PAGE_MAX {
        return Err(invalid(format!("at most {PAGE_MAX} tasks at a time")));
    }
    let mut tasks = Vec::with_capacity(asked.tasks.len());
    for text in &asked.tasks {
        let view = find::view(engine, text).await?;
        tasks.push((view.task.seq, view.task.id));
    }
    batches(engine, tasks).await
}

/// As [`order`].
pub async fn batches(engine: &Engine, mut tasks: Vec<(Seq, TaskId)>) -> Result<Plan> {
    tasks.sort_unstable();
    tasks.dedup();
    let seqs: Vec<Seq> = tasks.iter().map(|(seq, _)| *seq).collect();
    let index: FxHashMap<Seq, u32> = seqs.iter().copied().zip(0..).collect();
    let edges = engine.store.edges(&engine.project, &seqs).await?;
    let edges = edges
        .iter()
        .map(|(on, dependent, _)| (index[on], index[dependent]));
    let dag = Dag::new(Graph::build(seqs.len() as u32, edges))
        .map_err(|_| Refusal::new(Code::StoreCorrupt, "stored tasks wait for each other in a circle"))?;
    let name = |level: Vec<u32>| level.into_iter().map(|at| tasks[at as usize].1.clone()).collect();
    let levels: Vec<Vec<TaskId>> = dag.levels().into_iter().map(name).collect();
    Ok(Plan::from(levels))
}
