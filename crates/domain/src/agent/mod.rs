//! Agents: who they say they are ([`profile`]), how they have done so far ([`record`]), what they have to do now
//! ([`load`]), what they can do and how sure that is ([`skill`]), who fits what is looked for ([`search`]), who gets a task
//! ([`route`], over the [`roster`]), and what to do about what is not well ([`advice`]).

pub mod advice;
pub mod load;
pub mod profile;
pub mod record;
pub mod roster;
pub mod route;
pub mod routing;
pub mod search;
pub mod skill;

use std::time::Duration;

use crate::id::AgentName;
use crate::time::{Now, Timestamp};

pub use load::{Load, Status};
pub use profile::Profile;
pub use record::Record;

/// An agent of which nothing was seen or heard for so long is stale: nothing is given to it.
pub const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// An agent with everything that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    pub name: AgentName,
    pub profile: Profile,
    pub record: Record,
    pub load: Load,
}

impl Agent {
    /// When it last gave a sign of life: registered, spoke up, began or ended an attempt.
    pub fn active_at(&self) -> Timestamp {
        let profile = &self.profile;
        profile
            .registered_at
            .max(profile.seen_at)
            .max(self.record.active_at)
    }

    /// Whoever holds leases is alive as long as they are: leases have their own end.
    pub fn is_stale(&self, now: Now) -> bool {
        self.load.active == 0 && now.wall.since(self.active_at()) >= STALE_AFTER
    }

    /// How many more tasks it may be given.
    pub fn room(&self) -> u32 {
        self.load.room(&self.profile)
    }

    pub fn utilisation(&self) -> f64 {
        self.load.utilisation(self.profile.capacity)
    }

    /// Its share of successes; `unknown` while nothing is known.
    pub fn success_rate(&self, unknown: f64) -> f64 {
        let told = self.profile.prior.as_ref().and_then(|prior| prior.success_rate);
        self.record.success_rate().or(told).unwrap_or(unknown)
    }

    /// Success rate, less by how busy it is (SPEC 3.1); one that is new is taken for good.
    pub fn quality(&self) -> f64 {
        self.success_rate(1.0) * (1.0 - self.utilisation().min(1.0))
    }

    /// Above this share of successes it is well.
    pub const HEALTHY: f64 = 0.8;

    pub fn is_healthy(&self) -> bool {
        self.success_rate(1.0) > Agent::HEALTHY
    }

    pub fn status(&self) -> Status {
        self.load.status(self.profile.capacity)
    }
}
