//! Circuit breakers (SPEC 5.7): when too much of what passes fails, nothing passes for a while, then a few probes.
//!
//! A breaker holds tasks, it does not fail them: while it is open, claims leave their classes out, and no attempt is
//! spent. Probes are real tasks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::Kind;
use crate::time::{Now, Timestamp};

/// When a breaker opens and closes.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of failures among the last `window` results from which it opens.
    pub threshold: f64,
    /// Results that are looked at.
    pub window: usize,
    /// Results there must be before the share counts.
    pub min: usize,
    /// Opens after so many failures in a row, whatever their share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Successes in a row that close it again.
    pub successes: u32,
    /// How long it stays open, in milliseconds.
    pub timeout: u64,
    /// Opens after so many successes in a row with the same result: somebody runs in a circle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identical: Option<u32>,
    /// Opens when the last `window` results have cost more money than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spend: Option<f64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            threshold: 0.5,
            window: 10,
            min: 5,
            failures: None,
            successes: 3,
            timeout: 30_000,
            identical: None,
            spend: None,
        }
    }
}

impl Settings {
    /// Refuses what could never open, or never close.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        match self {
            s if !(s.threshold > 0.0 && s.threshold <= 1.0) => {
                wrong("the threshold must be above 0 and at most 1")
            }
            s if s.window == 0 || s.window > 1_000 => wrong("the window must be from 1 to 1000 results"),
            s if s.min == 0 || s.min > s.window => wrong("`min` must be from 1 to the window"),
            s if s.successes == 0 || s.successes > 100 => wrong("`successes` must be from 1 to 100"),
            s if s.timeout == 0 => wrong("the timeout must be positive"),
            s if s.failures == Some(0) || s.identical == Some(0) => wrong("counts must be positive"),
            s if s.spend.is_some_and(|spend| spend.is_nan() || spend <= 0.0) => {
                wrong("the spend must be positive")
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    #[default]
    Closed,
    Open,
    HalfOpen,
}

/// One result that passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Passed {
    ok: bool,
    /// A short digest of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    same: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    cost: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(cost: &f64) -> bool {
    *cost == 0.0
}

/// How an attempt ended, as a breaker sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Success {
        digest: Option<u64>,
        cost: f64,
    },
    Failure {
        cost: f64,
    },
    /// Handed back, lost or stopped: says nothing about what it called.
    Neither,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    pub state: State,
    /// While open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    recent: VecDeque<Passed>,
    /// Probes under way while half open.
    pub probes: u32,
    /// Successes and failures in a row; one of them is 0.
    pub successes: u32,
    pub failures: u32,
    pub total_successes: u64,
    pub total_failures: u64,
    pub times_opened: u64,
    pub times_half_opened: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Why it opened last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Breaker {
    /// How many more attempts may begin.
    pub fn room(&self, settings: &Settings) -> usize {
        match self.state {
            State::Closed => usize::MAX,
            State::Open => 0,
            State::HalfOpen => settings
                .successes
                .saturating_sub(self.successes)
                .saturating_sub(self.probes) as usize,
        }
    }

    pub fn begin(&mut self) {
        if self.state == State::HalfOpen {
            self.probes += 1;
        }
    }

    /// Takes a result in. Returns what became of the breaker, if it changed.
    pub fn end(&mut self, settings: &Settings, verdict: Verdict, now: Now) -> Option<Kind> {
        self.probes = self.probes.saturating_sub(1);
        let passed = match verdict {
            Verdict::Neither => return None,
            Verdict::Success { digest, cost } => Passed {
                ok: true,
                same: digest,
                cost,
            },
            Verdict::Failure { cost } => Passed {
                ok: false,
                same: None,
                cost,
            },
        };
        if passed.ok {
            self.total_successes += 1;
            self.successes += 1;
            self.failures = 0;
        } else {
            self.total_failures += 1;
            self.failures += 1;
            self.successes = 0;
        }
        self.recent.push_back(passed);
        while self.recent.len() > settings.window {
            self.recent.pop_front();
        }
        match self.state {
            State::Open => None,
            State::HalfOpen if self.failures > 0 => self.open(settings, "a probe failed".to_owned(), now),
            State::HalfOpen if self.successes >= settings.successes => Some(self.close(now)),
            State::HalfOpen => None,
            State::Closed => {
                let why = self.too_much(settings)?;
                self.open(settings, why, now)
            }
        }
    }

    /// Why it should open now, if it should.
    fn too_much(&self, settings: &Settings) -> Option<String> {
        let failed = self.recent.iter().filter(|passed| !passed.ok).count();
        let share = failed as f64 / self.recent.len().max(1) as f64;
        if self.recent.len() >= settings.min && share >= settings.threshold {
            return Some(format!("{failed} of the last {} failed", self.recent.len()));
        }
        if settings.failures.is_some_and(|most| self.failures >= most) {
            return Some(format!("{} failed in a row", self.failures));
        }
        if let Some(most) = settings.identical {
            let last = self.recent.back().and_then(|passed| passed.same);
            let alike = |passed: &&Passed| last.is_some() && passed.same == last;
            let row = self.recent.iter().rev().take_while(alike).count();
            if row >= most as usize {
                return Some(format!("{row} results in a row were the same"));
            }
        }
        let cost: f64 = self.recent.iter().map(|passed| passed.cost).sum();
        if settings.spend.is_some_and(|most| cost > most) {
            return Some(format!("the last {} results cost {cost}", self.recent.len()));
        }
        None
    }

    fn open(&mut self, settings: &Settings, why: String, now: Now) -> Option<Kind> {
        self.state = State::Open;
        let timeout = i64::try_from(settings.timeout).unwrap_or(i64::MAX);
        self.until = Some(Timestamp(now.wall.0.saturating_add(timeout)));
        self.times_opened += 1;
        self.probes = 0;
        self.changed_at = Some(now.wall);
        self.why = Some(why);
        Some(Kind::BreakerOpened)
    }

    /// The window is cleared, so that one more failure does not open it at once.
    fn close(&mut self, now: Now) -> Kind {
        self.state = State::Closed;
        self.until = None;
        self.recent.clear();
        self.probes = 0;
        self.successes = 0;
        self.failures = 0;
        self.changed_at = Some(now.wall);
        Kind::BreakerClosed
    }

    /// Lets probes through when its time is over.
    pub fn wake(&mut self, now: Now) -> Option<Kind> {
        if self.state != State::Open || self.until.is_some_and(|until| until > now.wall) {
            return None;
        }
        self.state = State::HalfOpen;
        self.until = None;
        self.probes = 0;
        self.successes = 0;
        self.failures = 0;
        self.times_half_opened += 1;
        self.changed_at = Some(now.wall);
        Some(Kind::BreakerHalfOpened)
    }

    /// Closes it by hand.
    pub fn reset(&mut self, now: Now) -> Option<Kind> {
        let was = self.state;
        let kind = self.close(now);
        (was != State::Closed).then_some(kind)
    }

    /// Failures among the results looked at, from 0 to 1.
    pub fn error_rate(&self) -> f64 {
        let failed = self.recent.iter().filter(|passed| !passed.ok).count();
        failed as f64 / self.recent.len().max(1) as f64
    }

    pub fn window_size(&self) -> usize {
        self.recent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Verdict = Verdict::Success {
        digest: None,
        cost: 0.0,
    };
    const BAD: Verdict = Verdict::Failure { cost: 0.0 };

    fn at(ms: i64) -> Now {
        Now {
            wall: Timestamp(ms),
            mono: ms,
        }
    }

    fn after(verdicts: &[Verdict], settings: &Settings) -> (Breaker, Vec<Kind>) {
        let mut breaker = Breaker::default();
        let mut kinds = Vec::new();
        for verdict in verdicts {
            breaker.begin();
            kinds.extend(breaker.end(settings, *verdict, at(1_000)));
        }
        (breaker, kinds)
    }

    // proves: SPEC 5.7, DESIGN 8
    #[test]
    fn half_of_at_least_five_failed_opens_it_for_thirty_seconds() {
        let settings = Settings::default();
        assert_eq!(after(&[BAD, BAD, BAD, BAD], &settings).1, [], "too few to tell");
        assert_eq!(after(&[BAD, BAD, OK, OK, OK], &settings).1, []);
        let (mut breaker, kinds) = after(&[BAD, OK, BAD, OK, BAD], &settings);
        assert_eq!(kinds, [Kind::BreakerOpened]);
        assert_eq!(breaker.room(&settings), 0);
        assert_eq!(breaker.wake(at(30_999)), None);
        assert_eq!(breaker.wake(at(31_000)), Some(Kind::BreakerHalfOpened));
        assert_eq!(breaker.room(&settings), 3, "as many probes as it needs successes");
        breaker.begin();
        breaker.begin();
        assert_eq!(breaker.room(&settings), 1);
        assert_eq!(breaker.end(&settings, Verdict::Neither, at(31_001)), None);
        assert_eq!(
            breaker.room(&settings),
            2,
            "a probe that told nothing is given again"
        );
        for kind in [None, None, Some(Kind::BreakerClosed)] {
            assert_eq!(breaker.end(&settings, OK, at(31_002)), kind);
        }
        assert_eq!(
            breaker.end(&settings, BAD, at(31_003)),
            None,
            "the window was cleared"
        );
        assert_eq!((breaker.times_opened, breaker.times_half_opened), (1, 1));
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let settings = Settings::default();
        let (mut breaker, _) = after(&[BAD; 5], &settings);
        breaker.wake(at(40_000));
        breaker.begin();
        assert_eq!(breaker.end(&settings, OK, at(40_001)), None);
        breaker.begin();
        assert_eq!(breaker.end(&settings, BAD, at(40_002)), Some(Kind::BreakerOpened));
        assert_eq!(breaker.until, Some(Timestamp(70_002)));
        assert_eq!(breaker.reset(at(50_000)), Some(Kind::BreakerClosed));
        assert_eq!(breaker.reset(at(50_000)), None);
        assert_eq!(breaker.window_size(), 0);
    }

    #[test]
    fn failures_in_a_row_and_runaway_success_open_it_too() {
        let count = Settings {
            failures: Some(3),
            min: 10,
            ..Settings::default()
        };
        assert_eq!(after(&[BAD, BAD, OK, BAD, BAD], &count).1, []);
        assert_eq!(after(&[BAD, BAD, BAD], &count).1, [Kind::BreakerOpened]);
        let circle = Settings {
            identical: Some(3),
            ..Settings::default()
        };
        let same = |n| Verdict::Success {
            digest: Some(n),
            cost: 0.0,
        };
        assert_eq!(after(&[same(1), same(1), same(2), same(1)], &circle).1, []);
        assert_eq!(after(&[OK, OK, OK, OK], &circle).1, [], "no result is no circle");
        assert_eq!(
            after(&[same(1), same(2), same(2), same(2)], &circle).1,
            [Kind::BreakerOpened]
        );
        let dear = Settings {
            spend: Some(1.0),
            ..Settings::default()
        };
        let cost = Verdict::Success {
            digest: None,
            cost: 0.4,
        };
        let (breaker, kinds) = after(&[cost, cost, cost], &dear);
        assert_eq!(kinds, [Kind::BreakerOpened]);
        assert!(breaker.why.unwrap().contains("cost"));
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert_eq!(Settings::default().check(), Ok(()));
        for bad in [
            Settings {
                threshold: 0.0,
                ..Settings::default()
            },
            Settings {
                threshold: f64::NAN,
                ..Settings::default()
            },
            Settings {
                min: 11,
                ..Settings::default()
            },
            Settings {
                successes: 0,
                ..Settings::default()
            },
            Settings {
                timeout: 0,
                ..Settings::default()
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
