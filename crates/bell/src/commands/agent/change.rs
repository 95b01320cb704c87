//! `bell agent learn | report | heartbeat | deregister`

use std::time::Duration;

use api::ask;
use api::time::Span;
use domain::id::{AgentName, Capability};

use super::{share, show};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Add a skill that an agent has shown
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bell agent learn ann sql\n  bell agent learn ann kubernetes --confidence 0.6"
)]
pub(super) struct Learn {
    #[arg(value_parser = parse::name::<AgentName>)]
    name: AgentName,
    #[arg(value_parser = parse::name::<Capability>)]
    capability: Capability,
    /// How sure that is; from 0.5 on, tasks that need it are found for the agent
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = share)]
    confidence: f64,
}

/// Tell an outcome of an agent's work outside of this store
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell agent report ann --success --duration 90s
  bell agent report ann --failure --duration 5m")]
pub(super) struct Report {
    #[arg(value_parser = parse::name::<AgentName>)]
    name: AgentName,
    /// It went well
    #[arg(long, required_unless_present = "failure", conflicts_with = "failure")]
    success: bool,
    /// It did not
    #[arg(long)]
    failure: bool,
    /// How long it took
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    duration: Duration,
    /// How good it was, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    quality: Option<f64>,
}

/// Say that an agent is there
///
/// Work does so by itself; an agent of which nothing was heard for a day is given nothing more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell agent heartbeat ann")]
pub(super) struct Heartbeat {
    #[arg(value_parser = parse::name::<AgentName>)]
    name: AgentName,
}

/// Let an agent go, and hand its work back
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell agent deregister ann")]
pub(super) struct Deregister {
    #[arg(value_parser = parse::name::<AgentName>)]
    name: AgentName,
}

impl Learn {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let asked = ask::Learn {
            capability: self.capability,
            confidence: Some(self.confidence),
        };
        let shown = desk::agent::learned(&engine, &self.name, &asked).await?;
        context
            .ui
            .answer(&shown, |shown| show::one(shown, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}

impl Report {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let asked = ask::Report {
            success: self.success,
            duration: Span(self.duration),
            quality: self.quality,
        };
        let shown = desk::agent::report(&engine, &self.name, asked).await?;
        context
            .ui
            .answer(&shown, |shown| show::one(shown, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}

impl Heartbeat {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let shown = desk::agent::heartbeat(&engine, &self.name).await?;
        context
            .ui
            .answer(&shown, |shown| show::one(shown, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}

impl Deregister {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let answer = desk::agent::deregister(&engine, self.name).await?;
        context.ui.answer(&answer, |answer| {
            format!(
                "{} is deregistered: {} of its tasks are ready again, {} are for anybody\n",
                answer.agent_id,
                answer.returned.len(),
                answer.freed.len()
            )
        })?;
        if !answer.orphaned.is_empty() {
            context.ui.hint(&format!(
                "{} tasks name it and wait: `bell task assign ID --anybody`",
                answer.orphaned.len()
            ))?;
        }
        Ok(Exit::DONE)
    }
}
