//! Teams of agents.

use domain::agent::Agent as Known;
use domain::agent::Record;
use domain::agent::skill::How;
use domain::id::{AgentName, Capability, TeamName};
use domain::team::{Standing, Team as Kept};
use domain::time::Now;
use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::{Load, rounded};
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Teams {
    pub teams: Vec<Team>,
    pub count: usize,
    /// Where the next page begins.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Team {
    pub name: TeamName,
    /// Nobody has named it: its members often did well in the same runs.
    pub found: bool,
    pub about: Option<String>,
    pub members: Vec<Member>,
    /// What its members can do, the surest first.
    pub skills: Vec<Skill>,
    /// What its members may hold at once, together.
    pub capacity: u64,
    pub load: Load,
    /// What its members did, together.
    pub together: Did,
    /// What was done for the team by name.
    pub record: Did,
    pub since: Time,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Member {
    pub agent: AgentName,
    /// Else nothing is known of it beyond its name.
    pub registered: bool,
    pub free: bool,
    pub success_rate: Option<f64>,
    /// Members that it worked with, and in how many runs.
    pub worked_with: Vec<Tie>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Tie {
    pub agent: AgentName,
    pub runs: u32,
    /// What is old weighs less.
    pub strength: f64,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Skill {
    pub name: Capability,
    /// Of the surest member.
    pub confidence: f64,
    pub how: How,
    /// Members that have it.
    pub members: usize,
    /// Members that are to try it, because another one has learned it.
    pub tries: usize,
}

/// Outcomes. Rates are from 0 to 1, durations in milliseconds, `null` while nothing is known.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Did {
    pub completed: u64,
    pub failed: u64,
    /// What is old weighs less.
    pub success_rate: Option<f64>,
    pub avg_completion_ms: Option<f64>,
    pub quality: Option<f64>,
}

impl Team {
    /// `members` are those that are registered.
    pub fn new(name: TeamName, team: &Kept, members: &[&Known], record: &Record, now: Now) -> Team {
        let standing = Standing::of(members.iter().copied());
        let mut skills: Vec<Skill> = standing
            .skills
            .iter()
            .map(|(name, shared)| Skill {
                name: name.clone(),
                confidence: shared.confidence,
                how: shared.how,
                members: shared.members,
                tries: shared.tries,
            })
            .collect();
        skills.sort_by(|a, b| {
            b.confidence
                .total_cmp(&a.confidence)
                .then_with(|| a.name.cmp(&b.name))
        });
        let each = team.members.iter().map(|name| {
            let known = members.iter().find(|agent| agent.name == *name);
            Member::new(name.clone(), known.copied(), team, now)
        });
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Team {
            name,
            found: team.found,
            about: team.about.clone(),
            members: each.collect(),
            skills,
            capacity: standing.capacity,
            load: Load {
                active: count(standing.active),
                queued: count(standing.queued),
                utilisation_percent: rounded(standing.utilisation().min(1.0) * 100.0),
            },
            together: Did {
                completed: standing.completed,
                failed: standing.failed,
                success_rate: standing.success_rate().map(rounded),
                ..Did::default()
            },
            record: Did {
                completed: record.sum.completed,
                failed: record.sum.failed,
                success_rate: record.success_rate().map(rounded),
                avg_completion_ms: record.latency.known().map(rounded),
                quality: record.quality.known().map(rounded),
            },
            since: team.since.into(),
        }
    }
}

impl Member {
    fn new(agent: AgentName, known: Option<&Known>, team: &Kept, now: Now) -> Member {
        let ties = known.map(|known| known.record.with.iter()).into_iter().flatten();
        let worked_with = ties.filter(|(other, _)| team.has(other)).map(|(other, tie)| Tie {
            agent: other.clone(),
            runs: tie.runs,
            strength: rounded(tie.strength(now.wall)),
        });
        Member {
            agent,
            registered: known.is_some(),
            free: known.is_some_and(|known| known.room() > 0 && !known.is_stale(now)),
            success_rate: known.and_then(|known| known.record.success_rate()).map(rounded),
            worked_with: worked_with.collect(),
        }
    }
}
