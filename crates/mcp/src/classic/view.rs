//! Tasks as these tools show them.

use domain::code::{Code, Refusal};
use domain::id::{Kind, Seq};
use domain::limits::PAGE_MAX;
use domain::store::{Filter, Result, View};
use domain::task::spec::Priority;
use domain::task::state::State;
use engine::engine::Engine;
use serde_json::{Value, json};

use desk::find;

pub(super) const STATUSES: &[&str] = &["pending", "assigned", "running", "completed", "failed"];

/// Tasks of one status that are looked through; beyond that only the oldest are seen.
const PAGES: usize = 10;

pub(super) fn status(state: State) -> &'static str {
    match state {
        State::Pending
        | State::Blocked
        | State::Ready
        | State::Awaiting
        | State::Suspended
        | State::Retrying => "pending",
        State::Assigned => "assigned",
        State::Running => "running",
        State::Completed => "completed",
        State::Failed | State::Cancelled => "failed",
    }
}

pub(super) fn states(wanted: &str) -> Vec<State> {
    let is = |state: &State| status(*state) == wanted;
    State::ALL.into_iter().filter(is).collect()
}

pub(super) fn word(priority: Priority) -> &'static str {
    match priority.value() {
        0..=3 => "low",
        4..=6 => "medium",
        7..=9 => "high",
        _ => "critical",
    }
}

/// What these tools answer when there is no such task.
pub(super) async fn find(engine: &Engine, id: &str) -> Result<View> {
    find::view(engine, id)
        .await
        .map_err(|refusal| match refusal.code {
            Code::TaskNotFound => Refusal {
                detail: format!("Task {id} not found"),
                ..refusal
            },
            _ => refusal,
        })
}

/// Of these states and this type, the most urgent first and then the oldest.
pub(crate) async fn tasks(engine: &Engine, states: Vec<State>, kind: Option<Kind>) -> Result<Vec<View>> {
    let filter = Filter {
        states,
        kind,
        ..Filter::default()
    };
    let mut found: Vec<View> = Vec::new();
    for _ in 0..PAGES {
        let after = found.last().map_or(Seq(0), |view| view.task.seq);
        let page = engine
            .store
            .list(&engine.project, filter.clone(), after, PAGE_MAX)
            .await?;
        let is_last = page.len() < PAGE_MAX;
        found.extend(page);
        if is_last {
            break;
        }
    }
    // Insertion numbers are in order of submission.
    found.sort_by_key(|view| (std::cmp::Reverse(view.task.priority), view.task.seq));
    Ok(found)
}

/// Who has it, had it last, or is the only one who may.
pub(super) async fn assignee(engine: &Engine, view: &View) -> Result<Option<String>> {
    if let Some(lease) = &view.task.lease {
        return Ok(Some(lease.worker.to_string()));
    }
    if view.task.state.is_terminal() && view.task.attempts > 0 {
        let history = engine
            .store
            .history(&engine.project, &view.task.id, PAGE_MAX)
            .await?;
        let last = api::attempt::attempts(&history).pop();
        return Ok(last.and_then(|attempt| attempt.worker));
    }
    Ok(view.class.agent.as_ref().map(ToString::to_string))
}

/// How long the attempt took that completed it: as its doer measured, else from start to end.
pub(crate) fn duration(view: &View) -> Option<u64> {
    let usage = view.outcome.as_ref().and_then(|outcome| outcome.usage.as_ref());
    let told = usage
        .and_then(|usage| serde_json::from_str::<Value>(usage.get()).ok())
        .and_then(|usage| usage["duration_ms"].as_f64())
        .filter(|ms| *ms >= 0.0);
    let measured = || {
        let (from, to) = (view.task.started_at?, view.task.finished_at?);
        Some(to.since(from).as_millis() as u64)
    };
    told.map(|ms| ms as u64).or_else(measured)
}

/// What there is to do.
pub(super) fn content(view: &View) -> String {
    let Ok(spec) = view.body.read_spec() else {
        return String::new();
    };
    spec.work.text()
}

pub(super) fn brief(view: &View) -> Value {
    json!({
        "id": view.task.id,
        "type": view.class.kind,
        "status": status(view.task.state),
        "priority": word(view.task.priority),
    })
}
