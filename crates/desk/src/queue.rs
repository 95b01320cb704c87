//! The queue as a whole: counts, order, what is stale, what is stuck.

use std::collections::BTreeSet;
use std::time::Duration;

use api::ask;
use api::list::{Lock, Locks, Problems};
use api::queue::{Plan, Stale, StaleTask, Status};
use domain::code::{Code, Refusal};
use domain::graph::{Dag, Graph};
use domain::id::{Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::{Filter, HeldLock, Result, View};
use domain::task::record::Wait;
use domain::task::state::State;
use engine::engine::Engine;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{find, invalid};

/// Waiting tasks that are named for each lock.
const NAMED: usize = 10;

/// Pages of ready tasks that are searched for them.
const PAGES: usize = 10;

/// Pages of tasks that are read for one order: a million tasks.
const READ: usize = 1_000;

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

/// The asked tasks in batches, never an empty one. A task comes after another also when it waits for it through tasks
/// that were not asked for.
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

/// As [`order`]. Refused where that would take more than a thousand pages.
pub async fn batches(engine: &Engine, mut tasks: Vec<(Seq, TaskId)>) -> Result<Plan> {
    tasks.sort_unstable();
    tasks.dedup();
    let asked: Vec<Seq> = tasks.iter().map(|(seq, _)| *seq).collect();
    let seqs = Upstream::default().of(engine, &asked).await?;
    let index: FxHashMap<Seq, u32> = seqs.iter().copied().zip(0..).collect();
    let edges = engine.store.edges(&engine.project, &seqs).await?;
    let edges = edges
        .iter()
        .map(|(on, dependent, _)| (index[on], index[dependent]));
    let dag = Dag::new(Graph::build(seqs.len() as u32, edges))
        .map_err(|_| Refusal::new(Code::StoreCorrupt, "stored tasks wait for each other in a circle"))?;
    let subset: Vec<u32> = asked.iter().map(|seq| index[seq]).collect();
    let ids: FxHashMap<u32, TaskId> = subset
        .iter()
        .copied()
        .zip(tasks.into_iter().map(|(_, id)| id))
        .collect();
    let name = |level: Vec<u32>| level.iter().map(|at| ids[at].clone()).collect();
    let levels: Vec<Vec<TaskId>> = dag.levels_of(&subset).into_iter().map(name).collect();
    Ok(Plan::from(levels))
}

/// Tasks that others wait for, found in pages: those of a plan have numbers near each other.
#[derive(Default)]
struct Upstream {
    /// By the number before the first of each page that was read.
    pages: FxHashSet<u64>,
    unvisited: FxHashMap<Seq, Waits>,
}

/// What a task waits for.
struct Waits {
    after: Vec<Seq>,
    /// The task itself, when it waits for its subtasks.
    joins: Option<TaskId>,
}

impl Upstream {
    /// The tasks and everything that they wait for, in order.
    async fn of(mut self, engine: &Engine, tasks: &[Seq]) -> Result<Vec<Seq>> {
        let mut found: BTreeSet<Seq> = tasks.iter().copied().collect();
        let mut open = tasks.to_vec();
        while let Some(seq) = open.pop() {
            let waits = self.waits(engine, seq).await?;
            open.extend(waits.into_iter().filter(|on| found.insert(*on)));
        }
        Ok(found.into_iter().collect())
    }

    async fn waits(&mut self, engine: &Engine, seq: Seq) -> Result<Vec<Seq>> {
        let before = seq.0.saturating_sub(1) / PAGE_MAX as u64 * PAGE_MAX as u64;
        if self.pages.insert(before) {
            self.check()?;
            self.read(engine, Seq(before)).await?;
        }
        // Who is pruned waits for nothing.
        let Some(Waits { after, joins }) = self.unvisited.remove(&seq) else {
            return Ok(Vec::new());
        };
        let Some(id) = joins else { return Ok(after) };
        let near = engine.store.neighbours(&engine.project, &id, PAGE_MAX).await?;
        let children = near.children.iter().map(|child| child.seq);
        Ok(after.into_iter().chain(children).collect())
    }

    fn check(&self) -> Result<()> {
        if self.pages.len() <= READ {
            return Ok(());
        }
        let most = READ * PAGE_MAX;
        let detail = format!("what these tasks wait for is spread over more than {most} others");
        Err(Refusal::new(Code::LimitExceeded, detail).help("ask for tasks that are nearer to the beginning"))
    }

    async fn read(&mut self, engine: &Engine, before: Seq) -> Result<()> {
        let filter = Filter {
            superseded: true,
            ..Filter::default()
        };
        let page = engine
            .store
            .list(&engine.project, filter, before, PAGE_MAX)
            .await?;
        for View { task, body, .. } in page {
            let waits = Waits {
                after: body.after.iter().map(|(on, _)| *on).collect(),
                joins: task.join.is_some().then_some(task.id),
            };
            self.unvisited.insert(task.seq, waits);
        }
        Ok(())
    }
}
