//! `bell task cancel | suspend | resume | retry`: what anybody may ask of a task.

use api::answer::{Cancelled, Moved};
use desk::find;
use domain::id::AgentName;
use domain::store::{Command, Reply};
use domain::task::spec::Moment;
use domain::task::state::Reason;
use engine::engine::Engine;

use super::{Full, Once};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::theme;
use crate::parse;

/// Cancel a task and everything that can no longer run without it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell task cancel deploy")]
pub(crate) struct Cancel {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    #[command(flatten)]
    once: Once,
}

/// Stop a task for a while
///
/// A command that runs is stopped and keeps its lease, its slot and its locks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell task suspend build")]
pub(crate) struct Suspend {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    full: Full,
}

/// Let a suspended task go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell task resume build")]
pub(crate) struct Resume {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    full: Full,
}

/// Try a failed task again, with all its tries; what was cancelled because of it is revived
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bell task retry build\n  bell task retry build --at 10m")]
pub(crate) struct Retry {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    /// Not now but then: a time, or a duration from now
    #[arg(long, value_name = "WHEN", value_parser = parse::moment)]
    at: Option<Moment>,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    full: Full,
}

/// Give a task to an agent, or back to everybody
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bell task assign review --agent ann\n  bell task assign review --anybody"
)]
pub(crate) struct Assign {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    /// Only this agent may take it
    #[arg(long, value_name = "NAME", value_parser = parse::name::<AgentName>, required_unless_present = "anybody")]
    agent: Option<AgentName>,
    /// Any worker may take it
    #[arg(long, conflicts_with = "agent")]
    anybody: bool,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    full: Full,
}

impl Assign {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let command = Command::Assign { agent: self.agent };
        let reply = ask(&engine, &self.id, command, self.once).await?;
        tell(context, &engine, reply, self.full).await
    }
}

impl Cancel {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let command = Command::Cancel {
            reason: Reason::Cancelled,
        };
        let reply = ask(&engine, &self.id, command, self.once).await?;
        context.ui.answer(&Cancelled::from(reply), cancelled)?;
        Ok(Exit::DONE)
    }
}

impl Suspend {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let reply = ask(&engine, &self.id, Command::Suspend, self.once).await?;
        tell(context, &engine, reply, self.full).await?;
        context
            .ui
            .hint(&format!("`bell task resume {}` lets it go on", self.id))?;
        Ok(Exit::DONE)
    }
}

impl Resume {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let reply = ask(&engine, &self.id, Command::Resume, self.once).await?;
        tell(context, &engine, reply, self.full).await
    }
}

impl Retry {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let at = self.at.map(|moment| moment.resolve(engine.now().wall));
        let reply = ask(&engine, &self.id, Command::Retry { at }, self.once).await?;
        tell(context, &engine, reply, self.full).await
    }
}

async fn ask(engine: &Engine, id: &str, command: Command, once: Once) -> Result<Reply> {
    let id = find::typed_id(engine, id).await?;
    Ok(desk::change::ask_found(engine, id, command, once.idempotency_key).await?)
}

/// Tells how a task stands after it was moved.
pub(super) async fn tell(context: &Context, engine: &Engine, reply: Reply, full: Full) -> Result {
    let mut moved = Moved::from(reply);
    moved.full = find::full(engine, &moved.task, full.full).await?;
    context.ui.answer(&moved, |moved| {
        format!(
            "{}  {}\n",
            theme::state_text(moved.state, moved.reason),
            moved.task
        )
    })?;
    Ok(Exit::DONE)
}

fn cancelled(answer: &Cancelled) -> String {
    if answer.cancelled.is_empty() {
        return "it was cancelled already\n".to_owned();
    }
    let sign = theme::state_text(domain::task::state::State::Cancelled, None);
    let lines: String = answer
        .cancelled
        .iter()
        .map(|id| format!("{sign}  {id}\n"))
        .collect();
    match answer.more {
        0 => lines,
        more => format!("{lines}and {more} more\n"),
    }
}
