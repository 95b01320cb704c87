//! `bell runs`

use api::list::Runs;
use api::run::Run;
use clap::Subcommand;
use domain::code::{Code, Refusal};
use domain::id::{RunId, Seq};
use domain::limits::PAGE_MAX;
use domain::run::{Counts, RunState};
use domain::store::{Command as Ask, Filter, Request, Target};
use domain::task::state::{Reason, State};
use domain::time::{Timestamp, show_duration};
use engine::engine::Engine;
use serde::Serialize;

use crate::commands::task;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{Table, fields};
use crate::output::theme::{self, paint};
use crate::output::time;
use crate::{lookup, parse};

/// List, show and cancel runs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Cancel(Cancel),
}

/// List runs, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell runs list --plan release --limit 5")]
struct List {
    /// Only runs of this plan
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
}

/// Show a run and its tasks
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell runs show release        (the newest run of that plan)
  bell runs show 0196b2c4-5d5e-7c1f-a3de-2f3c4a5b6c7d")]
struct Show {
    /// The run's id, or the name of its plan
    run: String,
}

/// Cancel a run with every task of it that has not ended
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell runs cancel release")]
struct Cancel {
    /// The run's id, or the name of its plan
    run: String,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(args) => args.run(context, &engine).await,
            Command::Show(args) => args.run(context, &engine).await,
            Command::Cancel(args) => args.run(context, &engine).await,
        }
    }
}

/// The run with this id, or the newest one of the plan with this name.
pub(crate) async fn find(engine: &Engine, text: &str) -> Result<domain::run::Run> {
    if let Ok(id) = text.parse::<RunId>() {
        return lookup::run(engine, id).await;
    }
    let newest = engine.store.runs(&engine.project, Some(text), 1).await?.pop();
    let Some(run) = newest else {
        let detail = format!(
            "project {} has no run `{}`, and no plan of that name was run",
            engine.project,
            text.escape_debug()
        );
        return Err(Refusal::new(Code::RunNotFound, detail)
            .help("`bell runs list` shows the runs")
            .into());
    };
    Ok(run)
}

impl List {
    async fn run(self, context: &Context, engine: &Engine) -> Result {
        let runs = engine
            .store
            .runs(&engine.project, self.plan.as_deref(), self.limit)
            .await?;
        let runs: Vec<Run> = runs.into_iter().map(Run::from).collect();
        let list = Runs {
            count: runs.len(),
            runs,
            cursor: None,
        };
        context.ui.answer(&list, |list| table(list, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}

fn table(list: &Runs, now: Timestamp) -> String {
    if list.runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let mut table = Table::new(&["STATE", "ID", "PLAN", ">DONE", ">TOOK", ">AGE"]);
    for run in &list.runs {
        let ended = run.finished_at.map_or(now, |at| at.0);
        table.row([
            theme::run_state(run.state).into(),
            run.id.to_string().into(),
            run.plan.as_str().into(),
            format!("{}/{}", run.total - open(&run.counts), run.total).into(),
            show_duration(ended.since(run.submitted_at.0)).into(),
            time::age(run.submitted_at.0, now).into(),
        ]);
    }
    table.render()
}

fn open(counts: &Counts) -> u64 {
    counts.open()
}

/// A run with its tasks.
#[derive(Debug, Serialize)]
struct Shown {
    run: Run,
    tasks: Vec<api::task::Task>,
    count: usize,
    /// Pass it to `bell task list --run RUN --cursor` for the rest.
    cursor: Option<String>,
}

impl Show {
    async fn run(self, context: &Context, engine: &Engine) -> Result {
        lookup::catch_up(engine).await?;
        let run = find(engine, &self.run).await?;
        let filter = Filter {
            run: Some(run.id),
            ..Filter::default()
        };
        let views = engine
            .store
            .list(&engine.project, filter, Seq(0), PAGE_MAX)
            .await?;
        let run = Run::from(run);
        if !context.ui.json {
            let now = engine.now();
            context
                .ui
                .text(&format!("{}\n{}", head(&run, now.wall), task::table(&views, now)))?;
            next(context, &run)?;
            return Ok(Exit::DONE);
        }
        let cursor = views
            .last()
            .filter(|_| views.len() == PAGE_MAX)
            .map(|view| view.task.seq.0.to_string());
        let mut tasks = Vec::with_capacity(views.len());
        for view in views {
            tasks.push(lookup::whole(engine, view).await?);
        }
        let count = tasks.len();
        let shown = Shown {
            run,
            tasks,
            count,
            cursor,
        };
        context.ui.answer(&shown, |_| String::new())?;
        Ok(Exit::DONE)
    }
}

fn head(run: &Run, now: Timestamp) -> String {
    let (state, style) = theme::run_state(run.state);
    let counts = run
        .counts
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(state, n)| format!("{n} {state}"));
    let rows = [
        ("id", Some(run.id.to_string())),
        ("tasks", Some(counts.collect::<Vec<_>>().join(", "))),
        ("skipped", (run.skipped > 0).then(|| run.skipped.to_string())),
        ("submitted", Some(time::both(run.submitted_at, now))),
        ("finished", run.finished_at.map(|at| time::both(at, now))),
    ];
    format!(
        "{}  {}\n{}",
        paint(style, &state),
        paint(theme::BOLD, &run.plan),
        fields(&rows)
    )
}

fn next(context: &Context, run: &Run) -> Result<()> {
    match run.state {
        RunState::Failed => context.ui.hint(&format!(
            "`bell task list --run {} --state failed` shows what failed",
            run.id
        )),
        RunState::Active => context.ui.hint(&format!("`bell runs cancel {}` ends it", run.id)),
        _ => Ok(()),
    }
}

/// Tasks cancelled in one transaction.
const BATCH: usize = 250;

#[derive(Debug, Serialize)]
struct Ended {
    run: RunId,
    cancelled: Vec<domain::id::TaskId>,
    /// How many more than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    more: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Cancel {
    async fn run(self, context: &Context, engine: &Engine) -> Result {
        let run = find(engine, &self.run).await?.id;
        // The run first: from then on it stays cancelled, whatever happens between two batches.
        change(engine, vec![Target::Run(run)]).await?;
        let mut ended = Ended {
            run,
            cancelled: Vec::new(),
            more: 0,
        };
        for state in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
            cancel_all(engine, state, &mut ended).await?;
        }
        context.ui.answer(&ended, |ended| {
            let count = ended.cancelled.len() as u64 + ended.more;
            format!(
                "{}  run {run}, and {count} of its tasks\n",
                theme::state_text(State::Cancelled, None)
            )
        })?;
        Ok(Exit::DONE)
    }
}

async fn cancel_all(engine: &Engine, state: State, ended: &mut Ended) -> Result<()> {
    let filter = Filter {
        run: Some(ended.run),
        states: vec![state],
        ..Filter::default()
    };
    loop {
        let views = engine
            .store
            .list(&engine.project, filter.clone(), Seq(0), BATCH)
            .await?;
        if views.is_empty() {
            return Ok(());
        }
        let targets = views.into_iter().map(|view| Target::Id(view.task.id)).collect();
        for id in change(engine, targets).await? {
            match ended.cancelled.len() {
                PAGE_MAX => ended.more += 1,
                _ => ended.cancelled.push(id),
            }
        }
    }
}

/// Cancels all of them. One that has ended meanwhile needs nothing any more.
async fn change(engine: &Engine, targets: Vec<Target>) -> Result<Vec<domain::id::TaskId>> {
    let request = |target| Request {
        target,
        command: Ask::Cancel {
            reason: Reason::Cancelled,
        },
        actor: engine.actor.clone(),
        idempotency_key: None,
    };
    let requests = targets.into_iter().map(request).collect();
    let replies = engine
        .store
        .change(&engine.project, requests, engine.now())
        .await?;
    let mut ids = Vec::new();
    for reply in replies {
        match reply {
            Ok(reply) => ids.extend(reply.cancelled),
            Err(refusal) if refusal.code == Code::InvalidTransition => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(ids)
}
