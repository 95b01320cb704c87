//! `bell task start | progress | release`, and what the holder of a lease needs for every verb.

use std::sync::Arc;
use std::time::Duration;

use api::answer::Renewed;
use desk::find;
use domain::id::Token;
use domain::store::{Command, Reply, Request, Target, View};
use domain::task::spec::Json;
use engine::engine::Engine;

use super::{Full, Once, control};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{theme, time};
use crate::parse;

/// Which lease is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Held {
    /// The task: its id or the beginning of it, or its key in the newest run
    pub(super) id: String,
    /// What `bell task claim` printed
    #[arg(long, value_parser = parse::name::<Token>)]
    pub(super) token: Token,
}

/// Start a task that was claimed with --no-start
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell task start build --token 1.4.9f86d081884c7d65")]
pub(crate) struct Start {
    #[command(flatten)]
    held: Held,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    full: Full,
}

/// Renew a lease, and say how far the work is
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task progress build --token 1.4.9f86d081884c7d65
  bell task progress build --token 1.4.9f86d081884c7d65 --progress '{\"percent\": 40}' --ttl 1h")]
pub(crate) struct Progress {
    #[command(flatten)]
    held: Held,
    /// Any JSON; it replaces what was reported before; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    progress: Option<Json>,
    /// Keep the lease this long from now [default: as it was claimed]
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    ttl: Option<Duration>,
    #[command(flatten)]
    full: Full,
}

/// Hand a task back; no try is spent
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell task release build --token 1.4.9f86d081884c7d65")]
pub(crate) struct Release {
    #[command(flatten)]
    held: Held,
    #[command(flatten)]
    once: Once,
    #[command(flatten)]
    full: Full,
}

impl Start {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let reply = ask(
            &engine,
            &self.held,
            Command::Start { at: None },
            self.once.idempotency_key,
        )
        .await?;
        renewed(context, &engine, reply, self.full).await
    }
}

impl Progress {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let command = Command::Renew {
            ttl: self.ttl,
            progress: self.progress,
        };
        let reply = ask(&engine, &self.held, command, None).await?;
        renewed(context, &engine, reply, self.full).await
    }
}

impl Release {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let reply = ask(&engine, &self.held, Command::Release, self.once.idempotency_key).await?;
        control::tell(context, &engine, reply, self.full).await
    }
}

/// Carries out a command of the holder, in the name of the worker that has the lease.
pub(super) async fn ask(
    engine: &Engine,
    held: &Held,
    command: Command,
    key: Option<String>,
) -> Result<Reply> {
    let view = find::typed(engine, &held.id).await?;
    let request = Request {
        actor: actor(engine, &view, held.token),
        target: Target::Holder(held.token, Some(view.task.id)),
        command,
        idempotency_key: key,
    };
    Ok(desk::change::one(engine, request).await?)
}

fn actor(engine: &Engine, view: &View, token: Token) -> Arc<str> {
    match &view.task.lease {
        Some(lease) if view.task.token() == Some(token) => format!("worker:{}", lease.worker).into(),
        _ => engine.actor.clone(),
    }
}

async fn renewed(context: &Context, engine: &Engine, reply: Reply, full: Full) -> Result {
    let mut renewed = Renewed::from(reply);
    renewed.full = find::full(engine, &renewed.task, full.full).await?;
    let now = engine.now().wall;
    context.ui.answer(&renewed, |renewed| {
        let expires = renewed
            .expires_at
            .map_or_else(String::new, |at| time::both(at, now));
        let state = theme::state_text(renewed.state, None);
        format!("{state}  {}  expires {expires}\n", renewed.task)
    })?;
    Ok(Exit::DONE)
}
