//! `bell agent register` and `bell agent edit`: what is said about an agent.

use std::collections::BTreeMap;
use std::time::Duration;

use api::ask;
use api::time::Span;
use domain::agent::profile::Level;
use domain::id::{AgentName, Capability, Kind};
use domain::task::spec::Json;

use super::show;
use super::{share, specialisation};
use crate::context::{Access, Context};
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::parse;

/// Register an agent
///
/// What a task needs is matched exactly against capabilities, languages, specialisations and what was learned. A claim
/// under the agent's name finds what it can do, and no more than it may hold at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell agent register ann --capability review --language python --language rust
  bell agent register bob --specialisation auth:expert --kind fix --capacity 2 --model local")]
pub(super) struct Register {
    /// The agent's name
    #[arg(value_parser = parse::name::<AgentName>)]
    name: AgentName,
    #[command(flatten)]
    said: Said,
    /// What share of its work elsewhere succeeded
    #[arg(long, value_name = "SHARE", value_parser = share)]
    success_rate: Option<f64>,
    /// How good that work was, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    quality: Option<f64>,
    /// How long a task took it
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    latency: Option<Duration>,
    /// How many tasks that is known from
    #[arg(long, value_name = "N", default_value_t = 0)]
    tasks: u32,
}

/// Change what is said about an agent
///
/// What is not named stays as it is; a list that is named is replaced whole.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell agent edit ann --capacity 3
  bell agent edit ann --language python --language go")]
pub(super) struct Edit {
    #[arg(value_parser = parse::name::<AgentName>)]
    name: AgentName,
    #[command(flatten)]
    said: Said,
}

#[derive(Debug, clap::Args)]
struct Said {
    /// It can do this
    #[arg(long, value_name = "CAP", value_parser = parse::name::<Capability>)]
    capability: Vec<Capability>,
    /// It writes this language
    #[arg(long, value_name = "LANG", value_parser = parse::name::<Capability>)]
    language: Vec<Capability>,
    /// It is versed in this; levels are novice, intermediate, expert and master
    #[arg(long, value_name = "NAME[:LEVEL]", value_parser = specialisation)]
    specialisation: Vec<(Capability, Option<Level>)>,
    /// It takes only this kind of work
    #[arg(long, value_name = "KIND", value_parser = parse::name::<Kind>)]
    kind: Vec<Kind>,
    /// It may hold this many tasks at once [default: 5]
    #[arg(long, value_name = "N")]
    capacity: Option<u32>,
    /// The family of models that it is made of
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Anything else worth keeping; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    metadata: Option<Json>,
}

impl Said {
    /// A list that is empty was not named.
    fn asked(self) -> ask::AgentEdit {
        let named = |list: Vec<Capability>| (!list.is_empty()).then_some(list);
        let versed: BTreeMap<_, _> = self.specialisation.into_iter().collect();
        ask::AgentEdit {
            capabilities: named(self.capability),
            languages: named(self.language),
            specialisations: (!versed.is_empty()).then_some(versed),
            kinds: (!self.kind.is_empty()).then_some(self.kind),
            capacity: self.capacity,
            model: self.model,
            metadata: self.metadata,
        }
    }
}

impl Register {
    pub(super) async fn run(self, context: &Context) -> Result {
        let prior = ask::Prior {
            success_rate: self.success_rate,
            quality: self.quality,
            latency: self.latency.map(Span),
            tasks: self.tasks,
        };
        let prior = (prior != ask::Prior::default()).then_some(prior);
        // A mistake must not leave an empty store behind.
        let profile = desk::agent::profile(&self.said.asked(), prior)?;
        let engine = context.open(Access::Create).await?;
        let shown = desk::agent::register(&engine, &self.name, profile).await?;
        context
            .ui
            .answer(&shown, |shown| show::one(shown, engine.now().wall))?;
        context.ui.hint(&format!(
            "`bell task claim --worker {}` takes what it can do",
            self.name
        ))?;
        Ok(Exit::DONE)
    }
}

impl Edit {
    pub(super) async fn run(self, context: &Context) -> Result {
        let asked = self.said.asked();
        if asked == ask::AgentEdit::default() {
            return Err(invalid("nothing was said")
                .help("name what shall change, such as --capacity 3")
                .into());
        }
        let engine = context.engine().await?;
        let shown = desk::agent::edit(&engine, &self.name, &asked).await?;
        context
            .ui
            .answer(&shown, |shown| show::one(shown, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}
