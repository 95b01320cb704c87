//! `bell plan`: what a plan says, before anything of it runs. Needs no store; how long things take is learned from one.

mod check;
mod conflicts;
pub(super) mod file;
mod graph;
mod schema;
mod simulate;
mod verify;

use clap::Subcommand;

use crate::app::wait;
use crate::context::Context;
use crate::error::Result;

/// Check, draw and describe plans
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Conflicts(conflicts::Args),
    Graph(graph::Args),
    Schema(schema::Args),
    Simulate(simulate::Args),
    Verify(verify::Args),
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Check(args) => wait(args.run(context)),
            Command::Conflicts(args) => args.run(context),
            Command::Graph(args) => wait(args.run(context)),
            Command::Schema(args) => args.run(context),
            Command::Simulate(args) => wait(args.run(context)),
            Command::Verify(args) => args.run(context),
        }
    }
}
