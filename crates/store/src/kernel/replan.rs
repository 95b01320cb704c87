//! Replanning at work: a planner comes when the last try has failed, and its fragment takes the failed task's place; see
//! [`domain::task::replan`].

use domain::code::{self, Code, Refusal};
use domain::decide::{self, Change};
use domain::event::{Event, Kind};
use domain::id::{EventNo, Seq};
use domain::limits;
use domain::run::RunState;
use domain::store::{Admission, AdmitLimits, IntoRun, NewEdge, NewTask, On, Result};
use domain::task::record::{Body, Failure, Join, Outcome, Task};
use domain::task::replan::{
    DEPENDENTS, Dependent, EVENTS, Failed, KIND, OnExhausted, Place, piece_id, planner_id, planner_key, wrong,
};
use domain::task::spec::{Json, Spec, When, Work};
use rustc_hash::FxHashMap;

use super::admit;

use super::step::{self, Step};

/// Lets a task whose last try has failed wait for a planner, if it is to be replanned.
pub(super) fn instead(step: &mut Step<'_>, asked: Option<&OnExhausted>, change: &mut Change) -> Result<()> {
    let Some(OnExhausted::Replan(replan)) = asked else {
        return Ok(());
    };
    if !replan.may() || !decide::replan::is_last(change) || is_closed(step, &change.task)? {
        return Ok(());
    }
    let task = change.task.clone();
    let error = change.outcome.as_ref().and_then(|outcome| outcome.error.clone());
    let failure: Failure = error.unwrap_or_default();
    let body = body(step, task.seq)?;
    let spec = read(&task, &body)?;
    let history = history(step, task.last_event)?;
    let dependents = dependents(step, task.seq)?;
    let failed = Failed {
        task: &task,
        key: body.key.as_ref(),
        spec: &spec,
        failure: &failure,
        history: &history,
        dependents: &dependents,
    };
    let id = planner_id(&task.id, task.attempts);
    let new = NewTask {
        after: came_before(step, &body)?,
        parent: Some(task.id.clone()),
        ..NewTask::new(
            id.clone(),
            planner_key(body.key.as_ref(), &task.id),
            &replan.asked(&failed),
            step.now.wall,
        )
    };
    let admission = admission(step, vec![new], AdmitLimits::PLAN);
    let plan = match admit::Plan::check(step, &admission) {
        Ok(plan) => plan,
        Err(refusal) if refusal.code.kind() == code::Kind::Store => return Err(refusal),
        // Then it ends as if nobody were to plan: a failure is not refused for what would follow it.
        Err(_) => return Ok(()),
    };
    let planner = plan.first();
    admit::insert(step, &admission, plan)?;
    let row = step.task(task.seq)?;
    change.task.children = row.children;
    change.task.dependents = row.dependents;
    *change = decide::replan::wait_for(change.clone(), &id)?;
    wait_for(step, task.seq, planner, 1)
}

/// Puts what a planner has found into the place of the task that it has planned for, in the step that ends it. A task
/// that is no planner, or that nobody waits for any more, completes as any other.
pub(super) fn take_place(step: &mut Step<'_>, planner: &Task, outcome: &Outcome) -> Result<()> {
    let Some(parent) = planner.parent else {
        return Ok(());
    };
    if !is_planner(step, planner)? {
        return Ok(());
    }
    let Some(failed) = waits(step, parent, planner)? else {
        return Ok(());
    };
    let body = body(step, parent)?;
    let spec = read(&failed, &body)?;
    let Some(OnExhausted::Replan(replan)) = &spec.on_exhausted else {
        return Ok(());
    };
    let place = Place {
        id: &failed.id,
        key: body.key.as_ref(),
        spec: &spec,
        replan,
        by_agent: step.class(planner.class)?.work == Work::Prompt(String::new()).name(),
    };
    let tasks = pieces(step, planner, &place, &body, outcome)?;
    let count = tasks.len();
    let names: Vec<_> = tasks
        .iter()
        .map(|new| (new.id.clone(), new.key.clone()))
        .collect();
    let admission = admission(
        step,
        tasks,
        AdmitLimits {
            children: limits::AGENT_SUBTASKS.saturating_add(failed.children),
            ..AdmitLimits::AGENT
        },
    );
    let plan = admit::Plan::check(step, &admission)?;
    let first = plan.first();
    admit::insert(step, &admission, plan)?;
    let mut row = step.task(parent)?.clone();
    row.open += count as u32;
    let tasks: Vec<_> = names
        .iter()
        .map(|(id, key)| serde_json::json!({ "task": id, "key": key }))
        .collect();
    let data = serde_json::json!({ "planner": planner.id, "times": replan.times + 1, "tasks": tasks });
    step.emit_task(&mut row, Kind::TaskReplanned, None, Some(Json::of(&data)));
    step.put(row)?;
    wait_for(step, parent, first, count as u64)
}

/// A planner's end by its subtasks' results would leave no fragment, and one with both would leave the subtasks where the
/// fragment is refused. It may have some before it goes on.
pub(super) fn check_children(step: &mut Step<'_>, planner: &Task, join: Option<Join>) -> Result<()> {
    let Some(parent) = planner.parent.filter(|_| join != Some(Join::Continue)) else {
        return Ok(());
    };
    if !is_planner(step, planner)? || waits(step, parent, planner)?.is_none() {
        return Ok(());
    }
    Err(wrong("a planner does not complete with subtasks")
        .help("let it `continue` when they are done, and leave its fragment as the result"))
}

/// Whether a subtask is there to plan.
pub(super) fn is_planner(step: &mut Step<'_>, child: &Task) -> Result<bool> {
    Ok(step.class(child.class)?.kind.as_str() == KIND)
}

/// What the keys of subtasks begin with that stand in for their parent.
pub(super) fn stands_for(step: &mut Step<'_>, parent: &Task, children: &[Seq]) -> Result<Option<String>> {
    for child in children {
        let child = step.task(*child)?.clone();
        if is_planner(step, &child)? {
            let body = body(step, parent.seq)?;
            return Ok(Some(Place::prefix(body.key.as_ref(), &parent.id)));
        }
    }
    Ok(None)
}

/// The failed task, while it waits for this planner.
fn waits(step: &mut Step<'_>, parent: Seq, planner: &Task) -> Result<Option<Task>> {
    let failed = step.task(parent)?;
    let is_its = planner.id == planner_id(&failed.id, failed.attempts);
    let waits = is_its && failed.join.is_some() && !failed.state.is_terminal();
    Ok(waits.then(|| failed.clone()))
}

/// The tasks of the fragment, not yet admitted.
fn pieces(
    step: &mut Step<'_>,
    planner: &Task,
    place: &Place<'_>,
    body: &Body,
    outcome: &Outcome,
) -> Result<Vec<NewTask>> {
    let result = outcome.result.as_ref();
    let result = result.ok_or_else(|| {
        wrong("the planner has left no fragment").help("leave it as the result: `{\"tasks\": {…}}`")
    })?;
    let tasks = domain::plan::fragment(result)?;
    let order: FxHashMap<_, u32> = tasks.iter().map(|task| &task.key).zip(0..).collect();
    let before = came_before(step, body)?;
    let now = step.now.wall;
    let mut new = Vec::with_capacity(tasks.len());
    for task in &tasks {
        let sibling = |after: &domain::task::spec::After| NewEdge {
            on: On::Batch(order[&after.task]),
            when: after.when,
        };
        new.push(NewTask {
            after: before
                .iter()
                .cloned()
                .chain(task.after.iter().map(sibling))
                .collect(),
            parent: Some(place.id.clone()),
            ..NewTask::new(
                piece_id(&planner.id, &task.key),
                Some(place.key(&task.key)?),
                &place.piece(&task.key, &task.spec)?,
                now,
            )
        });
    }
    Ok(new)
}

fn admission(step: &Step<'_>, tasks: Vec<NewTask>, limits: AdmitLimits) -> Admission {
    Admission {
        tasks,
        run: IntoRun::None,
        supersede: Vec::new(),
        limits,
        actor: step.actor.clone(),
        idempotency_key: None,
    }
}

/// Edges from new subtasks to the task that goes on when all of them have succeeded. Its own count is the caller's.
fn wait_for(step: &mut Step<'_>, parent: Seq, first: Seq, count: u64) -> Result<()> {
    for seq in (first.0..first.0 + count).map(Seq) {
        step.writes.new_edges.push((seq, parent, When::Success));
        let mut child = step.task(seq)?.clone();
        child.dependents += 1;
        step.put(child)?;
    }
    step.writes.new_edges.sort_unstable();
    Ok(())
}

/// Nothing new begins in a run that was cancelled.
fn is_closed(step: &mut Step<'_>, task: &Task) -> Result<bool> {
    match task.run {
        Some(run) => Ok(step.run_mut(run)?.state == RunState::Cancelled),
        None => Ok(false),
    }
}

fn body(step: &mut Step<'_>, seq: Seq) -> Result<Body> {
    let body = step.tx.bodies(step.project, &[seq])?.pop();
    body.map(|(_, body)| body).ok_or_else(|| step::missing(seq))
}

fn read(task: &Task, body: &Body) -> Result<Spec> {
    body.read_spec().map_err(|e| {
        let detail = format!("the specification of task {} cannot be read: {e}", task.id);
        Refusal::new(Code::StoreCorrupt, detail)
    })
}

/// What the failed task had found before it is there for whoever takes its place.
fn came_before(step: &mut Step<'_>, body: &Body) -> Result<Vec<NewEdge>> {
    let seqs: Vec<Seq> = body.after.iter().map(|(seq, _)| *seq).collect();
    step.load(&seqs)?;
    let mut edges = Vec::with_capacity(seqs.len().min(limits::AGENT_PREREQUISITES));
    // Some may be pruned since; and who has more of them than an agent may name gets the first.
    for seq in seqs {
        if let Ok(task) = step.task(seq)
            && edges.len() < limits::AGENT_PREREQUISITES / 2
        {
            edges.push(NewEdge {
                on: On::Task(task.id.clone()),
                when: When::Finished,
            });
        }
    }
    Ok(edges)
}

/// Events of a task, the latest first.
fn history(step: &mut Step<'_>, last: EventNo) -> Result<Vec<Event>> {
    let mut history = Vec::new();
    let mut next = last;
    while next.0 > 0 && history.len() < EVENTS {
        let fresh = step.writes.events.iter().find(|event| event.no == next).cloned();
        let event = match fresh {
            Some(event) => Some(event),
            None => step.tx.event(step.project, next)?,
        };
        // The log may begin later by now.
        let Some(event) = event else { break };
        next = event.prev;
        history.push(event);
    }
    Ok(history)
}

/// Tasks that wait for this one, as far as a planner is told of them.
fn dependents(step: &mut Step<'_>, seq: Seq) -> Result<Vec<Dependent>> {
    let edges = step.tx.dependents(step.project, seq, Seq(0), DEPENDENTS)?;
    let seqs: Vec<Seq> = edges.iter().map(|(dependent, _)| *dependent).collect();
    step.load(&seqs)?;
    let bodies: FxHashMap<Seq, Body> = step.tx.bodies(step.project, &seqs)?.into_iter().collect();
    let mut told = Vec::with_capacity(edges.len());
    for (seq, when) in edges {
        let task = step.task(seq)?.clone();
        if let Some(body) = bodies.get(&seq) {
            told.push(Dependent {
                spec: read(&task, body)?,
                key: body.key.clone(),
                id: task.id,
                when,
            });
        }
    }
    Ok(told)
}
