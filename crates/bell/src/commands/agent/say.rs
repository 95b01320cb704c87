//! `bell agent register` and `bell agent edit`: what is said about an agent.

use std::time::Duration;

use api::agent::Agent;
use domain::agent::Profile;
use domain::agent::profile::{Level, Prior};
use domain::id::{AgentName, Capability, Kind};
use domain::task::spec::Json;
use engine::agents::registry;

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
    fn amend(&self, profile: &mut Profile) -> bool {
        fn replace<T: Clone>(list: &mut Vec<T>, said: &[T]) {
            if !said.is_empty() {
                *list = said.to_vec();
            }
        }
        replace(&mut profile.capabilities, &self.capability);
        replace(&mut profile.languages, &self.language);
        replace(&mut profile.kinds, &self.kind);
        if !self.specialisation.is_empty() {
            profile.specialisations = self.specialisation.iter().cloned().collect();
        }
        profile.capacity = self.capacity.unwrap_or(profile.capacity);
        profile.model = self.model.clone().or(profile.model.take());
        profile.metadata = self.metadata.clone().or(profile.metadata.take());
        let lists = [
            self.capability.len(),
            self.language.len(),
            self.specialisation.len(),
            self.kind.len(),
        ];
        lists.into_iter().any(|count| count > 0)
            || self.capacity.is_some()
            || self.model.is_some()
            || self.metadata.is_some()
    }
}

impl Register {
    pub(super) async fn run(self, context: &Context) -> Result {
        let mut profile = Profile::default();
        self.said.amend(&mut profile);
        let prior = Prior {
            success_rate: self.success_rate,
            quality: self.quality,
            latency_ms: self.latency.map(|span| span.as_secs_f64() * 1e3),
            tasks: self.tasks,
        };
        profile.prior = (prior != Prior::default()).then_some(prior);
        // A mistake must not leave an empty store behind.
        let profile = profile.checked()?;
        let engine = context.open(Access::Create).await?;
        let agent = registry::register(&engine, &self.name, profile).await?;
        let shown = Agent::new(&agent, None, engine.now());
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
        if !self.said.amend(&mut Profile::default()) {
            return Err(invalid("nothing was said")
                .help("name what shall change, such as --capacity 3")
                .into());
        }
        let engine = context.engine().await?;
        let amend = |profile: &mut Profile| {
            self.said.amend(profile);
            Ok(())
        };
        let agent = registry::amend(&engine, &self.name, amend).await?;
        let shown = Agent::new(&agent, None, engine.now());
        context
            .ui
            .answer(&shown, |shown| show::one(shown, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}
