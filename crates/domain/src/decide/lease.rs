//! Handing work out and taking it back.

use std::time::Duration;

use crate::code::{Code, Refusal};
use crate::decide::Change;
use crate::id::{AgentName, EventNo, Token, WorkerId};
use crate::limits;
use crate::task::record::{Lease, Task};
use crate::task::retry::mix;
use crate::task::spec::Json;
use crate::task::state::{Reason, State};
use crate::time::{Now, millis};

#[derive(Clone, Debug)]
pub struct Terms<'a> {
    pub worker: &'a WorkerId,
    /// The registered agent that the attempt is told of.
    pub agent: Option<&'a AgentName>,
    pub ttl: Duration,
    pub start: bool,
    pub seed: u64,
}

/// Leases a ready task. `fence` is the number that the event of this claim will have.
pub fn grant(task: &Task, terms: &Terms<'_>, fence: EventNo, now: Now) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    let attempt = task.attempts + 1;
    let to = if terms.start {
        State::Running
    } else {
        State::Assigned
    };
    let data = match terms.agent {
        Some(agent) => Json::of(&serde_json::json!({ "attempt": attempt, "agent": agent })),
        None => attempt_data(attempt),
    };
    change.enter(to, None, Some(data))?;
    if terms.start {
        change.task.started_at = Some(now.wall);
    }
    change.task.lease = Some(Lease {
        fence,
        secret: mix(terms.seed ^ task.seq.0.rotate_left(32)),
        worker: terms.worker.clone(),
        attempt,
        claimed_at: now.wall,
        expires: now.mono.saturating_add(millis(terms.ttl)),
        ttl: terms.ttl,
        progress: None,
    });
    Ok(change)
}

pub(super) fn attempt_data(attempt: u32) -> Json {
    Json::parse(&format!("{{\"attempt\":{attempt}}}")).expect("a number in braces is JSON")
}

/// Checks that the caller holds the lease and that it has not run out.
pub fn check_holder(task: &Task, token: &Token, now: Now) -> Result<(), Refusal> {
    let lost = |why: &str| {
        Err(
            Refusal::new(Code::LeaseLost, format!("the lease on task {} {why}", task.id))
                .help("stop the work; the task may already be with another worker"),
        )
    };
    match &task.lease {
        None => lost("has ended"),
        Some(lease) if is_broken(lease) => lost("was ended by somebody who broke its lock"),
        Some(lease) if lease.fence != token.fence || lease.secret != token.secret => {
            lost("has passed to another worker")
        }
        Some(_) if task.state == State::Cancelled => lost("ended when the task was cancelled"),
        Some(lease) if lease.expires <= now.mono => lost("has expired"),
        Some(_) => Ok(()),
    }
}

/// Takes a lease back from a worker that is gone, or that did not renew in time.
///
/// An attempt that was under way is lost. The third lost attempt fails the task: it may be what kills its
/// workers. A suspended attempt is not to blame for its worker's death, and a cancelled one is simply over.
pub fn lose(task: &Task, now: Now) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    let Some(lease) = change.task.lease.take() else {
        return Ok(change);
    };
    change.task.attempts = lease.attempt;
    let data = Json::of(&serde_json::json!({ "attempt": lease.attempt, "worker": lease.worker }));
    match task.state {
        State::Cancelled => {}
        _ if is_broken(&lease) => {
            change.task.left = None;
            change.enter(State::Ready, Some(Reason::LockBroken), Some(data))?;
        }
        State::Suspended => {
            change.task.left = None;
            change.enter(State::Ready, Some(Reason::Lost), Some(data))?;
        }
        _ => {
            change.task.lost += 1;
            if change.task.lost >= limits::LOST_MAX {
                change.task.finished_at = Some(now.wall);
                change.task.dead_letter = true;
                change.enter(State::Failed, Some(Reason::Lost), Some(data))?;
            } else {
                change.enter(State::Ready, Some(Reason::Lost), Some(data))?;
            }
        }
    }
    Ok(change)
}

/// Takes the lease, and with it every lock, from an attempt.
///
/// At once, the locks are free with this change. Otherwise the lease is only broken: its holder can do nothing with it
/// any more but confirm that it has stopped, by handing it back, and the locks are free when it does so or when the
/// lease ends. A worker's guard ends its processes by then, so that no two holders work at the same time. Nobody is to
/// blame, so no try is counted.
pub fn break_lock(task: &Task, at_once: bool) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    let Some(lease) = &mut change.task.lease else {
        return Err(Refusal::new(
            Code::LockNotHeld,
            format!("task {} holds no lock", task.id),
        ));
    };
    if !at_once {
        if !is_broken(lease) && task.state != State::Cancelled {
            lease.secret = broken(lease.secret);
            lease.ttl = Duration::ZERO;
        }
        return Ok(change);
    }
    let attempt = lease.attempt;
    change.task.lease = None;
    change.task.attempts = attempt;
    change.task.left = None;
    if task.state != State::Cancelled {
        change.enter(
            State::Ready,
            Some(Reason::LockBroken),
            Some(attempt_data(attempt)),
        )?;
    }
    Ok(change)
}

/// No lease is handed out or renewed for no time at all.
fn is_broken(lease: &Lease) -> bool {
    lease.ttl.is_zero()
}

/// What takes the place of a secret, so that its token fits no more.
fn broken(secret: u64) -> u64 {
    mix(secret ^ 0x6272_6f6b_656e)
}

/// Whether this was the token of a lease that somebody has broken since.
pub(super) fn was_broken_for(task: &Task, token: &Token) -> bool {
    let lease = task.lease.as_ref().filter(|lease| is_broken(lease));
    lease.is_some_and(|lease| lease.fence == token.fence && lease.secret == broken(token.secret))
}
