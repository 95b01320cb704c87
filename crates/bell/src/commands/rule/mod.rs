//! `bell rule`: what is done by itself when something happens.

mod add;
mod letters;
mod list;

use clap::Subcommand;
use domain::id::RuleName;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Do something by itself when something happens
///
/// A rule waits for events, and hands work in, calls a URL, starts a command, or changes tasks. Rules are carried out
/// while a worker of the project, or a plan, is running somewhere: `bell worker` stays up for them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<add::Args>),
    List(list::List),
    Show(list::Show),
    Remove(Remove),
    Letters(letters::Args),
}

/// Remove a rule, with all that it still owes
///
/// What it has done before stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule remove qa-after-dev")]
struct Remove {
    /// The rule's name
    #[arg(value_parser = parse::name::<RuleName>)]
    name: RuleName,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Add(args) => args.run(context).await,
            Command::List(args) => args.run(context).await,
            Command::Show(args) => args.run(context).await,
            Command::Remove(args) => args.run(context).await,
            Command::Letters(args) => args.run(context).await,
        }
    }
}

impl Remove {
    async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let answer = desk::rule::remove(&engine, self.name).await?;
        context.ui.answer(&answer, |answer| match answer.dropped {
            0 => format!("removed {}\n", answer.removed),
            more => format!("removed {}, with {more} that it owed\n", answer.removed),
        })?;
        Ok(Exit::DONE)
    }
}
