//! `bell dlq list`

use desk::letter;
use domain::limits::PAGE_MAX;
use domain::store::View;
use domain::time::Timestamp;
use engine::engine::Engine;

use super::select::Select;
use crate::commands::task;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::{failure, time};
use crate::parse;

/// List the dead letters
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell dlq list --kind command
  bell dlq list --reason timeout --older-than 1d")]
pub(super) struct Args {
    #[command(flatten)]
    select: Select,
    /// At most this many
    #[arg(long, default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let asked = self.select.asked(engine, Some(self.limit)).await?;
        let page = letter::first(engine, asked).await?;
        if context.ui.json {
            return task::page(context, engine, page).await;
        }
        context.ui.text(&table(&page.views, engine.now().wall))?;
        if !page.views.is_empty() {
            context
                .ui
                .hint("`bell dlq groups` counts them by cause, `bell dlq requeue ID` tries one again")?;
        }
        Ok(Exit::DONE)
    }
}

fn table(views: &[View], now: Timestamp) -> String {
    if views.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut table = Table::new(&["ID", "REASON", "NAME", "ERROR", ">TRIES", ">FAILED"]);
    for view in views {
        let task = &view.task;
        let error = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
        let error = error.map(|failure| failure.message.as_str());
        let name = match &view.body.key {
            Some(key) => key.to_string(),
            None => api::task::name(&view.body, &task.id),
        };
        let reason = task.reason.map(|reason| reason.to_string());
        let failed = task.finished_at.map(|at| time::age(at, now));
        table.row([
            task.id.to_string().into(),
            reason.unwrap_or_default().into(),
            name.into(),
            failure::text(error, task.reason).into(),
            task.attempts.to_string().into(),
            failed.unwrap_or_default().into(),
        ]);
    }
    table.render()
}
