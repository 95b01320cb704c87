//! `bell task fail`

use api::answer::Failed;
use desk::find;
use domain::store::Command;
use domain::task::record::Failure;
use domain::task::spec::Json;
use domain::task::state::State;
use domain::time::Timestamp;

use super::holder::{self, Held};
use super::{Full, Once};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{theme, time};
use crate::parse;

/// Say that an attempt has failed
///
/// The task is tried again as its retry policy says; when no try is left, it goes to the dead letters and what
/// waits for its success is cancelled.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  bell task fail build --token 1.4.9f86d081884c7d65 --error \"out of memory\" --no-retry")]
pub(crate) struct Args {
    #[command(flatten)]
    held: Held,
    /// What went wrong
    #[arg(long, value_name = "MESSAGE", value_parser = parse::text)]
    error: String,
    /// Name the sort of error; validation, authentication and the like are not tried again
    #[arg(long)]
    class: Option<String>,
    /// Do not try again
    #[arg(long)]
    no_retry: bool,
    /// What it took, for example {"tokens": 1200}
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    usage: Option<Json>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    full: Full,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let command = Command::Fail {
            failure: Failure {
                message: self.error,
                class: self.class,
                exit: None,
            },
            usage: self.usage,
            timed_out: false,
            no_retry: self.no_retry,
        };
        let reply = holder::ask(&engine, &self.held, command, self.once.idempotency_key).await?;
        let mut answer = Failed::from(reply);
        answer.full = find::full(&engine, &answer.task, self.full.full).await?;
        context
            .ui
            .answer(&answer, |answer| people(answer, engine.now().wall))?;
        if answer.state == State::Failed {
            context
                .ui
                .hint(&format!("`bell task retry {}` tries it again", self.held.id))?;
        }
        Ok(Exit::DONE)
    }
}

fn people(answer: &Failed, now: Timestamp) -> String {
    let again = answer.retry_at.map_or_else(String::new, |at| {
        format!("  next try {}", time::relative(at, now))
    });
    let mut text = format!(
        "{}  {}{again}\n",
        theme::state_text(answer.state, None),
        answer.task
    );
    for id in &answer.cancelled {
        text += &format!("{}  {id}\n", theme::state_text(State::Cancelled, None));
    }
    match answer.more {
        0 => text,
        more => format!("{text}and {more} more\n"),
    }
}
