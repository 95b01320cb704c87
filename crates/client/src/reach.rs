//! Whether the server answers: said once when it no longer does, and once when it does again. Meanwhile it is left alone for longer and
//! longer, by all but those who hold a lease.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::code::Refusal;
use domain::time::show_duration;

/// Failures one after the other before the server counts as away: a single command tries no more often.
const PATIENT: u32 = 3;
/// How long a server that is away is left alone at first; twice as long after each further failure.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Reach(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// One after the other.
    failures: u32,
    /// When the first and the last of them were noted.
    since: Option<Instant>,
    last: Option<Instant>,
}

impl Reach {
    /// How much longer the server is left alone.
    pub(crate) fn rest(&self) -> Duration {
        let state = self.lock();
        let last = state.last.map_or(Duration::MAX, |last| last.elapsed());
        pause(state.failures).saturating_sub(last)
    }

    /// A request that began then was not answered.
    pub(crate) fn failed(&self, begun: Instant, server: &str, refusal: &Refusal) {
        let mut state = self.lock();
        // Those that were under way together have met one failure.
        if state.last.is_some_and(|last| begun < last) {
            return;
        }
        let now = Instant::now();
        state.failures = state.failures.saturating_add(1);
        state.since.get_or_insert(now);
        state.last = Some(now);
        if state.failures == PATIENT + 1 {
            tracing::warn!(server, error = %refusal, "the server is away; it is asked again after longer and longer pauses");
        }
    }

    pub(crate) fn answered(&self, server: &str) {
        let before = std::mem::take(&mut *self.lock());
        if let Some(since) = before.since.filter(|_| before.failures > PATIENT) {
            let seconds = since.elapsed().as_secs_f64().ceil();
            let away = show_duration(Duration::from_secs_f64(seconds));
            tracing::warn!(server, away, "the server is back");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause(failures: u32) -> Duration {
    match failures.saturating_sub(PATIENT) {
        0 => Duration::ZERO,
        over => PAUSE.saturating_mul(1 << (over - 1).min(6)).min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_end_with_an_answer() {
        let pauses: Vec<u128> = (0..12).map(|failures| pause(failures).as_millis()).collect();
        assert_eq!(
            pauses,
            [0, 0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]
        );
        let reach = Reach::default();
        let refusal = Refusal::new(domain::code::Code::ServerUnreachable, "away");
        let begun = Instant::now();
        for _ in 0..100 {
            reach.failed(begun, "there", &refusal);
        }
        assert!(reach.rest().is_zero(), "what failed together has failed once");
        for _ in 0..100 {
            reach.failed(Instant::now(), "there", &refusal);
        }
        assert!(reach.rest() > PAUSE_MAX / 2);
        reach.answered("there");
        assert!(reach.rest().is_zero());
    }
}
