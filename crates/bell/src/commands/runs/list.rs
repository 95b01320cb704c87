//! `bell runs list`

use api::list::Runs;
use api::run::Run;
use domain::limits::PAGE_MAX;
use domain::time::{Timestamp, show_duration};
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::{theme, time};
use crate::parse;

/// List runs, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell runs list --plan release --limit 5")]
pub(super) struct Args {
    /// Only runs of this plan
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
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
            format!("{}/{}", run.total - run.counts.open(), run.total).into(),
            show_duration(ended.since(run.submitted_at.0)).into(),
            time::age(run.submitted_at.0, now).into(),
        ]);
    }
    table.render()
}
