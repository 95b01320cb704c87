//! `bell lock`

use api::ask;
use api::list::{Broken, Evicted, Locks};
use clap::Subcommand;
use domain::task::lock::Mode;
use domain::time::Timestamp;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::time;
use crate::parse;

/// See which locks are held, and break one
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Break(Break),
}

/// List the locks that are held: who holds them, and who waits
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell lock list")]
struct List {}

/// Take a lock from whoever holds it
///
/// The holder can do nothing more with its task from now on; the task goes back into the line, and no try is counted.
/// The lock is free when the holder confirms that it has stopped, as a worker does within moments, or when its lease
/// ends. With --now it is free at once, and it is you who knows that the holder has stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell lock break db:migrations --reason 'the agent hangs'
  bell lock break path:src --now --reason 'its machine is gone'")]
struct Break {
    /// The lock, as `bell lock list` writes it
    name: String,
    /// Say why; the log keeps it
    #[arg(long, value_name = "TEXT", value_parser = parse::text)]
    reason: String,
    /// Do not wait until the holder has stopped
    #[arg(long)]
    now: bool,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(_) => list(context, &engine).await,
            Command::Break(asked) => asked.run(context, &engine).await,
        }
    }
}

async fn list(context: &Context, engine: &Engine) -> Result {
    let list = desk::queue::locks(engine).await?;
    let now = engine.now();
    context.ui.answer(&list, |list| people(list, now.wall))?;
    Ok(Exit::DONE)
}

impl Break {
    async fn run(self, context: &Context, engine: &Engine) -> Result {
        let asked = ask::Break {
            name: self.name,
            reason: self.reason,
            now: self.now,
        };
        let broken = desk::lock::break_it(engine, &asked).await?;
        let now = engine.now().wall;
        context.ui.answer(&broken, |broken| told(broken, now))?;
        if broken.holders.iter().any(|holder| holder.free_at.is_some()) {
            context
                .ui
                .hint("if you know that it has stopped, --now does not wait")?;
        }
        Ok(Exit::DONE)
    }
}

fn told(broken: &Broken, now: Timestamp) -> String {
    let line = |holder: &Evicted| match holder.free_at {
        None => format!("{} has lost {}, which is free\n", holder.task, broken.lock),
        Some(at) => format!(
            "{} has lost {}, which is free when it has stopped, {} at the latest\n",
            holder.task,
            broken.lock,
            time::both(at, now)
        ),
    };
    match broken.holders.is_empty() {
        true => format!("{} was let go meanwhile\n", broken.lock),
        false => broken.holders.iter().map(line).collect(),
    }
}

fn people(list: &Locks, now: Timestamp) -> String {
    if list.locks.is_empty() {
        return "no lock is held\n".to_owned();
    }
    let mut table = Table::new(&["MODE", "HOLDER", "WORKER", ">FOR", "NAME", ">WAITING", "FIRST"]);
    for lock in &list.locks {
        let mode = match lock.mode {
            Mode::Exclusive => "exclusive",
            Mode::Shared => "shared",
        };
        let worker = lock.worker.as_ref().map_or_else(String::new, ToString::to_string);
        let since = lock.since.map(|since| time::age(since.0, now));
        let first = lock.waiters.first().map_or_else(String::new, ToString::to_string);
        table.row([
            mode.into(),
            lock.holder.to_string().into(),
            worker.into(),
            since.unwrap_or_default().into(),
            lock.name.as_str().into(),
            lock.waiting.to_string().into(),
            first.into(),
        ]);
    }
    table.render()
}
