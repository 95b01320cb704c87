//! `bell run`

use std::path::PathBuf;
use std::time::Duration;

use api::run::{EndKind, Ended, Waiting};
use domain::code::{Code, Refusal};
use domain::id::{RunId, Seq};
use domain::limits::PAGE_MAX;
use domain::run::RunState;
use domain::store::Filter;
use domain::task::score::Profile;
use domain::task::state::State;
use domain::time::show_duration;
use engine::engine::Engine;
use engine::runner::{self, How, Update};
use engine::worker::{self, Pace};
use engine::{recover, submit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::plan::file::{Loaded, load};
use crate::commands::submit::{describe, into};
use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::progress::{Progress, last_line};
use crate::output::table::one_line;
use crate::output::theme::{self, paint};
use crate::parse;

/// Run a plan to its end
///
/// Continues the newest run of the same plan that has not succeeded: what is done stays done, edited tasks run
/// anew, failed ones are tried again. The exit status is 0 when all went well, 1 when something failed, and 3
/// when only a person or an agent can go on. Ctrl-C lets running tasks end; a second one hands them back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell run plan.yaml
  bell run plan.yaml --jobs 4 --new
  bell run plan.yaml --json > events.jsonl")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
    /// Work on this many tasks at the same time [default: 10]
    #[arg(long, short, value_name = "N", value_parser = parse::jobs)]
    jobs: Option<usize>,
    /// Begin a new run
    #[arg(long, conflicts_with = "resume")]
    new: bool,
    /// Continue this run
    #[arg(long, value_name = "RUN", value_parser = parse::name::<RunId>)]
    resume: Option<RunId>,
    /// Stay while only a person or an agent can go on
    #[arg(long)]
    wait: bool,
    /// Say what goes first: classic or critical-path
    #[arg(long, value_parser = parse::profile, default_value = "classic")]
    profile: Profile,
}

/// Two looks at the log are at least so far apart: many commits make one line of sight.
const REFRESH: Duration = Duration::from_millis(50);

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let loaded = load(context, &self.plan)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Refusal::new(Code::Internal, format!("no runtime: {e}")))?;
        let ended = runtime.block_on(self.work(context, &loaded));
        runtime.shutdown_background();
        ended
    }

    async fn work(self, context: &Context, loaded: &Loaded) -> Result {
        let engine = context.open(Access::Create).await?;
        let jobs = self.jobs.unwrap_or(context.settings.jobs());
        let options = runner::Options {
            submit: submit::Options {
                into: into(self.new, self.resume),
                profile: self.profile,
                joins: recover::is_worked_on,
            },
            worker: worker::Options {
                jobs,
                guard: std::env::current_exe().ok(),
                store_url: context.place().1,
                ..worker::Options::default()
            },
            wait: self.wait,
            refresh: REFRESH,
        };
        let (pace, paced) = watch::channel(Pace::Work);
        tokio::spawn(obey(pace, Signals::new()?));
        let mut progress = Progress::new(context.ui, jobs);
        let mut trouble = None;
        let mut tell = |update: Update<'_>| {
            // A reader that has gone away does not stop the work.
            if let Err(error) = tell(context, &engine, &mut progress, &update) {
                trouble.get_or_insert(error);
            }
        };
        let ended = runner::run(&engine, &loaded.plan, &loaded.path, options, paced, &mut tell).await;
        progress.clear();
        let ended = ended?;
        let exit = conclude(context, &engine, &self.plan.display().to_string(), &ended).await?;
        match trouble {
            Some(error) => Err(error),
            None => Ok(exit),
        }
    }
}

fn tell(context: &Context, engine: &Engine, progress: &mut Progress, update: &Update<'_>) -> Result<()> {
    match update {
        Update::Submitted(submitted, tasks) if !context.ui.json && !context.quiet => {
            context.ui.note(&format!("{}\n", describe(submitted, *tasks)))
        }
        Update::Recovered(tasks) if !context.ui.json => {
            context.ui.note(&format!("{tasks} tasks were taken back from workers that had died\n"))
        }
        Update::Events(events, snapshot) => progress.update(events, snapshot, engine.now().wall),
        _ => Ok(()),
    }
}

/// What a user or the system asks of a process that works.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| {
            signal(kind).map_err(|e| Refusal::new(Code::Internal, format!("signals cannot be received: {e}")))
        };
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The first signal lets attempts end, the second hands them back.
async fn obey(pace: watch::Sender<Pace>, mut signals: Signals) {
    signals.next().await;
    pace.send_replace(Pace::Drain);
    signals.next().await;
    pace.send_replace(Pace::Stop);
    // Without its sender the channel would tell that nobody can slow down any more.
    std::future::pending::<()>().await;
}

/// Tells how it ended.
async fn conclude(context: &Context, engine: &Engine, plan: &str, ended: &runner::Ended) -> Result {
    let (kind, waiting, exit) = match &ended.how {
        How::Finished(state) => (EndKind::Finished, &[][..], Exit::of(*state == RunState::Succeeded)),
        How::Stuck(waiting) => (EndKind::Waiting, waiting.as_slice(), Exit::WAITS),
        How::Interrupted => (EndKind::Interrupted, &[][..], Exit::INTERRUPTED),
    };
    if context.ui.json {
        context.ui.json_line(&Ended {
            kind,
            run: ended.run.id,
            counts: ended.run.counts,
            seconds: (ended.took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            state: ended.run.state,
            waiting: waiting.iter().map(wire).collect(),
        })?;
        return Ok(exit);
    }
    let mut text = headline(ended, kind);
    text += &failures(engine, ended).await?;
    for waits in waiting {
        text += &format!("  {}  {}: {}\n", theme::state_text(waits.state, None), one_line(&waits.name), waits.cause);
        text += &format!("      {}\n", paint(theme::GOOD, &waits.cure));
    }
    context.ui.text(&text)?;
    match (kind, ended.run.state) {
        (EndKind::Finished, RunState::Failed) => {
            context.ui.hint(&format!("`bell run {plan}` tries again what failed; what is done stays done"))?;
        }
        (EndKind::Waiting | EndKind::Interrupted, _) => context.ui.hint(&format!("`bell run {plan}` goes on"))?,
        _ => {}
    }
    Ok(exit)
}

fn wire(waiting: &runner::Waiting) -> Waiting {
    Waiting {
        task: waiting.task.clone(),
        name: waiting.name.clone(),
        state: waiting.state,
        cause: waiting.cause.clone(),
        cure: waiting.cure.clone(),
    }
}

fn headline(ended: &runner::Ended, kind: EndKind) -> String {
    let run = &ended.run;
    let (state, style) = theme::run_state(run.state);
    let what = match kind {
        EndKind::Finished => paint(style, &state),
        EndKind::Waiting => paint(theme::ASKS, "? waits"),
        EndKind::Interrupted => paint(theme::WARN, "‖ interrupted"),
    };
    let counts = run.counts.iter().filter_map(|(state, n)| {
        let n = if state == State::Cancelled { n - run.skipped } else { n };
        (n > 0).then(|| format!("{n} {state}"))
    });
    let skipped = (run.skipped > 0).then(|| format!("{} skipped", run.skipped));
    let counts: Vec<String> = counts.chain(skipped).collect();
    let took = show_duration(ended.took);
    format!("{what}  {} in {took}: {}\n", paint(theme::BOLD, &run.plan), counts.join(", "))
}

/// Failed tasks told of at the end; the rest is a command away.
const TOLD: usize = 20;

async fn failures(engine: &Engine, ended: &runner::Ended) -> Result<String> {
    let failed = ended.run.counts.of(State::Failed) as usize;
    if failed == 0 {
        return Ok(String::new());
    }
    let filter = Filter {
        run: Some(ended.run.id),
        states: vec![State::Failed],
        ..Filter::default()
    };
    let views = engine.store.list(&engine.project, filter, Seq(0), TOLD.min(PAGE_MAX)).await?;
    let mut text = String::new();
    for view in &views {
        let name = view.body.key.as_ref().map_or_else(|| view.task.id.to_string(), ToString::to_string);
        let error = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
        let error = error.map(|failure| last_line(&failure.message)).unwrap_or_default();
        text += &format!("  {}  {}: {error}\n", theme::state_text(State::Failed, None), one_line(&name));
        text += &format!("      {}\n", paint(theme::DIM, &format!("bell task logs {}", view.task.id)));
    }
    match failed.saturating_sub(views.len()) {
        0 => Ok(text),
        more => Ok(format!("{text}  and {more} more\n")),
    }
}
