//! What is seen of a project.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::id::{AgentName, EventNo, Key, Kind, RunId, Seq, TaskId, TeamName, Token, WorkerId};
use crate::run::{Counts, RunNo, RunState};
use crate::task::lock::Mode;
use crate::task::record::{Body, Class, Outcome, Task};
use crate::task::spec::{Json, Source, When};
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub task: Task,
    pub body: Body,
    pub outcome: Option<Outcome>,
    pub run: Option<RunId>,
    pub class: Class,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    pub states: Vec<State>,
    pub run: Option<RunId>,
    pub kind: Option<Kind>,
    pub source: Option<Source>,
    pub agent: Option<AgentName>,
    #[serde(default)]
    pub team: Option<TeamName>,
    pub parent: Option<TaskId>,
    pub dead_letters: bool,
    /// Superseded tasks are left out unless asked for.
    pub superseded: bool,
}

impl Filter {
    /// Whether the class of a task decides anything.
    pub fn is_by_class(&self) -> bool {
        self.kind.is_some() || self.agent.is_some() || self.team.is_some()
    }

    /// Whether tasks of this class are wanted, as far as that decides.
    pub fn wants(&self, class: &Class) -> bool {
        self.kind.as_ref().is_none_or(|kind| class.kind == *kind)
            && (self.agent.is_none() || class.agent == self.agent)
            && (self.team.is_none() || class.team == self.team)
    }
}

/// An event with the names that its numbers stand for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub event: Event,
    pub task: Option<TaskId>,
    pub key: Option<Key>,
    pub run: Option<RunId>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub counts: Counts,
    /// Sum of all tasks' scores, in thousandths.
    pub score_sum: i64,
    pub max_depth: u32,
    /// Submission of the first task that is pending or blocked, by insertion number.
    pub oldest_pending: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    pub dead_letters: u64,
    pub last_event: EventNo,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    pub after: Vec<Neighbour>,
    pub dependents: Vec<Neighbour>,
    pub children: Vec<Neighbour>,
    /// Some list was cut at the limit.
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    pub seq: Seq,
    pub id: TaskId,
    pub key: Option<Key>,
    pub when: When,
    pub state: State,
    pub reason: Option<Reason>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    pub seq: Seq,
    pub id: TaskId,
    pub key: Option<Key>,
    pub state: State,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldLock {
    pub name: String,
    pub mode: Mode,
    pub holder: TaskId,
    pub waiting: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub id: TaskId,
    pub token: Token,
    pub state: State,
    pub worker: WorkerId,
    pub attempt: u32,
    pub run: Option<RunNo>,
    pub started_at: Option<Timestamp>,
    pub expires: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheEntry {
    pub key: [u8; 32],
    pub result: Option<Json>,
    pub stored_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// The task whose attempt made it.
    pub made_by: TaskId,
}

/// Runs that `bell run` may continue.
pub fn is_continuable(state: RunState) -> bool {
    matches!(state, RunState::Active | RunState::Failed)
}
