//! The eleven states of a task and every move between them: one table, from which everything else is derived.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum State {
    /// Not before `run_at`.
    Pending,
    /// Waits for edges, or is a parent that waits for its children.
    Blocked,
    /// Could be leased now, unless it is parked under a lock or limit.
    Ready,
    /// Leased, not started.
    Assigned,
    Running,
    /// Stopped by a user.
    Suspended,
    /// Waits for a person.
    Awaiting,
    /// Waits for its next try.
    Retrying,
    Completed,
    Failed,
    Cancelled,
}

use State::{
    Assigned, Awaiting, Blocked, Cancelled, Completed, Failed, Pending, Ready, Retrying, Running, Suspended,
};

/// Every allowed move with the words for the diagram. A state never moves to itself.
pub const MOVES: &[(State, State, &str)] = &[
    (Pending, Blocked, "due, edges open"),
    (Pending, Ready, "due"),
    (Pending, Awaiting, "due, asks a person"),
    (Pending, Suspended, "suspend"),
    (Pending, Cancelled, "cancel"),
    (Blocked, Ready, "last edge holds"),
    (Blocked, Awaiting, "last edge holds, asks a person"),
    (Blocked, Suspended, "suspend"),
    (Blocked, Completed, "children joined"),
    (Blocked, Cancelled, "cancel, or an edge cannot hold"),
    (Ready, Assigned, "claim"),
    (Ready, Running, "claim and start"),
    (Ready, Blocked, "edge added"),
    (Ready, Awaiting, "asks a person"),
    (Ready, Suspended, "suspend"),
    (Ready, Cancelled, "cancel"),
    (Assigned, Running, "start"),
    (Assigned, Ready, "release, reassign, lease lost"),
    (Assigned, Completed, "complete"),
    (Assigned, Failed, "fail"),
    (Assigned, Awaiting, "asks a person"),
    (Assigned, Suspended, "suspend"),
    (Assigned, Cancelled, "cancel"),
    (Running, Completed, "complete"),
    (Running, Failed, "fail"),
    (Running, Retrying, "fail, tries left"),
    (Running, Ready, "release, drain, lease lost"),
    (Running, Blocked, "joins its children, or is replanned"),
    (Running, Suspended, "suspend"),
    (Running, Awaiting, "asks a person"),
    (Running, Cancelled, "cancel"),
    (Suspended, Pending, "resume"),
    (Suspended, Blocked, "resume"),
    (Suspended, Ready, "resume, or its worker died"),
    (Suspended, Running, "resume"),
    (Suspended, Awaiting, "resume"),
    (Suspended, Retrying, "resume"),
    (Suspended, Cancelled, "cancel"),
    (Awaiting, Pending, "resolve"),
    (Awaiting, Blocked, "resolve"),
    (Awaiting, Ready, "resolve"),
    (Awaiting, Running, "resolve"),
    (Awaiting, Retrying, "resolve"),
    (Awaiting, Completed, "accepted"),
    (Awaiting, Failed, "rejected"),
    (Awaiting, Cancelled, "cancel"),
    (Retrying, Ready, "back-off over"),
    (Retrying, Suspended, "suspend"),
    (Retrying, Cancelled, "cancel"),
    (Failed, Ready, "retry"),
    (Failed, Retrying, "retry later"),
    (Cancelled, Blocked, "revived with the failed task it depended on"),
];

/// The states in which a task may be stored first.
pub const FIRST: &[State] = &[Pending, Blocked, Ready, Awaiting, Cancelled];

impl State {
    pub const ALL: [State; 11] = [
        Pending, Blocked, Ready, Assigned, Running, Suspended, Awaiting, Retrying, Completed, Failed,
        Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Blocked => "blocked",
            Ready => "ready",
            Assigned => "assigned",
            Running => "running",
            Suspended => "suspended",
            Awaiting => "awaiting",
            Retrying => "retrying",
            Completed => "completed",
            Failed => "failed",
            Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn from_u8(number: u8) -> Option<State> {
        State::ALL.get(usize::from(number)).copied()
    }

    /// Ended; only an explicit retry or a revival leads out again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Completed | Failed | Cancelled)
    }

    /// Entered because nobody needed the task: its end is no loss to its run.
    pub fn is_skipped(self, reason: Option<Reason>) -> bool {
        (self, reason) == (Cancelled, Some(Reason::NotNeeded))
    }

    /// Somebody holds or may hold a lease.
    pub fn is_leased(self) -> bool {
        matches!(self, Assigned | Running)
    }

    pub fn may_become(self, to: State) -> bool {
        MOVES
            .iter()
            .any(|&(from, target, _)| from == self && target == to)
    }

    /// Where a task in this state may go, in the order of the table.
    pub fn next(self) -> impl Iterator<Item = State> {
        MOVES
            .iter()
            .filter(move |(from, _, _)| *from == self)
            .map(|&(_, to, _)| to)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The table as a Mermaid state diagram, for the docs.
pub fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2\n");
    for state in FIRST {
        text += &format!("    [*] --> {state}\n");
    }
    for (from, to, when) in MOVES {
        text += &format!("    {from} --> {to}: {when}\n");
    }
    for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
        text += &format!("    {state} --> [*]\n");
    }
    text
}

/// Why a task is in its state, where the state alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// A task that it waited for failed.
    UpstreamFailed,
    /// A task that it waited for was cancelled by a user.
    UpstreamCancelled,
    /// What it was there for did not come to pass; shown as skipped.
    NotNeeded,
    /// A user cancelled it.
    Cancelled,
    /// A newer version of the plan has replaced it.
    Superseded,
    /// All tries failed.
    Exhausted,
    /// The error is of a kind that no try can change, or the caller said so.
    NotRetryable,
    /// Its workers died too often while they had it.
    Lost,
    /// The attempt took longer than its timeout.
    Timeout,
    /// It waits for its children.
    Joining,
    /// A person rejected it.
    Rejected,
    /// The result came from the cache.
    Cached,
    /// The worker handed it back.
    Released,
    /// A user asked for another try.
    Retried,
    /// The failed task that it depended on is tried again.
    Revived,
    /// A user stopped it.
    Suspended,
    /// A person has to answer.
    Breakpoint,
    /// A budget is used up, or somebody is to say that it may be used further.
    Budget,
    /// Somebody broke the lock that it held.
    LockBroken,
    /// Its last try has failed, and a planner finds another way.
    Replanning,
}

impl Reason {
    pub const ALL: &[Reason] = &[
        Reason::UpstreamFailed,
        Reason::UpstreamCancelled,
        Reason::NotNeeded,
        Reason::Cancelled,
        Reason::Superseded,
        Reason::Exhausted,
        Reason::NotRetryable,
        Reason::Lost,
        Reason::Timeout,
        Reason::Joining,
        Reason::Rejected,
        Reason::Cached,
        Reason::Released,
        Reason::Retried,
        Reason::Revived,
        Reason::Suspended,
        Reason::Breakpoint,
        Reason::Budget,
        Reason::LockBroken,
        Reason::Replanning,
    ];

    pub fn from_u8(number: u8) -> Option<Reason> {
        Reason::ALL.get(usize::from(number)).copied()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::UpstreamFailed => "upstream_failed",
            Reason::UpstreamCancelled => "upstream_cancelled",
            Reason::NotNeeded => "not_needed",
            Reason::Cancelled => "cancelled",
            Reason::Superseded => "superseded",
            Reason::Exhausted => "exhausted",
            Reason::NotRetryable => "not_retryable",
            Reason::Lost => "lost",
            Reason::Timeout => "timeout",
            Reason::Joining => "joining",
            Reason::Rejected => "rejected",
            Reason::Cached => "cached",
            Reason::Released => "released",
            Reason::Retried => "retried",
            Reason::Revived => "revived",
            Reason::Suspended => "suspended",
            Reason::Breakpoint => "breakpoint",
            Reason::Budget => "budget",
            Reason::LockBroken => "lock_broken",
            Reason::Replanning => "replanning",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The product's contract, written down a second time on purpose: rows are `from`, columns `to`.
    const CONTRACT: &[(State, &str)] = &[
        (Pending, "blocked ready awaiting suspended cancelled"),
        (Blocked, "ready awaiting suspended completed cancelled"),
        (Ready, "assigned running blocked awaiting suspended cancelled"),
        (
            Assigned,
            "running ready completed failed awaiting suspended cancelled",
        ),
        (
            Running,
            "completed failed retrying ready blocked suspended awaiting cancelled",
        ),
        (
            Suspended,
            "pending blocked ready running awaiting retrying cancelled",
        ),
        (
            Awaiting,
            "pending blocked ready running retrying completed failed cancelled",
        ),
        (Retrying, "ready suspended cancelled"),
        (Failed, "ready retrying"),
        (Cancelled, "blocked"),
        (Completed, ""),
    ];

    // proves: SPEC 1.2, SPEC 2.1, DESIGN 3
    #[test]
    fn every_pair_is_as_the_contract_says() {
        for (from, allowed) in CONTRACT {
            for to in State::ALL {
                let expected = allowed.split(' ').any(|name| name == to.as_str());
                assert_eq!(from.may_become(to), expected, "{from} -> {to}");
            }
        }
        assert_eq!(CONTRACT.len(), State::ALL.len());
    }

    #[test]
    fn moves_are_unique_and_never_to_oneself() {
        for (i, (from, to, _)) in MOVES.iter().enumerate() {
            assert_ne!(from, to);
            assert!(
                !MOVES[..i].iter().any(|(f, t, _)| (f, t) == (from, to)),
                "{from} -> {to} twice"
            );
        }
    }

    #[test]
    fn numbers_and_names_come_back() {
        for state in State::ALL {
            assert_eq!(State::from_u8(state as u8), Some(state));
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
