//! A look at a project for work that is stuck; what counts as stuck is said in [`domain::problem`].

use domain::book::Book;
use domain::deadlock::{How, Waiting};
use domain::id::{Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::problem::{Problem, Sight, problems};
use domain::store::{Filter, Held, HeldLock, Result, View};
use domain::task::record::{Class, Wait};
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;

use crate::agents;
use crate::engine::Engine;

/// Everything that is stuck, over bounded reads. Writes nothing: what a tick would mend is told too.
pub async fn stuck(engine: &Engine) -> Result<Vec<Problem>> {
    let (store, project) = (&engine.store, &engine.project);
    let leased = store.leased(project, None).await?;
    let ids: Vec<_> = leased.iter().take(PAGE_MAX).map(|held| held.id.clone()).collect();
    let views = store.views(project, &ids).await?;
    let mut busy: Vec<Class> = views.into_iter().flatten().map(|view| view.class).collect();
    busy.sort_unstable();
    busy.dedup();
    let locks = store.locks(project).await?;
    let waiting = waiting(engine, &leased, &locks).await?;
    let sight = Sight {
        now: engine.now(),
        leased,
        locks,
        waiting,
        awaiting: dated(engine, in_state(engine, State::Awaiting).await?).await?,
        blocked: dated(engine, stopped(in_state(engine, State::Blocked).await?)).await?,
        ready: ready(engine).await?,
        busy,
        agents: agents::all(engine)
            .await?
            .into_iter()
            .map(|agent| (agent.name, agent.profile.offers().cloned().collect()))
            .collect(),
        breakers: breakers(engine).await?,
        overdue: overdue(engine).await?,
    };
    Ok(problems(&sight))
}

/// Who waits for whom, if anybody waits for a lock: without one there is no circle.
async fn waiting(engine: &Engine, leased: &[Held], locks: &[HeldLock]) -> Result<Vec<Waiting>> {
    let (store, project) = (&engine.store, &engine.project);
    if locks.iter().all(|lock| lock.waiting == 0) {
        return Ok(Vec::new());
    }
    let mut waiting = Vec::new();
    let mut seen: FxHashMap<Seq, TaskId> = FxHashMap::default();
    for view in in_state(engine, State::Ready).await? {
        let Wait::Parked(thing) = &view.task.wait else {
            continue;
        };
        waiting.extend(
            locks
                .iter()
                .filter(|lock| lock.name == **thing)
                .map(|lock| Waiting {
                    task: view.task.id.clone(),
                    on: lock.holder.clone(),
                    how: How::Lock(lock.name.clone()),
                }),
        );
        seen.insert(view.task.seq, view.task.id);
    }
    for state in [State::Blocked, State::Awaiting] {
        let views = in_state(engine, state).await?;
        seen.extend(views.into_iter().map(|view| (view.task.seq, view.task.id)));
    }
    let ids: Vec<TaskId> = leased.iter().take(PAGE_MAX).map(|held| held.id.clone()).collect();
    for view in store.views(project, &ids).await?.into_iter().flatten() {
        if view.task.children > 0 {
            let near = store.neighbours(project, &view.task.id, PAGE_MAX).await?;
            let open = near
                .children
                .into_iter()
                .filter(|child| !child.state.is_terminal());
            waiting.extend(open.map(|child| Waiting {
                task: view.task.id.clone(),
                on: child.id,
                how: How::Subtask,
            }));
        }
        seen.insert(view.task.seq, view.task.id);
    }
    let seqs: Vec<Seq> = seen.keys().copied().collect();
    // All of these are open, so every edge among them is waited for.
    for (on, task, _) in store.edges(project, &seqs).await? {
        if let (Some(on), Some(task)) = (seen.get(&on), seen.get(&task)) {
            waiting.push(Waiting {
                task: task.clone(),
                on: on.clone(),
                how: How::Edge,
            });
        }
    }
    Ok(waiting)
}

async fn in_state(engine: &Engine, state: State) -> Result<Vec<View>> {
    let filter = Filter {
        states: vec![state],
        ..Filter::default()
    };
    engine.store.list(&engine.project, filter, Seq(0), PAGE_MAX).await
}

/// How many are asked since when they are as they are.
const DATED: usize = 100;

/// Each with the time of its last move.
async fn dated(engine: &Engine, views: Vec<View>) -> Result<Vec<(View, Option<Timestamp>)>> {
    let mut dated = Vec::with_capacity(views.len());
    for view in views {
        let since = match dated.len() < DATED {
            true => last_move(engine, &view.task.id).await?,
            false => None,
        };
        dated.push((view, since));
    }
    Ok(dated)
}

/// Blocked tasks that wait for nothing that still moves.
fn stopped(mut views: Vec<View>) -> Vec<View> {
    views.retain(|view| view.task.open == 0);
    views
}

async fn last_move(engine: &Engine, task: &TaskId) -> Result<Option<Timestamp>> {
    let history = engine.store.history(&engine.project, task, 1).await?;
    Ok(history.last().map(|seen| seen.event.fact.at))
}

/// The first ready task of each class, and when it became ready.
pub(crate) async fn ready(engine: &Engine) -> Result<Vec<(View, Timestamp)>> {
    let mut first: Vec<(View, Timestamp)> = Vec::new();
    for view in in_state(engine, State::Ready).await? {
        if view.task.wait != Wait::No || first.iter().any(|(known, _)| known.class == view.class) {
            continue;
        }
        let since = last_move(engine, &view.task.id).await?;
        let since = since.unwrap_or(view.task.submitted_at);
        first.push((view, since));
    }
    Ok(first)
}

async fn overdue(engine: &Engine) -> Result<Vec<(String, Timestamp)>> {
    let now = engine.now().wall;
    let due = engine
        .store
        .entries_due(&engine.project, Book::Schedule, now, PAGE_MAX)
        .await?;
    let named = due
        .iter()
        .filter_map(|entry| Some((entry.key.to_string(), entry.due?)));
    Ok(named.collect())
}

async fn breakers(engine: &Engine) -> Result<Vec<(domain::curb::Scope, domain::curb::breaker::Breaker)>> {
    const PREFIX: &str = "breaker:";
    let entries = engine
        .store
        .entries(&engine.project, Book::Gauge, PREFIX, PAGE_MAX)
        .await?;
    let named = entries
        .iter()
        .filter_map(|entry| Some((entry.key.strip_prefix(PREFIX)?, entry)));
    named
        .map(|(name, entry)| Ok((name.parse()?, entry.read()?)))
        .collect()
}
