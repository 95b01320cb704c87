//! `bell audit`

mod anchor;
mod verify;

use clap::Subcommand;
use domain::id::Project;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;

/// Prove that the log of events is whole
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(verify::Verify),
    Anchor(anchor::Anchor),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::Verify(asked) => asked.run(context, &engine).await,
            Command::Anchor(asked) => asked.run(context, &engine).await,
        }
    }
}

/// Every project of the store, or the one that was named.
async fn projects(context: &Context, engine: &Engine) -> Result<Vec<Project>> {
    match context.settings.is_default("project") {
        true => Ok(engine.store.projects().await?),
        false => Ok(vec![engine.project.clone()]),
    }
}
