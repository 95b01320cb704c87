//! What the end of a task means for those that wait for it, and for those that wait for them.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use domain::decide::edges::{self, Fate, On};
use domain::decide::{self, Context};
use domain::id::{Project, Seq, TaskId};
use domain::limits;
use domain::store::{Command, Result};
use domain::task::record::{Join, Outcome, Task};
use domain::task::spec::{Json, When};
use domain::task::state::{Reason, State};
use domain::time::Now;
use rustc_hash::FxHashMap;

use super::letters;
use super::replan;
use super::step::Step;
use super::tx::Tx;

/// What became of the dependents, for the answer to the caller; bounded lists with the number left out.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) unblocked: Vec<TaskId>,
    pub(super) cancelled: Vec<TaskId>,
    pub(super) more: u64,
}

impl Settled {
    pub(super) fn note(&mut self, task: &Task) {
        let list = match task.state {
            State::Ready => &mut self.unblocked,
            State::Cancelled => &mut self.cancelled,
            _ => return,
        };
        if list.len() < limits::PAGE_MAX {
            list.push(task.id.clone());
        } else {
            self.more += 1;
        }
    }
}

/// Settles the edges behind a task that has just ended, and behind every task that this ends in turn.
///
/// `budget` edges may be followed in this transaction; what is left is remembered durably and continued by
/// [`settle_rest`], so that a fan-out of any width holds nobody up.
pub(super) fn settle(step: &mut Step<'_>, ended: Seq, budget: &mut usize, out: &mut Settled) -> Result<()> {
    if !step.writes.new_edges.is_empty() {
        // Dependents are found by what is stored, and this step has admitted some.
        step.flush()?;
    }
    let task = step.task(ended)?;
    if task.dependents > 0 {
        settle_from(step, ended, None, budget, out)?;
    }
    Ok(())
}

/// `stored` is the cursor that an earlier transaction left for this task.
fn settle_from(
    step: &mut Step<'_>,
    ended: Seq,
    stored: Option<Seq>,
    budget: &mut usize,
    out: &mut Settled,
) -> Result<()> {
    let mut fallen = 0;
    let mut work = VecDeque::from([(ended, stored.unwrap_or_default())]);
    while let Some((seq, after)) = work.pop_front() {
        if *budget == 0 {
            step.writes.settled.push((seq, Some(after)));
            out.more += 1;
            continue;
        }
        let limit = *budget;
        let edges = step.tx.dependents(step.project, seq, after, limit)?;
        *budget -= edges.len();
        let parent = step.task(seq)?.clone();
        let dependents: Vec<Seq> = edges.iter().map(|(dependent, _)| *dependent).collect();
        step.load(&dependents)?;
        let now = step.now.wall;
        for (dependent, when) in &edges {
            let task = step.task(*dependent)?;
            let fate = edges::fate_for(*when, On::from(&parent), task);
            let join = task.join;
            let change = edges::settle(task, fate, now)?;
            let moved = !change.moves.is_empty();
            step.carry_out(change)?;
            let task = step.task(*dependent)?.clone();
            if !moved {
                continue;
            }
            if task.state == State::Completed && join == Some(Join::Complete) {
                join_results(step, &task)?;
            }
            out.note(&task);
            fallen += u64::from(edges::fell(&task));
            if task.state.is_terminal() && task.dependents > 0 {
                work.push_back((task.seq, Seq(0)));
            }
        }
        if let (true, Some((last, _))) = (edges.len() == limit, edges.last()) {
            work.push_back((seq, *last));
        } else if seq == ended && stored.is_some() {
            step.writes.settled.push((seq, None));
        }
    }
    let root = step.task(ended)?.clone();
    if fallen > 0 && root.dead_letter {
        letters::fell(step, &root, fallen)?;
    }
    Ok(())
}

/// A parent that completes with its children's results: an object from key or id to result.
fn join_results(step: &mut Step<'_>, parent: &Task) -> Result<()> {
    step.flush()?;
    let children = step
        .tx
        .children(step.project, parent.seq, parent.children as usize)?;
    let outcomes: FxHashMap<Seq, Outcome> = step.tx.outcomes(step.project, &children)?.into_iter().collect();
    let bodies = step.tx.bodies(step.project, &children)?;
    step.load(&children)?;
    let stands_for = replan::stands_for(step, parent, &children)?;
    // Names in order, whatever a map of JSON keeps.
    let mut results: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for (seq, body) in bodies {
        let child = step.task(seq)?.clone();
        if child.is_skipped() || replan::is_planner(step, &child)? {
            continue;
        }
        let name = body
            .key
            .map_or_else(|| child.id.to_string(), |key| key.to_string());
        let name = stands_for
            .as_deref()
            .and_then(|of| name.strip_prefix(of))
            .map_or(name.clone(), str::to_owned);
        let result = outcomes.get(&seq).and_then(|outcome| outcome.result.as_ref());
        let value = result
            .and_then(|json| serde_json::from_str(json.get()).ok())
            .unwrap_or_default();
        results.insert(name, value);
    }
    let mut joined = Json::of(&results);
    if joined.get().len() > limits::TEXT_BYTES {
        joined = Json::of(&serde_json::json!({ "children": children.len() }));
    }
    let own = step
        .tx
        .outcomes(step.project, &[parent.seq])?
        .pop()
        .map(|(_, outcome)| outcome)
        .unwrap_or_default();
    step.writes.outcomes.push((
        parent.seq,
        Outcome {
            result: Some(joined),
            // Of a task that was replanned: what it stands for has succeeded.
            error: None,
            ..own
        },
    ));
    Ok(())
}

/// Edges behind recalled subtasks that are settled at once: each is a question to the store, and nobody waits for the parent.
const RECALLED: usize = 256;

/// Cancels the subtasks that a cancelled task has waited for, and theirs: there is nobody left to wait for them. `of` is its row
/// before.
pub(super) fn recall(
    step: &mut Step<'_>,
    of: &Task,
    reason: Reason,
    budget: &mut usize,
    out: &mut Settled,
) -> Result<()> {
    let own = (*budget).min(RECALLED);
    let mut left = own;
    let mut work = vec![of.clone()];
    while let Some(parent) = work.pop() {
        if parent.join.is_none() {
            continue;
        }
        let children = step
            .tx
            .children(step.project, parent.seq, parent.children as usize)?;
        step.load(&children)?;
        for seq in children {
            let child = step.task(seq)?.clone();
            if child.state.is_terminal() {
                continue;
            }
            let ctx = Context {
                token: None,
                retry: None,
                now: step.now,
            };
            let change = decide::command(&child, &Command::Cancel { reason }, &ctx)?;
            step.carry_out(change)?;
            let after = step.task(seq)?.clone();
            out.note(&after);
            settle(step, seq, &mut left, out)?;
            work.push(child);
        }
    }
    *budget -= own - left;
    Ok(())
}

/// A failed task is tried again: edges that its end had settled are open once more, and tasks that fell only
/// because of it are revived, as are those that fell because of them.
pub(super) fn reopen(step: &mut Step<'_>, before: &Task) -> Result<()> {
    // A half-settled end cannot be taken back; finish it first.
    loop {
        step.flush()?;
        let rest = step.tx.unsettled(step.project, usize::MAX)?;
        if rest.is_empty() {
            break;
        }
        for (seq, after) in rest {
            let mut budget = limits::SETTLE_EDGES;
            settle_from(step, seq, Some(after), &mut budget, &mut Settled::default())?;
        }
    }
    let mut revivals = 0;
    let mut doomed = Vec::new();
    let mut work = VecDeque::from([(before.seq, On::from(before))]);
    while let Some((seq, on)) = work.pop_front() {
        let mut after = Seq(0);
        loop {
            let edges = step
                .tx
                .dependents(step.project, seq, after, limits::SETTLE_EDGES)?;
            let dependents: Vec<Seq> = edges.iter().map(|(dependent, _)| *dependent).collect();
            step.load(&dependents)?;
            for (dependent, when) in &edges {
                let task = step.task(*dependent)?.clone();
                let fate = edges::fate_for(*when, on, &task);
                let change = edges::reopen(&task, fate)?;
                let mut revived = task.state == State::Cancelled && !change.moves.is_empty();
                step.carry_out(change)?;
                let task = step.task(*dependent)?.clone();
                if edges::fell(&task)
                    && let Some(cause) = other_cause(step, &task)?
                {
                    step.carry_out(edges::respite(&task)?)?;
                    doomed.push((task.seq, cause));
                    revived = true;
                }
                revivals += u64::from(revived);
                if revived && task.dependents > 0 {
                    let fallen = On {
                        parent: task.parent,
                        state: State::Cancelled,
                        reason: Some(Reason::UpstreamFailed),
                    };
                    work.push_back((task.seq, fallen));
                }
            }
            match edges.last() {
                Some((last, _)) if edges.len() == limits::SETTLE_EDGES => after = *last,
                _ => break,
            }
        }
    }
    if revivals > 0 && before.dead_letter {
        letters::revived(step, before, revivals)?;
    }
    let mut budget = limits::SETTLE_EDGES;
    for (seq, cause) in doomed {
        let now = step.now.wall;
        let change = edges::doom(step.task(seq)?, cause, now)?;
        step.carry_out(change)?;
        settle(step, seq, &mut budget, &mut Settled::default())?;
    }
    Ok(())
}

/// Why a task that fell with a failure cannot run although no failure keeps it down any more: its other dead edges
/// will not come back, and those behind it should learn so instead of waiting for a retry.
fn other_cause(step: &mut Step<'_>, task: &Task) -> Result<Option<Reason>> {
    let bodies = step.tx.bodies(step.project, &[task.seq])?;
    let mut after: Vec<(Seq, When)> = bodies.into_iter().flat_map(|(_, body)| body.after).collect();
    if task.join.is_some() {
        for child in step.tx.children(step.project, task.seq, usize::MAX)? {
            let edge = step
                .tx
                .dependents(step.project, child, Seq(task.seq.0 - 1), 1)?
                .pop();
            after.extend(
                edge.filter(|(on, _)| *on == task.seq)
                    .map(|(_, when)| (child, when)),
            );
        }
    }
    step.load(&after.iter().map(|(on, _)| *on).collect::<Vec<_>>())?;
    let mut cause = None;
    for (on, when) in after {
        let on = step.task(on)?;
        match edges::fate_for(when, On::from(on), task) {
            Fate::Dead(Reason::UpstreamFailed) => return Ok(None),
            Fate::Dead(reason) => cause = Some(reason),
            Fate::Open | Fate::Holds => {}
        }
    }
    Ok(cause)
}

/// Continues what earlier transactions left unsettled; true when there is still more.
pub fn settle_rest(tx: &mut dyn Tx, project: &Project, now: Now) -> Result<bool> {
    let Some(no) = tx.project(project, false)? else {
        return Ok(false);
    };
    let rest = tx.unsettled(no, 64)?;
    if rest.is_empty() {
        return Ok(false);
    }
    let mut step = Step::new(tx, no, now, "system".into())?;
    let mut budget = limits::SETTLE_EDGES;
    for (seq, after) in rest {
        if budget > 0 {
            settle_from(&mut step, seq, Some(after), &mut budget, &mut Settled::default())?;
        }
    }
    step.finish()?;
    Ok(!tx.unsettled(no, 1)?.is_empty())
}
