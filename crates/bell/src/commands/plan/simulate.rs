//! `bell plan simulate`

use std::path::PathBuf;

use api::project::Forecast as Told;
use domain::id::Key;
use domain::task::score::Profile;
use domain::time::show_duration;
use engine::expect::Expected;
use engine::simulate::{Forecast, Options, simulate};
use engine::submit::identity;

use super::file::{Loaded, load};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::table::fields;
use crate::parse;

/// Forecast how long a plan will take, by the real scheduling on a clock moved by hand
///
/// Durations and failures come from earlier runs of the plan in the store, if there are any, else from estimates, and where
/// there is none from what tasks of that kind usually do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell plan simulate plan.yaml --workers 4
  bell plan simulate plan.yaml --fail test        (what if it fails?)
  bell plan simulate plan.yaml --without lint     (what if it were done?)")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
    /// So many tasks at the same time [default: 10]
    #[arg(long, value_name = "N", value_parser = parse::jobs)]
    workers: Option<usize>,
    /// Let this task fail with every try
    #[arg(long, value_name = "KEY", value_parser = parse::name::<Key>)]
    fail: Vec<Key>,
    /// Take this task for done
    #[arg(long, value_name = "KEY", value_parser = parse::name::<Key>)]
    without: Vec<Key>,
    /// Play it through so many times
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = parse::limit)]
    samples: usize,
    /// Draw the same numbers again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Say what goes first: classic or critical-path
    #[arg(long, value_parser = parse::profile, default_value = "classic")]
    profile: Profile,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let loaded = load(context, &self.plan)?;
        let workers = self.workers.unwrap_or(context.settings.jobs());
        let options = Options {
            workers,
            fail: self.fail,
            without: self.without,
            samples: self.samples,
            seed: self.seed,
            profile: self.profile,
        };
        let expected = known(context, &loaded).await?;
        let fresh = || store::open("memory:", store::Options::default());
        let forecast = simulate(&loaded.plan, &expected, &options, &fresh).await?;
        let told = desk::plan::foretold(workers, &forecast);
        context
            .ui
            .answer(&told, |told| people(told, &forecast, loaded.plan.tasks.len()))?;
        Ok(Exit::DONE)
    }
}

/// What the store knows of earlier runs and kinds; without a store, nothing.
async fn known(context: &Context, loaded: &Loaded) -> Result<Expected> {
    match context.engine().await {
        Ok(engine) => Ok(Expected::of(&engine, &identity(&loaded.plan, &loaded.path)).await?),
        Err(Error::Refused(refusal)) if refusal.code == domain::code::Code::StoreNotFound => {
            Ok(Expected::default())
        }
        Err(error) => Err(error),
    }
}

fn people(told: &Told, forecast: &Forecast, tasks: usize) -> String {
    fields(&[
        ("half of the time done in", Some(show_duration(forecast.p50))),
        ("nine times of ten in", Some(show_duration(forecast.p90))),
        (
            "succeeded",
            Some(format!("{} of {} samples", told.succeeded, told.samples)),
        ),
        (
            "workers",
            Some(format!(
                "{}, busy {:.0} %",
                told.workers,
                told.utilisation * 100.0
            )),
        ),
        (
            "known from earlier runs",
            Some(format!("{} of {tasks} tasks", told.learned)),
        ),
        (
            "known by their kind",
            (told.by_kind > 0).then(|| format!("{} of {tasks} tasks", told.by_kind)),
        ),
    ])
}
