//! `bell task`: one task, from adding it to its end.

mod add;
mod claim;
mod complete;
mod control;
mod fail;
mod history;
mod holder;
mod list;
mod logs;
mod show;
mod signal;
mod why;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Result;

pub(crate) use add::Asked;
pub(crate) use list::{page, table};
pub(crate) use show::people;

/// Add, watch, steer and work on tasks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<add::Args>),
    List(list::Args),
    Show(show::Args),
    Why(why::Args),
    History(history::Args),
    Logs(logs::Args),
    Assign(control::Assign),
    Cancel(control::Cancel),
    Suspend(control::Suspend),
    Resume(control::Resume),
    Retry(control::Retry),
    Signal(signal::Args),
    Claim(claim::Args),
    Start(holder::Start),
    Progress(holder::Progress),
    Complete(complete::Args),
    Fail(fail::Args),
    Release(holder::Release),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Add(args) => args.run(context).await,
            Command::List(args) => args.run(context).await,
            Command::Show(args) => args.run(context).await,
            Command::Why(args) => args.run(context).await,
            Command::History(args) => args.run(context).await,
            Command::Logs(args) => args.run(context).await,
            Command::Assign(args) => args.run(context).await,
            Command::Cancel(args) => args.run(context).await,
            Command::Suspend(args) => args.run(context).await,
            Command::Resume(args) => args.run(context).await,
            Command::Retry(args) => args.run(context).await,
            Command::Signal(args) => args.run(context).await,
            Command::Claim(args) => args.run(context).await,
            Command::Start(args) => args.run(context).await,
            Command::Progress(args) => args.run(context).await,
            Command::Complete(args) => args.run(context).await,
            Command::Fail(args) => args.run(context).await,
            Command::Release(args) => args.run(context).await,
        }
    }
}

/// Of every verb that writes.
#[derive(Debug, clap::Args)]
pub(crate) struct Once {
    /// Make a repeated call harmless: the same key with the same request answers as the first time
    #[arg(long, value_name = "KEY", value_parser = crate::parse::idempotency_key)]
    pub(crate) idempotency_key: Option<String>,
}

/// Of every verb that answers with a task's id.
#[derive(Debug, clap::Args)]
struct Full {
    /// Embed the whole task in the answer, as `full`
    #[arg(long)]
    full: bool,
}
