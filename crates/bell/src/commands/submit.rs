//! `bell submit`

use std::path::PathBuf;

use api::run::Run;
use desk::find;
use domain::code::{Code, Refusal};
use domain::id::{Project, RunId};
use domain::task::score::Profile;
use domain::time::Timestamp;
use engine::engine::Engine;
use engine::submit::{self, How, Into, Once, Submitted};
use engine::{ids, recover};

use super::plan::file::{Loaded, load_to_run};
use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Store a plan's tasks, for others to work on
///
/// Continues the newest run of the same plan that has not succeeded, as `bell run` does. With --idempotency-key it begins a run that
/// belongs to the key: the same key with the same plan tells of that run and changes nothing, with another plan it is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell submit plan.yaml
  bell submit plan.yaml --new --json | jq -r .id
  bell submit plan.yaml --idempotency-key \"build-$COMMIT\"")]
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
    /// Make a repeated call harmless: the run of this key is begun once
    #[arg(long, value_name = "KEY", value_parser = parse::idempotency_key, conflicts_with = "resume")]
    idempotency_key: Option<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let loaded = load_to_run(context, &self.plan)?;
        let tasks = loaded.plan.tasks.len();
        if let Some(key) = self.idempotency_key {
            return once(context, loaded, key, self.profile).await;
        }
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

/// Stores the tasks of a plan as the run of a key, or tells of that run.
async fn once(context: &Context, loaded: Loaded, key: String, profile: Option<Profile>) -> Result {
    let tasks = loaded.plan.tasks.len();
    let engine = context.open(Access::Create).await?;
    let id = run_of(&engine.project, &key);
    let once = Once {
        run: id,
        key,
        profile,
    };
    let is_new = begin(context, &engine, loaded, once).await?;
    let run = Run::from(find::run(&engine, &id.to_string()).await?);
    let how = How::New;
    context.ui.answer(&run, |_| match is_new {
        true => format!("{}\n", describe(&Submitted { run: id, how }, tasks)),
        false => format!("already submitted: run {id}\n"),
    })?;
    hint(context, &run)?;
    Ok(Exit::DONE)
}

/// Begins the run of a key; false when it was begun before.
async fn begin(context: &Context, engine: &Engine, mut loaded: Loaded, once: Once) -> Result<bool> {
    let plan = &mut loaded.plan;
    if let Some(run) = engine.store.run(&engine.project, once.run).await? {
        let is_same = run.digest == plan.digest && run.plan == submit::identity(plan, &loaded.path);
        return match is_same {
            true => Ok(false),
            false => Err(used_otherwise(&once.key, once.run).into()),
        };
    }
    if let Some(trace) = context.trace()? {
        desk::run::within(plan, trace);
    }
    submit::submit_keyed(engine, plan, &loaded.path, once).await?;
    Ok(true)
}

fn used_otherwise(key: &str, run: RunId) -> Refusal {
    let key = key.escape_debug();
    let detail = format!("the idempotency key `{key}` was used for run {run}, which is of another plan");
    Refusal::new(Code::IdempotencyConflict, detail).help("use a fresh key for what is another submission")
}

/// The bits of an id that tell when it was made.
const TIME_BITS: u64 = (1 << 48) - 1;

/// The run of a key: whoever comes with the key names the same. Nobody knows when it was made, so that part of the id is drawn
/// from the key too, lest all such ids begin alike.
fn run_of(project: &Project, key: &str) -> RunId {
    let key = format!("submit:{key}");
    let (_, low) = ids::derived(project, &key, Timestamp(0)).as_u64_pair();
    RunId(ids::derived(
        project,
        &key,
        Timestamp((low & TIME_BITS).cast_signed()),
    ))
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
