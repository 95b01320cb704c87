//! `bell agent list`

use api::agent::{Agent, Agents};
use api::ask;
use domain::agent::Status;
use domain::agent::profile::Level;
use domain::agent::skill::How;
use domain::id::{Capability, Kind};
use domain::limits::PAGE_MAX;

use super::{share, specialisation};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// List the agents, the best for what is looked for first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell agent list
  bell agent list --capability review --language rust --max-load 80% --min-success 0.7
  bell agent list --specialisation auth:expert")]
pub(super) struct List {
    /// Who has this among capabilities, languages, specialisations and what was learned
    #[arg(long, value_name = "CAP", value_parser = parse::name::<Capability>)]
    capability: Vec<Capability>,
    /// Who takes this kind of work
    #[arg(long, value_name = "KIND", value_parser = parse::name::<Kind>)]
    kind: Option<Kind>,
    /// Who writes this language
    #[arg(long, value_name = "LANG", value_parser = parse::name::<Capability>)]
    language: Vec<Capability>,
    /// Who is versed in this, at that level at the least
    #[arg(long, value_name = "NAME[:LEVEL]", value_parser = specialisation)]
    specialisation: Vec<(Capability, Option<Level>)>,
    /// Who has no more to do than this share of the capacity
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_load: Option<f64>,
    /// Whose work succeeds this often at the least
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_success: Option<f64>,
    /// Who has not been heard of for a day
    #[arg(long)]
    stale: bool,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let versed = |(name, level): (Capability, Option<Level>)| match level {
            Some(level) => format!("{name}:{}", level.as_str()),
            None => name.to_string(),
        };
        let asked = ask::Agents {
            capability: self.capability,
            kind: self.kind,
            language: self.language,
            specialisation: self.specialisation.into_iter().map(versed).collect(),
            max_load: self.max_load,
            min_success: self.min_success,
            stale: self.stale,
            limit: Some(self.limit),
        };
        let list = desk::agent::list(&engine, asked).await?;
        context.ui.answer(&list, table)?;
        Ok(Exit::DONE)
    }
}

fn table(list: &Agents) -> String {
    if list.agents.is_empty() {
        return "there are no such agents\n".to_owned();
    }
    let mut table = Table::new(&[
        "AGENT", "STATUS", ">LOAD", ">DONE", ">FAILED", ">SUCCESS", "LEVEL", "CAN DO",
    ]);
    for agent in &list.agents {
        let load = &agent.load;
        table.row([
            agent.name.to_string().into(),
            status(agent).into(),
            format!("{}/{}", load.active + load.queued, agent.capacity).into(),
            agent.record.completed.to_string().into(),
            agent.record.failed.to_string().into(),
            agent.record.success_rate.map_or_else(String::new, percent).into(),
            agent.record.expertise.as_str().into(),
            can_do(agent).into(),
        ]);
    }
    let mut text = table.render();
    if list.more {
        text += "there are more; --limit shows them\n";
    }
    text
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

pub(super) fn status(agent: &Agent) -> &'static str {
    match agent.status {
        _ if agent.stale => "stale",
        Status::Available => "available",
        Status::Busy => "busy",
        Status::Offline => "full",
    }
}

fn by(how: How) -> &'static str {
    match how {
        How::Declared => "declared",
        How::Told => "learned",
        How::Shown => "learned from work",
        How::Tried => "to be tried",
    }
}

pub(super) fn can_do(agent: &Agent) -> String {
    let declared = agent.capabilities.iter().chain(&agent.languages);
    let versed = agent.specialisations.iter().map(|of| match of.level {
        Some(level) => format!("{}:{}", of.name, level.as_str()),
        None => of.name.to_string(),
    });
    let learned = agent
        .learned
        .iter()
        .map(|of| format!("{} ({}, {})", of.name, by(of.how), percent(of.confidence)));
    let all: Vec<String> = declared
        .map(ToString::to_string)
        .chain(versed)
        .chain(learned)
        .collect();
    all.join(", ")
}
