//! `bell dlq`: tasks that failed with no try left.

mod change;
mod groups;
mod list;
mod select;
mod show;

use clap::Subcommand;
use desk::find;

use crate::context::Context;
use crate::error::Result;

/// Look after tasks that failed with no try left
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Groups(groups::Args),
    Show(show::Args),
    Requeue(change::Requeue),
    Drop(change::Drop),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        find::catch_up(&engine).await?;
        match self.command {
            Command::List(args) => args.run(context, &engine).await,
            Command::Groups(args) => args.run(context, &engine).await,
            Command::Show(args) => args.run(context, &engine).await,
            Command::Requeue(args) => args.run(context, &engine).await,
            Command::Drop(args) => args.run(context, &engine).await,
        }
    }
}
