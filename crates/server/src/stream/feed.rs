//! What is measured: most of it because something happened, the rest from time to time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::event::Kind;
use domain::id::{EventNo, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::{Result, Seen, View};
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Stream;
use super::marks::{Mark, Marks};
use super::metric::{Metric, MetricType};
use super::tail::Told;
use crate::trace::What;

/// How often the queue and its workers are looked at while something changes.
const LOOK: Duration = Duration::from_secs(1);
/// The log is read no more often than this: what is told comes so much later at the most, and a busy store is read in
/// pages, not commit by commit.
const REST: Duration = Duration::from_millis(20);
/// The same while nobody listens.
const REST_ALONE: Duration = Duration::from_millis(100);
/// How often the stream tells about itself.
const HEALTH: Duration = Duration::from_secs(30);
/// How long a store that fails is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// Follows the log of a project until the server closes.
pub(super) async fn follow(stream: Arc<Stream>, mut closing: watch::Receiver<bool>) {
    let work = async {
        let mut after = None;
        let mut marks = Marks::default();
        let mut looked = None;
        let mut health = tokio::time::interval(HEALTH);
        let mut pulse = Pulse::begin(&stream);
        let mut moment = 0;
        loop {
            let changed = stream.engine.store.changed(moment);
            let begun = Instant::now();
            let mut pause = HEALTH;
            match turn(&stream, &mut marks, &mut after).await {
                Ok(true) if looked.is_none_or(|at: Instant| at.elapsed() >= LOOK) => {
                    looked = Some(Instant::now());
                    if let Err(refusal) = look(&stream).await {
                        tracing::warn!(error = %refusal, "the queue could not be looked at");
                    }
                }
                Ok(new) => pause = if new { LOOK } else { pause },
                Err(refusal) => {
                    tracing::warn!(error = %refusal, "the log could not be followed");
                    tokio::time::sleep(RETRY).await;
                }
            }
            tokio::select! {
                now = changed => moment = now,
                _ = health.tick() => stream.publish(&health_of(&stream, &mut pulse).await),
                () = tokio::time::sleep(pause) => {}
            }
            let rest = match stream.tail.is_followed() {
                true => REST,
                false => REST_ALONE,
            };
            tokio::time::sleep(rest.saturating_sub(begun.elapsed())).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// Reads what is new. Tells whether there was anything.
async fn turn(stream: &Stream, marks: &mut Marks, after: &mut Option<EventNo>) -> Result<bool> {
    let (store, project) = (&stream.engine.store, &stream.engine.project);
    let mut from = match *after {
        Some(from) => from,
        None => store.chain(project).await?.last,
    };
    let first = after.is_none();
    *after = Some(from);
    let mut new = first;
    loop {
        let page = store.events(project, from, PAGE_MAX).await?;
        let Some(last) = page.last() else { return Ok(new) };
        new = true;
        from = last.event.no;
        let whole = page.len() == PAGE_MAX;
        let page: Vec<Arc<Told>> = page.into_iter().map(Told::new).collect();
        stream.tail.grow(&page);
        *after = Some(from);
        measure(stream, marks, &page).await?;
        if !whole {
            return Ok(new);
        }
    }
}

/// Ends of attempts among states that were entered.
fn ended(state: State) -> bool {
    matches!(state, State::Completed | State::Failed | State::Retrying)
}

async fn measure(stream: &Stream, marks: &mut Marks, page: &[Arc<Told>]) -> Result<()> {
    let known: Vec<Option<Mark>> = page.iter().map(|told| marks.note(&told.seen)).collect();
    let entered = |told: &Told| match told.seen.event.fact.kind {
        Kind::TaskEntered(state) => Some(state),
        _ => None,
    };
    let mut ids: Vec<TaskId> = Vec::new();
    for (told, known) in page.iter().zip(&known) {
        // A task whose beginning was seen is looked up only for the time that was set for it, and for why it failed.
        let is_known = known.is_some_and(|mark| mark.straight);
        let asked =
            entered(told).is_some_and(|state| ended(state) && (!is_known || state != State::Completed));
        ids.extend(told.seen.task.clone().filter(|_| asked));
    }
    ids.sort_unstable();
    ids.dedup();
    let mut views = FxHashMap::default();
    if !ids.is_empty() {
        let found = stream.engine.store.views(&stream.engine.project, &ids).await?;
        views.extend(
            ids.into_iter()
                .zip(found)
                .filter_map(|(id, view)| Some((id, view?))),
        );
    }
    let states = || page.iter().filter_map(|told| entered(told));
    let (mut progresses, mut ends) = (states().count(), states().filter(|state| ended(*state)).count());
    for (told, known) in page.iter().zip(known) {
        let seen = &told.seen;
        stream.measured.event(seen.event.fact.kind);
        trace(stream, seen, known);
        let (Some(task), Some(state)) = (&seen.task, entered(told)) else {
            continue;
        };
        progresses -= 1;
        stream.publish_unless_lost(MetricType::TaskProgress, progresses, || {
            progress(seen, task, state)
        });
        if !ended(state) {
            continue;
        }
        ends -= 1;
        let view = views.get(task);
        let straight = known.filter(|mark| mark.straight);
        if let Some(times) = straight.map(Times::of_mark).or_else(|| view.map(Times::of_view)) {
            judge(stream, seen, task, &times, ends);
        }
        if let Some(view) = view.filter(|_| state != State::Completed) {
            stream.publish(&failure(seen, view, state));
        }
    }
    Ok(())
}

/// What is over is told to the collector of traces, if there is one: attempts, and tasks and runs as a whole.
fn trace(stream: &Stream, seen: &Seen, known: Option<Mark>) {
    let Some(tracer) = &stream.tracer else { return };
    let ended = match (seen.event.fact.kind, &seen.task, seen.run) {
        (Kind::TaskEntered(State::Assigned | State::Running), ..) => return,
        // Without a lease no attempt was under way.
        (Kind::TaskEntered(state), Some(task), _)
            if state.is_terminal() || known.is_none_or(|mark| mark.leased) =>
        {
            What::Task(task.clone(), seen.event.no)
        }
        (Kind::RunFinished | Kind::RunCancelled, _, Some(run)) => What::Run(run),
        _ => return,
    };
    tracer.ended(&stream.engine, ended);
}

fn progress(seen: &Seen, task: &TaskId, state: State) -> Metric {
    let share = match state {
        State::Completed => json!(1.0),
        _ => Value::Null,
    };
    let fact = &seen.event.fact;
    let data = json!({
        "task_id": task,
        "status": state,
        "progress": share,
        "details": {
            "number": seen.event.no,
            "key": seen.key,
            "run": seen.run,
            "actor": fact.actor,
            "reason": fact.reason,
        },
    });
    Metric::new(MetricType::TaskProgress, fact.at, data)
}

/// When a task came, when it might run, and when its last attempt began.
struct Times {
    submitted: Timestamp,
    ready: Timestamp,
    started: Option<Timestamp>,
}

impl Times {
    fn of_mark(mark: Mark) -> Times {
        Times {
            submitted: mark.submitted,
            ready: mark.submitted,
            started: mark.started,
        }
    }

    fn of_view(view: &View) -> Times {
        let task = &view.task;
        let ready = task.run_at.map(|at| at.max(task.submitted_at));
        Times {
            submitted: task.submitted_at,
            ready: ready.unwrap_or(task.submitted_at),
            started: task.started_at,
        }
    }
}

/// How long an attempt took, and the task if it is over.
fn judge(stream: &Stream, seen: &Seen, task: &TaskId, times: &Times, later: usize) {
    let at = seen.event.fact.at;
    let Some(started) = times.started.filter(|started| *started <= at) else {
        return;
    };
    let run = at.since(started);
    let entered = |state| seen.event.fact.kind == Kind::TaskEntered(state);
    stream.publish_unless_lost(MetricType::Performance, later, || {
        let details = json!({ "task_id": task });
        Metric::performance(at, run.as_secs_f64() * 1e3, entered(State::Completed), &details)
    });
    stream.measured.run.observe(run);
    if !entered(State::Retrying) {
        stream.measured.wait.observe(started.since(times.ready));
        stream.measured.end_to_end.observe(at.since(times.submitted));
    }
}

/// Why an attempt failed, of a task as it stands now.
fn failure(seen: &Seen, view: &View, state: State) -> Metric {
    let task = &view.task;
    let failure = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
    let kind = failure.and_then(|failure| failure.class.as_deref());
    let message = failure.map_or("", |failure| &failure.message);
    let context = json!({ "task_id": task.id, "attempt": task.attempt(), "status": state });
    Metric::error(seen.event.fact.at, kind.unwrap_or("failure"), message, &context)
}

/// How the queue stands, and who works.
async fn look(stream: &Stream) -> Result<()> {
    let engine = &stream.engine;
    let now = engine.now().wall;
    let status = engine.store.status(&engine.project).await?;
    let depth = status.counts.of(State::Ready);
    let mut data = serde_json::to_value(api::queue::Status::from(status)).unwrap_or_default();
    data["depth"] = json!(depth);
    stream.publish(&Metric::new(MetricType::QueueStatus, now, data));
    let mut workers: FxHashMap<_, usize> = FxHashMap::default();
    for held in engine.store.leased(&engine.project, None).await? {
        *workers.entry(held.worker).or_default() += 1;
    }
    let mut list: Vec<Value> = workers
        .into_iter()
        .take(PAGE_MAX)
        .map(|(worker, leases)| json!({ "worker": worker, "leases": leases }))
        .collect();
    list.sort_by_cached_key(|worker| worker["worker"].to_string());
    let data = json!({ "count": list.len(), "workers": list });
    stream.publish(&Metric::new(MetricType::WorkerStatus, now, data));
    Ok(())
}

/// What had ended when it was looked at last.
struct Pulse {
    at: Instant,
    ended: (u64, Duration),
}

impl Pulse {
    fn begin(stream: &Stream) -> Pulse {
        Pulse {
            at: Instant::now(),
            ended: stream.measured.end_to_end.total(),
        }
    }

    /// Tasks that ended in a minute, and how long each was under way in milliseconds, since the last look.
    fn beat(&mut self, stream: &Stream) -> (f64, Option<f64>) {
        let now = Pulse::begin(stream);
        let count = now.ended.0 - self.ended.0;
        let sum = now.ended.1.saturating_sub(self.ended.1).as_secs_f64();
        let minutes = (now.at - self.at).as_secs_f64().max(1e-3) / 60.0;
        *self = now;
        let latency = (count > 0).then(|| sum * 1e3 / count as f64);
        (count as f64 / minutes, latency)
    }
}

async fn health_of(stream: &Stream, pulse: &mut Pulse) -> Metric {
    let connections = stream.listeners.connections();
    let subscriptions: usize = connections.iter().map(|one| one.subscriptions.len()).sum();
    let (throughput, latency) = pulse.beat(stream);
    let status = stream.engine.store.status(&stream.engine.project).await;
    let of = |states: &[State]| {
        let counts = status.as_ref().ok().map(|status| status.counts);
        counts.map(|counts| states.iter().map(|state| counts.of(*state)).sum::<u64>())
    };
    let data = json!({
        "connections": connections.len(),
        "active_subscriptions": subscriptions,
        "metrics_collected": stream.collected().count(),
        "events": stream.measured.events.load(Ordering::Relaxed),
        "queued_tasks": of(&[State::Ready]),
        "processing_tasks": of(&[State::Assigned, State::Running]),
        "completed_tasks": of(&[State::Completed]),
        "failed_tasks": of(&[State::Failed]),
        "throughput_per_minute": throughput,
        "avg_latency": latency,
    });
    Metric::new(MetricType::SystemHealth, stream.engine.now().wall, data)
}
