//! `bell rule letters`: what rules could not do.

use api::ask;
use api::rule::{ChangedLetters, Letters};
use clap::Subcommand;
use domain::id::RuleName;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::time;
use crate::parse;

/// See what rules could not do, try it again, or throw it away
///
/// What a rule does is tried three times, with pauses of 2 s and 4 s. What fails then is put here, and an event
/// `rule.failed` tells it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Retry(Retry),
    Drop(Drop),
}

/// List what rules could not do
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule letters list")]
struct List {
    /// Only of this rule
    #[arg(long, value_parser = parse::name::<RuleName>)]
    rule: Option<RuleName>,
}

/// Try letters again, with all their tries
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell rule letters retry page
  bell rule letters retry page --event 120
  bell rule letters retry --all")]
struct Retry {
    #[command(flatten)]
    which: Which,
}

/// Throw letters away
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule letters drop page")]
struct Drop {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The rule's name
    #[arg(value_parser = parse::name::<RuleName>, required_unless_present = "all", conflicts_with = "all")]
    rule: Option<RuleName>,
    /// Only about the event with this number
    #[arg(long, value_name = "NUMBER", requires = "rule")]
    event: Option<u64>,
    /// Of all rules
    #[arg(long)]
    all: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(List { rule }) => {
                let list = desk::rule::letters(&engine, &ask::RuleLetters { rule }).await?;
                context.ui.answer(&list, people)?;
            }
            Command::Retry(retry) => {
                let answer = desk::rule::retry_letters(&engine, &retry.which.into()).await?;
                context.ui.answer(&answer, |answer| done(answer, "tried again"))?;
            }
            Command::Drop(drop) => {
                let answer = desk::rule::drop_letters(&engine, &drop.which.into()).await?;
                context.ui.answer(&answer, |answer| done(answer, "dropped"))?;
            }
        }
        Ok(Exit::DONE)
    }
}

impl From<Which> for ask::WhichLetters {
    fn from(which: Which) -> ask::WhichLetters {
        ask::WhichLetters {
            rule: which.rule,
            event: which.event,
            all: which.all,
        }
    }
}

fn done(answer: &ChangedLetters, what: &str) -> String {
    format!("{} {what}\n", answer.count)
}

fn people(list: &Letters) -> String {
    if list.letters.is_empty() {
        return "no letters\n".to_owned();
    }
    let mut table = Table::new(&["RULE", ">EVENT", "SINCE", ">TRIES", "ERROR"]);
    for letter in &list.letters {
        table.row([
            letter.rule.as_str().into(),
            letter.event.0.to_string().into(),
            time::clock(letter.since.0).into(),
            letter.tries.to_string().into(),
            letter.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    table.render()
}
