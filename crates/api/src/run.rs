//! One submission of a plan.

use domain::id::RunId;
use domain::run::{Counts, RunState};
use serde::Serialize;

use crate::time::Time;

#[derive(Clone, Debug, PartialEq, Serialize)]
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
