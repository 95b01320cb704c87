//! The score: who goes first among the ready (SPEC 1.5).
//!
//! `score = 0.30·base + 0.25·depth + 0.25·urgency + 0.15·blocking + 0.05·source`, each part from 0 to 100.
//! Equal scores go by submission time, then by insertion number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::task::spec::{Priority, Source};
use crate::time::Timestamp;

/// A score in thousandths, 0 to 100,000: exact to compare, store and sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(pub i32);

impl Score {
    pub fn of(value: f64) -> Score {
        if value.is_nan() {
            return Score(50_000);
        }
        Score((value.clamp(0.0, 100.0) * 1_000.0).round() as i32)
    }

    pub fn value(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

/// What replaces the depth term.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Deeper tasks first: they end long chains.
    #[default]
    Classic,
    /// Tasks with the longest way still before them first, relative to the longest of the plan.
    CriticalPath,
    /// By priority, with a few boosts, and nothing else; see [`crate::task::order`].
    Boosts,
}

impl Profile {
    pub const ALL: [Profile; 3] = [Profile::Classic, Profile::CriticalPath, Profile::Boosts];

    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Classic => "classic",
            Profile::CriticalPath => "critical-path",
            Profile::Boosts => "boosts",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    pub base: f64,
    pub depth: f64,
    pub urgency: f64,
    pub blocking: f64,
    pub source: f64,
}

impl Default for Weights {
    fn default() -> Weights {
        Weights {
            base: 0.30,
            depth: 0.25,
            urgency: 0.25,
            blocking: 0.15,
            source: 0.05,
        }
    }
}

impl Weights {
    /// Weights must be finite, not negative, and sum to 1 within one millionth.
    pub fn check(self) -> Result<Weights, Refusal> {
        let all = [self.base, self.depth, self.urgency, self.blocking, self.source];
        let sum: f64 = all.iter().sum();
        if all.iter().all(|w| w.is_finite() && *w >= 0.0) && (sum - 1.0).abs() <= 1e-6 {
            return Ok(self);
        }
        Err(Refusal::new(
            Code::ConfigInvalid,
            format!(
                "the weights base {}, depth {}, urgency {}, blocking {}, source {} sum to {sum}, not to 1",
                self.base, self.depth, self.urgency, self.blocking, self.source
            ),
        ))
    }
}

/// Everything that a score is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub priority: Priority,
    pub source: Source,
    /// Edges on the longest way from a task without prerequisites; finished ones count (structural depth).
    pub depth: u32,
    /// Under [`Profile::CriticalPath`]: the remaining critical path over the longest, 0 to 1.
    pub path_share: Option<f64>,
    pub deadline: Option<Timestamp>,
    pub estimate: Option<Duration>,
    /// Direct dependents that have not ended.
    pub dependents: u32,
    /// Failed tries that count against its retry policy.
    pub failures: u32,
    pub submitted_at: Timestamp,
}

/// The parts of a score, each already multiplied by its weight.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Explanation {
    pub base: f64,
    pub depth: f64,
    pub urgency: f64,
    pub blocking: f64,
    pub source: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retry: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub ageing: f64,
    pub score: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(part: &f64) -> bool {
    *part == 0.0
}

pub fn explain(facts: &Facts, weights: &Weights, now: Timestamp) -> Explanation {
    let base = weights.base * f64::from(facts.priority.value()) * 10.0;
    let depth = weights.depth
        * facts
            .path_share
            .map_or_else(|| depth(facts.depth), |share| share * 100.0);
    let urgency = weights.urgency * urgency(facts.deadline, facts.estimate, now);
    let blocking = weights.blocking * blocking(facts.dependents);
    let source = weights.source * source(facts.source);
    let score = (base + depth + urgency + blocking + source).clamp(0.0, 100.0);
    Explanation {
        base,
        depth,
        urgency,
        blocking,
        source,
        retry: 0.0,
        ageing: 0.0,
        score,
    }
}

pub fn score(facts: &Facts, weights: &Weights, now: Timestamp) -> Score {
    Score::of(explain(facts, weights, now).score)
}

fn depth(depth: u32) -> f64 {
    (f64::from(depth) * 10.0).min(100.0)
}

fn blocking(dependents: u32) -> f64 {
    if dependents == 0 {
        0.0
    } else {
        (33.33 * f64::from(dependents).ln_1p() / 10f64.ln()).min(100.0)
    }
}

fn source(source: Source) -> f64 {
    match source {
        Source::Human => 100.0,
        Source::AgentRequirements => 75.0,
        Source::AgentPlanner => 50.0,
        Source::AgentImplementation => 25.0,
    }
}

/// Without an estimate urgency climbs in steps as the deadline nears: (remaining seconds, value).
const STEPS: &[(i64, f64)] = &[(60, 100.0), (3_600, 80.0), (86_400, 50.0), (604_800, 30.0)];
const FAR: f64 = 10.0;

fn urgency(deadline: Option<Timestamp>, estimate: Option<Duration>, now: Timestamp) -> f64 {
    let Some(deadline) = deadline else { return 50.0 };
    let remaining_ms = deadline.0.saturating_sub(now.0);
    if remaining_ms < 0 {
        return 100.0;
    }
    let remaining = remaining_ms as f64 / 1_000.0;
    match estimate.map(|e| e.as_secs_f64()).filter(|e| *e > 0.0) {
        // Not continuous at remaining = estimate: it jumps from 60.65 to 100, as specified.
        Some(estimate) if remaining < estimate => 100.0,
        Some(estimate) => 100.0 * (-remaining / (2.0 * estimate)).exp(),
        None => STEPS
            .iter()
            .find(|(within, _)| remaining < *within as f64)
            .map_or(FAR, |(_, value)| *value),
    }
}

/// What such work usually takes, if a deadline is nearer by that than by the steps: nobody has said how long this task
/// takes, so what others took may make it more urgent and never less.
pub fn if_nearer(facts: &Facts, usual: Duration, now: Timestamp) -> Option<Duration> {
    let by = |estimate| urgency(facts.deadline, estimate, now);
    (by(Some(usual)) > by(None)).then_some(usual)
}

/// Below this many points of urgency a change of the score is not worth rewriting a row for.
pub(super) const QUANTUM: f64 = 2.0;

/// When the score next changes by itself, if it ever does; strictly after `now`.
pub fn next_change(facts: &Facts, now: Timestamp) -> Option<Timestamp> {
    let deadline = facts.deadline?;
    let remaining_ms = deadline.0.saturating_sub(now.0);
    if remaining_ms < 0 {
        return None;
    }
    let at = match facts.estimate.map(|e| e.as_secs_f64()).filter(|e| *e > 0.0) {
        Some(estimate) => {
            let jump = deadline
                .0
                .saturating_sub((estimate * 1_000.0) as i64)
                .saturating_add(1);
            if now.0 >= jump {
                return None;
            }
            let value = urgency(Some(deadline), facts.estimate, now);
            let remaining_then = -2.0 * estimate * ((value + QUANTUM) / 100.0).ln();
            let climb = deadline
                .0
                .saturating_sub((remaining_then.max(0.0) * 1_000.0) as i64);
            climb.min(jump)
        }
        None => {
            let next = STEPS
                .iter()
                .rev()
                .map(|(within, _)| within * 1_000)
                .find(|within| remaining_ms >= *within);
            match next {
                Some(within) => deadline.0.saturating_sub(within).saturating_add(1),
                None => return None,
            }
        }
    };
    Some(Timestamp(at.max(now.0 + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const HOUR: i64 = 3_600_000;

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

    fn within(ms: i64) -> Facts {
        Facts {
            deadline: Some(Timestamp(NOW.0 + ms)),
            ..plain()
        }
    }

    // proves: SPEC 1.5
    #[test]
    fn worked_values_of_the_specification() {
        let hour = Some(Duration::from_secs(3_600));
        let priority = |n| Facts {
            priority: Priority::number(n).unwrap(),
            ..plain()
        };
        for (facts, expected) in [
            (plain(), 32.5),
            (priority(0), 17.5),
            (priority(10), 47.5),
            (within(-1), 45.0),
            (within(HOUR / 2), 40.0),
            (within(12 * HOUR), 32.5),
            (within(72 * HOUR), 27.5),
            (within(720 * HOUR), 22.5),
            (Facts { depth: 1, ..plain() }, 35.0),
            (Facts { depth: 5, ..plain() }, 45.0),
            (Facts { depth: 10, ..plain() }, 57.5),
            (
                Facts {
                    depth: 4_000_000_000,
                    ..plain()
                },
                57.5,
            ),
            (
                Facts {
                    dependents: 10,
                    ..plain()
                },
                37.71,
            ),
            (
                Facts {
                    dependents: 100,
                    ..plain()
                },
                42.52,
            ),
            (
                Facts {
                    source: Source::AgentRequirements,
                    ..plain()
                },
                31.25,
            ),
            (
                Facts {
                    source: Source::AgentPlanner,
                    ..plain()
                },
                30.0,
            ),
            (
                Facts {
                    source: Source::AgentImplementation,
                    ..plain()
                },
                28.75,
            ),
            (
                Facts {
                    estimate: hour,
                    ..within(2 * HOUR)
                },
                29.20,
            ),
            (
                Facts {
                    estimate: hour,
                    ..within(10 * HOUR)
                },
                20.17,
            ),
        ] {
            let got = explain(&facts, &Weights::default(), NOW).score;
            assert!(
                (got - expected).abs() < 0.006,
                "{facts:?}: {got}, expected {expected}"
            );
        }
    }

    // proves: SPEC 1.5
    #[test]
    fn blocking_grows_with_the_logarithm() {
        for (n, expected) in [
            (0, 0.0),
            (1, 10.03),
            (2, 15.9),
            (5, 25.9),
            (10, 34.7),
            (50, 56.9),
            (999, 99.99),
        ] {
            assert!((blocking(n) - expected).abs() < 0.05, "{n}: {}", blocking(n));
        }
    }

    // proves: SPEC 1.5
    #[test]
    fn weights_that_do_not_sum_to_one_are_refused_by_name() {
        assert!(Weights::default().check().is_ok());
        let refusal = Weights {
            base: 0.5,
            ..Weights::default()
        }
        .check()
        .unwrap_err();
        assert!(refusal.detail.contains("base 0.5"), "{refusal}");
        assert!(
            Weights {
                base: f64::NAN,
                ..Weights::default()
            }
            .check()
            .is_err()
        );
    }

    // proves: DESIGN 4
    #[test]
    fn the_critical_path_profile_replaces_depth() {
        let facts = Facts {
            depth: 3,
            path_share: Some(0.5),
            ..plain()
        };
        assert_eq!(explain(&facts, &Weights::default(), NOW).depth, 12.5);
    }

    // proves: DESIGN 8
    #[test]
    fn what_others_took_makes_a_deadline_nearer_and_never_farther() {
        let soon = within(HOUR / 2);
        assert_eq!(if_nearer(&soon, Duration::from_millis(7), NOW), None);
        let hour = Duration::from_secs(3_600);
        assert_eq!(if_nearer(&soon, hour, NOW), Some(hour));
        assert_eq!(if_nearer(&plain(), hour, NOW), None, "there is no deadline");
    }

    proptest! {
        /// Between now and `next_change` the score stays within the quantum; so a duty that visits only due
        /// rows keeps every score right.
        #[test]
        fn scores_hold_until_their_next_change(remaining in -10i64..2_000_000, estimate in prop::option::of(1u64..200_000), part in 0.0f64..1.0) {
            let facts = Facts { estimate: estimate.map(Duration::from_secs), ..within(remaining * 1_000) };
            let value = |at: Timestamp| urgency(facts.deadline, facts.estimate, at);
            let next = next_change(&facts, NOW);
            if let Some(next) = next {
                prop_assert!(next > NOW);
            }
            let horizon = next.map_or(NOW.0 + 10_000_000_000, |t| t.0 - 1);
            let before = Timestamp(NOW.0 + ((horizon - NOW.0) as f64 * part) as i64);
            // Without a further change the value may only still be at the top.
            let slack = if next.is_none() && value(NOW) >= 100.0 { 0.0 } else { QUANTUM + 0.01 };
            prop_assert!((value(before) - value(NOW)).abs() <= slack, "{} then {}", value(NOW), value(before));
        }
    }
}
