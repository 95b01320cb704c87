//! What the log says of one task.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Found, Known};
use crate::event::{Draft, Event, Kind};
use crate::id::{AgentName, EventNo};
use crate::run::RunNo;
use crate::store::View;
use crate::task::record::Task;
use crate::task::spec::Priority;
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) first: EventNo,
    last: EventNo,
    /// Its submission is in the log.
    pub(super) whole: bool,
    /// Its row was met.
    pub(super) met: bool,
    run: Option<RunNo>,
    entered: Known<(State, Option<Reason>)>,
    left: Known<Option<State>>,
    submitted_at: Known<Timestamp>,
    started_at: Known<Option<Timestamp>>,
    finished_at: Known<Option<Timestamp>>,
    /// Of its next try; told only by the failure before.
    run_at: Known<Timestamp>,
    attempts: Known<u32>,
    failures: Known<u32>,
    lost: Known<u32>,
    dead_letter: Known<bool>,
    superseded: Known<bool>,
    /// Somebody asked for another go.
    retried: Known<bool>,
    held: Held,
    /// Told only where it was changed.
    priority: Known<Priority>,
    /// Whom it was given to for good; who is chosen otherwise may change without an event.
    agent: Option<AgentName>,
}

/// Who holds the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Unknown,
    Nobody,
    By(Grant),
    /// It was cancelled under its holder, who confirms without an event that the work has stopped.
    Perhaps,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    fence: EventNo,
    worker: Arc<str>,
}

/// What moves tell beside the state.
#[derive(Default, Deserialize)]
struct Told {
    attempt: Option<u32>,
    retry_at: Option<String>,
}

fn read<T: DeserializeOwned>(fact: &Draft) -> Option<T> {
    serde_json::from_str(fact.data.as_ref()?.get()).ok()
}

impl Track {
    pub(super) fn follow(&mut self, event: &Event) {
        #[derive(Deserialize)]
        struct Given {
            agent: Option<AgentName>,
        }
        #[derive(Deserialize)]
        struct Changed {
            to: Priority,
        }
        let fact = &event.fact;
        if self.first == EventNo(0) {
            self.first = event.no;
        }
        self.last = event.no;
        self.run = fact.run;
        match fact.kind {
            Kind::TaskSubmitted => self.begin(fact),
            Kind::TaskEntered(to) => self.enter(to, event),
            Kind::TaskSuperseded => self.superseded = Some(true),
            Kind::TaskEscalated => self.dead_letter = Some(true),
            Kind::TaskDropped => self.dead_letter = Some(false),
            Kind::TaskReprioritized => self.priority = read(fact).map(|changed: Changed| changed.to),
            Kind::TaskPinned => self.agent = read(fact).and_then(|given: Given| given.agent),
            _ => {}
        }
    }

    fn begin(&mut self, fact: &Draft) {
        #[derive(Deserialize)]
        struct Submitted {
            state: State,
        }
        let told = read::<Submitted>(fact);
        self.whole = true;
        self.entered = told.map(|told| (told.state, fact.reason));
        self.left = Some(None);
        self.submitted_at = Some(fact.at);
        self.started_at = Some(None);
        self.finished_at = Some(None);
        self.attempts = Some(0);
        self.failures = Some(0);
        self.lost = Some(0);
        self.dead_letter = Some(false);
        self.superseded = Some(false);
        self.retried = Some(false);
        self.held = Held::Nobody;
    }

    fn enter(&mut self, to: State, event: &Event) {
        let fact = &event.fact;
        let from = self.state();
        let told: Told = read(fact).unwrap_or_default();
        self.left = match (to, from) {
            // An attempt that has not begun is given back.
            (State::Suspended, Some(State::Assigned)) => Some(Some(State::Ready)),
            (State::Suspended, from) => from.map(Some),
            _ => Some(None),
        };
        self.attempts = told.attempt.or(self.attempts);
        self.blame(to, from, fact.reason, told.attempt.is_some());
        self.hold(to, from, event);
        // A resumed attempt has begun before, and tells no number.
        if to == State::Running && told.attempt.is_some() {
            self.started_at = Some(Some(fact.at));
        }
        self.finished_at = Some(to.is_terminal().then_some(fact.at));
        self.run_at = told.retry_at.as_deref().and_then(time);
        // What a person has rejected is no dead letter.
        self.dead_letter = Some(to == State::Failed && told.attempt.is_some());
        if (to, fact.reason) == (State::Cancelled, Some(Reason::Superseded)) {
            self.superseded = Some(true);
        }
        self.entered = Some((to, fact.reason));
    }

    /// Counts failures and lost attempts, as [`crate::decide`] does.
    fn blame(&mut self, to: State, from: Option<State>, reason: Option<Reason>, ends_attempt: bool) {
        let failed = ends_attempt && matches!(to, State::Retrying | State::Failed);
        match reason {
            Some(Reason::Retried) => {
                self.failures = Some(0);
                self.lost = Some(0);
                self.retried = Some(true);
            }
            Some(Reason::Lost) => match from {
                // A suspended attempt is not to blame for its worker's death.
                Some(State::Suspended) => {}
                Some(_) => self.lost = self.lost.map(|lost| lost + 1),
                None => self.lost = None,
            },
            Some(Reason::Replanning) => self.failures = self.failures.map(|failures| failures + 1),
            _ if failed => self.failures = self.failures.map(|failures| failures + 1),
            _ => {}
        }
    }

    fn hold(&mut self, to: State, from: Option<State>, event: &Event) {
        let begins = matches!(
            (to, from),
            (State::Assigned, _) | (State::Running, Some(State::Ready))
        );
        if begins {
            self.held = match event.fact.actor.strip_prefix("worker:") {
                Some(worker) => Held::By(Grant {
                    fence: event.no,
                    worker: worker.into(),
                }),
                None => Held::Unknown,
            };
            return;
        }
        match (to, from) {
            (State::Suspended, Some(State::Assigned)) => self.held = Held::Nobody,
            (State::Running | State::Suspended, _) => {}
            (State::Cancelled, _) if self.held == Held::Nobody => {}
            (State::Cancelled, _) => self.held = Held::Perhaps,
            _ => self.held = Held::Nobody,
        }
    }

    // ---- the row ----

    pub(super) fn state(&self) -> Option<State> {
        self.entered.map(|(state, _)| state)
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().is_some_and(|state| !state.is_terminal())
    }

    pub(super) fn may_be_retried(&self) -> bool {
        self.retried != Some(false)
    }

    /// Takes over from the row what the log does not settle any more, for what follows.
    pub(super) fn adopt(&mut self, row: &Task) {
        self.entered = self.entered.or(Some((row.state, row.reason)));
        self.dead_letter = self.dead_letter.or(Some(row.dead_letter));
        self.superseded = self.superseded.or(Some(row.superseded));
    }

    /// State, reason, whether it is a dead letter, whether it was superseded.
    pub(super) fn stood(&self) -> Option<(State, Option<Reason>, bool, bool)> {
        let (state, reason) = self.entered?;
        Some((state, reason, self.dead_letter?, self.superseded?))
    }

    /// Whether a task of which this is all that happened could be among those that were taken out.
    pub(super) fn may_go(&self, last_pruned: EventNo) -> bool {
        let is_over = self.state().is_none_or(State::is_terminal);
        is_over && self.dead_letter != Some(true) && self.last < last_pruned
    }

    pub(super) fn compare(&self, view: &View, found: &mut Found) {
        let row = &view.task;
        found.expect("last event", Some(self.last.0), &row.last_event.0);
        let number = |run: Option<RunNo>| run.map(|no| no.0);
        found.expect_or("run number", Some(number(self.run)), number(row.run));
        found.expect("state", self.state(), &row.state);
        let reason = self.entered.map(|(_, reason)| reason);
        found.expect_or("reason", reason, row.reason);
        found.expect_or("state to go back to", self.left, row.left);
        found.expect("submitted", self.submitted_at, &row.submitted_at);
        found.expect_or("started", self.started_at, row.started_at);
        found.expect_or("finished", self.finished_at, row.finished_at);
        found.expect_or("next try", self.run_at.map(Some), row.run_at);
        found.expect("attempts", self.attempts, &begun(row));
        found.expect("failures", self.failures, &row.failures);
        found.expect("lost attempts", self.lost, &row.lost);
        found.expect("dead letter", self.dead_letter, &row.dead_letter);
        found.expect("superseded", self.superseded, &row.superseded);
        let priority = self.priority.map(u8::from);
        found.expect("priority", priority, &u8::from(row.priority));
        if let Some(agent) = &self.agent {
            found.expect_or("agent", Some(Some(agent)), view.class.agent.as_ref());
        }
        self.compare_lease(row, found);
    }

    fn compare_lease(&self, row: &Task, found: &mut Found) {
        let lease = row.lease.as_ref();
        let worker = lease.map(|lease| lease.worker.as_str());
        match &self.held {
            Held::Unknown | Held::Perhaps => {}
            Held::Nobody => found.expect_or("worker", Some(None), worker),
            Held::By(grant) => {
                found.expect_or("worker", Some(Some(&*grant.worker)), worker);
                if let Some(lease) = lease {
                    found.expect("lease given with event", Some(grant.fence.0), &lease.fence.0);
                }
            }
        }
    }
}

/// How many attempts a row has seen begin: that of the present lease is counted when it ends, at the latest by a cancel.
fn begun(row: &Task) -> u32 {
    let under_way = row.lease.is_some() && row.state != State::Cancelled;
    row.attempts.saturating_add(u32::from(under_way))
}

/// A time as events tell it. One beyond the calendar is told in another form, and not compared.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.ends_with('Z').then_some(text)?;
    Timestamp::parse(text, Timestamp::default()).ok()
}
