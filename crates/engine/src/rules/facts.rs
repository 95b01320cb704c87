//! What rules are told of an event.

use domain::id::{EventNo, RunId, Seq, TaskId};
use domain::rule::depth_of;
use domain::run::Run;
use domain::store::{Filter, Result, Seen, Status, View};
use domain::task::spec::{Json, Spec};
use domain::task::state::State;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::engine::Engine;

/// The event as documents show it.
pub(super) fn event(seen: &Seen) -> Value {
    let fact = &seen.event.fact;
    json!({
        "number": seen.event.no,
        "type": fact.kind.as_str(),
        "at": fact.at.to_string(),
        "task": seen.task,
        "key": seen.key,
        "run": seen.run,
        "actor": &*fact.actor,
        "reason": fact.reason,
        "data": document(fact.data.as_ref()),
    })
}

/// The task as it is now.
pub(super) fn task(view: &View) -> Value {
    let (task, outcome) = (&view.task, view.outcome.as_ref());
    let spec = view.body.read_spec().ok();
    let of = |what: fn(&Spec) -> Value| spec.as_ref().map(what).unwrap_or_default();
    json!({
        "id": task.id,
        "key": view.body.key,
        "name": of(|spec| spec.name.clone().into()),
        "kind": view.class.kind,
        "state": task.state,
        "reason": task.reason,
        "priority": task.priority,
        "source": task.source,
        "agent": view.class.agent,
        "executor": view.class.work,
        "attempts": task.attempts,
        "failures": task.failures,
        "dead_letter": task.dead_letter,
        "run": view.run,
        "env": of(|spec| plain(&spec.env)),
        "inputs": of(|spec| document(spec.inputs.as_ref())),
        "result": document(outcome.and_then(|outcome| outcome.result.as_ref())),
        "error": outcome.and_then(|outcome| outcome.error.as_ref()).map(|error| &error.message),
        "usage": document(outcome.and_then(|outcome| outcome.usage.as_ref())),
    })
}

pub(super) fn run(run: &Run) -> Value {
    json!({ "id": run.id, "plan": run.plan, "state": run.state, "counts": run.counts })
}

pub(super) fn queue(status: &Status) -> Value {
    let count = |state: State| (state.as_str().to_owned(), status.counts.of(state).into());
    let mut queue: Map<String, Value> = State::ALL.into_iter().map(count).collect();
    queue.insert("dead_letters".to_owned(), status.dead_letters.into());
    Value::Object(queue)
}

fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn document(json: Option<&Json>) -> Value {
    json.and_then(|json| serde_json::from_str(json.get()).ok())
        .unwrap_or_default()
}

/// Events of a task's history that are looked at, the newest.
const HISTORY: usize = 200;
/// Parents that are looked at.
const PARENTS: usize = 8;

/// How many rules in a row led to this event, as far as the log tells.
pub(super) async fn depth(engine: &Engine, seen: &Seen) -> Result<u32> {
    let fact = &seen.event.fact;
    let mut depth = depth_of(&fact.actor);
    if fact.kind.as_str().starts_with("rule.") {
        let told = document(fact.data.as_ref())["depth"].as_u64();
        depth = depth.max(told.and_then(|told| u32::try_from(told).ok()).unwrap_or(0));
    }
    let mut task = match (&seen.task, seen.run) {
        (Some(task), _) => Some(task.clone()),
        (None, Some(run)) => first_of(engine, run).await?,
        (None, None) => None,
    };
    for _ in 0..=PARENTS {
        let Some(id) = task else { break };
        depth = depth.max(depth_of_task(engine, &id, seen.event.no).await?);
        task = parent(engine, &id).await?;
    }
    Ok(depth)
}

async fn depth_of_task(engine: &Engine, task: &TaskId, until: EventNo) -> Result<u32> {
    let history = engine.store.history(&engine.project, task, HISTORY).await?;
    let before = history.iter().filter(|seen| seen.event.no <= until);
    let depths = before.map(|seen| depth_of(&seen.event.fact.actor));
    Ok(depths.max().unwrap_or(0))
}

async fn first_of(engine: &Engine, run: RunId) -> Result<Option<TaskId>> {
    let filter = Filter {
        run: Some(run),
        superseded: true,
        ..Filter::default()
    };
    let first = engine.store.list(&engine.project, filter, Seq(0), 1).await?;
    Ok(first.into_iter().next().map(|view| view.task.id))
}

async fn parent(engine: &Engine, task: &TaskId) -> Result<Option<TaskId>> {
    let (store, project) = (&engine.store, &engine.project);
    let view = store.views(project, std::slice::from_ref(task)).await?;
    let Some(seq) = view
        .into_iter()
        .flatten()
        .next()
        .and_then(|view| view.task.parent)
    else {
        return Ok(None);
    };
    let filter = Filter {
        superseded: true,
        ..Filter::default()
    };
    let found = store.list(project, filter, Seq(seq.0 - 1), 1).await?;
    let parent = found.into_iter().next().map(|view| view.task);
    Ok(parent.filter(|parent| parent.seq == seq).map(|parent| parent.id))
}
