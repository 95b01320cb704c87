//! A task whose last try has failed waits for a planner instead of ending.

use serde_json::Value;

use crate::code::Refusal;
use crate::decide::Change;
use crate::id::TaskId;
use crate::task::record::Join;
use crate::task::spec::{Json, OnUpstreamFailure};
use crate::task::state::{Reason, State};

/// Whether this change ends a task because no try is left.
pub fn is_last(change: &Change) -> bool {
    let reasons = [Reason::Exhausted, Reason::NotRetryable, Reason::Timeout];
    let failed = |step: &super::Move| {
        step.to == State::Failed && step.reason.is_some_and(|reason| reasons.contains(&reason))
    };
    // Where a failure counts as done, so would that of the planner.
    let is_told = change.task.upstream != OnUpstreamFailure::Continue;
    is_told && !change.task.superseded && change.moves.last().is_some_and(failed)
}

/// The same change with the wait for `planner` in the place of the end.
pub fn wait_for(mut change: Change, planner: &TaskId) -> Result<Change, Refusal> {
    let data = change.moves.pop().and_then(|failed| failed.data);
    let task = &mut change.task;
    // An attempt that ends has been started, at the latest with its end.
    task.state = State::Running;
    task.dead_letter = false;
    task.finished_at = None;
    task.join = Some(Join::Complete);
    task.open += 1;
    let mut told: Value = data
        .and_then(|data| serde_json::from_str(data.get()).ok())
        .unwrap_or_default();
    told["planner"] = serde_json::json!(planner);
    change.enter(State::Blocked, Some(Reason::Replanning), Some(Json::of(&told)))?;
    Ok(change)
}
