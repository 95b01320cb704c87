//! `bell dlq`: tasks that failed with no try left.

mod change;
mod groups;
mod list;
mod select;
mod show;

use clap::Subcommand;
use domain::code::{Code, Refusal};
use domain::store::View;
use domain::task::signature::Signature;

use crate::context::Context;
use crate::error::Result;
use crate::lookup;

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
        lookup::catch_up(&engine).await?;
        match self.command {
            Command::List(args) => args.run(context, &engine).await,
            Command::Groups(args) => args.run(context, &engine).await,
            Command::Show(args) => args.run(context, &engine).await,
            Command::Requeue(args) => args.run(context, &engine).await,
            Command::Drop(args) => args.run(context, &engine).await,
        }
    }
}

fn signature(view: &View) -> Signature {
    let failure = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
    Signature::of(view.task.reason, failure)
}

fn not_dead(view: &View) -> Refusal {
    let task = &view.task;
    let detail = format!("task {} is {} and not in the dead letters", task.id, task.state);
    Refusal::new(Code::InvalidTransition, detail).help("`bell dlq list` shows what is")
}
