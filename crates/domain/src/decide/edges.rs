//! Edges: what the end of a prerequisite means for the task that waits for it.

use crate::code::Refusal;
use crate::decide::Change;
use crate::id::Seq;
use crate::task::record::{Join, Task};
use crate::task::spec::{OnUpstreamFailure, When};
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

/// How an edge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The prerequisite has not ended.
    Open,
    Holds,
    /// It can no longer hold; the reason is what its task would be cancelled with.
    Dead(Reason),
}

/// The fate of an edge whose prerequisite is in this state, for a dependent with this policy.
pub fn fate(when: When, state: State, reason: Option<Reason>, policy: OnUpstreamFailure) -> Fate {
    let failed = match state {
        State::Completed => {
            return if when == When::Failure {
                Fate::Dead(Reason::NotNeeded)
            } else {
                Fate::Holds
            };
        }
        State::Failed => true,
        State::Cancelled => reason == Some(Reason::UpstreamFailed),
        _ => return Fate::Open,
    };
    match (when, failed) {
        (When::Finished, _) | (When::Failure, true) => Fate::Holds,
        (When::Success, true) if policy == OnUpstreamFailure::Continue => Fate::Holds,
        (When::Success, true) => Fate::Dead(Reason::UpstreamFailed),
        (_, false) if reason == Some(Reason::NotNeeded) => Fate::Dead(Reason::NotNeeded),
        (_, false) => Fate::Dead(Reason::UpstreamCancelled),
    }
}

/// A prerequisite as its dependents see it.
#[derive(Clone, Copy, Debug)]
pub struct On {
    pub parent: Option<Seq>,
    pub state: State,
    pub reason: Option<Reason>,
}

impl From<&Task> for On {
    fn from(task: &Task) -> On {
        On {
            parent: task.parent,
            state: task.state,
            reason: task.reason,
        }
    }
}

/// The fate of an edge to this dependent. A subtask that was not needed is no loss to the parent that waits for it.
pub fn fate_for(when: When, on: On, dependent: &Task) -> Fate {
    match fate(when, on.state, on.reason, dependent.upstream) {
        Fate::Dead(Reason::NotNeeded) if on.parent == Some(dependent.seq) => Fate::Holds,
        fate => fate,
    }
}

/// Whether the task still waits for its edges. Once it has begun they have done their duty, unless it waits for
/// its children or got another go.
pub fn matter(task: &Task) -> bool {
    task.join.is_some() || (task.lease.is_none() && (task.attempts == 0 || again(task)))
}

/// Whether somebody gave the task another go: it then waits for those of its prerequisites that got one as well. An edge
/// that is dead meanwhile does not keep it, since it was asked for by name.
pub(super) fn again(task: &Task) -> bool {
    let waits = task.state == State::Blocked || task.left == Some(State::Blocked);
    // A question is never begun. One that is asked for the first time is cancelled by an edge that dies, unless it blocks.
    let before = task.attempts > 0 || (task.asks && task.upstream != OnUpstreamFailure::Block);
    task.join.is_none() && (task.reason == Some(Reason::Retried) || (waits && before))
}

/// The edge from a prerequisite that has just ended. The counters follow the edge in every state; the state
/// follows only while edges matter.
pub fn settle(task: &Task, fate: Fate, now: Timestamp) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    change.task.open = task.open.saturating_sub(1);
    if let Fate::Dead(_) = fate {
        change.task.dead += 1;
    }
    if task.state.is_terminal() || !matter(task) {
        return Ok(change);
    }
    match fate {
        Fate::Dead(reason)
            if reason != Reason::UpstreamFailed || task.upstream == OnUpstreamFailure::Cancel =>
        {
            cancel(&mut change, reason, now)?;
        }
        _ if task.state == State::Blocked
            && change.task.open == 0
            && (change.task.dead == 0 || again(task)) =>
        {
            unblock(&mut change, now)?;
        }
        _ => {}
    }
    Ok(change)
}

fn cancel(change: &mut Change, reason: Reason, now: Timestamp) -> Result<(), Refusal> {
    change.task.finished_at = Some(now);
    change.task.left = None;
    change.enter(State::Cancelled, Some(reason), None)
}

fn unblock(change: &mut Change, now: Timestamp) -> Result<(), Refusal> {
    match change.task.join.take() {
        Some(Join::Complete) => {
            change.task.finished_at = Some(now);
            change.enter(State::Completed, None, None)
        }
        Some(Join::Continue) => change.enter(State::Ready, Some(Reason::Joining), None),
        None => change.belong(now),
    }
}

/// The edge from a prerequisite that had ended with `fate` and is open again, because it is tried again.
pub fn reopen(task: &Task, fate: Fate) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    change.task.open += 1;
    if let Fate::Dead(_) = fate {
        change.task.dead = task.dead.saturating_sub(1);
    }
    if !matter(task) {
        return Ok(change);
    }
    match task.state {
        State::Ready | State::Awaiting => change.enter(State::Blocked, Some(Reason::Revived), None)?,
        State::Cancelled if fell(task) && change.task.dead == 0 => revive(&mut change)?,
        _ => {}
    }
    Ok(change)
}

/// Whether a task was cancelled only because something it waited for failed: a retry of that may bring it back.
pub fn fell(task: &Task) -> bool {
    task.state == State::Cancelled
        && task.reason == Some(Reason::UpstreamFailed)
        && !task.superseded
        && matter(task)
}

fn revive(change: &mut Change) -> Result<(), Refusal> {
    change.task.finished_at = None;
    change.enter(State::Blocked, Some(Reason::Revived), None)
}

/// Brings a task back that fell, although other edges of it are dead: until [`doom`] ends it for their reason.
pub fn respite(task: &Task) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    revive(&mut change)?;
    Ok(change)
}

/// Ends a task whose edges can no longer hold for this reason.
pub fn doom(task: &Task, reason: Reason, now: Timestamp) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    cancel(&mut change, reason, now)?;
    Ok(change)
}
