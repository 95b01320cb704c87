//! Turns: keys that tasks share are served one after the other, and who is passed over for too long reserves.
//!
//! Both are kept by the store among the gauges, under the names that are told here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limit::{Limit, Rate, Used};
use crate::id::{Seq, WorkerId};
use crate::run::RunNo;
use crate::task::lock::LIMIT;
use crate::task::record::ClassNo;
use crate::time::{Now, Timestamp};

/// What is known of one key of [`crate::task::spec::Concurrency`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lane {
    /// Those who can be found by the same claims, as class and run, of whom one stands in line.
    pub heads: Vec<(ClassNo, Option<RunNo>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    pub used: Used,
    /// When an attempt of this key last began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<Timestamp>,
}

impl Lane {
    pub const PREFIX: &str = "lane:";
    /// A key is forgotten when nobody has asked for it for so long, in milliseconds.
    const MEMORY: i64 = 60_000;

    /// The name under which the tasks of a key wait.
    pub fn thing(key: &str) -> String {
        format!("{LIMIT}{key}")
    }

    /// Where it is kept, by what its tasks wait under.
    pub fn kept(thing: &str) -> String {
        format!("{}{}", Lane::PREFIX, thing.strip_prefix(LIMIT).unwrap_or(thing))
    }

    fn limit(&self) -> Limit {
        Limit {
            concurrency: None,
            rate: self.rate,
        }
    }

    /// Whether its rate lets one more begin.
    pub fn open(&self, now: Now) -> bool {
        self.used.room(&self.limit(), now) > 0
    }

    /// An attempt begins.
    pub fn serve(&mut self, rate: Option<Rate>, now: Now) {
        self.served = Some(now.wall);
        self.rate = rate;
        if rate.is_some() {
            self.used.begin(&self.limit(), now);
            self.used.end();
        }
    }

    /// When its rate lets the next one begin, if that is what it waits for.
    pub fn next(&self, now: Now) -> Option<Timestamp> {
        self.used.next(&self.limit(), now)
    }

    /// When something about it changes by itself: its rate lets somebody through, or it is forgotten.
    pub fn due(&self, now: Now) -> Option<Timestamp> {
        let next = self.next(now);
        next.or_else(|| self.heads.is_empty().then(|| self.end()))
    }

    /// From when on nothing is lost with it.
    fn end(&self) -> Timestamp {
        let full = self
            .rate
            .map_or(0, |rate| i64::try_from(rate.per).unwrap_or(i64::MAX));
        let served = self.served.map_or(0, |at| at.0);
        Timestamp(served.saturating_add(full.max(Lane::MEMORY)))
    }
}

/// Who was passed over, by the number of the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Passed {
    pub tasks: BTreeMap<u64, Pass>,
}

impl Passed {
    /// Where it is kept.
    pub const KEY: &str = "passed";
    /// Tasks that are counted at once; the best placed waiters are the first to be.
    pub const COUNTED: usize = 200;
    /// Tasks that have their locks reserved at once.
    pub const RESERVING: usize = 16;

    /// Those whose locks are kept for them.
    pub fn reserving(&self) -> impl Iterator<Item = Seq> + '_ {
        let reserving = self.tasks.iter().filter(|(_, pass)| pass.reserves());
        reserving.map(|(seq, _)| Seq(*seq))
    }
}

/// How often a task was passed over, and what is kept for it since that was often enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    pub times: u32,
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// A reservation: nobody who stands behind the task in line gets what is kept for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// This worker keeps room for it; without one, all of its locks are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<WorkerId>,
    pub from: Timestamp,
    /// It is given up then.
    pub until: Timestamp,
}

impl Kept {
    /// In milliseconds. Whatever the task waits for, nobody waits longer for it than that.
    pub const LONGEST: i64 = 600_000;

    pub fn new(by: Option<WorkerId>, now: Timestamp, span: i64) -> Kept {
        let kept = Kept {
            by,
            from: now,
            until: now,
        };
        kept.lasting(now, span)
    }

    /// For so long from now on, in milliseconds, as far as it may last at all.
    pub fn lasting(&self, now: Timestamp, span: i64) -> Kept {
        let end = self.from.0.saturating_add(Kept::LONGEST);
        Kept {
            until: Timestamp(now.0.saturating_add(span).min(end)),
            ..self.clone()
        }
    }
}

impl Pass {
    /// So often a task is passed over before it reserves, or for so long, in milliseconds.
    const TIMES: u32 = 10;
    const SPAN: i64 = 30_000;

    pub fn new(now: Timestamp) -> Pass {
        Pass {
            times: 0,
            since: now,
            kept: None,
        }
    }

    /// Whether its locks are kept for it.
    pub fn reserves(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.by.is_none())
    }

    /// Once more; whether that is enough.
    pub fn again(&mut self, now: Timestamp) -> bool {
        self.times = self.times.saturating_add(1);
        self.times >= Pass::TIMES || now.0.saturating_sub(self.since.0) >= Pass::SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Now {
        Now {
            wall: Timestamp(ms),
            mono: 0,
        }
    }

    #[test]
    fn a_key_is_kept_while_it_matters() {
        let mut lane = Lane::default();
        lane.serve(None, at(1_000));
        assert_eq!(lane.due(at(1_000)), Some(Timestamp(61_000)));
        lane.heads.push((ClassNo(1), None));
        assert_eq!(lane.due(at(1_000)), None, "somebody stands in line");
        let rate = Some(Rate { count: 1, per: 5_000 });
        lane.serve(rate, at(2_000));
        assert!(!lane.open(at(2_000)) && lane.open(at(7_000)));
        assert_eq!(lane.due(at(2_000)), Some(Timestamp(7_000)));
        assert_eq!(lane.used.held, 0, "who is under way is counted elsewhere");
    }

    #[test]
    fn ten_times_or_half_a_minute_is_enough() {
        let mut pass = Pass::new(Timestamp(0));
        assert!((1..10).all(|_| !pass.again(Timestamp(10))));
        assert!(pass.again(Timestamp(10)));
        let mut pass = Pass::new(Timestamp(0));
        assert!(!pass.again(Timestamp(29_999)) && pass.again(Timestamp(30_000)));
    }

    #[test]
    fn a_reservation_has_an_end_however_often_it_is_renewed() {
        let mut kept = Kept::new(None, Timestamp(0), 10_000);
        assert_eq!(kept.until, Timestamp(10_000));
        for minute in 1..20 {
            kept = kept.lasting(Timestamp(minute * 60_000), 60_000);
        }
        assert_eq!(kept.until, Timestamp(600_000));
    }
}
