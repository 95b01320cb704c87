//! `bell schedule edit` and `bell schedule remove`

use std::path::PathBuf;

use domain::event::Kind;
use domain::id::ScheduleName;
use domain::schedule::Work;

use super::times::Times;
use super::{existing, line, only_a_plan, plan, write};
use crate::commands::task::Asked;
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::parse;

/// Change a schedule
///
/// What is not named stays as it is. With new times it fires next at the first of them from now on; a list such as
/// --needs replaces the one before.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell schedule edit nightly --cron \"0 5 * * *\"
  bell schedule edit nightly --tz UTC --catch-up skip
  bell schedule edit release --plan release.yaml")]
pub(super) struct Edit {
    /// The schedule's name
    #[arg(value_parser = parse::name::<ScheduleName>)]
    name: ScheduleName,
    #[command(flatten)]
    times: Times,
    /// Begin a run of this plan from now on; also reads an edited file anew
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "agent", "prompt"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
}

/// Remove a schedule
///
/// What it has handed in before stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell schedule remove nightly")]
pub(super) struct Remove {
    /// The schedule's name
    #[arg(value_parser = parse::name::<ScheduleName>)]
    name: ScheduleName,
}

impl Edit {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let (entry, mut schedule) = existing(&engine, &self.name).await?;
        let before = schedule.clone();
        let now = engine.now().wall;
        if let Some(when) = self.times.timing(Some(&schedule.when), now)? {
            schedule = schedule.at_times(when, now);
            if schedule.next.is_none() {
                return Err(invalid("the time has passed already").into());
            }
        }
        schedule.catch_up = self.times.catch_up.unwrap_or(schedule.catch_up);
        schedule.overlap = self.times.overlap.unwrap_or(schedule.overlap);
        schedule.work = match (&self.plan, schedule.work) {
            (Some(path), _) => plan(context, path, &self.asked)?,
            (None, Work::Task(mut spec)) => {
                self.asked.amend(&mut spec, context)?;
                Work::Task(spec)
            }
            (None, Work::Plan { file, text }) => {
                if self.asked.names_work() {
                    Work::Task(Box::new(self.asked.spec(self.name.as_str(), context)?))
                } else {
                    only_a_plan(context, &self.asked)?;
                    Work::Plan { file, text }
                }
            }
        };
        if schedule != before {
            write(
                &engine,
                &self.name,
                Some(&entry),
                Some(&schedule),
                Kind::ScheduleEdited,
            )
            .await?;
        }
        let shown = api::schedule::Schedule::new(self.name.as_str(), &schedule);
        context.ui.answer(&shown, line)?;
        Ok(Exit::DONE)
    }
}

impl Remove {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let (entry, schedule) = existing(&engine, &self.name).await?;
        write(&engine, &self.name, Some(&entry), None, Kind::ScheduleRemoved).await?;
        let shown = api::schedule::Schedule::new(self.name.as_str(), &schedule);
        context
            .ui
            .answer(&shown, |shown| format!("removed {}\n", shown.name))?;
        Ok(Exit::DONE)
    }
}
