//! `bell agent show` and `bell agent health`

use std::time::Duration;

use api::agent::{Agent, Flock};
use domain::id::AgentName;
use domain::time::{Timestamp, show_duration};

use super::list::{can_do, percent, status};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{Table, fields};
use crate::output::{theme, time};
use crate::parse;

/// Show what is known of an agent
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell agent show ann")]
pub(super) struct Show {
    #[arg(value_parser = parse::name::<AgentName>)]
    name: AgentName,
}

/// Show how well an agent does, or all of them together
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bell agent health\n  bell agent health ann")]
pub(super) struct Health {
    #[arg(value_parser = parse::name::<AgentName>)]
    name: Option<AgentName>,
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let shown = desk::agent::show(&engine, &self.name).await?;
        context.ui.answer(&shown, |shown| one(shown, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}

pub(super) fn one(agent: &Agent, now: Timestamp) -> String {
    let record = &agent.record;
    let took = |ms: Option<f64>| ms.map(|ms| show_duration(Duration::from_secs_f64(ms / 1e3)));
    let kinds: Vec<String> = agent.kinds.iter().map(ToString::to_string).collect();
    let with = agent.worked_with.iter();
    let with: Vec<String> = with.map(|tie| format!("{} ({})", tie.agent, tie.runs)).collect();
    let load = &agent.load;
    let done = match record.success_rate {
        Some(rate) => format!(
            "{} completed, {} failed, {} lost; {} succeed",
            record.completed,
            record.failed,
            record.lost,
            percent(rate)
        ),
        None => "nothing yet".to_owned(),
    };
    let rows = [
        ("agent", Some(theme::paint(theme::BOLD, agent.name.as_str()))),
        ("status", Some(status(agent).to_owned())),
        ("model", agent.model.clone()),
        ("can do", Some(can_do(agent)).filter(|text| !text.is_empty())),
        (
            "works with",
            Some(with.join(", ")).filter(|text| !text.is_empty()),
        ),
        ("kinds", Some(kinds.join(", ")).filter(|text| !text.is_empty())),
        (
            "load",
            Some(format!(
                "{} held, {} waiting, of {}",
                load.active, load.queued, agent.capacity
            )),
        ),
        ("done", Some(done)),
        ("takes", took(record.avg_completion_ms)),
        ("quality", record.quality.map(percent)),
        ("level", Some(record.expertise.as_str().to_owned())),
        ("seen", Some(time::relative(agent.last_active_at, now))),
    ];
    let mut text = fields(&rows);
    if !record.by_skill.is_empty() {
        let mut table = Table::new(&["SKILL", ">DONE", ">FAILED", ">SUCCESS", ">SURE"]);
        for skill in &record.by_skill {
            table.row([
                skill.name.to_string().into(),
                skill.completed.to_string().into(),
                skill.failed.to_string().into(),
                percent(skill.success_rate).into(),
                percent(skill.confidence).into(),
            ]);
        }
        text += "\n";
        text += &table.render();
    }
    text
}

impl Health {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.name {
            Some(name) => {
                let health = desk::agent::health(&engine, &name).await?;
                context.ui.answer(&health, |health| {
                    let does = match health.success_rate {
                        Some(rate) => format!("{} of its work succeeds", percent(rate)),
                        None => "nothing is known of its work yet".to_owned(),
                    };
                    format!("{} is {}: {does}\n", health.agent_id, health.status)
                })?;
            }
            None => {
                let flock = desk::agent::flock(&engine).await?;
                context.ui.answer(&flock, together)?;
            }
        }
        Ok(Exit::DONE)
    }
}

fn together(flock: &Flock) -> String {
    let skills = flock.skill_distribution.iter();
    let skills: Vec<String> = skills.map(|(name, count)| format!("{name} {count}")).collect();
    let full: Vec<String> = flock.hotspot_agents.iter().map(ToString::to_string).collect();
    fields(&[
        ("agents", Some(flock.total_agents.to_string())),
        (
            "load",
            Some(format!(
                "{} available, {} busy, {} stale; {} used",
                flock.available,
                flock.busy,
                flock.stale,
                percent(flock.avg_utilisation)
            )),
        ),
        ("success", Some(percent(flock.avg_success_rate))),
        (
            "routing",
            Some(format!(
                "{} decided, {} of them trials, {} taken back",
                flock.routing.decided,
                percent(flock.routing.exploration_rate),
                flock.routing.withdrawn
            )),
        ),
        ("full", Some(full.join(", ")).filter(|text| !text.is_empty())),
        ("skills", Some(skills.join(", ")).filter(|text| !text.is_empty())),
    ])
}
