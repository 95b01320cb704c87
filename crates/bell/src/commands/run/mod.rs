//! `bell run`

mod ended;

use std::path::PathBuf;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::{RunId, Seq};
use domain::limits::PAGE_MAX;
use domain::store::{Filter, View};
use domain::task::score::Profile;
use domain::task::state::State;
use engine::engine::Engine;
use engine::runner::{self, Update};
use engine::submit::How;
use engine::worker;
use engine::{recover, submit};
use rustc_hash::FxHashSet;
use tokio::runtime::Handle;

use self::ended::conclude;
use super::plan::file::{Loaded, load_to_run};
use crate::commands::submit::{describe, into};
use crate::context::{Access, Context};
use crate::error::Result;
use crate::output::progress::Progress;
use crate::{parse, signals};

/// Run a plan to its end
///
/// Continues the newest run of the same plan that has not succeeded: what is done stays done, edited tasks run
/// anew, failed ones are tried again. With --quiet only what went wrong is told. The exit status is 0 when all went
/// well, 1 when something failed, and 3 when only a person or an agent can go on. Ctrl-C takes on nothing more and lets
/// running tasks end, for `worker.drain` (10 s) at the most; what runs then is stopped and handed back, at once with a
/// second one.
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
    /// Offer an amount for tasks that take `resources`, such as gpu=2 or memory=16GiB
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse::offer)]
    offer: Vec<(String, u64)>,
    /// Begin a new run
    #[arg(long, conflicts_with = "resume")]
    new: bool,
    /// Continue this run: its id or the beginning of it, or the name of its plan
    #[arg(long, value_name = "RUN")]
    resume: Option<String>,
    /// Stay while only a person or an agent can go on
    #[arg(long)]
    wait: bool,
    /// Say what goes first: classic or critical-path [default: the project's order.profile]
    #[arg(long, value_parser = parse::profile)]
    profile: Option<Profile>,
}

/// Two looks at the log are at least so far apart: many commits make one line of sight.
const REFRESH: Duration = Duration::from_millis(50);

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let mut loaded = load_to_run(context, &self.plan)?;
        if let Some(trace) = context.trace()? {
            desk::run::within(&mut loaded.plan, trace);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Refusal::new(Code::Internal, format!("no runtime: {e}")))?;
        let ended = runtime.block_on(self.work(context, &loaded));
        runtime.shutdown_background();
        ended
    }

    async fn work(self, context: &Context, loaded: &Loaded) -> Result {
        let engine = context.open(Access::Create).await?;
        let jobs = self.jobs.unwrap_or(context.settings.jobs());
        let worker = worker::Options {
            jobs,
            offers: self.offer.iter().cloned().collect(),
            guard: std::env::current_exe().ok(),
            store_url: context.place()?.1,
            ..context.settings.worker()
        };
        let agents = context.settings.agents().iter();
        let options = runner::Options {
            agents: agents
                .map(|(name, agent)| agent.worker(name, worker.clone()))
                .collect(),
            submit: submit::Options {
                into: into(&engine, self.new, self.resume.as_deref()).await?,
                profile: self.profile,
                joins: recover::is_worked_on,
            },
            worker,
            wait: self.wait,
            refresh: REFRESH,
        };
        let mut told = Told {
            context,
            engine: &engine,
            progress: Progress::new(context.ui.clone(), jobs, context.quiet),
            standing: Vec::new(),
        };
        let ending = signals::tell_ending(engine.clone(), options.worker.drain, told.progress.teller());
        let paced = signals::pace(ending)?;
        let mut trouble = None;
        let mut tell = |update: Update<'_>| {
            // A reader that has gone away does not stop the work.
            if let Err(error) = told.tell(&update) {
                trouble.get_or_insert(error);
            }
        };
        let ended = runner::run(&engine, &loaded.plan, &loaded.path, options, paced, &mut tell).await;
        told.progress.clear();
        let ended = ended?;
        let exit = conclude(context, &engine, &self.plan.display().to_string(), &ended).await?;
        match trouble {
            Some(error) => Err(error),
            None => Ok(exit),
        }
    }
}

/// What is told of a run, and where.
struct Told<'a> {
    context: &'a Context,
    engine: &'a Engine,
    progress: Progress,
    /// What waited for somebody when an earlier run went on, and is not told of yet.
    standing: Vec<View>,
}

impl Told<'_> {
    fn tell(&mut self, update: &Update<'_>) -> Result<()> {
        let (ui, is_told) = (&self.context.ui, self.progress.is_told());
        match update {
            Update::Submitted(submitted, tasks) if is_told => {
                ui.note(&format!("{}\n", describe(submitted, *tasks)))?;
                if submitted.how != How::New {
                    self.standing = self.standing(submitted.run);
                }
                Ok(())
            }
            Update::Recovered(tasks) if is_told => ui.note(&format!(
                "{tasks} {} taken back from workers that had died\n",
                if *tasks == 1 { "task was" } else { "tasks were" }
            )),
            Update::Events(events, snapshot) => {
                let now = self.engine.now().wall;
                let mut standing = std::mem::take(&mut self.standing);
                // What has happened to a task since says how it stands.
                let moved: FxHashSet<_> = events.iter().filter_map(|seen| seen.task.as_ref()).collect();
                standing.retain(|view| !moved.contains(&view.task.id));
                self.progress.standing(&standing, now)?;
                self.progress.update(events, snapshot, now)
            }
            _ => Ok(()),
        }
    }

    /// What only a person can set going again. The run is held up for that look, so that it is told before anything else.
    fn standing(&self, run: RunId) -> Vec<View> {
        let filter = Filter {
            run: Some(run),
            states: vec![State::Awaiting, State::Suspended],
            ..Filter::default()
        };
        let (store, project) = (&self.engine.store, &self.engine.project);
        let listed = store.list(project, filter, Seq(0), PAGE_MAX);
        let listed = tokio::task::block_in_place(|| Handle::current().block_on(listed));
        listed.unwrap_or_else(|refusal| {
            tracing::warn!(error = %refusal, "what waits already could not be looked up");
            Vec::new()
        })
    }
}
