//! What happens to tasks: commands of lease holders and of people, and what they bring about.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Admission;
use crate::id::{AgentName, RunId, TaskId, Token};
use crate::task::record::{Failure, Join, Outcome};
use crate::task::spec::Json;
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    pub target: Target,
    pub command: Command,
    pub actor: Arc<str>,
    pub idempotency_key: Option<String>,
}

/// Which task; commands of a lease holder need the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    Id(TaskId),
    /// The holder of a lease. When the id is given too, it must fit the token.
    Holder(Token, Option<TaskId>),
    /// A whole run; understands only `Cancel`, which closes it: its tasks are cancelled one by one beside.
    Run(RunId),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    // by the holder of the lease
    /// `at` is when it began, if that was before now; no earlier than its claim.
    Start {
        at: Option<Timestamp>,
    },
    /// Keeps the lease for its time from now on, and may replace the progress document.
    Renew {
        ttl: Option<Duration>,
        progress: Option<Json>,
    },
    Complete {
        outcome: Outcome,
        cached: bool,
        children: Option<Children>,
    },
    Fail {
        failure: Failure,
        usage: Option<Json>,
        timed_out: bool,
        no_retry: bool,
    },
    /// Hands the lease back: no attempt is spent. On a cancelled task it confirms that the work has stopped.
    Release,
    // by anyone who may
    Cancel {
        reason: Reason,
    },
    Suspend,
    Resume,
    /// Another go for a failed task with a fresh budget of tries, now or at a time.
    Retry {
        at: Option<Timestamp>,
    },
    /// Answers a breakpoint.
    Resolve {
        accept: bool,
        outcome: Outcome,
    },
    /// Takes a failed task out of the dead letters for good.
    DropLetter,
    /// Pins a task that nobody works on to an agent, or to none.
    Assign {
        agent: Option<AgentName>,
    },
    /// Gives a task that has not ended another base priority.
    Reprioritize {
        priority: crate::task::spec::Priority,
    },
    /// Takes a lock from a task that holds it, and its lease with it; see [`crate::decide::lease::break_lock`].
    BreakLock {
        name: String,
        why: String,
        /// Whoever asks answers for it that the holder has stopped.
        at_once: bool,
    },
    /// Gives a task that nobody works on to the registered agent that was chosen for it, or takes that back. Refused
    /// when the agent is full, or when the task's author has named one.
    Route {
        agent: Option<AgentName>,
        /// Kept with the event: who else there was, and why this one.
        decision: Json,
    },
}

/// Subtasks that an attempt leaves behind when it completes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Children {
    pub admission: Box<Admission>,
    /// With nothing admitted there is nothing to wait for, and the parent completes.
    pub join: Option<Join>,
}

impl PartialEq for Children {
    fn eq(&self, other: &Children) -> bool {
        self.join == other.join
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub task: TaskId,
    pub state: State,
    pub reason: Option<Reason>,
    /// Newly ready dependents, at most [`crate::limits::PAGE_MAX`].
    pub unblocked: Vec<TaskId>,
    /// Cancelled tasks; on `Cancel` the task itself first. Bounded likewise.
    pub cancelled: Vec<TaskId>,
    /// How many more of both there are beyond the bound, or are still being settled.
    pub more: u64,
    pub retry_at: Option<Timestamp>,
    /// When the lease ends on the wall clock, for `Start` and `Renew`.
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticked {
    /// Tasks moved or rescored.
    pub moved: usize,
    pub more: bool,
    /// When the next thing is due on the wall clock, as far as is known.
    pub next: Option<Timestamp>,
}
