//! How a project orders its line: one truth for all who work in it, kept in the store beside the tasks.

use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::task::score::{self, Explanation, Facts, Profile, Score, Weights};
use crate::time::Timestamp;

/// The entry of [`crate::book::Book::Setting`] that holds it.
pub const ORDER: &str = "order";
/// The entry that says how far ready tasks have been scored anew after a change of the order.
pub const RESCORE: &str = "order-rescore";

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    #[serde(default)]
    pub profile: Profile,
    /// Not used by [`Profile::Boosts`].
    #[serde(default)]
    pub weights: Weights,
    /// Points that a task earns by each hour of waiting, up to [`AGED_MAX`] in all.
    #[serde(default)]
    pub ageing: f64,
}

/// Waiting alone lifts a task over what is a little more urgent, never over everything.
pub const AGED_MAX: f64 = 25.0;
const AGEING_MAX: f64 = 100.0;
const HOUR_MS: i64 = 3_600_000;

/// Of the eleven priorities and three points of boosts, each is so many points of a score.
const UNIT: f64 = 100.0 / 13.0;

impl Order {
    pub fn check(self) -> Result<Order, Refusal> {
        self.weights.check()?;
        if !(0.0..=AGEING_MAX).contains(&self.ageing) {
            let detail = format!("the ageing {} is not from 0 to {AGEING_MAX}", self.ageing);
            return Err(
                Refusal::new(Code::ConfigInvalid, detail).help("write points for each hour of waiting")
            );
        }
        Ok(self)
    }

    pub fn explain(&self, facts: &Facts, now: Timestamp) -> Explanation {
        let parts = match self.profile {
            Profile::Boosts => boosts(facts, now),
            Profile::Classic | Profile::CriticalPath => score::explain(facts, &self.weights, now),
        };
        let ageing = self.aged(facts, now);
        Explanation {
            ageing,
            score: (parts.score + ageing).clamp(0.0, 100.0),
            ..parts
        }
    }

    pub fn score(&self, facts: &Facts, now: Timestamp) -> Score {
        Score::of(self.explain(facts, now).score)
    }

    /// When the score next changes by itself, if it ever does; strictly after `now`.
    pub fn next_change(&self, facts: &Facts, now: Timestamp) -> Option<Timestamp> {
        let own = match self.profile {
            Profile::Boosts => facts
                .deadline
                .map(|deadline| Timestamp(deadline.0.saturating_sub(HOUR_MS)))
                .filter(|at| *at > now),
            Profile::Classic | Profile::CriticalPath => score::next_change(facts, now),
        };
        let aged = self.next_aged(facts, now);
        [own, aged].into_iter().flatten().min()
    }

    /// In whole steps, so that a row is written once for each of them and not with every look at the clock.
    fn aged(&self, facts: &Facts, now: Timestamp) -> f64 {
        match self.step_ms() {
            None => 0.0,
            Some(step) => {
                let waited = now.0.saturating_sub(facts.submitted_at.0).max(0);
                ((waited / step) as f64 * score::QUANTUM).min(AGED_MAX)
            }
        }
    }

    fn next_aged(&self, facts: &Facts, now: Timestamp) -> Option<Timestamp> {
        let step = self.step_ms()?;
        if self.aged(facts, now) >= AGED_MAX {
            return None;
        }
        let waited = now.0.saturating_sub(facts.submitted_at.0).max(0);
        let next = (waited / step).saturating_add(1).saturating_mul(step);
        Some(Timestamp(
            facts.submitted_at.0.saturating_add(next).max(now.0 + 1),
        ))
    }

    /// How long a task waits for one more step of points.
    fn step_ms(&self) -> Option<i64> {
        (self.ageing > 0.0).then(|| ((score::QUANTUM / self.ageing * HOUR_MS as f64) as i64).max(1))
    }
}

/// SPEC 4.1: the priority, two more within an hour of the deadline, one more if any task waits for it, one less on a
/// retry. Nothing of it is stored, so that no boost counts twice.
fn boosts(facts: &Facts, now: Timestamp) -> Explanation {
    let priority = f64::from(facts.priority.value());
    let is_near = |deadline: Timestamp| deadline.0.saturating_sub(now.0) <= HOUR_MS;
    let urgency = if facts.deadline.is_some_and(is_near) {
        2.0
    } else {
        0.0
    };
    let blocking = if facts.dependents > 0 { 1.0 } else { 0.0 };
    let retry = if facts.failures > 0 && priority > 1.0 {
        -1.0
    } else {
        0.0
    };
    Explanation {
        base: priority * UNIT,
        depth: 0.0,
        urgency: urgency * UNIT,
        blocking: blocking * UNIT,
        source: 0.0,
        retry: retry * UNIT,
        ageing: 0.0,
        score: ((priority + urgency + blocking + retry) * UNIT).clamp(0.0, 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::spec::{Priority, Source};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn plain() -> Facts {
        Facts {
            priority: Priority::NORMAL,
            source: Source::Human,
            depth: 0,
            path_share: None,
            deadline: None,
            estimate: None,
            dependents: 0,
            failures: 0,
            submitted_at: NOW,
        }
    }

    fn order(profile: Profile, ageing: f64) -> Order {
        Order {
            profile,
            ageing,
            ..Order::default()
        }
    }

    fn within(ms: i64) -> Facts {
        Facts {
            deadline: Some(Timestamp(NOW.0 + ms)),
            ..plain()
        }
    }

    // proves: SPEC 4.1
    #[test]
    fn boosts_are_counted_once_and_never_kept() {
        let effective = |facts: Facts| {
            let score = order(Profile::Boosts, 0.0).explain(&facts, NOW).score;
            (score / UNIT).round() as i32
        };
        let priority = |n| Facts {
            priority: Priority::number(n).unwrap(),
            ..plain()
        };
        for (facts, expected) in [
            (plain(), 5),
            (within(HOUR_MS), 7),
            (within(HOUR_MS + 1), 5),
            (within(-1), 7),
            (
                Facts {
                    dependents: 9,
                    ..plain()
                },
                6,
            ),
            (
                Facts {
                    failures: 3,
                    ..plain()
                },
                4,
            ),
            (
                Facts {
                    failures: 1,
                    ..priority(1)
                },
                1,
            ),
            (
                Facts {
                    failures: 1,
                    ..priority(0)
                },
                0,
            ),
            (
                Facts {
                    dependents: 1,
                    failures: 0,
                    deadline: Some(NOW),
                    ..priority(10)
                },
                13,
            ),
        ] {
            assert_eq!(effective(facts), expected, "{facts:?}");
        }
        let next = order(Profile::Boosts, 0.0).next_change(&within(2 * HOUR_MS), NOW);
        assert_eq!(next, Some(Timestamp(NOW.0 + HOUR_MS)));
        assert_eq!(
            order(Profile::Boosts, 0.0).next_change(&within(HOUR_MS), NOW),
            None
        );
    }

    #[test]
    fn waiting_earns_points_up_to_a_bound() {
        let aged = |hours: i64| {
            let facts = Facts {
                submitted_at: Timestamp(NOW.0 - hours * HOUR_MS),
                ..plain()
            };
            order(Profile::Classic, 4.0).explain(&facts, NOW).ageing
        };
        assert_eq!(
            (aged(0), aged(1), aged(3), aged(1_000)),
            (0.0, 4.0, 12.0, AGED_MAX)
        );
        assert_eq!(Order::default().explain(&plain(), NOW).ageing, 0.0);
        assert_eq!(Order::default().next_change(&plain(), NOW), None);
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused() {
        for ageing in [-1.0, f64::NAN, 1e9] {
            assert!(order(Profile::Classic, ageing).check().is_err());
        }
        let weights = Weights {
            base: 0.9,
            ..Weights::default()
        };
        assert!(
            Order {
                weights,
                ..Order::default()
            }
            .check()
            .is_err()
        );
        assert!(Order::default().check().is_ok());
    }

    proptest! {
        /// A duty that visits only due rows keeps every score right, within two steps.
        #[test]
        fn scores_hold_until_their_next_change(
            boosted in any::<bool>(),
            ageing in prop::sample::select(vec![0.0, 0.5, 7.0]),
            deadline in prop::option::of(-100_000i64..20_000_000),
            waited in 0i64..40_000_000,
            part in 0.0f64..1.0,
        ) {
            let profile = if boosted { Profile::Boosts } else { Profile::Classic };
            let order = order(profile, ageing);
            let facts = Facts {
                deadline: deadline.map(|ms| Timestamp(NOW.0 + ms)),
                submitted_at: Timestamp(NOW.0 - waited),
                ..plain()
            };
            let next = order.next_change(&facts, NOW);
            prop_assert!(next.is_none_or(|at| at > NOW));
            let horizon = next.map_or(NOW.0 + 1_000_000_000, |at| at.0 - 1);
            let before = Timestamp(NOW.0 + ((horizon - NOW.0) as f64 * part) as i64);
            let slack = 2.0 * score::QUANTUM;
            let (first, last) = (order.explain(&facts, NOW).score, order.explain(&facts, before).score);
            prop_assert!((last - first).abs() <= slack, "{first} then {last}");
        }
    }
}
