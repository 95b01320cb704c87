//! `bell plan simulate`

use std::path::PathBuf;

use domain::id::Key;
use domain::task::score::Profile;
use domain::time::show_duration;
use engine::expect::Expected;
use engine::simulate::{Forecast, Options, simulate};
use engine::submit::identity;
use serde::Serialize;

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

#[derive(Debug, Serialize)]
struct Told {
    workers: usize,
    samples: usize,
    /// Samples in which everything went well.
    succeeded: usize,
    p50_seconds: f64,
    p90_seconds: f64,
    /// Busy time over the time of all workers, 0 to 1.
    utilisation: f64,
    /// Tasks whose durations come from earlier runs.
    learned: usize,
    /// Tasks whose durations are those of their kind.
    by_kind: usize,
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
        let told = told(workers, &forecast);
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

fn told(workers: usize, forecast: &Forecast) -> Told {
    Told {
        workers,
        samples: forecast.samples,
        succeeded: forecast.succeeded,
        p50_seconds: forecast.p50.as_secs_f64(),
        p90_seconds: forecast.p90.as_secs_f64(),
        utilisation: (forecast.utilisation * 1_000.0).round() / 1_000.0,
        learned: forecast.learned,
        by_kind: forecast.by_kind,
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
