//! The queue as a whole.

use domain::id::{TaskId, WorkerId};
use domain::store;
use domain::task::state::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::time::Time;

/// Counts and extremes over all tasks of a project.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Status {
    pub total_tasks: u64,
    pub pending: u64,
    pub blocked: u64,
    pub ready: u64,
    pub assigned: u64,
    pub running: u64,
    pub suspended: u64,
    pub awaiting: u64,
    pub retrying: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub dead_letters: u64,
    /// The mean score of all tasks, with two decimals.
    pub avg_priority: f64,
    pub max_depth: u32,
    /// The earliest submission among pending and blocked tasks.
    pub oldest_pending: Option<Time>,
    pub newest_task: Option<Time>,
}

impl From<store::Status> for Status {
    fn from(status: store::Status) -> Status {
        let of = |state| status.counts.of(state);
        let total = status.counts.total();
        Status {
            total_tasks: total,
            pending: of(State::Pending),
            blocked: of(State::Blocked),
            ready: of(State::Ready),
            assigned: of(State::Assigned),
            running: of(State::Running),
            suspended: of(State::Suspended),
            awaiting: of(State::Awaiting),
            retrying: of(State::Retrying),
            completed: of(State::Completed),
            failed: of(State::Failed),
            cancelled: of(State::Cancelled),
            dead_letters: status.dead_letters,
            avg_priority: mean(status.score_sum, total),
            max_depth: status.max_depth,
            oldest_pending: status.oldest_pending.map(Time),
            newest_task: status.newest.map(Time),
        }
    }
}

/// The mean of scores in thousandths, as a score with two decimals.
fn mean(sum: i64, count: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let hundredths = (sum as f64 / 10.0 / count as f64).round();
    hundredths / 100.0
}

/// In which order tasks can be done: those of one batch side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Plan {
    pub batches: Vec<Vec<TaskId>>,
    pub total_batches: usize,
    pub max_parallelism: usize,
}

impl From<Vec<Vec<TaskId>>> for Plan {
    fn from(batches: Vec<Vec<TaskId>>) -> Plan {
        Plan {
            total_batches: batches.len(),
            max_parallelism: batches.iter().map(Vec::len).max().unwrap_or(0),
            batches,
        }
    }
}

/// Attempts that have been under way for too long.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Stale {
    pub tasks: Vec<TaskId>,
    /// The attempts, in the same order.
    pub attempts: Vec<StaleTask>,
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct StaleTask {
    pub task: TaskId,
    pub state: State,
    pub worker: WorkerId,
    pub attempt: u32,
    pub started_at: Option<Time>,
    /// What was made of it; `null` when nothing was asked, or it had ended by itself.
    pub became: Option<State>,
}

impl From<&store::Held> for StaleTask {
    fn from(held: &store::Held) -> StaleTask {
        StaleTask {
            task: held.id.clone(),
            state: held.state,
            worker: held.worker.clone(),
            attempt: held.attempt,
            started_at: held.started_at.map(Time),
            became: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_is_zeros_and_nulls() {
        let json = serde_json::to_value(Status::from(store::Status::default())).unwrap();
        assert_eq!(json["total_tasks"], 0);
        assert_eq!(json["avg_priority"], 0.0);
        assert_eq!(json["oldest_pending"], serde_json::Value::Null);
    }

    #[test]
    fn the_mean_has_two_decimals() {
        assert_eq!(mean(32_500 + 35_000 + 32_500, 3), 33.33);
        assert_eq!(mean(32_500, 1), 32.5);
    }
}
