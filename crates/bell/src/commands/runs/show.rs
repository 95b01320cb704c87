//! `bell runs show`

use api::run::Run;
use desk::find;
use domain::id::Seq;
use domain::limits::PAGE_MAX;
use domain::run::RunState;
use domain::store::Filter;
use domain::time::Timestamp;
use engine::engine::Engine;
use engine::order::order;

use crate::commands::task;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::fields;
use crate::output::theme::{self, paint};
use crate::output::time;

/// Show a run and its tasks
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell runs show release        (the newest run of that plan)
  bell runs show 0196b2c4-5d5e-7c1f-a3de-2f3c4a5b6c7d")]
pub(super) struct Args {
    /// The run: its id or the beginning of it, or the name of its plan
    run: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        find::catch_up(engine).await?;
        let run = find::typed_run(engine, &self.run).await?;
        let filter = Filter {
            run: Some(run.id),
            ..Filter::default()
        };
        let page = desk::task::page(engine, filter, Seq(0), PAGE_MAX).await?;
        let run = Run::from(run);
        if !context.ui.json {
            let now = engine.now();
            context.ui.text(&format!(
                "{}\n{}",
                head(&run, now.wall),
                task::table(&page.views, &order(engine).await?, now)
            ))?;
            next(context, &run)?;
            return Ok(Exit::DONE);
        }
        let shown = desk::run::with_tasks(engine, run, page).await?;
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
