//! `bell schedule add`

use std::path::PathBuf;

use domain::code::{Code, Refusal};
use domain::event::Kind;
use domain::id::ScheduleName;
use domain::schedule::{Schedule, Work};

use super::times::Times;
use super::{find, line, plan, write};
use crate::commands::task::Asked;
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::parse;

/// Add a schedule
///
/// Each time a fresh task is added, or a run of a plan is begun. A deadline or --run-at that is a duration counts
/// from the time of the firing. With neither --run, --agent, --prompt nor --plan, NAME is the prompt.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell schedule add nightly --cron \"30 4 * * MON-FRI\" --tz Europe/Berlin --run \"make nightly\"
  bell schedule add sweep --every 15m --run ./sweep.sh --overlap skip
  bell schedule add release --at 2026-12-01T09:00:00Z --plan release.yaml")]
pub(crate) struct Args {
    /// What the schedule and its tasks are called
    #[arg(value_parser = parse::name::<ScheduleName>)]
    name: ScheduleName,
    #[command(flatten)]
    times: Times,
    /// Begin a run of this plan instead of adding a task
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "agent", "prompt"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let work = match &self.plan {
            Some(path) => plan(context, path, &self.asked)?,
            None => Work::Task(Box::new(self.asked.spec(self.name.as_str(), context)?)),
        };
        let now = context.now().wall;
        let Some(when) = self.times.timing(None, now)? else {
            let refusal = invalid("it is not said when the schedule fires");
            return Err(refusal
                .help("write --cron EXPR, --every DURATION or --at WHEN")
                .into());
        };
        let mut schedule = Schedule::new(when, work, now);
        if schedule.next.is_none() {
            return Err(invalid("the time has passed already").into());
        }
        schedule.catch_up = self.times.catch_up.unwrap_or_default();
        schedule.overlap = self.times.overlap.unwrap_or_default();
        let engine = context.engine().await?;
        if find(&engine, &self.name).await?.is_some() {
            let detail = format!("there is a schedule `{}` already", self.name);
            let help = format!("`bell schedule edit {}` changes it", self.name);
            return Err(Refusal::new(Code::ScheduleExists, detail).help(help).into());
        }
        write(&engine, &self.name, None, Some(&schedule), Kind::ScheduleAdded).await?;
        let shown = api::schedule::Schedule::new(self.name.as_str(), &schedule);
        context.ui.answer(&shown, line)?;
        context
            .ui
            .hint("it fires while `bell worker` or `bell run` is running somewhere on this store")?;
        Ok(Exit::DONE)
    }
}
