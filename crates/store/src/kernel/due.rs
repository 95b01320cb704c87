//! What is due by time, and what a dead worker leaves behind.

use domain::book::Book;
use domain::code::{Code, Refusal};
use domain::curb::turn::Passed;
use domain::decide::{self, Change, lease};
use domain::id::{Project, Seq, TaskId, WorkerId};
use domain::limits;
use domain::store::{Command, Result, Ticked};
use domain::task::record::{Failure, Outcome, Task};
use domain::task::spec::Stop;
use domain::task::state::{Reason, State};
use domain::time::Now;
use serde::Deserialize;

use super::curb;
use super::lanes;
use super::reserve;
use super::setting;
use super::settle::{self, Settled};
use super::step::Step;
use super::tx::Tx;

/// Rows touched by one tick: few enough that a claim behind it waits for single milliseconds.
const CHUNK: usize = 250;

/// Ends expired leases, moves what waited for its time, rescores what is due.
pub fn tick(tx: &mut dyn Tx, project: &Project, now: Now) -> Result<Ticked> {
    let Some(no) = tx.project(project, false)? else {
        return Ok(Ticked::default());
    };
    let now = tx.now(now)?;
    let expired = tx.expired(no, now.mono, CHUNK)?;
    let (due, next) = tx.due(no, now.wall, CHUNK)?;
    let curbs = tx.entries_due(no, Book::Gauge, now.wall, CHUNK)?;
    let settings = tx.entries_due(no, Book::Setting, now.wall, 1)?;
    let unsettled = !tx.unsettled(no, 1)?.is_empty();
    let mut ticked = Ticked {
        moved: expired.len() + due.len() + curbs.len() + settings.len(),
        more: expired.len() == CHUNK || due.len() == CHUNK || curbs.len() == CHUNK || unsettled,
        next,
    };
    if ticked.moved == 0 {
        return Ok(ticked);
    }
    let mut step = Step::new(tx, no, now, "system".into())?;
    let (keys, curbs): (Vec<_>, Vec<_>) = curbs.into_iter().partition(lanes::is_kept);
    let (passed, curbs): (Vec<_>, Vec<_>) = curbs.into_iter().partition(|entry| *entry.key == *Passed::KEY);
    curb::classes::wake(&mut step, &curbs)?;
    lanes::wake(&mut step, &keys)?;
    if !passed.is_empty() {
        reserve::wake(&mut step)?;
    }
    ticked.more |= setting::rescore(&mut step, &settings)?;
    take_back(&mut step, &expired)?;
    step.load(&due)?;
    let mut budget = limits::SETTLE_EDGES;
    for seq in due {
        let change = wake(&mut step, seq)?;
        let ended = change.task.state.is_terminal();
        step.carry_out(change)?;
        if ended {
            settle::settle(&mut step, seq, &mut budget, &mut Settled::default())?;
        }
    }
    step.finish()?;
    Ok(ticked)
}

fn wake(step: &mut Step<'_>, seq: Seq) -> Result<Change> {
    let now = step.now.wall;
    let task = step.task(seq)?.clone();
    if task.state == State::Awaiting {
        return unanswered(step, &task);
    }
    let mut change = Change::none(&task);
    match task.state {
        State::Pending | State::Retrying => change.belong(now)?,
        State::Ready => change.task.score = step.order.score(&task.facts(), now),
        _ => {}
    }
    Ok(change)
}

/// Nobody has answered in time: what the breakpoint itself says holds.
fn unanswered(step: &mut Step<'_>, task: &Task) -> Result<Change> {
    #[derive(Deserialize)]
    struct Asked {
        stop: Option<Stop>,
    }
    let body = step.tx.bodies(step.project, &[task.seq])?.pop();
    let asked = body.and_then(|(_, body)| serde_json::from_str::<Asked>(&body.spec).ok());
    let verdict = asked.and_then(|asked| asked.stop).and_then(|stop| stop.default);
    let verdict = verdict.ok_or_else(|| {
        let detail = format!("task {} has a deadline for an answer, and no answer", task.id);
        Refusal::new(Code::StoreCorrupt, detail)
    })?;
    let error = (!verdict.accept).then(|| Failure::new("nobody answered in time"));
    let command = Command::Resolve {
        accept: verdict.accept,
        outcome: Outcome {
            result: verdict.answer,
            error,
            usage: None,
        },
    };
    let ctx = decide::Context {
        token: None,
        retry: None,
        now: step.now,
    };
    let mut change = decide::command(task, &command, &ctx)?;
    change.task.reason = Some(Reason::Timeout);
    for step in &mut change.moves {
        step.reason = Some(Reason::Timeout);
    }
    Ok(change)
}

fn take_back(step: &mut Step<'_>, seqs: &[Seq]) -> Result<Vec<TaskId>> {
    step.load(seqs)?;
    let mut ids = Vec::with_capacity(seqs.len());
    let mut budget = limits::SETTLE_EDGES;
    for seq in seqs {
        let now = step.now;
        let task = step.task(*seq)?;
        ids.push(task.id.clone());
        let change = lease::lose(task, now)?;
        let failed = change.task.state == State::Failed;
        step.carry_out(change)?;
        if failed {
            settle::settle(step, *seq, &mut budget, &mut Settled::default())?;
        }
    }
    Ok(ids)
}

/// Takes back everything that a dead worker held. Returns the tasks.
pub fn lose(tx: &mut dyn Tx, project: &Project, worker: &WorkerId, now: Now) -> Result<Vec<TaskId>> {
    let Some(no) = tx.project(project, false)? else {
        return Ok(Vec::new());
    };
    let seqs = tx.leased_by(no, worker)?;
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let mut step = Step::new(tx, no, now, "system".into())?;
    let ids = take_back(&mut step, &seqs)?;
    step.finish()?;
    Ok(ids)
}
