//! A project on its way from one store to another: everything it consists of, in pieces.
//!
//! Numbers of tasks, runs and events stay what they are, since the chain of digests covers them. Classes are the only
//! numbers that each store gives itself. Cached results stay behind: they are made again when they are needed.

use crate::book::Entry;
use crate::event::{ChainHead, Event};
use crate::id::Seq;
use crate::run::{Counts, Run};
use crate::task::lock::Mode;
use crate::task::record::{Body, Class, Outcome, Task};
use crate::task::spec::When;
use crate::time::Timestamp;

/// Which piece comes next. Pieces are asked for in this order until there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Runs(u64),
    /// Those after this number.
    Tasks(Seq),
    Answers(String),
    /// Of this book, after this key.
    Entries(u8, String),
}

impl Next {
    pub const FIRST: Next = Next::Runs(0);
}

/// Some of a project, complete in itself: loading it twice is as good as once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    pub runs: Vec<Run>,
    pub tasks: Vec<Carried>,
    pub answers: Vec<Answer>,
    pub entries: Vec<Entry>,
    /// Filled by the carrier: the log is read by everybody's way of reading it.
    pub events: Vec<Event>,
}

/// A task with everything that is kept beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    pub task: Task,
    pub class: Class,
    pub body: Body,
    pub outcome: Option<Outcome>,
    pub dependents: Vec<(Seq, When)>,
    pub holds: Vec<(String, Mode)>,
    /// The last dependent that was settled, when not all are.
    pub settled: Option<Seq>,
}

/// What was answered to a request that had an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub key: String,
    pub digest: [u8; 32],
    pub answer: String,
    pub at: Timestamp,
}

/// What a project keeps about itself as a whole; compared after everything has arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    pub chain: ChainHead,
    pub counts: Counts,
    pub dead_letters: u64,
    pub score_sum: i64,
    pub max_depth: u32,
    pub newest: Option<Timestamp>,
    pub books: u32,
}

/// Where a project is closed, and for what.
pub const MOVED: &str = "moved";

/// The entry under [`MOVED`] in [`crate::book::Book::Setting`]; while it is there, nothing is written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Closed {
    /// It is being copied, or was, to this store.
    Leaving { to: String },
    /// It is arriving here from that store.
    Arriving { from: String },
}
