//! Lists: at most a thousand entries, how many there are here, and where the next page begins.

use domain::id::{Key, Project, RunId, TaskId, WorkerId};
use domain::store;
use domain::task::lock::Mode;
use domain::task::spec::{Verdict, Work};
use domain::task::state::Reason;
use domain::time::Now;
use schemars::JsonSchema;
use serde::Serialize;

use crate::event::Event;
use crate::run::Run;
use crate::task::Task;
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Tasks {
    pub tasks: Vec<Task>,
    pub count: usize,
    /// Pass it to get the next page; `null` on the last.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Runs {
    pub runs: Vec<Run>,
    pub count: usize,
    pub cursor: Option<String>,
}

/// A run with its tasks.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct RunShown {
    pub run: Run,
    pub tasks: Vec<Task>,
    pub count: usize,
    /// Pass it to the list of the run's tasks for the rest.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct RunCancelled {
    pub run: RunId,
    /// At most a thousand.
    pub cancelled: Vec<TaskId>,
    /// How many more than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Problems {
    pub problems: Vec<domain::problem::Problem>,
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Projects {
    pub projects: Vec<Project>,
    pub count: usize,
}

/// What an attempt printed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Logs {
    pub task: TaskId,
    pub attempt: u32,
    pub output: String,
    /// Bytes between beginning and end that were not kept.
    pub dropped: u64,
    /// How far it goes: pass it as `after` for what follows.
    pub bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Events {
    pub events: Vec<Event>,
    pub count: usize,
    /// The number of the last event seen: go on after it.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Locks {
    pub locks: Vec<Lock>,
    pub count: usize,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Lock {
    pub name: String,
    pub mode: Mode,
    /// The task that holds it.
    pub holder: TaskId,
    pub worker: Option<WorkerId>,
    /// When the holder's attempt was started.
    pub since: Option<Time>,
    /// When the holder's lease ends, unless it is renewed.
    pub expires_at: Option<Time>,
    /// How many tasks wait for it.
    pub waiting: usize,
    /// The first of them, by insertion.
    pub waiters: Vec<TaskId>,
}

impl Lock {
    /// `held` is the lease of the holder.
    pub fn new(lock: store::HeldLock, held: Option<&store::Held>, waiters: Vec<TaskId>, now: Now) -> Lock {
        Lock {
            name: lock.name,
            mode: lock.mode,
            holder: lock.holder,
            worker: held.map(|held| held.worker.clone()),
            since: held.and_then(|held| held.started_at).map(Time),
            expires_at: held.map(|held| Time::of_lease(held.expires, now)),
            waiting: lock.waiting,
            waiters,
        }
    }
}

/// A lock that was taken from those who held it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Broken {
    pub lock: String,
    pub holders: Vec<Evicted>,
}

/// Who held a lock that was broken.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Evicted {
    pub task: TaskId,
    /// When the lock is free at the latest; `null` if it is free.
    pub free_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Breakpoints {
    pub breakpoints: Vec<Breakpoint>,
    pub count: usize,
}

/// A task that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Breakpoint {
    pub task: TaskId,
    pub key: Option<Key>,
    pub name: String,
    /// What is asked.
    pub asks: String,
    pub reason: Option<Reason>,
    pub owner: Option<String>,
    /// When the default holds, or when it should have been answered.
    pub deadline: Option<Time>,
    /// The answer when the deadline passes without one.
    pub default: Option<Verdict>,
}

impl From<store::View> for Breakpoint {
    fn from(view: store::View) -> Breakpoint {
        let spec = view.body.read_spec().ok();
        let asks = spec.as_ref().map_or("", |spec| match &spec.work {
            Work::Breakpoint(asks) => asks.as_str(),
            _ => "",
        });
        let stop = spec
            .as_ref()
            .and_then(|spec| spec.stop.clone())
            .unwrap_or_default();
        let asks = match view.task.reason {
            Some(Reason::Budget) => {
                "its budget does not let it begin: grant it an amount, raise the budget, or cancel the task"
            }
            _ => asks,
        };
        Breakpoint {
            reason: view.task.reason,
            owner: stop.owner,
            deadline: view.task.deadline.map(Time),
            default: stop.default,
            asks: asks.to_owned(),
            name: spec.as_ref().map_or_else(String::new, |spec| spec.name.clone()),
            key: view.body.key,
            task: view.task.id,
        }
    }
}
