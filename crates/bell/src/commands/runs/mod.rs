//! `bell runs`

mod cancel;
mod list;
mod show;

use clap::Subcommand;
use domain::code::{Code, Refusal};
use domain::id::RunId;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::lookup;

/// List, show and cancel runs
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
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(args) => args.run(context, &engine).await,
            Command::Show(args) => args.run(context, &engine).await,
            Command::Cancel(args) => args.run(context, &engine).await,
        }
    }
}

/// The run with this id, or the newest one of the plan with this name.
pub(crate) async fn find(engine: &Engine, text: &str) -> Result<domain::run::Run> {
    if let Ok(id) = text.parse::<RunId>() {
        return lookup::run(engine, id).await;
    }
    let newest = engine.store.runs(&engine.project, Some(text), 1).await?.pop();
    let Some(run) = newest else {
        let detail = format!(
            "project {} has no run `{}`, and no plan of that name was run",
            engine.project,
            text.escape_debug()
        );
        return Err(Refusal::new(Code::RunNotFound, detail)
            .help("`bell runs list` shows the runs")
            .into());
    };
    Ok(run)
}
