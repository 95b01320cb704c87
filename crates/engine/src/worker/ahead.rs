//! Leases that are held for attempts to come.
//!
//! Where attempts are short, a worker that claims only what it has room for waits for a commit between any two of them. So it
//! holds a few more, as many as short ones have ended within [`HORIZON`]: they begin as soon as a slot is free, and the store is
//! told with the next commit. What has not begun after [`STALE`] is handed back. So nothing urgent waits behind more tasks than the
//! worker has jobs, nor for longer than that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::id::{Seq, Token};
use domain::store::{Leased, Result, Upstream};
use rustc_hash::FxHashMap;

/// As many are held as short attempts have ended within this time.
const HORIZON: Duration = Duration::from_millis(20);
/// The longest that a short attempt lasts.
const SHORT: Duration = Duration::from_millis(50);
/// The longest that one is held before it begins.
pub(super) const STALE: Duration = Duration::from_millis(100);

/// What the prerequisites of some tasks ended with, by number.
pub(super) type Upstreams = Result<FxHashMap<Seq, Upstream>>;

pub(super) struct Held {
    pub(super) leased: Leased,
    pub(super) upstream: Arc<Upstreams>,
    since: Instant,
    /// Somebody has suspended it; it begins when it is resumed.
    pub(super) suspended: bool,
}

#[derive(Default)]
pub(super) struct Ahead {
    /// In the order of the line.
    held: VecDeque<Held>,
    /// When the latest short attempts have ended, at most as many as there are jobs.
    ends: VecDeque<Instant>,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.held.iter().map(|held| held.leased.token)
    }

    /// An attempt has ended.
    pub(super) fn ended(&mut self, began: Instant, now: Instant, jobs: usize) {
        if now.duration_since(began) > SHORT {
            return;
        }
        self.ends.push_back(now);
        while self.ends.len() > jobs {
            self.ends.pop_front();
        }
    }

    /// How many more may be held. A single job keeps the order of the line.
    pub(super) fn room(&self, now: Instant, jobs: usize) -> usize {
        if jobs < 2 {
            return 0;
        }
        let recent = self
            .ends
            .iter()
            .filter(|end| now.duration_since(**end) <= HORIZON);
        recent.count().min(jobs).saturating_sub(self.held.len())
    }

    pub(super) fn hold(&mut self, leased: Leased, upstream: Arc<Upstreams>, now: Instant) {
        self.held.push_back(Held {
            leased,
            upstream,
            since: now,
            suspended: false,
        });
    }

    /// The next one that may begin.
    pub(super) fn next(&mut self, now: Instant) -> Option<Held> {
        let may_begin = |held: &Held| !held.suspended && now.duration_since(held.since) < STALE;
        let at = self.held.iter().position(may_begin)?;
        self.held.remove(at)
    }

    /// When the oldest one goes back.
    pub(super) fn due(&self) -> Option<Instant> {
        let waiting = self.held.iter().filter(|held| !held.suspended);
        waiting.map(|held| held.since + STALE).min()
    }

    /// Takes out those that `keep` does not want any more.
    pub(super) fn give_up(&mut self, mut keep: impl FnMut(&mut Held) -> bool) -> Vec<Token> {
        let mut gone = Vec::new();
        self.held.retain_mut(|held| {
            let kept = keep(held);
            if !kept {
                gone.push(held.leased.token);
            }
            kept
        });
        gone
    }

    /// Takes out those that have waited for too long.
    pub(super) fn give_up_stale(&mut self, now: Instant) -> Vec<Token> {
        self.give_up(|held| held.suspended || now.duration_since(held.since) < STALE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    // proves: DESIGN 4
    #[test]
    fn as_many_are_held_as_short_attempts_have_just_ended() {
        let (mut ahead, begin) = (Ahead::default(), Instant::now());
        let at = |ms: u32| begin + MS * ms;
        assert_eq!(ahead.room(begin, 4), 0);
        for ms in [30, 31, 32] {
            ahead.ended(at(ms - 10), at(ms), 4);
        }
        ahead.ended(begin, at(60), 4);
        assert_eq!(ahead.room(at(40), 4), 3, "the long one counts for nothing");
        assert_eq!(ahead.room(at(40), 1), 0, "one job keeps the order of the line");
        assert_eq!(ahead.room(at(51), 4), 2, "the first is too long ago");
        assert_eq!(ahead.room(at(100), 4), 0);
        for ms in 100..120 {
            ahead.ended(at(ms), at(ms), 4);
        }
        assert_eq!(ahead.room(at(120), 4), 4, "never more than there are jobs");
    }
}
