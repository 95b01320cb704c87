//! `bell task show`

use std::time::Duration;

use api::task::Task;
use desk::find;
use domain::task::lock::{Lock, Mode};
use domain::task::spec::{Spec, Work};
use domain::task::state::State;
use domain::time::{Timestamp, show_duration};

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{Table, fields, one_line};
use crate::output::theme::{self, paint};
use crate::output::{failure, time};

/// Show everything about a task
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task show 0196b2c4-5d5e-7c1f-a3de-2f3c4a5b6c7d
  bell task show test          (the key of a plan's task)
  bell task show test --json | jq .result")]
pub(crate) struct Args {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        find::catch_up(&engine).await?;
        let view = find::typed(&engine, &self.id).await?;
        let spec = view.body.read_spec().ok();
        let task = find::whole(&engine, view).await?;
        context
            .ui
            .answer(&task, |task| people(task, spec.as_ref(), engine.now().wall))?;
        if !task.attempts.is_empty() && (task.error.is_some() || task.state == State::Failed) {
            context
                .ui
                .hint(&format!("`bell task logs {}` shows its output", self.id))?;
        }
        Ok(Exit::DONE)
    }
}

/// A task in one line: state, id, name.
pub(crate) fn line(task: &Task) -> String {
    let name = task.key.as_ref().map_or(task.name.as_str(), |key| key.as_str());
    let state = theme::state_text(task.state, task.reason);
    format!("{state}  {}  {}\n", task.id, one_line(name))
}

pub(crate) fn people(task: &Task, spec: Option<&Spec>, now: Timestamp) -> String {
    let text = |value: &dyn ToString| Some(value.to_string());
    let when = |at: Option<api::time::Time>| at.map(|at| time::both(at, now));
    let list = |items: Vec<String>| (!items.is_empty()).then(|| items.join(", "));
    let after = task.after.iter().map(|on| match on.when.as_str() {
        "success" => on.task.to_string(),
        when => format!("{}:{when}", on.task),
    });
    let lease = task.lease.as_ref().map(|lease| {
        format!(
            "{}, attempt {}, expires {}",
            lease.worker,
            lease.attempt,
            time::relative(lease.expires_at, now)
        )
    });
    let error = match task.state {
        State::Failed => Some(failure::text(task.error.as_deref(), task.reason)),
        _ => task.error.as_deref(),
    };
    let rows = [
        ("id", text(&task.id)),
        ("key", task.key.as_ref().map(ToString::to_string)),
        ("run", task.run.as_ref().map(ToString::to_string)),
        ("kind", text(&task.kind)),
        ("work", spec.map(work)),
        ("reason", task.reason.as_ref().map(ToString::to_string)),
        (
            "priority",
            Some(format!("{} (score {})", task.priority.value(), task.score)),
        ),
        ("source", Some(task.source.as_str().to_owned())),
        ("agent", task.agent.as_ref().map(ToString::to_string)),
        (
            "team",
            spec.and_then(|spec| spec.team.as_ref()).map(ToString::to_string),
        ),
        (
            "needs",
            list(task.needs.iter().map(ToString::to_string).collect()),
        ),
        (
            "locks",
            list(spec.map_or_else(Vec::new, |spec| spec.locks.iter().map(lock).collect())),
        ),
        (
            "inputs",
            spec.and_then(|spec| spec.inputs.as_ref())
                .map(|json| json.get().to_owned()),
        ),
        ("summary", spec.and_then(|spec| spec.summary.clone())),
        ("session", spec.and_then(|spec| spec.session.clone())),
        ("after", list(after.collect())),
        (
            "dependents",
            list(task.dependents.iter().map(ToString::to_string).collect()),
        ),
        ("lease", lease),
        ("submitted", when(Some(task.submitted_at))),
        ("run at", when(task.run_at)),
        ("deadline", when(task.deadline)),
        ("started", when(task.started_at)),
        ("finished", when(task.finished_at)),
        (
            "progress",
            task.progress.as_ref().map(|json| json.get().to_owned()),
        ),
        ("result", task.result.as_ref().map(|json| json.get().to_owned())),
        ("error", error.map(|error| paint(theme::BAD, error))),
    ];
    let state = theme::state_text(task.state, task.reason);
    let head = format!("{state}  {}\n", paint(theme::BOLD, &one_line(&task.name)));
    head + &fields(&rows) + &attempts(task)
}

fn lock(lock: &Lock) -> String {
    match lock.mode {
        Mode::Exclusive => lock.name.clone(),
        Mode::Shared => format!("{} (shared)", lock.name),
    }
}

/// What will be done, in a line.
fn work(spec: &Spec) -> String {
    match &spec.work {
        Work::Shell(_) | Work::Argv(_) | Work::Each(_) => spec.work.text(),
        Work::Prompt(prompt) => format!("“{prompt}”"),
        Work::Handler(name) => format!("handler {name}"),
        Work::Breakpoint(what) => format!("breakpoint {what}"),
        Work::Http(json) | Work::Wait(json) => format!("{} {}", spec.work.name(), json.get()),
    }
}

fn delay(ms: Option<u64>) -> String {
    ms.map_or_else(String::new, |ms| show_duration(Duration::from_millis(ms)))
}

fn attempts(task: &Task) -> String {
    if task.attempts.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[">TRY", "OUTCOME", "WORKER", ">TOOK", ">NEXT AFTER", "ERROR"]);
    for attempt in &task.attempts {
        let took = match (attempt.started_at, attempt.finished_at) {
            (Some(from), Some(to)) => show_duration(to.0.since(from.0)),
            _ => String::new(),
        };
        table.row([
            attempt.number.to_string().into(),
            attempt
                .outcome
                .map_or("under way", api::attempt::Outcome::as_str)
                .into(),
            attempt.worker.as_deref().unwrap_or("").into(),
            took.into(),
            delay(attempt.retry_delay_ms).into(),
            attempt.error.as_deref().unwrap_or("").into(),
        ]);
    }
    format!("\n{}", table.render())
}
