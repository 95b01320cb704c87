//! Pools: how many tasks of some kinds are worked on at the same time, by how many wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::id::{Kind, PoolName, WorkerId};
use crate::time::show_duration;

/// Slots of one pool in one process.
pub const SLOTS_MAX: usize = 1_000;
/// The load is looked at no more often than this.
pub const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// What a pool does and how far it grows; an entry of [`crate::book::Book::Pool`] under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Any, when empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Slots in each process that works for it; a pool with `min` equal to `max` is fixed.
    pub min: usize,
    pub max: usize,
    /// One slot more when more than this is queued or in progress.
    pub up: usize,
    /// One slot less when less than this is.
    pub down: usize,
    /// How often that is looked at, in milliseconds.
    pub interval: u64,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool {
            kinds: Vec::new(),
            min: 2,
            max: 10,
            up: 10,
            down: 2,
            interval: 5_000,
        }
    }
}

/// What a pool has to do, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Ready or being worked on anywhere, of the pool's kinds.
    pub work: usize,
    /// Slots of this process.
    pub slots: usize,
    /// Those of them that have something to do.
    pub busy: usize,
}

impl Pool {
    /// The pools that are there without being set: new work and fixes in one, quality assurance, deployment.
    pub fn preset(name: &PoolName) -> Option<Pool> {
        let kinds =
            |names: &[&str]| -> Option<Vec<Kind>> { names.iter().map(|name| Kind::new(name).ok()).collect() };
        let (names, min, max): (&[&str], usize, usize) = match name.as_str() {
            "dev" => (&["dev", "fix"], 2, 10),
            "qa" => (&["qa"], 1, 5),
            "deploy" => (&["deploy"], 1, 1),
            _ => return None,
        };
        Some(Pool {
            kinds: kinds(names)?,
            min,
            max,
            ..Pool::default()
        })
    }

    pub const PRESETS: [&str; 3] = ["dev", "qa", "deploy"];

    pub fn check(&self) -> Result<(), Refusal> {
        let wrong = |why: String| Err(Refusal::new(Code::InvalidArgument, why));
        if self.min == 0 || self.max > SLOTS_MAX {
            return wrong(format!(
                "a pool has 1 to {SLOTS_MAX} slots, not {} to {}",
                self.min, self.max
            ));
        }
        if self.min > self.max {
            return wrong(format!("at least {} slots and at most {}", self.min, self.max));
        }
        if self.down > self.up {
            return wrong(format!(
                "growing above {} and shrinking below {} would never come to rest",
                self.up, self.down
            ));
        }
        if self.interval() < INTERVAL_MIN {
            let (given, least) = (show_duration(self.interval()), show_duration(INTERVAL_MIN));
            return wrong(format!(
                "looking every {given} is too often; the least is {least}"
            ));
        }
        Ok(())
    }

    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval)
    }

    pub fn is_fixed(&self) -> bool {
        self.min == self.max
    }

    /// How many slots there shall be. One more or less at a time, unless the bounds were moved; only idle slots
    /// are retired.
    pub fn slots(&self, load: Load) -> usize {
        let idle = load.slots.saturating_sub(load.busy);
        let retire = |to: usize| to.max(load.slots - idle);
        match load.slots {
            slots if slots < self.min => self.min,
            slots if slots > self.max => retire(self.max),
            slots if load.work > self.up && slots < self.max => slots + 1,
            slots if load.work < self.down && slots > self.min => retire(slots - 1),
            slots => slots,
        }
    }
}

/// The slots that one worker has for a pool at the moment; an entry of its own beside the pool's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crew {
    pub worker: WorkerId,
    pub slots: usize,
    pub ups: u64,
    pub downs: u64,
}

/// The key of a [`Crew`]; no pool's name has the sign between.
pub fn crew_key(pool: &PoolName, worker: &WorkerId) -> String {
    format!("{pool}@{worker}")
}

/// The pool of a crew's key; `None` when it is the key of a pool.
pub fn crew_of(key: &str) -> Option<&str> {
    key.split_once('@').map(|(pool, _)| pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(work: usize, slots: usize, busy: usize) -> Load {
        Load { work, slots, busy }
    }

    // proves: SPEC 5.6, DESIGN 8
    #[test]
    fn a_pool_grows_above_ten_and_shrinks_below_two() {
        let pool = Pool::default();
        assert_eq!((pool.min, pool.max, pool.interval), (2, 10, 5_000));
        for (work, slots, busy, then) in [
            (10, 2, 2, 2),
            (11, 2, 2, 3),
            (500, 9, 9, 10),
            (500, 10, 10, 10),
            (2, 5, 2, 5),
            (1, 5, 1, 4),
            (0, 3, 0, 2),
            (0, 2, 0, 2),
        ] {
            assert_eq!(pool.slots(load(work, slots, busy)), then, "{work} {slots} {busy}");
        }
    }

    #[test]
    fn only_idle_slots_are_retired() {
        let eager = Pool {
            down: 8,
            ..Pool::default()
        };
        assert_eq!(eager.slots(load(5, 5, 5)), 5);
        assert_eq!(eager.slots(load(5, 5, 4)), 4);
        let shrunk = Pool {
            max: 3,
            ..Pool::default()
        };
        assert_eq!(shrunk.slots(load(50, 8, 6)), 6);
        assert_eq!(shrunk.slots(load(50, 8, 1)), 3);
        assert_eq!(shrunk.slots(load(50, 6, 7)), 6, "more busy than slots");
    }

    #[test]
    fn moved_bounds_hold_at_once_and_fixed_pools_stay() {
        let raised = Pool {
            min: 6,
            ..Pool::default()
        };
        assert_eq!(raised.slots(load(0, 2, 0)), 6);
        let fixed = Pool {
            min: 1,
            max: 1,
            ..Pool::default()
        };
        assert!(fixed.is_fixed());
        assert_eq!(fixed.slots(load(500, 1, 1)), 1);
        assert_eq!(fixed.slots(load(0, 1, 0)), 1);
    }

    #[test]
    fn the_unified_pool_does_new_work_and_fixes() {
        let preset = |name: &str| Pool::preset(&PoolName::new(name).unwrap());
        let shown = |name: &str| {
            let pool = preset(name).unwrap();
            pool.check().unwrap();
            let kinds: Vec<_> = pool.kinds.iter().map(ToString::to_string).collect();
            (kinds.join(" "), pool.min, pool.max)
        };
        assert_eq!(shown("dev"), ("dev fix".to_owned(), 2, 10));
        assert_eq!(shown("qa"), ("qa".to_owned(), 1, 5));
        assert_eq!(shown("deploy"), ("deploy".to_owned(), 1, 1));
        assert_eq!(preset("other"), None);
        assert!(Pool::PRESETS.into_iter().all(|name| preset(name).is_some()));
    }

    #[test]
    fn pools_that_make_no_sense_are_refused() {
        let good = Pool::default();
        for bad in [
            Pool {
                min: 0,
                ..good.clone()
            },
            Pool {
                min: 11,
                ..good.clone()
            },
            Pool {
                max: SLOTS_MAX + 1,
                ..good.clone()
            },
            Pool {
                down: 11,
                ..good.clone()
            },
            Pool {
                interval: 50,
                ..good.clone()
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn crews_and_pools_are_told_apart() {
        let (pool, worker) = (PoolName::new("qa").unwrap(), WorkerId::new("host-1").unwrap());
        assert_eq!(crew_of(&crew_key(&pool, &worker)), Some("qa"));
        assert_eq!(crew_of("qa"), None);
        assert!(PoolName::new("a@b").is_err());
    }
}
