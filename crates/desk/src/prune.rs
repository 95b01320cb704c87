//! Taking out what ended long ago.

use std::time::Duration;

use api::project::Pruned;
use domain::store::Result;
use domain::time::{Timestamp, millis};
use engine::engine::Engine;
use engine::retention;

/// Takes out what ended longer ago than `older`, or only counts it.
pub async fn prune(engine: &Engine, older: Duration, dry_run: bool) -> Result<Pruned> {
    let before = Timestamp(engine.now().wall.0.saturating_sub(millis(older)));
    let sum = retention::all(engine, before, dry_run, |_| {}).await?;
    Ok(Pruned {
        dry_run,
        before: before.to_string(),
        tasks: sum.tasks,
        runs: sum.runs,
        answers: sum.answers,
        events: sum.events,
        freed_bytes: None,
    })
}
