//! Writing a checked admission.

use std::sync::Arc;
use std::time::Duration;

use domain::book::Book;
use domain::decide::edges::{Fate, fate};
use domain::decide::{derive, supersede};
use domain::event::Kind as Fact;
use domain::id::{Key, Kind, Seq, TaskId};
use domain::lesson::{KIND, Practice};
use domain::limits;
use domain::run::{Counts, Run, RunNo, RunState};
use domain::store::{Admission, IntoRun, NewTask, Result};
use domain::task::record::{Body, Class, ClassNo, Task};
use domain::task::score;
use domain::task::spec::{Json, When};
use domain::task::state::State;
use rustc_hash::{FxHashMap, FxHashSet};

use super::check::Plan;
use crate::kernel::lanes;
use crate::kernel::locks;
use crate::kernel::names::Names;
use crate::kernel::settle::{self, Settled};
use crate::kernel::step::Step;
use crate::kernel::tx::NewRow;

/// Writes a checked admission into the step. Returns ids and first states in the order of the batch.
pub(in crate::kernel) fn insert(
    step: &mut Step<'_>,
    admission: &Admission,
    plan: Plan,
) -> Result<Vec<(TaskId, State)>> {
    let run = open_run(step, admission, plan.run)?;
    let replaced = supersede_all(step, &plan.supersede)?;
    let settling = settling(step, &plan, &replaced)?;
    count_dependents(step, &plan)?;
    let Plan {
        first,
        after,
        depth,
        dependents,
        parents,
        ..
    } = plan;
    let usual = usual(step, &admission.tasks)?;
    step.reserve(admission.tasks.len());
    let guarded = (first.0..)
        .zip(&admission.tasks)
        .filter(|(_, new)| new.head.guarded);
    let keys = guarded
        .map(|(seq, new)| (Seq(seq), locks::key(&new.body)))
        .collect();
    lanes::announce(step, keys)?;
    // Tasks of one batch are mostly of one class.
    let mut class: Option<(&Class, ClassNo)> = None;
    let mut names = Names::default();
    for (i, (new, after)) in admission.tasks.iter().zip(after).enumerate() {
        let seq = Seq(first.0 + i as u64);
        let parent_run = match parents[i] {
            Some(parent) => step.task(parent)?.run,
            None => None,
        };
        let stand = |step: &mut Step<'_>, on: Seq, when: When| match on {
            on if on >= first || settling.contains(&on) => Ok(Fate::Open),
            on => step
                .task(on)
                .map(|on| fate(when, on.state, on.reason, new.head.upstream)),
        };
        let number = match class {
            Some((same, number)) if *same == new.class => number,
            _ => step.tx.class(step.project, &new.class)?,
        };
        class = Some((&new.class, number));
        let mut task = row(step, new, seq, number, run.or(parent_run));
        for (on, when) in &after {
            match stand(step, *on, *when)? {
                Fate::Open => task.open += 1,
                Fate::Dead(_) => task.dead += 1,
                Fate::Holds => {}
            }
        }
        if task.estimate.is_none()
            && let Some(usual) = usual.get(&new.class.kind)
        {
            task.estimate = score::if_nearer(&task.facts(), *usual, step.now.wall);
        }
        task.parent = parents[i];
        task.depth = depth[i];
        task.dependents = dependents[i];
        let (state, reason) = derive(&task, step.now.wall);
        (task.state, task.reason) = (state, reason);
        task.score = step.order.score(&task.facts(), step.now.wall);
        let data = submitted(new, state);
        step.emit_task(&mut task, Fact::TaskSubmitted, reason, Some(data));
        step.writes
            .new_edges
            .extend(after.iter().map(|(on, when)| (*on, seq, *when)));
        names.ask(&task, new.key.clone())?;
        let body = Body {
            key: new.key.clone(),
            spec: new.body.clone(),
            after,
            digest: new.digest,
        };
        step.writes.new_tasks.push(NewRow {
            task: task.clone(),
            body,
        });
        step.create(task)?;
    }
    step.writes.new_edges.sort_unstable();
    let names = names.give(step.tx, step.project)?;
    step.writes.keys.extend(names);
    let mut budget = limits::SETTLE_EDGES;
    for seq in replaced {
        settle::settle(step, seq, &mut budget, &mut Settled::default())?;
    }
    let state = |(new, seq): (&NewTask, u64)| Ok((new.id.clone(), step.task(Seq(seq))?.state));
    admission.tasks.iter().zip(first.0..).map(state).collect()
}

/// How long tasks of these kinds usually take, where that changes how urgent one is that does not say it.
fn usual(step: &mut Step<'_>, tasks: &[NewTask]) -> Result<FxHashMap<Kind, Duration>> {
    let mut usual = FxHashMap::default();
    if !step.has(Book::Habit) {
        return Ok(usual);
    }
    let asks = |new: &&NewTask| new.head.deadline.is_some() && new.head.estimate.is_none();
    let mut kinds: Vec<&Kind> = tasks.iter().filter(asks).map(|new| &new.class.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return Ok(usual);
    }
    let keys: Vec<Arc<str>> = kinds.iter().map(|kind| format!("{KIND}{kind}").into()).collect();
    for entry in step.entries(Book::Habit, &keys)? {
        let kind = entry.key.strip_prefix(KIND).map(Kind::new).transpose()?;
        if let (Some(kind), Some(span)) = (kind, entry.read::<Practice>()?.usual(0.5)) {
            usual.insert(kind, span);
        }
    }
    Ok(usual)
}

fn open_run(step: &mut Step<'_>, admission: &Admission, existing: Option<RunNo>) -> Result<Option<RunNo>> {
    match &admission.run {
        IntoRun::None => Ok(None),
        IntoRun::New { id, plan, digest, .. } => {
            let no = step.tx.next_run(step.project)?;
            let data =
                Json::of(&serde_json::json!({ "id": id, "plan": plan, "tasks": admission.tasks.len() }));
            step.add_run(Run {
                no,
                id: *id,
                plan: plan.clone(),
                digest: *digest,
                state: RunState::Active,
                counts: Counts::default(),
                skipped: 0,
                submitted_at: step.now.wall,
                finished_at: None,
            });
            step.emit_run(Fact::RunSubmitted, no, Some(data));
            Ok(Some(no))
        }
        IntoRun::Existing { digest, .. } => {
            let no = existing.expect("the run was looked up by the check");
            step.run_mut(no)?.digest = *digest;
            Ok(Some(no))
        }
    }
}

/// Prerequisites that have ended, but whose dependents are still to be settled. The newcomer will be found among
/// them, so until then its edge is open.
fn settling(step: &mut Step<'_>, plan: &Plan, replaced: &[Seq]) -> Result<FxHashSet<Seq>> {
    if plan.outside().next().is_none() {
        return Ok(FxHashSet::default());
    }
    step.flush()?;
    let unsettled = step.tx.unsettled(step.project, usize::MAX)?;
    let ended = unsettled.into_iter().map(|(ended, _)| ended);
    Ok(ended.chain(replaced.iter().copied()).collect())
}

/// Takes tasks out of their run because a newer version of the plan replaces them. Returns those that this ended:
/// their dependents are to be settled once the newcomers are there.
fn supersede_all(step: &mut Step<'_>, seqs: &[Seq]) -> Result<Vec<Seq>> {
    let mut ended = Vec::new();
    for seq in seqs {
        let task = step.task(*seq)?;
        if task.superseded {
            continue;
        }
        if !task.state.is_terminal() {
            ended.push(*seq);
        }
        let now = step.now;
        let mut change = supersede(step.task(*seq)?, now)?;
        if change.moves.is_empty() {
            step.emit_task(&mut change.task, Fact::TaskSuperseded, None, None);
        }
        step.carry_out(change)?;
    }
    Ok(ended)
}

/// Stored prerequisites and parents learn that they have more dependents or children.
fn count_dependents(step: &mut Step<'_>, plan: &Plan) -> Result<()> {
    let mut more: FxHashMap<Seq, (u32, u32)> = FxHashMap::default();
    for (seq, _) in plan.after.iter().flatten().filter(|(seq, _)| *seq < plan.first) {
        more.entry(*seq).or_default().0 += 1;
    }
    for seq in plan.parents.iter().flatten() {
        more.entry(*seq).or_default().1 += 1;
    }
    for (seq, (dependents, children)) in more {
        let mut task = step.task(seq)?.clone();
        task.dependents += dependents;
        task.children += children;
        if task.state == State::Ready {
            task.score = step.order.score(&task.facts(), step.now.wall);
        }
        step.put(task)?;
    }
    Ok(())
}

/// The row as far as it follows from the task alone.
fn row(step: &Step<'_>, new: &NewTask, seq: Seq, class: ClassNo, run: Option<RunNo>) -> Task {
    Task {
        run,
        state: State::Pending,
        priority: new.head.priority,
        source: new.head.source,
        path_share: new.path_share,
        run_at: new.head.run_at.filter(|at| *at > step.now.wall),
        deadline: new.head.deadline,
        estimate: new.head.estimate,
        upstream: new.head.upstream,
        guarded: new.head.guarded,
        asks: new.head.asks,
        ..Task::new(seq, new.id.clone(), class, step.now.wall)
    }
}

fn submitted(new: &NewTask, state: State) -> Json {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        id: &'a TaskId,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a Key>,
        state: State,
    }
    Json::of(&Data {
        id: &new.id,
        key: new.key.as_ref(),
        state,
    })
}
