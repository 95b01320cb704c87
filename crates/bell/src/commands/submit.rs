//! `bell submit`

use std::path::PathBuf;

use api::run::Run;
use desk::find;
use domain::task::score::Profile;
use engine::engine::Engine;
use engine::recover;
use engine::submit::{self, How, Into, Submitted};

use super::plan::file::{Loaded, load_to_run};
use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Store a plan's tasks, for others to work on
///
/// Continues the newest run of the same plan that has not succeeded, as `bell run` does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell submit plan.yaml
  bell submit plan.yaml --new --json | jq -r .id")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
    /// Begin a new run
    #[arg(long, conflicts_with = "resume")]
    new: bool,
    /// Continue this run: its id or the beginning of it, or the name of its plan
    #[arg(long, value_name = "RUN")]
    resume: Option<String>,
    /// Say what goes first: classic or critical-path [default: the project's order.profile]
    #[arg(long, value_parser = parse::profile)]
    profile: Option<Profile>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let loaded = load_to_run(context, &self.plan)?;
        let tasks = loaded.plan.tasks.len();
        let how = HandIn {
            new: self.new,
            resume: self.resume.as_deref(),
            profile: self.profile,
        };
        let (submitted, run) = hand_in(context, loaded, &how).await?;
        context
            .ui
            .answer(&run, |_| format!("{}\n", describe(&submitted, tasks)))?;
        hint(context, &run)?;
        Ok(Exit::DONE)
    }
}

/// How a plan is handed in.
pub(super) struct HandIn<'a> {
    pub(super) new: bool,
    pub(super) resume: Option<&'a str>,
    pub(super) profile: Option<Profile>,
}

/// Stores the tasks of a plan, here or behind a server: what became of them, and the run that they are in.
pub(super) async fn hand_in(
    context: &Context,
    mut loaded: Loaded,
    how: &HandIn<'_>,
) -> Result<(Submitted, Run)> {
    if let Some(trace) = context.trace()? {
        desk::run::within(&mut loaded.plan, trace);
    }
    let engine = context.open(Access::Create).await?;
    let options = submit::Options {
        into: into(&engine, how.new, how.resume).await?,
        profile: how.profile,
        joins: recover::is_worked_on,
    };
    let submitted = submit::submit(&engine, &loaded.plan, &loaded.path, &options).await?;
    let run = Run::from(find::run(&engine, &submitted.run.to_string()).await?);
    Ok((submitted, run))
}

/// What comes next.
pub(super) fn hint(context: &Context, run: &Run) -> Result<()> {
    let hint = format!("`bell runs show {}` tells how it stands", run.id);
    context.ui.hint(&hint)
}

/// Which run a plan goes into.
pub(super) async fn into(engine: &Engine, new: bool, resume: Option<&str>) -> Result<Into> {
    Ok(match (new, resume) {
        (_, Some(run)) => Into::Run(find::typed_run(engine, run).await?.id),
        (true, None) => Into::New,
        (false, None) => Into::Newest,
    })
}

/// What became of a submission, in a line.
pub(super) fn describe(submitted: &Submitted, tasks: usize) -> String {
    let part = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let (verb, mut parts) = match submitted.how {
        How::New => (
            "new run",
            vec![part(tasks, if tasks == 1 { "task" } else { "tasks" })],
        ),
        How::Continued {
            edited,
            retried,
            kept,
        } => (
            "continues run",
            vec![
                part(kept, "done before"),
                part(edited, "edited or behind an edited one"),
                part(retried, "tried again"),
            ],
        ),
        How::Joined { edited } => ("joins run", vec![part(edited, "edited or behind an edited one")]),
    };
    if matches!(submitted.how, How::Joined { .. }) {
        parts.insert(0, Some("another process is working on it".to_owned()));
    }
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let detail = if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    };
    format!("{verb} {}{detail}", submitted.run)
}
