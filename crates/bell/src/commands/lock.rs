//! `bell lock`

use api::list::{Lock, Locks};
use clap::Subcommand;
use domain::task::lock::Mode;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::lookup;
use crate::output::table::Table;

/// See which locks are held
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
}

/// List the locks that are held, who holds them and how many wait
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell lock list")]
struct List {}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let Command::List(_) = self.command;
        let engine = context.engine().await?;
        lookup::catch_up(&engine).await?;
        let locks: Vec<Lock> = engine
            .store
            .locks(&engine.project)
            .await?
            .into_iter()
            .map(Lock::from)
            .collect();
        let list = Locks {
            count: locks.len(),
            locks,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

fn people(list: &Locks) -> String {
    if list.locks.is_empty() {
        return "no lock is held\n".to_owned();
    }
    let mut table = Table::new(&["MODE", "HOLDER", "NAME", ">WAITING"]);
    for lock in &list.locks {
        let mode = match lock.mode {
            Mode::Exclusive => "exclusive",
            Mode::Shared => "shared",
        };
        table.row([
            mode.into(),
            lock.holder.to_string().into(),
            lock.name.as_str().into(),
            lock.waiting.to_string().into(),
        ]);
    }
    table.render()
}
