//! `bell queue stats`

use std::time::Duration;

use api::stats::{Spread, Stats, Tally};
use domain::time::show_duration;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// Tell what became of tasks and their tries, by kind
///
/// Read from the log, the newest 100,000 events at the most. Rates are of the tasks that completed or failed in that time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell queue stats
  bell queue stats --since 7d --json | jq .kinds")]
pub(super) struct Args {
    /// Look so far back
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse::span)]
    since: Duration,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let stats = desk::stats::stats(engine, Some(self.since)).await?;
        context.ui.answer(&stats, people)?;
        Ok(Exit::DONE)
    }
}

fn people(stats: &Stats) -> String {
    let Some(since) = stats.since else {
        return "nothing has happened in this time\n".to_owned();
    };
    let mut table = Table::new(&[
        "KIND",
        ">TASKS",
        ">DONE",
        ">FAILED",
        ">SUCCESS",
        ">TRIES",
        ">RETRIED",
        ">RECOVERED",
        ">LOST",
        ">MEAN",
        ">P95",
        ">BACK-OFF",
    ]);
    for (kind, tally) in &stats.kinds {
        row(&mut table, kind, tally);
    }
    if stats.kinds.len() > 1 {
        row(&mut table, "total", &stats.total);
    }
    let cut = if stats.cut {
        ", the newest that are looked at"
    } else {
        ""
    };
    format!(
        "{}\n{} events since {}{cut}\n",
        table.render(),
        stats.events,
        since.0
    )
}

fn row(table: &mut Table, kind: &str, tally: &Tally) {
    let span = |seconds: Option<f64>| {
        seconds.map_or_else(String::new, |seconds| {
            show_duration(Duration::from_secs_f64(seconds))
        })
    };
    let Spread { mean, p95, .. } = tally.took;
    let success = tally
        .success_rate
        .map_or_else(String::new, |rate| format!("{rate} %"));
    table.row([
        kind.into(),
        tally.submitted.to_string().into(),
        tally.completed.to_string().into(),
        tally.failed.to_string().into(),
        success.into(),
        tally.attempts.to_string().into(),
        tally.retries.to_string().into(),
        tally.recovered.to_string().into(),
        tally.attempts_lost.to_string().into(),
        span(mean).into(),
        span(p95).into(),
        span(tally.delays.mean).into(),
    ]);
}
