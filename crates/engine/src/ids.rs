//! The only place that draws randomness.

use domain::id::{RunId, TaskId, WorkerId};
use uuid::Uuid;

/// A fresh task id: time-ordered, so that stores append to their indexes.
pub fn task() -> TaskId {
    TaskId::Uuid(Uuid::now_v7())
}

pub fn run() -> RunId {
    RunId(Uuid::now_v7())
}

/// One incarnation of a worker process: never used again after it ends.
pub fn worker() -> WorkerId {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40)
        .collect();
    let unique = Uuid::now_v7().simple().to_string();
    let name = format!("{host}-{}-{}", std::process::id(), &unique[20..]);
    WorkerId::new(&name).expect("letters, digits and dashes make a name")
}

/// A number nobody can guess, for the secrets of leases.
pub fn seed() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}
