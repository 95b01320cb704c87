//! A look at a project for work that is stuck; what counts as stuck is said in [`domain::problem`].

use domain::book::Book;
use domain::id::Seq;
use domain::limits::PAGE_MAX;
use domain::problem::{Problem, Sight, problems};
use domain::store::{Filter, Result, View};
use domain::task::record::{Class, Wait};
use domain::task::state::State;
use domain::time::Timestamp;

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
    let sight = Sight {
        now: engine.now(),
        leased,
        locks: store.locks(project).await?,
        awaiting: in_state(engine, State::Awaiting).await?,
        blocked: in_state(engine, State::Blocked).await?,
        ready: ready(engine).await?,
        busy,
        breakers: breakers(engine).await?,
        overdue: overdue(engine).await?,
    };
    Ok(problems(&sight))
}

async fn in_state(engine: &Engine, state: State) -> Result<Vec<View>> {
    let filter = Filter {
        states: vec![state],
        ..Filter::default()
    };
    engine.store.list(&engine.project, filter, Seq(0), PAGE_MAX).await
}

/// The first ready task of each class, and when it became ready.
async fn ready(engine: &Engine) -> Result<Vec<(View, Timestamp)>> {
    let mut first: Vec<(View, Timestamp)> = Vec::new();
    for view in in_state(engine, State::Ready).await? {
        if view.task.wait != Wait::No || first.iter().any(|(known, _)| known.class == view.class) {
            continue;
        }
        let history = engine.store.history(&engine.project, &view.task.id, 1).await?;
        let since = history
            .last()
            .map_or(view.task.submitted_at, |seen| seen.event.fact.at);
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
