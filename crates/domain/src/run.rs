//! A run: one submission of a plan, with counters so that nobody has to count its tasks.

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::task::state::State;
use crate::time::Timestamp;

/// A run's local number in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunNo(pub u64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub no: RunNo,
    pub id: RunId,
    /// What identifies the plan from one submission to the next: its `name`, else the path of its file.
    pub plan: String,
    pub digest: [u8; 32],
    pub state: RunState,
    pub counts: Counts,
    /// Of `counts.cancelled`: those that were not needed.
    pub skipped: u64,
    pub submitted_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RunState {
    Active,
    Succeeded,
    Failed,
    Cancelled,
}

impl RunState {
    pub const ALL: [RunState; 4] = [
        RunState::Active,
        RunState::Succeeded,
        RunState::Failed,
        RunState::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Active => "active",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
        }
    }

    pub fn from_u8(number: u8) -> Option<RunState> {
        RunState::ALL.get(usize::from(number)).copied()
    }
}

impl Run {
    /// What the run's state is by its counters. A run that a user cancelled stays so.
    pub fn outcome(&self) -> RunState {
        let lost = self.counts.of(State::Failed) + self.counts.of(State::Cancelled) - self.skipped;
        match () {
            () if self.counts.open() > 0 => RunState::Active,
            () if self.state == RunState::Cancelled => RunState::Cancelled,
            () if lost > 0 => RunState::Failed,
            () => RunState::Succeeded,
        }
    }
}

/// How many tasks are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub [u64; 11]);

impl Counts {
    pub fn of(&self, state: State) -> u64 {
        self.0[state as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Tasks that have not ended.
    pub fn open(&self) -> u64 {
        State::ALL
            .into_iter()
            .filter(|state| !state.is_terminal())
            .map(|state| self.of(state))
            .sum()
    }

    pub fn add(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    pub fn remove(&mut self, state: State) {
        debug_assert!(self.of(state) > 0, "no task in state {state} is left to remove");
        self.0[state as usize] = self.0[state as usize].saturating_sub(1);
    }

    pub fn iter(&self) -> impl Iterator<Item = (State, u64)> + '_ {
        State::ALL.into_iter().map(|state| (state, self.of(state)))
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Counts, D::Error> {
        let named = std::collections::BTreeMap::<State, u64>::deserialize(d)?;
        let mut counts = Counts::default();
        for (state, count) in named {
            counts.0[state as usize] = count;
        }
        Ok(counts)
    }
}

/// `{"pending": 0, …}` with every state.
impl Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter().map(|(state, n)| (state.as_str(), n)))
    }
}
