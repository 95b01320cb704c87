//! `bell queue stale`

use std::time::Duration;

use api::queue::{Stale, StaleTask};
use domain::store::{Command, Held, Request, Target};
use domain::task::state::Reason;
use domain::time::Timestamp;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::{theme, time};
use crate::parse;

/// List attempts that have been under way for too long, and end them if asked
///
/// `--release` says that nobody works on them any more: they are ready again, and no try is spent. Whoever does hold one
/// finds its token refused. `--cancel` ends them for good.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell queue stale --older 1h
  bell queue stale --older 6h --release")]
pub(super) struct Args {
    /// Under way for longer than this
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse::span)]
    older: Duration,
    /// Cancel them
    #[arg(long, conflicts_with = "release")]
    cancel: bool,
    /// Hand them back
    #[arg(long)]
    release: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let now = engine.now();
        let mut held = engine.store.leased(&engine.project, None).await?;
        held.retain(|held| held.started_at.is_some_and(|at| now.wall.since(at) > self.older));
        held.sort_by_key(|held| held.started_at);
        let mut stale = Stale {
            count: held.len(),
            tasks: held.iter().map(|held| held.id.clone()).collect(),
            attempts: held.iter().map(StaleTask::from).collect(),
        };
        if self.cancel || self.release {
            let requests = held.iter().map(|held| self.request(held, engine)).collect();
            let replies = engine.store.change(&engine.project, requests, now).await?;
            for (task, reply) in stale.attempts.iter_mut().zip(replies) {
                // Who has ended by itself in the meantime is no longer stale.
                task.became = reply.ok().map(|reply| reply.state);
            }
        }
        context.ui.answer(&stale, |stale| table(stale, now.wall))?;
        if !held.is_empty() && !self.cancel && !self.release {
            context
                .ui
                .hint("--release hands them back, --cancel ends them for good")?;
        }
        Ok(Exit::DONE)
    }

    fn request(&self, held: &Held, engine: &Engine) -> Request {
        let (target, command) = if self.cancel {
            let reason = Reason::Cancelled;
            (Target::Id(held.id.clone()), Command::Cancel { reason })
        } else {
            let holder = Target::Holder(held.token, Some(held.id.clone()));
            (holder, Command::Release)
        };
        Request {
            target,
            command,
            actor: engine.actor.clone(),
            idempotency_key: None,
        }
    }
}

fn table(stale: &Stale, now: Timestamp) -> String {
    if stale.tasks.is_empty() {
        return "nothing is stale\n".to_owned();
    }
    let mut table = Table::new(&["STATE", "ID", "WORKER", ">TRY", ">SINCE"]);
    for task in &stale.attempts {
        let state = task.became.unwrap_or(task.state);
        table.row([
            theme::state(state, None).into(),
            task.task.to_string().into(),
            task.worker.to_string().into(),
            task.attempt.to_string().into(),
            task.started_at
                .map_or_else(String::new, |at| time::age(at.0, now))
                .into(),
        ]);
    }
    table.render()
}
