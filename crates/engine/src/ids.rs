//! The only place that draws randomness.

use domain::id::{Project, RunId, TaskId, WorkerId};
use domain::time::Timestamp;
use uuid::{Builder, Uuid};

/// A fresh task id: time-ordered, so that stores append to their indexes.
pub fn task() -> TaskId {
    TaskId::Uuid(Uuid::now_v7())
}

pub fn run() -> RunId {
    RunId(Uuid::now_v7())
}

/// The id of what is made for `key` at a time: whoever makes it again names the same. Time-ordered like the others.
pub fn derived(project: &Project, key: &str, at: Timestamp) -> Uuid {
    let digest = blake3::hash(format!("{project}\0{key}").as_bytes());
    let mut rest = [0; 10];
    rest.copy_from_slice(&digest.as_bytes()[..10]);
    Builder::from_unix_timestamp_millis(at.0.max(0).unsigned_abs(), &rest).into_uuid()
}

/// One incarnation of a worker process: never used again after it ends.
pub fn worker() -> WorkerId {
    let unique = Uuid::now_v7().simple().to_string();
    let name = format!("{}-{}-{}", host(), std::process::id(), &unique[20..]);
    WorkerId::new(&name).expect("letters, digits and dashes make a name")
}

/// Whether a worker of this name belongs to this machine.
pub fn is_here(worker: &WorkerId) -> bool {
    let rest = worker
        .as_str()
        .strip_prefix(&host())
        .and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.split('-').count() == 2)
}

fn host() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40)
        .collect()
}

/// A number nobody can guess, for the secrets of leases.
pub fn seed() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

/// What nobody can guess, for tokens.
pub fn secret() -> [u8; 32] {
    let (a, b) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
    // Six bits of a random UUID are fixed: the digest spreads the other 244.
    *blake3::hash(&[a, b].concat()).as_bytes()
}
