//! Retry: how often, how long between tries, and what is not worth trying again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::millis;

/// The entry of [`crate::book::Book::Setting`] that tasks go by which have no policy of their own.
pub const RETRY: &str = "retry";

/// How the delay grows from one failed attempt to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    Fixed,
    Linear,
    #[default]
    Exponential,
}

/// When a failed attempt is followed by another.
///
/// The delay before the next try after failed attempt `n` (from 1) is `initial`, `initial·n` or
/// `initial·factor^(n−1)`, times a factor uniform in [1−jitter, 1+jitter], and then at most `cap`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// All tries, the first included.
    pub attempts: u32,
    #[serde(default)]
    pub backoff: Backoff,
    #[serde(with = "span")]
    pub initial: Duration,
    pub factor: f64,
    #[serde(with = "span")]
    pub cap: Duration,
    pub jitter: f64,
    /// Classes or fragments of the error text that are not tried again, beside [`NEVER_RETRIED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_on: Vec<String>,
    /// Exit codes of a command that are not tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_on_exit: Vec<i32>,
}

mod span {
    use super::*;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(millis(*d))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}

/// Classes of error that no policy tries again: another try cannot change them (SPEC 4.1).
pub const NEVER_RETRIED: &[&str] = &[
    "validation",
    "authentication",
    "not found",
    "invalid",
    "permission denied",
];

const HOUR: Duration = Duration::from_secs(3_600);

impl Default for Retry {
    /// One try; and, once more are asked for, the delays of `operation`.
    fn default() -> Retry {
        Retry {
            attempts: 1,
            ..Retry::operation()
        }
    }
}

impl Retry {
    /// 3 tries, 1 s doubling, at most 30 s, half of it jitter (SPEC 2.4).
    pub fn operation() -> Retry {
        Retry {
            attempts: 3,
            backoff: Backoff::Exponential,
            initial: Duration::from_secs(1),
            factor: 2.0,
            cap: Duration::from_secs(30),
            jitter: 0.5,
            not_on: Vec::new(),
            not_on_exit: Vec::new(),
        }
    }

    /// 4 tries, 60 s, 120 s, 240 s (SPEC 4.1).
    pub fn task() -> Retry {
        Retry {
            attempts: 4,
            initial: Duration::from_secs(60),
            cap: HOUR,
            jitter: 0.0,
            ..Retry::operation()
        }
    }

    /// 3 tries, 2 s and 4 s (SPEC 5.5).
    pub fn event() -> Retry {
        Retry {
            attempts: 3,
            initial: Duration::from_secs(2),
            cap: HOUR,
            jitter: 0.0,
            ..Retry::operation()
        }
    }

    pub const PRESETS: &[&str] = &["operation", "task", "event"];

    pub fn preset(name: &str) -> Option<Retry> {
        match name {
            "operation" => Some(Retry::operation()),
            "task" => Some(Retry::task()),
            "event" => Some(Retry::event()),
            _ => None,
        }
    }

    /// The delay after failed attempt `failed` (from 1). `seed` makes the jitter repeatable: the same task
    /// and attempt always wait equally long.
    pub fn delay(&self, failed: u32, seed: u64) -> Duration {
        let n = f64::from(failed.max(1));
        let initial = self.initial.as_secs_f64();
        let base = match self.backoff {
            Backoff::Fixed => initial,
            Backoff::Linear => initial * n,
            Backoff::Exponential => initial * self.factor.powf(n - 1.0),
        };
        let spread = 1.0 + self.jitter * (2.0 * unit(mix(seed ^ u64::from(failed))) - 1.0);
        let capped = (base * spread).min(self.cap.as_secs_f64());
        Duration::from_millis((capped.max(0.0) * 1_000.0).round() as u64)
    }

    /// Whether an attempt that ended so may be followed by another, leaving the number of tries aside.
    ///
    /// `class` is what the executor calls the error; without one the error text is searched.
    pub fn allows(&self, class: Option<&str>, error: &str, exit: Option<i32>) -> bool {
        if exit.is_some_and(|code| self.not_on_exit.contains(&code)) {
            return false;
        }
        let text = class.unwrap_or(error).to_lowercase();
        let own = self.not_on.iter().map(String::as_str);
        !NEVER_RETRIED
            .iter()
            .copied()
            .chain(own)
            .any(|word| text.contains(&word.to_lowercase()))
    }
}

/// SplitMix64: turns any number into one whose bits look random (Steele, Lea, Flood 2014).
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Maps 64 bits to [0, 1).
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delays(retry: &Retry) -> Vec<u64> {
        (1..retry.attempts).map(|n| retry.delay(n, 0).as_secs()).collect()
    }

    // proves: SPEC 2.4, SPEC 4.1, DESIGN 8
    #[test]
    fn presets_wait_as_specified() {
        assert_eq!(delays(&Retry::task()), [60, 120, 240]);
        assert_eq!(delays(&Retry::event()), [2, 4]);
        let steady = Retry {
            jitter: 0.0,
            attempts: 8,
            ..Retry::operation()
        };
        assert_eq!(delays(&steady), [1, 2, 4, 8, 16, 30, 30]);
        let linear = Retry {
            jitter: 0.0,
            backoff: Backoff::Linear,
            attempts: 4,
            ..Retry::operation()
        };
        assert_eq!(delays(&linear), [1, 2, 3]);
    }

    // proves: SPEC 4.1
    #[test]
    fn hopeless_errors_are_not_tried_again() {
        let retry = Retry {
            not_on: vec!["quota".into()],
            not_on_exit: vec![64],
            ..Retry::task()
        };
        assert!(retry.allows(None, "connection reset", Some(1)));
        assert!(!retry.allows(None, "Permission Denied: /etc/shadow", None));
        assert!(!retry.allows(None, "quota used up", None));
        assert!(!retry.allows(None, "connection reset", Some(64)));
        assert!(retry.allows(Some("timeout"), "the invalid text does not matter", None));
        assert!(!retry.allows(Some("validation"), "fine", None));
    }

    proptest! {
        // proves: SPEC 2.4
        #[test]
        fn jitter_stays_in_its_band_and_under_the_cap(seed: u64, failed in 1u32..40, jitter in 0.0f64..=1.0) {
            let retry = Retry { jitter, ..Retry::operation() };
            let exact = Retry { jitter: 0.0, cap: Duration::MAX, ..retry.clone() }.delay(failed, seed).as_secs_f64();
            let got = retry.delay(failed, seed);
            prop_assert!(got <= retry.cap);
            prop_assert!(got.as_secs_f64() >= (exact * (1.0 - jitter)).min(30.0) - 0.001);
            prop_assert!(got.as_secs_f64() <= exact * (1.0 + jitter) + 0.001);
            prop_assert_eq!(got, retry.delay(failed, seed));
        }
    }
}
