//! One submission of a plan.

use domain::id::{RunId, TaskId};
use domain::run::{Counts, RunState};
use domain::task::state::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Run {
    pub id: RunId,
    /// The plan's name, else the path of its file.
    pub plan: String,
    pub state: RunState,
    pub total: u64,
    /// Tasks by state, every state listed.
    pub counts: Counts,
    /// Of the cancelled ones: those that were not needed.
    pub skipped: u64,
    pub submitted_at: Time,
    pub finished_at: Option<Time>,
}

/// The last line of a stream that follows a run: how it ended for whoever follows.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Ended {
    #[serde(rename = "type")]
    pub kind: EndKind,
    pub run: RunId,
    /// Of the whole run, also when it was continued.
    pub counts: Counts,
    pub seconds: f64,
    pub state: RunState,
    /// What the run cannot go on without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub enum EndKind {
    #[serde(rename = "run.finished")]
    Finished,
    /// Nothing runs, and nothing can become ready without somebody outside.
    #[serde(rename = "run.waiting")]
    Waiting,
    /// The process was told to stop; the run can be continued.
    #[serde(rename = "run.interrupted")]
    Interrupted,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Waiting {
    pub task: TaskId,
    pub name: String,
    pub state: State,
    pub cause: String,
    pub cure: String,
}

impl From<domain::run::Run> for Run {
    fn from(run: domain::run::Run) -> Run {
        Run {
            id: run.id,
            plan: run.plan,
            state: run.state,
            total: run.counts.total(),
            counts: run.counts,
            skipped: run.skipped,
            submitted_at: Time(run.submitted_at),
            finished_at: run.finished_at.map(Time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_with_the_counts_of_the_whole_run() {
        let mut counts = Counts::default();
        counts.add(State::Completed);
        let ended = Ended {
            kind: EndKind::Finished,
            run: RunId(uuid::Uuid::nil()),
            counts,
            seconds: 1.5,
            state: RunState::Succeeded,
            waiting: Vec::new(),
        };
        let json = serde_json::to_value(&ended).unwrap();
        assert_eq!(json["type"], "run.finished");
        assert_eq!(json["counts"]["completed"], 1);
        assert_eq!(json["counts"]["failed"], 0);
        assert_eq!(json.as_object().unwrap().len(), 5);
    }
}
