//! `bell task complete`

use api::answer::Completed;
use desk::find;
use domain::code::{Code, Refusal};
use domain::limits::RESULT_BYTES;
use domain::store::Command;
use domain::task::record::Outcome;
use domain::task::spec::Json;
use domain::task::state::State;

use super::holder::{self, Held};
use super::{Full, Once};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::theme;
use crate::parse;

/// Say that a task is done
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task complete build --token 1.4.9f86d081884c7d65
  bell task complete review --token 1.4.9f86d081884c7d65 --result '{\"verdict\": \"good\"}'
  bell task complete report --token 1.4.9f86d081884c7d65 --result @report.json")]
pub(crate) struct Args {
    #[command(flatten)]
    held: Held,
    /// What came out of it; dependents get it; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    result: Option<Json>,
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
        if let Some(result) = &self.result {
            small_enough(result)?;
        }
        let command = Command::Complete {
            outcome: Outcome {
                result: self.result,
                error: None,
                usage: self.usage,
            },
            cached: false,
            children: None,
        };
        let reply = holder::ask(&engine, &self.held, command, self.once.idempotency_key).await?;
        let mut answer = Completed::from(reply);
        answer.full = find::full(&engine, &answer.task, self.full.full).await?;
        context.ui.answer(&answer, people)?;
        if !answer.unblocked.is_empty() {
            context
                .ui
                .hint("`bell task claim --worker NAME` takes the next one")?;
        }
        Ok(Exit::DONE)
    }
}

fn small_enough(result: &Json) -> Result<()> {
    let bytes = result.get().len();
    if bytes > RESULT_BYTES {
        let detail = format!("the result has {bytes} bytes, the limit is {RESULT_BYTES}");
        let refusal = Refusal::new(Code::LimitExceeded, detail);
        return Err(refusal
            .help("write it to a file and give its path: {\"file\": PATH}")
            .into());
    }
    Ok(())
}

fn people(answer: &Completed) -> String {
    let mut text = format!("{}  {}\n", theme::state_text(State::Completed, None), answer.task);
    for id in &answer.unblocked {
        text += &format!("{}  {id}\n", theme::state_text(State::Ready, None));
    }
    match answer.more {
        0 => text,
        more => format!("{text}and {more} more are ready\n"),
    }
}
