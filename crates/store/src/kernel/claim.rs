//! Handing out what is first in line.

use domain::code::{Code, Refusal};
use domain::decide::lease::{self, Terms};
use domain::id::{Project, Seq};
use domain::limits;
use domain::store::{Claim, Leased, Result};
use domain::task::record::{ClassNo, Task};
use domain::time::Now;
use rustc_hash::FxHashMap;

use super::locks;
use super::step::Step;
use super::tx::Tx;

/// Leases up to `claim.max` tasks, best place first. Tasks whose locks or limits are taken are parked on the way.
pub fn claim(tx: &mut dyn Tx, project: &Project, claim: &Claim, now: Now) -> Result<Vec<Leased>> {
    let Some(no) = tx.project(project, false)? else {
        return Ok(Vec::new());
    };
    let run = match claim.wants.run {
        None => None,
        Some(id) => match tx.find_run(no, id)? {
            Some(run) => Some(run.no),
            None => return Err(run_not_found(&id.to_string())),
        },
    };
    let classes: Vec<ClassNo> = tx
        .classes(no)?
        .iter()
        .filter(|(_, class)| claim.wants.takes(class))
        .map(|(no, _)| *no)
        .collect();
    if classes.is_empty() {
        return Ok(Vec::new());
    }
    let max = claim.max.clamp(1, limits::CLAIM_MAX);
    let mut step = Step::new(tx, no, now, format!("worker:{}", claim.worker).into())?;
    let mut taken: Vec<Seq> = Vec::new();
    while taken.len() < max {
        let room = max - taken.len();
        let line = step.tx.line(no, run, &classes, room)?;
        let all_seen = line.len() < room && line.iter().all(|task| !task.guarded);
        if line.is_empty() {
            break;
        }
        for task in line {
            step.adopt(task.clone());
            take(&mut step, &task, claim, &mut taken)?;
        }
        if all_seen {
            break;
        }
        locks::hand_on(&mut step)?;
        step.flush()?;
    }
    step.finish()?;
    answer(&mut step, &taken)
}

fn take(step: &mut Step<'_>, task: &Task, claim: &Claim, taken: &mut Vec<Seq>) -> Result<()> {
    if task.guarded
        && let Some(thing) = locks::acquire(step, task.seq)?
    {
        return locks::park(step, task, thing);
    }
    let terms = Terms {
        worker: &claim.worker,
        ttl: claim.ttl,
        start: claim.start,
        seed: claim.seed,
    };
    let change = lease::grant(task, &terms, step.next_event(), step.now)?;
    taken.push(task.seq);
    step.carry_out(change)?;
    Ok(())
}

fn answer(step: &mut Step<'_>, taken: &[Seq]) -> Result<Vec<Leased>> {
    let mut bodies: FxHashMap<Seq, _> = step.tx.bodies(step.project, taken)?.into_iter().collect();
    let mut leased = Vec::with_capacity(taken.len());
    for seq in taken {
        let task = step.task(*seq)?.clone();
        let token = task.token().expect("it was leased in this step");
        let body = bodies.remove(seq).ok_or_else(|| super::step::missing(*seq))?;
        leased.push(Leased { task, body, token });
    }
    Ok(leased)
}

pub(super) fn run_not_found(id: &str) -> Refusal {
    Refusal::new(Code::RunNotFound, format!("there is no run {id}")).help("`bell runs list` shows the runs")
}
