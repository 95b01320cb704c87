//! `bell runs`

mod cancel;
mod list;
mod mine;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Result;

/// List, show and cancel runs, and learn plans from them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Cancel(cancel::Args),
    Mine(mine::Args),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(args) => args.run(context, &engine).await,
            Command::Show(args) => args.run(context, &engine).await,
            Command::Cancel(args) => args.run(context, &engine).await,
            Command::Mine(args) => args.run(context, &engine).await,
        }
    }
}
