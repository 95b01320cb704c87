//! Schedules: work that is handed in at given times.
//!
//! A schedule is an entry of [`crate::book::Book::Schedule`], due at its next time. Whoever does the periodic duties asks
//! it for one [`Step`] at a time, carries that out and writes the schedule that follows from it, until there is none.

mod timing;

use serde::{Deserialize, Serialize};

use crate::id::{RunId, TaskId};
use crate::task::spec::Spec;
use crate::time::Timestamp;

pub use timing::{Cron, Timing};

/// A time noticed this late, in milliseconds, was missed: long enough for another process to take the duties over.
pub const PUNCTUAL_MS: i64 = 60_000;
/// Times made up for after an absence, at the most: the newest are.
pub const CATCH_UP_MAX: usize = 100;
/// Times counted one by one when they are missed; beyond it, it is "at least".
pub const COUNT_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub when: Timing,
    #[serde(default)]
    pub catch_up: CatchUp,
    #[serde(default)]
    pub overlap: Overlap,
    pub work: Work,
    /// `None` when no time is left.
    pub next: Option<Timestamp>,
    #[serde(default)]
    pub last: Option<Fired>,
    #[serde(default)]
    pub fired: u64,
    #[serde(default)]
    pub missed: u64,
}

/// What is handed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    Task(Box<Spec>),
    /// A new run each time. The text travels with the schedule, for it may fire on another machine; `file` says where
    /// it came from and in which folder its commands run.
    Plan {
        file: String,
        text: String,
    },
}

/// What is done about times that passed while nobody was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    Skip,
    /// The last of them is made up for.
    #[default]
    One,
    /// All are, the newest [`CATCH_UP_MAX`] at the most.
    All,
}

impl CatchUp {
    pub const ALL: [CatchUp; 3] = [CatchUp::Skip, CatchUp::One, CatchUp::All];

    pub fn as_str(self) -> &'static str {
        match self {
            CatchUp::Skip => "skip",
            CatchUp::One => "one",
            CatchUp::All => "all",
        }
    }
}

/// What is done when the last one has not ended yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    #[default]
    Allow,
    Skip,
}

impl Overlap {
    pub const ALL: [Overlap; 2] = [Overlap::Allow, Overlap::Skip];

    pub fn as_str(self) -> &'static str {
        match self {
            Overlap::Allow => "allow",
            Overlap::Skip => "skip",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The time it was meant for.
    pub at: Timestamp,
    pub made: Made,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    Task(TaskId),
    Run(RunId),
}

/// What has to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Fire { at: Timestamp, next: Option<Timestamp> },
    Miss(Missed),
}

/// Times that are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: usize,
    /// There were more than are counted.
    pub more: bool,
    pub why: Why,
    pub next: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nobody was there.
    Absent,
    /// The last one had not ended.
    Overlap,
    /// The store said no to the work.
    Refused,
}

impl Missed {
    /// The time of a [`Step::Fire`] is passed over after all.
    pub fn instead(at: Timestamp, next: Option<Timestamp>, why: Why) -> Missed {
        Missed {
            first: at,
            last: at,
            count: 1,
            more: false,
            why,
            next,
        }
    }
}

impl Schedule {
    pub fn new(when: Timing, work: Work, now: Timestamp) -> Schedule {
        Schedule {
            next: when.next(now),
            when,
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
            work,
            last: None,
            fired: 0,
            missed: 0,
        }
    }

    /// The same with other times, from `now` on.
    pub fn at_times(self, when: Timing, now: Timestamp) -> Schedule {
        Schedule {
            next: when.next(now),
            when,
            ..self
        }
    }

    pub fn step(&self, now: Timestamp) -> Option<Step> {
        let due = self.next.filter(|due| *due <= now)?;
        let most = match self.catch_up {
            CatchUp::Skip | CatchUp::One => 1,
            CatchUp::All => CATCH_UP_MAX,
        };
        let mut kept = self.when.newest(most, due, now);
        if self.catch_up == CatchUp::Skip {
            kept.retain(|at| now.0.saturating_sub(at.0) <= PUNCTUAL_MS);
        }
        Some(match kept.first() {
            Some(first) if *first == due => Step::Fire {
                at: due,
                next: self.when.next(due),
            },
            first => Step::Miss(self.miss(due, first.copied().or_else(|| self.when.next(now)), now)),
        })
    }

    /// Passes over the times from `due` up to the next one that counts.
    fn miss(&self, due: Timestamp, next: Option<Timestamp>, now: Timestamp) -> Missed {
        let end = next.filter(|next| *next <= now).unwrap_or(now.next());
        let mut passed = self.when.from(due).take_while(|at| *at < end);
        let count = passed.by_ref().take(COUNT_MAX).count();
        let more = passed.next().is_some();
        let last = self.when.newest(1, due, Timestamp(end.0 - 1));
        Missed {
            first: due,
            last: last.first().copied().unwrap_or(due),
            count,
            more,
            why: Why::Absent,
            next,
        }
    }

    #[must_use]
    pub fn after_fire(&self, at: Timestamp, next: Option<Timestamp>, made: Made) -> Schedule {
        Schedule {
            next,
            last: Some(Fired { at, made }),
            fired: self.fired + 1,
            ..self.clone()
        }
    }

    #[must_use]
    pub fn after_miss(&self, missed: &Missed) -> Schedule {
        Schedule {
            next: missed.next,
            missed: self.missed + missed.count as u64,
            ..self.clone()
        }
    }
}

/// One firing, whoever does it: the same key is never used for two.
pub fn idempotency_key(name: &str, at: Timestamp) -> String {
    format!("schedule:{name}:{at}")
}

#[cfg(test)]
mod tests;
