//! How a project wants work to be given to agents without being asked; an entry of [`crate::book::Book::Setting`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::route::Strategy;

/// The setting's key.
pub const ROUTING: &str = "routing";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routing {
    /// What becomes ready is given to who is chosen by this; to nobody, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto: Option<Strategy>,
    /// Seconds before it is ready that an agent is held for a task on the critical path; none is, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// Seconds that the chosen one has to take it; five minutes if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<u64>,
}

impl Routing {
    pub const HOLD: u64 = 300;
    /// A day is no moment any more.
    pub const MOST: u64 = 24 * 3_600;

    pub fn is_sensible(self) -> bool {
        let known = 1..=Self::MOST;
        [self.ahead, self.hold]
            .into_iter()
            .flatten()
            .all(|seconds| known.contains(&seconds))
    }

    pub fn ahead(self) -> Option<Duration> {
        self.ahead.map(Duration::from_secs)
    }

    pub fn hold(self) -> Duration {
        Duration::from_secs(self.hold.unwrap_or(Self::HOLD))
    }
}
