//! `bell store check`

use api::project::Checked;
use api::replay::{Difference, Replay, Replays};
use domain::id::Project;
use engine::engine::Engine;
use engine::replay::{Progress, Replayed, replay};

use super::Bar;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::theme::{self, paint};

/// Compare everything that the store keeps twice
///
/// Lists what contradicts itself; then the exit status is 1. With --replay it also rebuilds tasks, runs and counters from the
/// log of events and lists what is stored otherwise: as far as the log goes back, and as far as events tell it. May run while
/// others work; what they change meanwhile is looked at again. Covers every project, unless --project names one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell store check
  bell store check --replay --json")]
pub(super) struct Check {
    /// Rebuild every row from the events, and compare
    #[arg(long)]
    replay: bool,
}

impl Check {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let projects = match context.settings.is_default("project") {
            true => engine.store.projects().await?,
            false => vec![engine.project.clone()],
        };
        let report = desk::audit::check(&engine, projects).await?;
        if !self.replay {
            context.ui.answer(&report, people)?;
            return Ok(Exit::of(report.sound));
        }
        let report = replayed(context, &engine, report).await?;
        context.ui.answer(&report, replay_people)?;
        Ok(Exit::of(report.sound))
    }
}

/// The same report with what a replay of each project has found.
async fn replayed(context: &Context, engine: &Engine, report: Checked) -> Result<Replays> {
    let mut projects = Vec::with_capacity(report.projects.len());
    for checked in report.projects {
        let replay = one(context, engine, &checked.project).await?;
        projects.push(api::replay::Checked {
            project: checked.project,
            findings: checked.findings,
            replay: told(replay),
        });
    }
    Ok(Replays {
        sound: report.sound && projects.iter().all(|checked| checked.replay.agrees),
        projects,
    })
}

async fn one(context: &Context, engine: &Engine, project: &Project) -> Result<Replayed> {
    let bar = Bar::new(context, project);
    let show = |at: Progress| bar.show(at.events + at.tasks, at.of_events + at.of_tasks);
    let replayed = replay(&*engine.store, project, show).await;
    bar.end();
    Ok(replayed?)
}

fn told(replayed: Replayed) -> Replay {
    let agrees = replayed.agrees();
    let count = replayed.differences.len() as u64 + replayed.more;
    let differences = replayed.differences.into_iter();
    Replay {
        agrees,
        events: replayed.events,
        begins_with: replayed.begins_with,
        upto: replayed.upto,
        tasks: replayed.tasks,
        partial: replayed.partial,
        silent: replayed.silent,
        runs: replayed.runs,
        moving: replayed.moving,
        differences: differences
            .map(|difference| Difference {
                of: difference.of.to_string(),
                field: difference.field.to_owned(),
                log: difference.log,
                stored: difference.stored,
            })
            .collect(),
        count,
    }
}

const SOUND: &str = "✓ sound";

fn people(report: &Checked) -> String {
    if report.projects.is_empty() {
        return format!("{}  empty\n", paint(theme::GOOD, SOUND));
    }
    let mut text = String::new();
    for checked in &report.projects {
        text += &contradictions(&checked.project, &checked.findings);
    }
    text
}

fn contradictions(project: &Project, findings: &[String]) -> String {
    let verdict = match findings.is_empty() {
        true => paint(theme::GOOD, SOUND),
        false => paint(theme::BAD, "✗ contradicts itself"),
    };
    let mut text = format!("{verdict}  {project}\n");
    for finding in findings {
        text += &format!("    {finding}\n");
    }
    text
}

fn replay_people(report: &Replays) -> String {
    if report.projects.is_empty() {
        return format!("{}  empty\n", paint(theme::GOOD, SOUND));
    }
    let mut text = String::new();
    for checked in &report.projects {
        text += &contradictions(&checked.project, &checked.findings);
        text += &comparison(&checked.project, &checked.replay);
    }
    text
}

fn comparison(project: &Project, replay: &Replay) -> String {
    let verdict = match replay.agrees {
        true => paint(theme::GOOD, "✓ as the log says"),
        false => paint(theme::BAD, "✗ not as the log says"),
    };
    let (tasks, runs, events) = (replay.tasks, replay.runs, replay.events);
    let mut text = format!("{verdict}  {project}: {tasks} tasks and {runs} runs, by {events} events");
    if let Some(first) = replay.begins_with {
        text += &format!(" from event {} on", first.0);
    }
    text += "\n";
    let notes = [
        (
            replay.partial,
            "were compared only in what is left of their events",
        ),
        (replay.silent, "are from before the log begins"),
        (replay.moving, "kept changing and were left out"),
    ];
    for (count, what) in notes.iter().filter(|(count, _)| *count > 0) {
        text += &format!("    {count} {what}\n");
    }
    for Difference {
        of,
        field,
        log,
        stored,
    } in &replay.differences
    {
        text += &format!("    {of}: {field}: the log says {log}, stored is {stored}\n");
    }
    let more = replay.count - replay.differences.len() as u64;
    if more > 0 {
        text += &format!("    and {more} more differences\n");
    }
    text
}
