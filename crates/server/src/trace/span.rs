//! What a task or a run took, read from the log.

use api::attempt::{Attempt, Outcome, attempts};
use domain::event::Kind;
use domain::id::{EventNo, RunId, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::run::RunState;
use domain::store::{Filter, Result, Seen, View};
use domain::task::state::State;
use domain::time::Timestamp;
use engine::engine::Engine;
use engine::trace::{self, Context, Place};

/// Characters of an error that are told.
const ERROR: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Held {
    Text(String),
    Number(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) name: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) attributes: Vec<(&'static str, Held)>,
    pub(super) error: Option<String>,
}

/// What an event has ended: an attempt, with how long it was waited for, leased and worked on, and the task itself when it is
/// over. Each attempt ends once, so it is told once, also by a server that was started in between. Nothing of a task that is gone.
pub(super) async fn of_task(engine: &Engine, id: &TaskId, at: EventNo) -> Result<Vec<Span>> {
    let (store, project) = (&engine.store, &engine.project);
    let history = store.history(project, id, PAGE_MAX).await?;
    let Some(end) = history.iter().position(|seen| seen.event.no == at) else {
        return Ok(Vec::new());
    };
    let history = &history[..=end];
    let under_way = |attempts: &[Attempt]| attempts.last().is_some_and(|last| last.outcome.is_none());
    let told = attempts(history);
    let ended = under_way(&attempts(&history[..end])) && !under_way(&told);
    let over = matches!(history[end].event.fact.kind, Kind::TaskEntered(state) if state.is_terminal());
    if !ended && !over {
        return Ok(Vec::new());
    }
    let view = store.views(project, std::slice::from_ref(id)).await?.pop();
    let Some(view) = view.flatten() else {
        return Ok(Vec::new());
    };
    let place = place(engine, &view)?;
    let mut spans = Vec::new();
    if over {
        spans.push(task(engine, &view, history, &place));
    }
    let mut before = view.task.submitted_at;
    for (number, attempt) in told.iter().enumerate() {
        let context = place.attempt(project, id, attempt.number);
        let taken = taken(history, before, attempt);
        if let Some(parts) = parts(&place, context, before, taken, attempt) {
            before = parts.last().map_or(before, |span| span.to);
            if ended && number + 1 == told.len() {
                spans.extend(parts);
            }
        }
    }
    Ok(spans)
}

fn place(engine: &Engine, view: &View) -> Result<Place> {
    let task = &view.task;
    let spec = desk::find::spec(&view.body, &task.id)?;
    Ok(Place::of(&engine.project, &task.id, task.run, &spec.env))
}

fn task(engine: &Engine, view: &View, history: &[Seen], place: &Place) -> Span {
    let task = &view.task;
    let last = history.last().map(|seen| seen.event.fact.at);
    let text = |text: &dyn ToString| Held::Text(text.to_string());
    let mut attributes = vec![
        ("task.id", text(&task.id)),
        ("task.kind", text(&view.class.kind)),
        ("task.state", text(&task.state.as_str())),
        ("task.attempts", Held::Number(u64::from(task.attempts))),
        ("project", text(&engine.project)),
    ];
    attributes.extend(view.body.key.as_ref().map(|key| ("task.key", text(key))));
    let error = match task.state {
        State::Failed => {
            let failure = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
            Some(failure.map_or_else(|| "failed".to_owned(), |failure| cut(&failure.message)))
        }
        _ => None,
    };
    Span {
        trace: place.trace,
        id: place.span,
        parent: place.parent,
        name: format!("task {}", view.class.kind),
        from: task.submitted_at,
        to: task.finished_at.or(last).unwrap_or(task.submitted_at),
        attributes,
        error,
    }
}

/// When the attempt's lease was handed out: the last time between the end of the one before and its own start.
fn taken(history: &[Seen], before: Timestamp, attempt: &Attempt) -> Option<Timestamp> {
    let until = attempt.started_at.or(attempt.finished_at)?.0;
    let assigned = |seen: &&Seen| seen.event.fact.kind == Kind::TaskEntered(State::Assigned);
    let mut times = history.iter().filter(assigned).map(|seen| seen.event.fact.at);
    times.rfind(|at| (before..=until).contains(at))
}

/// The wait before an attempt, its lease as far as it was not started at once, and the attempt, which comes last.
fn parts(
    place: &Place,
    context: Context,
    before: Timestamp,
    taken: Option<Timestamp>,
    attempt: &Attempt,
) -> Option<Vec<Span>> {
    let to = attempt.finished_at?.0;
    let from = taken.or(attempt.started_at.map(|at| at.0))?;
    let part = |name: &str, parent: u64, from: Timestamp, to: Timestamp| Span {
        trace: context.trace,
        id: trace::part_span(context, name),
        parent: Some(parent),
        name: name.to_owned(),
        from,
        to,
        attributes: vec![("task.attempt", Held::Number(u64::from(attempt.number)))],
        error: None,
    };
    let mut spans = vec![part("wait", place.span, before, from)];
    if let (Some(taken), Some(started)) = (taken, attempt.started_at) {
        spans.push(part("lease", context.span, taken, started.0));
    }
    let mut whole = Span {
        id: context.span,
        ..part("attempt", place.span, from, to)
    };
    let outcome = attempt.outcome.map_or("", Outcome::as_str);
    whole
        .attributes
        .push(("task.outcome", Held::Text(outcome.to_owned())));
    if let Some(worker) = &attempt.worker {
        whole.attributes.push(("agent.id", Held::Text(worker.clone())));
    }
    if matches!(attempt.outcome, Some(Outcome::Failed | Outcome::Lost)) {
        whole.error = Some(attempt.error.as_deref().map_or_else(|| outcome.to_owned(), cut));
    }
    spans.push(whole);
    Some(spans)
}

/// The run, whose tasks are its children.
pub(super) async fn of_run(engine: &Engine, id: RunId) -> Result<Vec<Span>> {
    let (store, project) = (&engine.store, &engine.project);
    let Some(run) = store.run(project, id).await? else {
        return Ok(Vec::new());
    };
    let filter = Filter {
        run: Some(id),
        ..Filter::default()
    };
    // All of its tasks were handed in from within the same trace.
    let first = store.list(project, filter, Seq(0), 1).await?.pop();
    let Some(first) = first else { return Ok(Vec::new()) };
    let place = place(engine, &first)?;
    let state = run.state;
    Ok(vec![Span {
        trace: place.trace,
        id: trace::run_span(project, run.no),
        parent: place.outer.map(|outer| outer.span),
        name: format!("run {}", run.plan),
        from: run.submitted_at,
        to: run.finished_at.unwrap_or(run.submitted_at),
        attributes: vec![
            ("run.id", Held::Text(id.to_string())),
            ("run.state", Held::Text(state.as_str().to_owned())),
            ("project", Held::Text(project.to_string())),
        ],
        error: (state == RunState::Failed).then(|| "a task failed".to_owned()),
    }])
}

fn cut(text: &str) -> String {
    text.chars().take(ERROR).collect()
}
