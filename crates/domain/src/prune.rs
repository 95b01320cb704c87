//! What has ended long ago is taken out of a project: tasks with their runs, answers to idempotency keys, and the
//! beginning of the log.
//!
//! A task goes only when nothing that stays depends on it, and a run goes whole. Dead letters stay, with what they need
//! to be tried again. It is done piece by piece, each a transaction of its own: what is left after any of them is sound.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::book::Entry;
use crate::code::Refusal;
use crate::event::{ChainHead, Digest};
use crate::id::{EventNo, Project, Seq, TaskId};
use crate::run::RunNo;
use crate::time::{Timestamp, millis};

/// The setting in [`crate::book::Book::Setting`].
pub const RETENTION: &str = "retention";
/// When to look again for what is old, in [`crate::book::Book::Cursor`].
pub const LOOK_AGAIN: &str = "retention";
/// The [`Beginning`] in [`crate::book::Book::Cursor`].
pub const BEGINNING: &str = "beginning";

/// How long what has ended is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// `None` keeps everything.
    pub seconds: Option<u64>,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            seconds: Some(30 * 24 * 3_600),
        }
    }
}

impl Retention {
    /// Less would take away what somebody is still looking at.
    pub const LEAST: u64 = 60;
    /// A hundred years.
    pub const MOST: u64 = 100 * 365 * 24 * 3_600;

    pub fn is_sensible(self) -> bool {
        let known = Self::LEAST..=Self::MOST;
        self.seconds.is_none_or(|seconds| known.contains(&seconds))
    }

    /// What ended at this moment or earlier is to go.
    pub fn before(self, now: Timestamp) -> Option<Timestamp> {
        let span = millis(Duration::from_secs(self.seconds?));
        Some(Timestamp(now.0.saturating_sub(span)))
    }
}

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {
    /// What ended at this moment or earlier goes.
    pub before: Timestamp,
    pub stage: Stage,
    /// Only counts, and what it counts may turn out to be a little more than what goes.
    pub dry: bool,
}

/// Where to go on; the stages follow each other in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Runs after this one.
    Runs(RunNo),
    /// A run too large for one piece: its tasks from the newest, those before this number, and whether all were
    /// looked at, so that they may go.
    Run(RunNo, Seq, bool),
    /// Looks for the newest task that is old enough, after this number.
    Reach(Seq),
    /// Tasks outside any run, from the newest: those before this number.
    Tasks(Seq),
    /// Answers to idempotency keys after this one.
    Answers(String),
    Log,
}

impl Stage {
    pub const FIRST: Stage = Stage::Runs(RunNo(0));
}

/// What one piece came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    pub tasks: u64,
    pub runs: u64,
    pub answers: u64,
    pub events: u64,
    /// Tasks that have gone, for who keeps something beside the store.
    pub gone: Vec<(TaskId, Seq)>,
    /// Where to go on, unless this was the last piece.
    pub next: Option<Stage>,
}

/// Where the log of a project begins, since what was before it is gone; and how far below there is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// The last event that is gone: the first that is left follows its digest.
    pub after: ChainHead,
    /// No task up to this number is left, and no run up to that one.
    pub tasks: Seq,
    pub runs: RunNo,
    /// A large run of which some tasks have gone already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<RunNo>,
}

impl Beginning {
    /// Of a project from which nothing was taken.
    pub fn of(project: &Project) -> Beginning {
        Beginning {
            after: ChainHead {
                last: EventNo(0),
                digest: Digest::root(project),
            },
            tasks: Seq(0),
            runs: RunNo(0),
            within: None,
        }
    }

    /// What was found under [`BEGINNING`].
    pub fn read(project: &Project, found: &[Entry]) -> Result<Beginning, Refusal> {
        Ok(Beginning::find(found)?.unwrap_or_else(|| Beginning::of(project)))
    }

    /// The same; `None` when nothing was ever taken out.
    pub fn find(found: &[Entry]) -> Result<Option<Beginning>, Refusal> {
        let entry = found.iter().find(|entry| &*entry.key == BEGINNING);
        entry.map(Entry::read).transpose()
    }

    /// The event before `event` of the same task, as far as the log goes back: `known` is the latest one seen.
    pub fn before(&self, event: &crate::event::Event, known: Option<EventNo>) -> EventNo {
        match known {
            None if event.prev <= self.after.last => event.prev,
            known => known.unwrap_or_default(),
        }
    }

    /// The last event of a task whose row names `kept`, of those that the log still has.
    pub fn last(&self, kept: EventNo, known: Option<EventNo>) -> EventNo {
        match known {
            None if kept <= self.after.last => kept,
            known => known.unwrap_or_default(),
        }
    }
}
