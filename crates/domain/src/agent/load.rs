//! What an agent has to do now.

use serde::{Deserialize, Serialize};

use super::Profile;

/// Kept by the store beside the leases that it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Tasks that it holds.
    pub active: u32,
    /// Tasks that were routed to it and that it has not taken yet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queued: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Available,
    Busy,
    /// It can take nothing more.
    Offline,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Available => "available",
            Status::Busy => "busy",
            Status::Offline => "offline",
        }
    }
}

impl Load {
    /// What it may hold more; nothing while it leaves.
    pub fn room(&self, profile: &Profile) -> u32 {
        let most = if profile.leaving { 0 } else { profile.capacity };
        most.saturating_sub(self.active.saturating_add(self.queued))
    }

    /// The same for who asks by itself: what waits for it is its own to take.
    pub fn room_to_claim(&self, profile: &Profile) -> u32 {
        let most = if profile.leaving { 0 } else { profile.capacity };
        most.saturating_sub(self.active)
    }

    /// From 0; 1 is full. What waits for it counts as well, so that not everything goes to the best.
    pub fn utilisation(&self, capacity: u32) -> f64 {
        match capacity {
            0 => 0.0,
            most => f64::from(self.active.saturating_add(self.queued)) / f64::from(most),
        }
    }

    /// SPEC 2.5.
    pub fn status(&self, capacity: u32) -> Status {
        match self.active {
            active if active >= capacity => Status::Offline,
            0 => Status::Available,
            _ => Status::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_holds_and_what_waits_fills_an_agent() {
        let profile = Profile::default();
        let load = Load { active: 3, queued: 1 };
        assert_eq!((load.room(&profile), load.room_to_claim(&profile)), (1, 2));
        assert_eq!(load.utilisation(5), 0.8);
        assert_eq!(load.status(5), Status::Busy);
        assert_eq!(Load { active: 5, queued: 0 }.status(5), Status::Offline);
        assert_eq!(Load::default().status(5), Status::Available);
        let leaving = Profile {
            leaving: true,
            ..Profile::default()
        };
        assert_eq!(Load::default().room(&leaving), 0);
        assert_eq!(load.utilisation(0), 0.0);
    }
}
