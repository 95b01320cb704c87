//! Trying again: how long, how often, and not in step with others.

use std::time::{Duration, Instant};

/// How long something is tried again, with pauses that grow.
#[derive(Debug)]
pub(crate) struct Patience {
    end: Instant,
    pause: Duration,
    most: Duration,
}

impl Patience {
    pub(crate) fn new(whole: Duration, first: Duration, most: Duration) -> Patience {
        Patience {
            end: Instant::now() + whole,
            pause: first,
            most,
        }
    }

    /// Sleeps for a while; false when it has been long enough.
    pub(crate) fn wait(&mut self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        let half = self.pause / 2;
        std::thread::sleep(half + half.mul_f64(jitter()));
        self.pause = (self.pause * 2).min(self.most);
        true
    }
}

/// A number in 0..1 that differs between processes and calls.
pub(crate) fn jitter() -> f64 {
    draw() as f64 / u64::MAX as f64
}

/// A number that nobody else draws.
pub(crate) fn draw() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
