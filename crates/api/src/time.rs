//! Moments as text.

use domain::time::{Now, Timestamp};
use serde::{Serialize, Serializer};

/// A point in time, written as `2026-05-01T12:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Time {
    /// The wall-clock time of a moment on a store's lease clock.
    pub fn of_lease(expires: i64, now: Now) -> Time {
        let left = expires.saturating_sub(now.mono);
        Time(Timestamp(now.wall.0.saturating_add(left)))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl From<Timestamp> for Time {
    fn from(timestamp: Timestamp) -> Time {
        Time(timestamp)
    }
}
