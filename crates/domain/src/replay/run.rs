//! What the log says of one run.

use serde::Deserialize;

use super::{Found, Known, OrNothing};
use crate::event::Kind;
use crate::id::{EventNo, RunId};
use crate::run::{Counts, Run, RunState};
use crate::store::Seen;
use crate::task::spec::Json;
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct RunTrack {
    pub(super) id: Option<RunId>,
    /// The last event that names the run, those of its tasks included.
    pub(super) last: EventNo,
    state: Known<RunState>,
    submitted_at: Known<Timestamp>,
    finished_at: Known<Option<Timestamp>>,
    /// Of its tasks' rows that were met.
    pub(super) counts: Counts,
    pub(super) skipped: u64,
    /// How some task of it stood cannot be told.
    pub(super) blurred: bool,
}

impl RunTrack {
    pub(super) fn follow(&mut self, seen: &Seen) {
        #[derive(Deserialize)]
        struct Submitted {
            id: RunId,
        }
        #[derive(Deserialize)]
        struct Finished {
            state: RunState,
        }
        let fact = &seen.event.fact;
        let data = fact.data.as_ref().map_or("", Json::get);
        self.last = seen.event.no;
        self.id = self.id.or(seen.run);
        match fact.kind {
            Kind::RunSubmitted => {
                let told = serde_json::from_str::<Submitted>(data).ok();
                self.id = told.map(|told| told.id).or(self.id);
                self.state = Some(RunState::Active);
                self.submitted_at = Some(fact.at);
                self.finished_at = Some(None);
            }
            Kind::RunResumed => {
                self.state = Some(RunState::Active);
                self.finished_at = Some(None);
            }
            Kind::RunFinished => {
                let told = serde_json::from_str::<Finished>(data).ok();
                self.state = told.map(|told| told.state);
                self.finished_at = Some(Some(fact.at));
            }
            Kind::RunCancelled => self.state = Some(RunState::Cancelled),
            _ => {}
        }
    }

    pub(super) fn compare(&self, row: &Run, found: &mut Found) {
        let state = self.state.map(RunState::as_str);
        found.expect("state", state, &row.state.as_str());
        found.expect("submitted", self.submitted_at, &row.submitted_at);
        found.expect_or("finished", self.finished_at, row.finished_at);
        if self.blurred {
            return;
        }
        for ((state, log), (_, stored)) in self.counts.iter().zip(row.counts.iter()) {
            found.expect(state.as_str(), Some(log), &stored);
        }
        found.expect("skipped", Some(self.skipped), &row.skipped);
    }

    /// Whether a run of which this is all that happened could be among those that were taken out.
    pub(super) fn may_go(&self, last_pruned: EventNo) -> bool {
        self.finished_at.is_none_or(|at| at.is_some()) && self.last < last_pruned
    }

    pub(super) fn shown(&self) -> String {
        OrNothing(self.state.map(RunState::as_str)).to_string()
    }
}
