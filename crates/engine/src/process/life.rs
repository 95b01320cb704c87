//! The course of one launch as a pure rule: what was seen goes in, signals for the group come out.
//!
//! ```text
//! running ⇄ suspended        the timeout's clock stands still while suspended
//!    │  ╲       │
//!    │   ╲──────┴─ cancel, timeout ──→ ending (TERM, grace) ──→ killed
//!  leader ends                            ↑                       │
//!    ├─ output still held ─→ lingering ───┘                       ↓
//!    └─ output closed ────────────────────────────────────────→ over (KILL)
//! ```
//! The group is over when its leader has ended and nobody else is known to be left; `KILL` then goes
//! out in any case, before the leader is reaped, so that nothing silent survives either.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::How;

/// How long members that outlive the leader and still hold its output may finish on their own: the
/// tail of a pipeline needs milliseconds, a forgotten server would stay for ever.
const LINGER: Duration = Duration::from_millis(500);

/// What the holder of a [`super::Control`] wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Run,
    Suspend,
    Cancel,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    Wish(Wish),
    /// The leader ended.
    Exited(How),
    /// Nobody holds the output any more.
    OutputClosed,
    /// The leader has ended and no member of the group lives.
    Alone,
    /// The moment named by [`Life::due`] has come.
    Time,
}

#[derive(Debug)]
pub(super) struct Life {
    stage: Stage,
    /// The first reason for the end; what follows from it does not overwrite it.
    how: Option<How>,
    leader_ended: bool,
    output_closed: bool,
    clock: Clock,
    timeout: Option<Duration>,
    grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Suspended,
    Lingering { until: Instant },
    Ending { until: Instant },
    Killed,
    Over,
}

impl Life {
    pub(super) fn new(timeout: Option<Duration>, grace: Duration, now: Instant) -> Self {
        let clock = Clock {
            ran: Duration::ZERO,
            since: Some(now),
        };
        let stage = Stage::Running;
        Self {
            stage,
            how: None,
            leader_ended: false,
            output_closed: false,
            clock,
            timeout,
            grace,
        }
    }

    /// Takes in what was seen and returns the signals that the group must get now, in order.
    #[must_use]
    pub(super) fn step(&mut self, seen: Seen, now: Instant) -> &'static [Signal] {
        match seen {
            Seen::Wish(wish) => self.wished(wish, now),
            Seen::Exited(how) => self.exited(how, now),
            Seen::OutputClosed => {
                self.output_closed = true;
                if matches!(self.stage, Stage::Lingering { .. }) {
                    self.over()
                } else {
                    &[]
                }
            }
            Seen::Alone if self.leader_ended => self.over(),
            Seen::Alone => &[],
            Seen::Time => self.timed(now),
        }
    }

    /// When [`Seen::Time`] is due, unless something else happens first.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Running => Some(self.clock.since? + self.timeout?.saturating_sub(self.clock.ran)),
            Stage::Lingering { until } | Stage::Ending { until } => Some(until),
            Stage::Suspended | Stage::Killed | Stage::Over => None,
        }
    }

    /// Whether the end depends on members other than the leader, so that they are worth counting.
    pub(super) fn depends_on_members(&self) -> bool {
        self.leader_ended && matches!(self.stage, Stage::Lingering { .. } | Stage::Ending { .. })
    }

    pub(super) fn has_leader(&self) -> bool {
        !self.leader_ended
    }

    /// Whether the end was ordered by us rather than chosen by the process.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self.how, Some(How::Cancelled | How::TimedOut))
    }

    /// How it ended, once nothing of the group is left to wait for.
    pub(super) fn verdict(&self) -> Option<How> {
        self.how.filter(|_| self.stage == Stage::Over)
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        self.clock.elapsed(now)
    }

    fn wished(&mut self, wish: Wish, now: Instant) -> &'static [Signal] {
        match (self.stage, wish) {
            (Stage::Running, Wish::Suspend) => {
                self.clock.stop(now);
                self.stage = Stage::Suspended;
                &[Signal::STOP]
            }
            (Stage::Suspended, Wish::Run) => {
                self.clock.since = Some(now);
                self.stage = Stage::Running;
                &[Signal::CONT]
            }
            (Stage::Running | Stage::Suspended | Stage::Lingering { .. }, Wish::Cancel) => {
                self.end(How::Cancelled, now)
            }
            _ => &[],
        }
    }

    fn exited(&mut self, how: How, now: Instant) -> &'static [Signal] {
        self.leader_ended = true;
        self.how.get_or_insert(how);
        self.clock.stop(now);
        match self.stage {
            Stage::Killed => self.over(),
            Stage::Running | Stage::Suspended if self.output_closed => self.over(),
            Stage::Running => {
                self.stage = Stage::Lingering { until: now + LINGER };
                &[]
            }
            Stage::Suspended => self.end(how, now),
            Stage::Lingering { .. } | Stage::Ending { .. } | Stage::Over => &[],
        }
    }

    fn timed(&mut self, now: Instant) -> &'static [Signal] {
        if self.due().is_none_or(|due| now < due) {
            return &[];
        }
        match self.stage {
            Stage::Ending { .. } if self.leader_ended => self.over(),
            Stage::Ending { .. } => {
                self.stage = Stage::Killed;
                &[Signal::KILL]
            }
            _ => self.end(How::TimedOut, now),
        }
    }

    /// A stopped process sees `TERM` only when it is continued.
    fn end(&mut self, how: How, now: Instant) -> &'static [Signal] {
        self.how.get_or_insert(how);
        self.stage = Stage::Ending {
            until: now + self.grace,
        };
        &[Signal::TERM, Signal::CONT]
    }

    fn over(&mut self) -> &'static [Signal] {
        self.stage = Stage::Over;
        &[Signal::KILL]
    }
}

/// Counts the time in which the process was free to run.
#[derive(Debug)]
struct Clock {
    ran: Duration,
    since: Option<Instant>,
}

impl Clock {
    fn stop(&mut self, now: Instant) {
        self.ran = self.elapsed(now);
        self.since = None;
    }

    fn elapsed(&self, now: Instant) -> Duration {
        self.ran
            + self
                .since
                .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const END: &[Signal] = &[Signal::TERM, Signal::CONT];
    const KILL: &[Signal] = &[Signal::KILL];

    /// Plays events, each at its second, and checks the signals that follow.
    #[track_caller]
    fn check(timeout: Option<u32>, script: &[(u32, Seen, &[Signal])], verdict: Option<How>) -> Life {
        let start = Instant::now();
        let mut life = Life::new(timeout.map(|seconds| SECOND * seconds), SECOND * 5, start);
        for (second, seen, signals) in script {
            assert_eq!(
                life.step(*seen, start + SECOND * *second),
                *signals,
                "{seen:?} at {second}"
            );
        }
        assert_eq!(life.verdict(), verdict);
        life
    }

    #[test]
    fn exit_and_closed_output_end_it_in_either_order() {
        let exit = Seen::Exited(How::Exit(3));
        check(
            None,
            &[(1, exit, &[]), (1, Seen::OutputClosed, KILL)],
            Some(How::Exit(3)),
        );
        check(
            None,
            &[(1, Seen::OutputClosed, &[]), (1, exit, KILL)],
            Some(How::Exit(3)),
        );
    }

    #[test]
    fn who_holds_the_output_lingers_then_is_ended() {
        let exit = Seen::Exited(How::Exit(0));
        let script: &[(u32, Seen, &[Signal])] =
            &[(1, exit, &[]), (2, Seen::Time, END), (7, Seen::Time, KILL)];
        check(None, script, Some(How::Exit(0)));
        check(
            None,
            &[(1, exit, &[]), (1, Seen::Alone, KILL)],
            Some(How::Exit(0)),
        );
    }

    #[test]
    fn cancel_wins_over_the_exit_it_causes_and_waits_for_the_group() {
        let cancel = (1, Seen::Wish(Wish::Cancel), END);
        let exited: (u32, Seen, &[Signal]) = (2, Seen::Exited(How::Signal(15)), &[]);
        let closed: (u32, Seen, &[Signal]) = (2, Seen::OutputClosed, &[]);
        check(None, &[cancel, exited, closed], None);
        check(
            None,
            &[cancel, exited, closed, (3, Seen::Alone, KILL)],
            Some(How::Cancelled),
        );
        let stubborn = (6, Seen::Time, KILL);
        check(
            None,
            &[cancel, stubborn, (6, Seen::Exited(How::Signal(9)), KILL)],
            Some(How::Cancelled),
        );
    }

    #[test]
    fn the_clock_stands_still_while_suspended() {
        let script: &[(u32, Seen, &[Signal])] = &[
            (2, Seen::Wish(Wish::Suspend), &[Signal::STOP]),
            (50, Seen::Time, &[]),
            (60, Seen::Wish(Wish::Run), &[Signal::CONT]),
            (62, Seen::Time, &[]),
            (63, Seen::Time, END),
        ];
        let life = check(Some(5), script, None);
        assert!(life.is_forced());
    }

    #[test]
    fn a_second_cancel_and_late_wishes_change_nothing() {
        let cancel = Seen::Wish(Wish::Cancel);
        let script: &[(u32, Seen, &[Signal])] = &[
            (1, cancel, END),
            (2, cancel, &[]),
            (3, Seen::Wish(Wish::Suspend), &[]),
        ];
        check(None, script, None);
    }
}
