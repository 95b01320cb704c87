//! What became of tasks and their tries in a span of the log.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::attempt::{Attempt, Outcome};
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Stats {
    /// The first event that was looked at.
    pub since: Option<Time>,
    pub events: usize,
    /// More was asked for than is looked at.
    pub cut: bool,
    pub total: Tally,
    pub kinds: BTreeMap<String, Tally>,
}

#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Tally {
    // tasks
    pub submitted: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub dead_letters: u64,
    /// Completed after at least one failed try.
    pub recovered: u64,
    /// Percent of the tasks that completed or failed; `null` while there are none.
    pub success_rate: Option<f64>,
    // tries
    pub attempts: u64,
    pub attempts_failed: u64,
    pub attempts_lost: u64,
    /// Failed tries that another one was to follow.
    pub retries: u64,
    /// Seconds that tries took.
    pub took: Spread,
    /// Seconds of back-off before the next try.
    pub delays: Spread,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Spread {
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub max: Option<f64>,
}

/// What happened to one task.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub submitted: bool,
    pub completed: bool,
    pub failed: bool,
    pub cancelled: bool,
    pub dead_letter: bool,
    pub attempts: Vec<Attempt>,
}

/// Sums stories up.
pub fn tally<'a>(stories: impl IntoIterator<Item = &'a Story>) -> Tally {
    let mut sum = Tally::default();
    let (mut took, mut delays) = (Vec::new(), Vec::new());
    for story in stories {
        sum.submitted += u64::from(story.submitted);
        sum.completed += u64::from(story.completed);
        sum.failed += u64::from(story.failed);
        sum.cancelled += u64::from(story.cancelled);
        sum.dead_letters += u64::from(story.dead_letter);
        let failed = |attempt: &Attempt| attempt.outcome == Some(Outcome::Failed);
        sum.recovered += u64::from(story.completed && story.attempts.iter().any(failed));
        for attempt in &story.attempts {
            sum.attempts += 1;
            sum.attempts_failed += u64::from(failed(attempt));
            sum.attempts_lost += u64::from(attempt.outcome == Some(Outcome::Lost));
            sum.retries += u64::from(attempt.retry_at.is_some());
            delays.extend(attempt.retry_delay_ms.map(|ms| ms as f64 / 1_000.0));
            if let (Some(from), Some(to)) = (attempt.started_at, attempt.finished_at) {
                took.push(to.0.since(from.0).as_secs_f64());
            }
        }
    }
    let ended = sum.completed + sum.failed;
    let percent = |part: u64| (part as f64 / ended as f64 * 10_000.0).round() / 100.0;
    sum.success_rate = (ended > 0).then(|| percent(sum.completed));
    sum.took = Spread::of(took);
    sum.delays = Spread::of(delays);
    sum
}

impl Spread {
    /// By nearest rank, in thousandths.
    pub fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let round = |value: f64| (value * 1_000.0).round() / 1_000.0;
        let rank = |share: f64| {
            let at = (share * values.len() as f64).ceil() as usize;
            values.get(at.saturating_sub(1)).copied().map(round)
        };
        Spread {
            mean: (!values.is_empty()).then(|| round(values.iter().sum::<f64>() / values.len() as f64)),
            p50: rank(0.50),
            p95: rank(0.95),
            max: rank(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_goes_by_nearest_rank() {
        let spread = Spread::of((1..=20).rev().map(f64::from).collect());
        assert_eq!(
            (spread.mean, spread.p50, spread.p95, spread.max),
            (Some(10.5), Some(10.0), Some(19.0), Some(20.0))
        );
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    // proves: SPEC 5.4
    #[test]
    fn rates_are_of_what_has_ended() {
        let story = |completed, failed| Story {
            submitted: true,
            completed,
            failed,
            ..Story::default()
        };
        let sum = tally(&[story(true, false), story(false, true), story(false, false)]);
        assert_eq!((sum.submitted, sum.success_rate), (3, Some(50.0)));
        assert_eq!(tally(&[story(false, false)]).success_rate, None);
    }
}
