//! Requests of people, programs and lease holders.

use crate::code::{Code, Refusal};
use crate::decide::lease::{attempt_data, break_lock, check_holder, was_broken_for};
use crate::decide::{Change, refuse};
use crate::id::Token;
use crate::limits;
use crate::store::Command;
use crate::task::record::{Failure, Join, Lease, Outcome, Task};
use crate::task::retry::Retry;
use crate::task::spec::{Json, Priority};
use crate::task::state::{Reason, State};
use crate::time::{Now, Timestamp, millis};

/// What a decision needs beside the row.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The caller's proof, for commands of a lease holder.
    pub token: Option<&'a Token>,
    /// The task's own policy; only looked at by `Fail`.
    pub retry: Option<&'a Retry>,
    pub now: Now,
}

/// What `command` does to `task`.
pub fn command(task: &Task, command: &Command, ctx: &Context<'_>) -> Result<Change, Refusal> {
    let now = ctx.now;
    match command {
        Command::Start { at } => start(held(task, ctx)?, *at, now),
        Command::Renew { ttl, progress } => {
            let mut change = Change::none(held(task, ctx)?);
            let lease = change.task.lease.as_mut().expect("the holder was checked");
            lease.ttl = ttl.unwrap_or(lease.ttl);
            lease.expires = now.mono.saturating_add(millis(lease.ttl));
            if let Some(progress) = progress {
                lease.progress = Some(progress.clone());
            }
            Ok(change)
        }
        Command::Complete {
            outcome,
            cached,
            children,
        } => {
            let some = children
                .as_ref()
                .filter(|children| !children.admission.tasks.is_empty());
            let join = some.and_then(|children| children.join);
            complete(held(task, ctx)?, outcome, *cached, join, now)
        }
        Command::Fail {
            failure,
            usage,
            timed_out,
            no_retry,
        } => {
            let task = held(task, ctx)?;
            let policy = ctx.retry.cloned().unwrap_or_default();
            fail(task, &policy, failure, usage.as_ref(), *timed_out, *no_retry, now)
        }
        Command::Release => release(task, ctx),
        Command::Cancel { reason } => cancel(task, *reason, now),
        Command::Suspend => suspend(task),
        Command::Resume => resume(task, now),
        Command::Retry { at } => retry(task, *at, now),
        Command::Resolve { accept, outcome } => resolve(task, *accept, outcome, now),
        Command::DropLetter => drop_letter(task),
        Command::Assign { .. } | Command::Route { .. } => assign(task),
        Command::Reprioritize { priority } => reprioritize(task, *priority),
        Command::BreakLock { at_once, .. } => break_lock(task, *at_once),
    }
}

fn held<'a>(task: &'a Task, ctx: &Context<'_>) -> Result<&'a Task, Refusal> {
    let Some(token) = ctx.token else {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("task {} needs a lease token", task.id),
        )
        .help("pass --token with the value that `bell task claim` printed"));
    };
    check_holder(task, token, ctx.now)?;
    Ok(task)
}

fn start(task: &Task, at: Option<Timestamp>, now: Now) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    match task.state {
        State::Running => return Ok(change),
        State::Assigned => {}
        // Only a person resumes what a person has suspended.
        _ => return Err(refuse(task, State::Running)),
    }
    let lease = change.task.lease.as_mut().expect("the holder was checked");
    lease.expires = now.mono.saturating_add(millis(lease.ttl));
    // Clocks that differ make no time before the claim, and none to come.
    let at = at.map(|at| at.max(lease.claimed_at).min(now.wall));
    let data = attempt_data(lease.attempt);
    change.enter(State::Running, None, Some(data))?;
    if let Some(begun) = change.moves.last_mut() {
        begun.at = at;
    }
    change.task.started_at = at.or(Some(now.wall));
    Ok(change)
}

/// Ends the attempt under way with `to`: gives the lease up and counts it. An attempt that was never started is
/// started here, so that its history is whole; one that is suspended cannot end.
fn end_attempt(task: &Task, to: State, now: Now) -> Result<(Change, Lease), Refusal> {
    if !task.state.is_leased() {
        return Err(refuse(task, to));
    }
    let mut change = start(task, None, now)?;
    let lease = change.task.lease.take().expect("the holder was checked");
    change.task.attempts = lease.attempt;
    Ok((change, lease))
}

fn complete(
    task: &Task,
    outcome: &Outcome,
    cached: bool,
    join: Option<Join>,
    now: Now,
) -> Result<Change, Refusal> {
    let (mut change, lease) = end_attempt(task, State::Completed, now)?;
    change.outcome = Some(outcome.clone());
    // Each round has left a subtask; attempts may also have been handed back.
    let rounds = lease.attempt.min(task.children);
    if join == Some(Join::Continue) && rounds >= limits::ROUNDS {
        let detail = format!(
            "task {} has gone on after its subtasks {} times, which is the most",
            task.id,
            limits::ROUNDS
        );
        return Err(Refusal::new(Code::LimitExceeded, detail)
            .help("`$BELL_JOINED` tells an attempt that its subtasks are done: it must end some day"));
    }
    if let Some(join) = join {
        change.task.join = Some(join);
        change.enter(
            State::Blocked,
            Some(Reason::Joining),
            Some(attempt_data(lease.attempt)),
        )?;
        return Ok(change);
    }
    change.task.finished_at = Some(now.wall);
    let data = match &outcome.usage {
        Some(usage) => Json::of(&serde_json::json!({ "attempt": lease.attempt, "usage": usage })),
        None => attempt_data(lease.attempt),
    };
    change.enter(State::Completed, cached.then_some(Reason::Cached), Some(data))?;
    Ok(change)
}

/// The class of a failure that is none: the attempt was ended because a budget is used up.
pub const BUDGET: &str = "budget";

#[derive(serde::Serialize)]
struct FailureData<'a> {
    attempt: u32,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
}

fn fail(
    task: &Task,
    policy: &Retry,
    failure: &Failure,
    usage: Option<&Json>,
    timed_out: bool,
    no_retry: bool,
    now: Now,
) -> Result<Change, Refusal> {
    let (mut change, lease) = end_attempt(task, State::Failed, now)?;
    let mut failure = failure.clone();
    truncate(&mut failure.message, limits::ERROR_BYTES);
    let failures = task.failures + 1;
    change.task.failures = failures;
    if failure.class.as_deref() == Some(BUDGET) {
        // No failure of the task: it goes on when somebody has raised the limit.
        change.task.failures = task.failures;
        let data = Json::of(&FailureData {
            attempt: lease.attempt,
            error: &failure.message,
            class: Some(BUDGET),
            exit: failure.exit,
            usage,
            retry_at: None,
        });
        change.enter(State::Awaiting, Some(Reason::Budget), Some(data))?;
        change.outcome = Some(Outcome {
            result: None,
            error: Some(failure),
            usage: usage.cloned(),
        });
        return Ok(change);
    }
    let worth_it = !no_retry && policy.allows(failure.class.as_deref(), &failure.message, failure.exit);
    let again = worth_it && failures < policy.attempts;
    let retry_at = again.then(|| now.wall.after(policy.delay(failures, task.seq.0)));
    let data = Json::of(&FailureData {
        attempt: lease.attempt,
        error: &failure.message,
        class: failure.class.as_deref(),
        exit: failure.exit,
        usage,
        retry_at: retry_at.map(|at| at.to_string()),
    });
    if again {
        change.task.run_at = retry_at;
        change.enter(State::Retrying, timed_out.then_some(Reason::Timeout), Some(data))?;
    } else {
        let reason = match () {
            () if timed_out => Reason::Timeout,
            () if worth_it => Reason::Exhausted,
            () => Reason::NotRetryable,
        };
        change.task.dead_letter = true;
        change.task.finished_at = Some(now.wall);
        change.enter(State::Failed, Some(reason), Some(data))?;
    }
    change.outcome = Some(Outcome {
        result: None,
        error: Some(failure),
        usage: usage.cloned(),
    });
    Ok(change)
}

/// Cuts a text to at most `max` bytes, keeping its end, where errors usually tell what happened.
fn truncate(text: &mut String, max: usize) {
    if text.len() > max {
        let mut at = text.len() - max;
        while !text.is_char_boundary(at) {
            at += 1;
        }
        text.drain(..at);
    }
}

fn release(task: &Task, ctx: &Context<'_>) -> Result<Change, Refusal> {
    // On a cancelled task, or one whose lock was broken, the release confirms that the work has stopped.
    let was_broken = ctx.token.is_some_and(|token| was_broken_for(task, token));
    let confirms =
        task.state == State::Cancelled && task.token().is_some_and(|token| ctx.token == Some(&token));
    if !confirms && !was_broken {
        held(task, ctx)?;
    }
    let mut change = Change::none(task);
    let lease = change.task.lease.take().expect("the holder was checked");
    change.task.attempts = lease.attempt;
    if !confirms {
        change.task.left = None;
        change.enter(
            State::Ready,
            Some(if was_broken {
                Reason::LockBroken
            } else {
                Reason::Released
            }),
            Some(attempt_data(lease.attempt)),
        )?;
    }
    Ok(change)
}

fn cancel(task: &Task, reason: Reason, now: Now) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    if task.state == State::Cancelled {
        return Ok(change);
    }
    change.task.left = None;
    change.task.join = None;
    change.task.finished_at = Some(now.wall);
    change.task.attempts = task.attempt();
    change.enter(State::Cancelled, Some(reason), None)?;
    Ok(change)
}

/// Takes the task out of its run, because a newer version of the plan replaces it. Work under way is cancelled; what has
/// ended stays as it ended, and makes no move.
pub fn supersede(task: &Task, now: Now) -> Result<Change, Refusal> {
    let mut change = if task.state.is_terminal() {
        Change::none(task)
    } else {
        cancel(task, Reason::Superseded, now)?
    };
    change.task.superseded = true;
    Ok(change)
}

fn suspend(task: &Task) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    if task.state == State::Suspended {
        return Ok(change);
    }
    let mut left = task.state;
    if task.state == State::Assigned {
        // Nothing has begun: the lease goes back, and the holder learns it when it starts.
        let lease = change.task.lease.take();
        change.task.attempts = lease.map_or(task.attempts, |lease| lease.attempt);
        left = State::Ready;
    }
    change.enter(State::Suspended, Some(Reason::Suspended), None)?;
    change.task.left = Some(left);
    Ok(change)
}

fn resume(task: &Task, now: Now) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    match task.state {
        State::Suspended => {}
        state if state.is_terminal() => return Err(refuse(task, State::Ready)),
        _ => return Ok(change),
    }
    change.task.left = None;
    if let Some(lease) = &mut change.task.lease {
        lease.expires = now.mono.saturating_add(millis(lease.ttl));
        change.enter(State::Running, None, None)?;
    } else {
        change.belong(now.wall)?;
    }
    Ok(change)
}

fn retry(task: &Task, at: Option<Timestamp>, now: Now) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    let later = at.filter(|at| *at > now.wall);
    match task.state {
        State::Failed => {}
        State::Retrying if later.is_none() => {}
        State::Cancelled if task.reason == Some(Reason::UpstreamFailed) => {
            return Err(
                refuse(task, State::Ready).help("retry the failed task that it depended on; that revives it")
            );
        }
        State::Cancelled => {
            return Err(Refusal::new(
                Code::InvalidTransition,
                format!("task {} was cancelled and stays so", task.id),
            )
            .help("add it anew, or begin a new run of its plan with `bell run PLAN --new`"));
        }
        _ => return Err(refuse(task, State::Retrying)),
    }
    change.task.failures = 0;
    change.task.lost = 0;
    change.task.dead_letter = false;
    change.task.finished_at = None;
    change.task.run_at = later;
    let asked_at = later.unwrap_or(now.wall);
    if let Some(deadline) = task
        .deadline
        .filter(|deadline| task.asks && *deadline <= asked_at)
    {
        // Whoever is asked once more gets as long as the first time.
        change.task.deadline = Some(asked_at.after(deadline.since(task.submitted_at)));
    }
    if later.is_some() {
        change.enter(State::Retrying, Some(Reason::Retried), None)?;
    } else {
        change.enter(State::Ready, Some(Reason::Retried), None)?;
        change.belong(now.wall)?;
    }
    Ok(change)
}

fn resolve(task: &Task, accept: bool, outcome: &Outcome, now: Now) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    let to = if accept { State::Completed } else { State::Failed };
    if task.state != State::Awaiting {
        return Err(refuse(task, to));
    }
    if task.reason == Some(Reason::Budget) {
        if accept {
            change.enter(State::Ready, None, None)?;
            change.belong(now.wall)?;
            return Ok(change);
        }
        change.task.finished_at = Some(now.wall);
        change.enter(State::Cancelled, Some(Reason::Budget), None)?;
        return Ok(change);
    }
    change.task.finished_at = Some(now.wall);
    change.enter(to, (!accept).then_some(Reason::Rejected), None)?;
    change.outcome = Some(outcome.clone());
    Ok(change)
}

/// Whose class it becomes is the store's to know; here is only whether it may.
fn assign(task: &Task) -> Result<Change, Refusal> {
    if task.lease.is_some() || task.state.is_terminal() || task.asks {
        let why = match &task.lease {
            Some(lease) => format!("is with {}", lease.worker),
            None if task.asks => "is for a person".to_owned(),
            None => format!("is {}", task.state),
        };
        return Err(Refusal::new(
            Code::InvalidTransition,
            format!("task {} {why} and cannot be given to an agent", task.id),
        )
        .help("`bell task cancel` or `bell queue stale --release` frees a task that somebody has"));
    }
    Ok(Change::none(task))
}

/// A task in line is scored anew where the order is known; another when it becomes ready.
fn reprioritize(task: &Task, priority: Priority) -> Result<Change, Refusal> {
    if task.state.is_terminal() {
        return Err(Refusal::new(
            Code::InvalidTransition,
            format!("task {} is {} and waits in no line", task.id, task.state),
        )
        .help("`bell task show` tells how it ended"));
    }
    let mut change = Change::none(task);
    change.task.priority = priority;
    Ok(change)
}

fn drop_letter(task: &Task) -> Result<Change, Refusal> {
    let mut change = Change::none(task);
    if task.state != State::Failed {
        return Err(Refusal::new(
            Code::InvalidTransition,
            format!("task {} is {} and not in the dead letters", task.id, task.state),
        )
        .help("`bell dlq list` shows what is"));
    }
    change.task.dead_letter = false;
    Ok(change)
}
