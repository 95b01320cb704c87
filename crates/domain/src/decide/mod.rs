//! What may happen to a task: pure functions from a row and an input to a [`Change`] or a refusal.
//!
//! [`edges`] says what the end of one task means for those that wait for it, [`command()`] what a request does,
//! [`lease`] how work is handed out and taken back, [`replan`] how the last failure is none yet.

mod command;
pub mod edges;
pub mod lease;
pub mod replan;

pub use command::{BUDGET, Context, command, supersede};

use crate::code::{Code, Refusal};
use crate::task::record::{Outcome, Task};
use crate::task::spec::Json;
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

/// The new row, the moves that led to it (each becomes an event), and an outcome to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub task: Task,
    pub moves: Vec<Move>,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    pub to: State,
    pub reason: Option<Reason>,
    pub data: Option<Json>,
    /// When it was, if not now.
    pub at: Option<Timestamp>,
}

impl Change {
    /// Nothing changes; the row may still be edited before it is saved.
    pub fn none(task: &Task) -> Change {
        Change {
            task: task.clone(),
            moves: Vec::new(),
            outcome: None,
        }
    }

    /// Moves on to `to`, if the table allows it. Every state a task is ever in was entered here or at admission.
    pub fn enter(&mut self, to: State, reason: Option<Reason>, data: Option<Json>) -> Result<(), Refusal> {
        if !self.task.state.may_become(to) {
            return Err(refuse(&self.task, to));
        }
        self.task.state = to;
        self.task.reason = reason;
        if !matches!(to, State::Pending | State::Retrying | State::Suspended) {
            // Its time has come, whatever the clock is set to later.
            self.task.run_at = None;
        }
        self.moves.push(Move {
            to,
            reason,
            data,
            at: None,
        });
        Ok(())
    }

    /// Moves on to where the task belongs ([`derive()`]), by way of ready where the table knows no other.
    pub fn belong(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let (to, reason) = derive(&self.task, now);
        if to != self.task.state && !self.task.state.may_become(to) {
            self.enter(State::Ready, None, None)?;
        }
        if to != self.task.state {
            self.enter(to, reason, None)?;
        }
        Ok(())
    }
}

/// The typed "no" to a move: names task, state, asked move and what is allowed.
pub fn refuse(task: &Task, to: State) -> Refusal {
    let allowed: Vec<_> = task.state.next().map(State::as_str).collect();
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        allowed.join(", ")
    };
    Refusal::new(
        Code::InvalidTransition,
        format!(
            "task {} is {} and cannot become {to}; allowed from there: {allowed}",
            task.id, task.state
        ),
    )
    .help(format!("`bell task history {}` shows how it came there", task.id))
}

/// Where a task belongs that nobody works on: the one place that reads edges, times and questions together.
pub fn derive(task: &Task, now: Timestamp) -> (State, Option<Reason>) {
    if task.run_at.is_some_and(|at| at > now) {
        let state = if task.attempts > 0 {
            State::Retrying
        } else {
            State::Pending
        };
        return (state, None);
    }
    if edges::matter(task) && (task.open > 0 || (task.dead > 0 && !edges::again(task))) {
        return (State::Blocked, task.join.map(|_| Reason::Joining));
    }
    if task.asks {
        return (State::Awaiting, Some(Reason::Breakpoint));
    }
    (State::Ready, None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::edges::{Fate, fate};
    use super::lease::{Terms, grant, lose};
    use super::*;
    use crate::id::{EventNo, Seq, TaskId, Token, WorkerId};
    use crate::limits;
    use crate::store::{Admission, AdmitLimits, Children, Command, IntoRun, NewTask};
    use crate::task::record::{ClassNo, Failure, Join};
    use crate::task::retry::Retry;
    use crate::task::score::Score;
    use crate::task::spec::{OnUpstreamFailure, Spec, When, Work};
    use crate::time::Now;

    const NOW: Now = Now {
        wall: Timestamp(1_000_000),
        mono: 5_000,
    };
    const TTL: Duration = Duration::from_secs(30);

    fn ready() -> Task {
        Task {
            score: Score(32_500),
            last_event: EventNo(1),
            ..Task::new(Seq(1), TaskId::new("t").unwrap(), ClassNo(0), Timestamp(1))
        }
    }

    fn worker() -> WorkerId {
        WorkerId::new("w").unwrap()
    }

    fn leased(start: bool) -> (Task, Token) {
        let worker = worker();
        let terms = Terms {
            worker: &worker,
            agent: None,
            ttl: TTL,
            start,
            seed: 7,
        };
        let task = grant(&ready(), &terms, EventNo(2), NOW).unwrap().task;
        let token = task.token().unwrap();
        (task, token)
    }

    fn by_holder(task: &Task, token: &Token, asked: &Command, now: Now) -> Result<Change, Refusal> {
        command(
            task,
            asked,
            &Context {
                token: Some(token),
                retry: None,
                now,
            },
        )
    }

    fn by_anyone(task: &Task, asked: &Command) -> Result<Change, Refusal> {
        command(
            task,
            asked,
            &Context {
                token: None,
                retry: None,
                now: NOW,
            },
        )
    }

    // proves: DESIGN 5
    #[test]
    fn a_task_goes_on_after_its_subtasks_so_often() {
        let spec = Spec::new("x", Work::Shell("true".to_owned()));
        let admission = Admission {
            tasks: vec![NewTask::new("x".parse().unwrap(), None, &spec, NOW.wall)],
            run: IntoRun::None,
            supersede: Vec::new(),
            limits: AdmitLimits {
                prerequisites: 0,
                children: 0,
            },
            actor: "worker:w".into(),
            idempotency_key: None,
        };
        let go_on = Command::Complete {
            outcome: Outcome::default(),
            cached: false,
            children: Some(Children {
                admission: Box::new(admission),
                join: Some(Join::Continue),
            }),
        };
        let at = |attempt: u32, children: u32| {
            let (mut task, token) = leased(true);
            task.lease.as_mut().unwrap().attempt = attempt;
            task.children = children;
            by_holder(&task, &token, &go_on, NOW)
        };
        let most = limits::ROUNDS;
        assert_eq!(at(most, most).unwrap_err().code, Code::LimitExceeded);
        assert!(at(most - 1, most).is_ok(), "many subtasks at once");
        assert!(at(most, most - 1).is_ok(), "handed back many times");
    }

    fn complete() -> Command {
        Command::Complete {
            outcome: Outcome::default(),
            cached: false,
            children: None,
        }
    }

    fn failing(message: &str) -> Command {
        Command::Fail {
            failure: Failure::new(message),
            usage: None,
            timed_out: false,
            no_retry: false,
        }
    }

    fn path(change: &Change) -> Vec<State> {
        change.moves.iter().map(|step| step.to).collect()
    }

    // proves: SPEC 1.2, SPEC 2.1, DESIGN 3
    #[test]
    fn an_attempt_that_was_never_started_is_started_when_it_ends() {
        let (task, token) = leased(false);
        let change = by_holder(&task, &token, &complete(), NOW).unwrap();
        assert_eq!(path(&change), [State::Running, State::Completed]);
        assert_eq!((change.task.attempts, change.task.lease), (1, None));
    }

    #[test]
    fn only_the_holder_of_a_living_lease_may_act() {
        let (task, token) = leased(true);
        let late = Now {
            mono: NOW.mono + 30_000,
            ..NOW
        };
        let stale = Token {
            fence: EventNo(1),
            ..token
        };
        let guessed = Token {
            secret: token.secret ^ 1,
            ..token
        };
        for asked in [
            Command::Start { at: None },
            complete(),
            failing("x"),
            Command::Renew {
                ttl: None,
                progress: None,
            },
            Command::Release,
        ] {
            assert_eq!(
                by_holder(&task, &stale, &asked, NOW).unwrap_err().code,
                Code::LeaseLost
            );
            assert_eq!(
                by_holder(&task, &guessed, &asked, NOW).unwrap_err().code,
                Code::LeaseLost
            );
            assert_eq!(
                by_holder(&task, &token, &asked, late).unwrap_err().code,
                Code::LeaseLost
            );
            assert_eq!(by_anyone(&task, &asked).unwrap_err().code, Code::InvalidArgument);
            assert!(by_holder(&task, &token, &asked, NOW).is_ok());
        }
    }

    // proves: SPEC 2.4
    #[test]
    fn failures_are_retried_within_their_policy() {
        let (task, token) = leased(true);
        let policy = Retry {
            attempts: 2,
            jitter: 0.0,
            ..Retry::operation()
        };
        let fail = |task: &Task, message: &str| {
            let ctx = Context {
                token: Some(&token),
                retry: Some(&policy),
                now: NOW,
            };
            command(task, &failing(message), &ctx).unwrap()
        };
        let again = fail(&task, "connection reset");
        assert_eq!(path(&again), [State::Retrying]);
        assert_eq!(again.task.run_at, Some(Timestamp(NOW.wall.0 + 1_000)));
        let second = Task {
            failures: 1,
            ..task.clone()
        };
        let last = fail(&second, "connection reset");
        assert_eq!(
            (path(&last), last.task.reason),
            (vec![State::Failed], Some(Reason::Exhausted))
        );
        assert!(last.task.dead_letter);
        let hopeless = fail(&task, "permission denied");
        assert_eq!(hopeless.task.reason, Some(Reason::NotRetryable));
    }

    #[test]
    fn suspending_keeps_a_running_attempt_and_gives_an_idle_lease_back() {
        let (task, _) = leased(true);
        let held = by_anyone(&task, &Command::Suspend).unwrap().task;
        assert!(held.lease.is_some());
        assert_eq!(by_anyone(&held, &Command::Suspend).unwrap().moves, []);
        assert_eq!(
            by_anyone(&held, &Command::Resume).unwrap().task.state,
            State::Running
        );
        assert_eq!(lose(&held, NOW).unwrap().task.state, State::Ready);
        assert_eq!(lose(&held, NOW).unwrap().task.lost, 0);
        let (task, _) = leased(false);
        let back = by_anyone(&task, &Command::Suspend).unwrap().task;
        assert_eq!((back.lease.is_none(), back.left), (true, Some(State::Ready)));
        assert_eq!(
            by_anyone(&back, &Command::Resume).unwrap().task.state,
            State::Ready
        );
    }

    #[test]
    fn the_third_lost_attempt_is_the_last() {
        let (mut task, _) = leased(true);
        for expected in [State::Ready, State::Ready, State::Failed] {
            let change = lose(&task, NOW).unwrap();
            assert_eq!(change.task.state, expected);
            let lost = change.task.lost;
            task = Task {
                lost,
                ..leased(true).0
            };
        }
        let (task, token) = leased(true);
        let back = by_holder(&task, &token, &Command::Release, NOW).unwrap().task;
        assert_eq!((back.state, back.lost, back.failures), (State::Ready, 0, 0));
    }

    #[test]
    fn a_cancelled_attempt_keeps_its_lease_until_its_work_has_stopped() {
        let (task, token) = leased(true);
        let cancelled = by_anyone(
            &task,
            &Command::Cancel {
                reason: Reason::Cancelled,
            },
        )
        .unwrap()
        .task;
        assert!(cancelled.lease.is_some());
        assert_eq!(
            by_holder(&cancelled, &token, &complete(), NOW).unwrap_err().code,
            Code::LeaseLost
        );
        let late = Now {
            mono: NOW.mono + 60_000,
            ..NOW
        };
        let confirmed = by_holder(&cancelled, &token, &Command::Release, late).unwrap();
        assert_eq!((confirmed.moves.len(), confirmed.task.lease), (0, None));
    }

    #[test]
    fn what_is_superseded_ends_unless_it_has_ended() {
        let waits = Task {
            state: State::Blocked,
            reason: Some(Reason::Joining),
            join: Some(Join::Complete),
            open: 1,
            ..ready()
        };
        let change = supersede(&waits, NOW).unwrap();
        assert_eq!(path(&change), [State::Cancelled]);
        assert!(change.task.superseded && change.task.join.is_none());
        assert_eq!(change.task.finished_at, Some(NOW.wall));

        let ended = Task {
            state: State::Completed,
            ..ready()
        };
        let change = supersede(&ended, NOW).unwrap();
        assert!(change.task.superseded && change.moves.is_empty());
        assert_eq!(change.task.state, State::Completed);
    }

    #[test]
    fn a_rejected_question_that_is_asked_again_is_held_by_what_is_open_only() {
        use edges::{reopen, settle};
        let reject = Command::Resolve {
            accept: false,
            outcome: Outcome::default(),
        };
        let died = Fate::Dead(Reason::UpstreamCancelled);
        for upstream in [OnUpstreamFailure::Cancel, OnUpstreamFailure::Continue] {
            let question = Task {
                asks: true,
                upstream,
                state: State::Awaiting,
                reason: Some(Reason::Breakpoint),
                ..ready()
            };
            let first = reopen(&question, Fate::Holds).unwrap().task;
            let first = settle(&first, died, NOW.wall).unwrap().task;
            assert_eq!(first.state, State::Cancelled, "asked for the first time");

            let rejected = by_anyone(&question, &reject).unwrap().task;
            let rejected = reopen(&rejected, Fate::Holds).unwrap().task;
            let rejected = settle(&rejected, died, NOW.wall).unwrap().task;
            assert_eq!((rejected.state, rejected.dead), (State::Failed, 1));
            let again = by_anyone(&rejected, &Command::Retry { at: None }).unwrap().task;
            assert_eq!(again.state, State::Awaiting);

            // Another prerequisite is tried once more, and holds in the end.
            let waits = reopen(&again, Fate::Holds).unwrap().task;
            assert_eq!(waits.state, State::Blocked);
            let asked = settle(&waits, Fate::Holds, NOW.wall).unwrap().task;
            assert_eq!((asked.state, asked.dead), (State::Awaiting, 1));
        }
    }

    // proves: DESIGN 4
    #[test]
    fn edges_hold_stay_open_or_die() {
        use Reason::{Cancelled as ByUser, NotNeeded, UpstreamCancelled, UpstreamFailed};
        let cancel = OnUpstreamFailure::Cancel;
        let dead = |reason| Fate::Dead(reason);
        for (state, reason, success, failure, finished) in [
            (State::Running, None, Fate::Open, Fate::Open, Fate::Open),
            (State::Completed, None, Fate::Holds, dead(NotNeeded), Fate::Holds),
            (
                State::Failed,
                None,
                dead(UpstreamFailed),
                Fate::Holds,
                Fate::Holds,
            ),
            (
                State::Cancelled,
                Some(UpstreamFailed),
                dead(UpstreamFailed),
                Fate::Holds,
                Fate::Holds,
            ),
            (
                State::Cancelled,
                Some(ByUser),
                dead(UpstreamCancelled),
                dead(UpstreamCancelled),
                Fate::Holds,
            ),
            (
                State::Cancelled,
                Some(UpstreamCancelled),
                dead(UpstreamCancelled),
                dead(UpstreamCancelled),
                Fate::Holds,
            ),
            (
                State::Cancelled,
                Some(NotNeeded),
                dead(NotNeeded),
                dead(NotNeeded),
                Fate::Holds,
            ),
        ] {
            assert_eq!(
                fate(When::Success, state, reason, cancel),
                success,
                "{state} {reason:?}"
            );
            assert_eq!(
                fate(When::Failure, state, reason, cancel),
                failure,
                "{state} {reason:?}"
            );
            assert_eq!(
                fate(When::Finished, state, reason, cancel),
                finished,
                "{state} {reason:?}"
            );
        }
        assert_eq!(
            fate(When::Success, State::Failed, None, OnUpstreamFailure::Continue),
            Fate::Holds
        );
    }

    fn any_command() -> impl Strategy<Value = Command> {
        prop_oneof![
            Just(Command::Start { at: None }),
            (-99..99i64).prop_map(|ms| Command::Start {
                at: Some(Timestamp(NOW.wall.0 + ms))
            }),
            Just(Command::Renew {
                ttl: None,
                progress: None
            }),
            Just(complete()),
            Just(failing("boom")),
            Just(Command::Release),
            Just(Command::Cancel {
                reason: Reason::Cancelled
            }),
            Just(Command::Suspend),
            Just(Command::Resume),
            Just(Command::Retry { at: None }),
            Just(Command::Retry {
                at: Some(Timestamp(NOW.wall.0 + 99))
            }),
            Just(Command::Resolve {
                accept: true,
                outcome: Outcome::default()
            }),
            Just(Command::Resolve {
                accept: false,
                outcome: Outcome::default()
            }),
            Just(Command::DropLetter),
            any::<bool>().prop_map(|at_once| Command::BreakLock {
                name: "db".to_owned(),
                why: String::new(),
                at_once
            }),
        ]
    }

    proptest! {
        /// Whatever is asked of a task, it only ever makes moves of the table, holds a lease exactly in the states
        /// that may, and refuses without changing.
        // proves: SPEC 1.2
        #[test]
        fn commands_never_leave_the_table(commands in prop::collection::vec((any_command(), 0u8..4), 1..40)) {
            let (mut task, mut token) = leased(false);
            let retry = Retry { attempts: 2, ..Retry::operation() };
            for (asked, then) in commands {
                let ctx = Context { token: Some(&token), retry: Some(&retry), now: NOW };
                if let Ok(change) = command(&task, &asked, &ctx) {
                    let mut state = task.state;
                    for step in &change.moves {
                        prop_assert!(state.may_become(step.to), "{state} -> {}", step.to);
                        state = step.to;
                    }
                    prop_assert_eq!(state, change.task.state);
                    task = change.task;
                }
                if then == 0 && task.state == State::Ready {
                    let worker = worker();
                    let terms = Terms { worker: &worker, agent: None, ttl: TTL, start: true, seed: 1 };
                    task = grant(&task, &terms, EventNo(9), NOW).unwrap().task;
                    token = task.token().unwrap();
                }
                let may_hold = matches!(task.state, State::Assigned | State::Running | State::Suspended | State::Cancelled);
                prop_assert!(may_hold || task.lease.is_none(), "{} with a lease", task.state);
                let must_hold = matches!(task.state, State::Assigned | State::Running);
                prop_assert!(!must_hold || task.lease.is_some(), "{} without a lease", task.state);
                prop_assert_eq!(task.state.is_terminal(), task.finished_at.is_some());
            }
        }
    }
}
