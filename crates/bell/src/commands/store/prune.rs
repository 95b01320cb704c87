//! `bell store prune`

use std::time::Duration;

use api::project::Pruned;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::{Error, Result, invalid};
use crate::exit::Exit;
use crate::output::theme::{self, paint};
use crate::parse;

/// Take out what ended long ago
///
/// Finished runs go whole, with their tasks and what those have put out on this machine; so do other finished tasks,
/// answers to idempotency keys, and the beginning of the log, which still proves itself from where it then begins.
/// Dead letters stay, and whatever others still depend on. A project does this by itself after 30 days while anything works
/// in it; `bell config set retention=90d` changes that. May be stopped at any time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell store prune --older 7d --dry-run
  bell store prune --older 7d --yes --compact")]
pub(super) struct Prune {
    /// What ended longer ago than this, such as 7d or 12h
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    older: Duration,
    /// Count what would go, and take nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Give the room back to the machine afterwards: rewrites the file of a SQLite store, and nobody writes meanwhile
    #[arg(long, conflicts_with = "dry_run")]
    compact: bool,
}

impl Prune {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let counted = desk::prune::prune(&engine, self.older, true).await?;
        if self.dry_run {
            context.ui.answer(&counted, people)?;
            return Ok(Exit::DONE);
        }
        if !self.yes {
            confirm(context, &counted).await?;
        }
        let mut done = desk::prune::prune(&engine, self.older, false).await?;
        if self.compact {
            done.freed_bytes = compact(&engine).await?;
        }
        context.ui.answer(&done, people)?;
        Ok(Exit::DONE)
    }
}

async fn compact(engine: &Engine) -> Result<Option<u64>> {
    Ok(engine.store.compact().await?)
}

fn is_nothing(sum: &Pruned) -> bool {
    sum.tasks + sum.runs + sum.answers + sum.events == 0
}

async fn confirm(context: &Context, sum: &Pruned) -> Result<()> {
    if is_nothing(sum) {
        return Ok(());
    }
    let what = what(sum.tasks, sum.runs, sum.answers, sum.events);
    if !context.ui.can_ask() {
        return Err(invalid(format!("{what} would go, and nobody can be asked"))
            .help("pass --yes; --dry-run only counts")
            .into());
    }
    let (ui, question) = (context.ui.clone(), format!("take out {what}?"));
    let asked = tokio::task::spawn_blocking(move || ui.ask(&question)).await;
    match asked.unwrap_or(Ok(false))? {
        true => Ok(()),
        false => Err(Error::Told(Exit::NO)),
    }
}

fn what(tasks: u64, runs: u64, answers: u64, events: u64) -> String {
    format!("{tasks} tasks with {runs} runs, {answers} answers to idempotency keys and {events} events")
}

fn people(answer: &Pruned) -> String {
    let what = what(answer.tasks, answer.runs, answer.answers, answer.events);
    if answer.dry_run {
        return format!("would take out up to {what}, of before {}\n", answer.before);
    }
    let mut text = format!("{}  {what}\n", paint(theme::GOOD, "✓ gone"));
    if let Some(bytes) = answer.freed_bytes {
        text += &format!("the file is {} KiB smaller\n", bytes / 1024);
    }
    text
}
