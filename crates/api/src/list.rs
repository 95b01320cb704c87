//! Lists: at most a thousand entries, how many there are here, and where the next page begins.

use domain::id::TaskId;
use domain::store;
use domain::task::lock::Mode;
use serde::Serialize;

use crate::event::Event;
use crate::run::Run;
use crate::task::Task;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tasks {
    pub tasks: Vec<Task>,
    pub count: usize,
    /// Pass it to get the next page; `null` on the last.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Runs {
    pub runs: Vec<Run>,
    pub count: usize,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Events {
    pub events: Vec<Event>,
    pub count: usize,
    /// The number of the last event seen: go on after it.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Locks {
    pub locks: Vec<Lock>,
    pub count: usize,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lock {
    pub name: String,
    pub mode: Mode,
    /// The task that holds it.
    pub holder: TaskId,
    /// How many tasks wait for it.
    pub waiting: usize,
}

impl From<store::HeldLock> for Lock {
    fn from(lock: store::HeldLock) -> Lock {
        Lock {
            name: lock.name,
            mode: lock.mode,
            holder: lock.holder,
            waiting: lock.waiting,
        }
    }
}
