//! Registered agents.

use std::collections::BTreeMap;

use domain::agent::profile::{Level, Profile};
use domain::agent::record::Tally;
use domain::agent::route::{Candidate, Decision, Strategy};
use domain::agent::skill::How;
use domain::agent::{Agent as Known, Status};
use domain::id::{AgentName, Capability, Kind, TaskId, TeamName};
use domain::lesson;
use domain::task::spec::Json;
use domain::time::Now;
use schemars::JsonSchema;
use serde::Serialize;

use crate::team::Tie;
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Agents {
    pub agents: Vec<Agent>,
    pub count: usize,
    /// There are more than were asked for.
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Agent {
    pub name: AgentName,
    pub model: Option<String>,
    pub capabilities: Vec<Capability>,
    pub languages: Vec<Capability>,
    pub specialisations: Vec<Specialisation>,
    /// Skills that it was not registered with.
    pub learned: Vec<Learned>,
    /// How often it did well in the same run as another agent, counted by whom came later.
    pub worked_with: Vec<Tie>,
    /// Kinds of work that it takes; any, when empty.
    pub kinds: Vec<Kind>,
    pub capacity: u32,
    pub load: Load,
    pub record: Record,
    #[schemars(with = "String")]
    pub status: Status,
    pub healthy: bool,
    /// Nothing was heard of it for a day: nothing is given to it.
    pub stale: bool,
    pub registered_at: Time,
    pub last_active_at: Time,
    pub metadata: Option<Json>,
    /// How well it fits what was looked for; `null` where nothing was.
    pub match_score: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Specialisation {
    pub name: Capability,
    #[schemars(with = "Option<String>")]
    pub level: Option<Level>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Learned {
    pub name: Capability,
    /// From 0.5 on, tasks that need it are found for the agent.
    pub confidence: f64,
    /// Whether somebody has said so, its work has shown it, or it is to try.
    pub how: How,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Load {
    /// Tasks that it holds.
    pub active: u32,
    /// Tasks that were routed to it and that it has not taken yet.
    pub queued: u32,
    /// Both in per cent of its capacity, at most 100.
    pub utilisation_percent: f64,
}

/// How it has done. Rates are from 0 to 1, durations in milliseconds, `null` while nothing is known.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Record {
    pub completed: u64,
    pub failed: u64,
    /// Attempts that ended with their worker.
    pub lost: u64,
    /// What is old weighs less.
    pub success_rate: Option<f64>,
    pub success_rate_ever: Option<f64>,
    pub quality: Option<f64>,
    /// Over what succeeded.
    pub avg_completion_ms: Option<f64>,
    /// Over all attempts.
    pub avg_latency_ms: Option<f64>,
    #[schemars(with = "String")]
    pub expertise: Level,
    pub by_skill: Vec<Skill>,
    pub by_kind: Vec<OfKind>,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Skill {
    pub name: Capability,
    pub completed: u64,
    pub failed: u64,
    pub success_rate: f64,
    /// What the outcomes allow at the least.
    pub confidence: f64,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct OfKind {
    pub kind: Kind,
    pub completed: u64,
    pub failed: u64,
    pub success_rate: f64,
}

/// Four digits are as many as anybody compares.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn rate(tally: &Tally) -> f64 {
    rounded(tally.recent_rate().unwrap_or(0.0))
}

impl Agent {
    pub fn new(agent: &Known, match_score: Option<f64>, now: Now) -> Agent {
        let Profile {
            model,
            capabilities,
            languages,
            specialisations,
            kinds,
            capacity,
            learned,
            shown,
            tries,
            prior: _,
            metadata,
            registered_at,
            seen_at: _,
            leaving: _,
        } = agent.profile.clone();
        let specialisations = specialisations.into_iter();
        let by = |of: BTreeMap<Capability, f64>, how| of.into_iter().map(move |of| (of, how));
        let learned = by(learned, How::Told)
            .chain(by(shown, How::Shown))
            .chain(by(tries, How::Tried));
        let ties = agent.record.with.iter();
        Agent {
            name: agent.name.clone(),
            model,
            capabilities,
            languages,
            specialisations: specialisations
                .map(|(name, level)| Specialisation { name, level })
                .collect(),
            learned: learned
                .map(|((name, confidence), how)| Learned {
                    name,
                    confidence: rounded(confidence),
                    how,
                })
                .collect(),
            worked_with: ties
                .map(|(other, tie)| Tie {
                    agent: other.clone(),
                    runs: tie.runs,
                    strength: rounded(tie.strength(now.wall)),
                })
                .collect(),
            kinds,
            capacity,
            load: Load {
                active: agent.load.active,
                queued: agent.load.queued,
                utilisation_percent: rounded(agent.utilisation().min(1.0) * 100.0),
            },
            record: Record::new(agent),
            status: agent.status(),
            healthy: agent.is_healthy(),
            stale: agent.is_stale(now),
            registered_at: registered_at.into(),
            last_active_at: agent.active_at().into(),
            metadata,
            match_score: match_score.map(rounded),
        }
    }
}

impl Record {
    fn new(agent: &Known) -> Record {
        let (record, prior) = (&agent.record, agent.profile.prior.unwrap_or_default());
        let known =
            |mean: &domain::agent::record::Mean, told: Option<f64>| mean.known().or(told).map(rounded);
        Record {
            completed: record.sum.completed,
            failed: record.sum.failed,
            lost: record.lost,
            success_rate: record.success_rate().or(prior.success_rate).map(rounded),
            success_rate_ever: record.sum.success_rate().or(prior.success_rate).map(rounded),
            quality: known(&record.quality, prior.quality),
            avg_completion_ms: known(&record.latency, prior.latency_ms),
            avg_latency_ms: known(&record.latency_all, prior.latency_ms),
            expertise: record.expertise(),
            by_skill: record
                .by_skill
                .iter()
                .map(|(name, tally)| Skill {
                    name: name.clone(),
                    completed: tally.completed,
                    failed: tally.failed,
                    success_rate: rate(tally),
                    confidence: rounded(tally.confidence()),
                })
                .collect(),
            by_kind: record
                .by_kind
                .iter()
                .map(|(kind, tally)| OfKind {
                    kind: kind.clone(),
                    completed: tally.completed,
                    failed: tally.failed,
                    success_rate: rate(tally),
                })
                .collect(),
        }
    }
}

/// The health of one agent (SPEC 3.3).
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Health {
    pub agent_id: AgentName,
    /// `healthy`, `degraded` or `stale`.
    pub status: &'static str,
    /// Of its work, or as was said of it; null while nothing is known.
    pub success_rate: Option<f64>,
    pub avg_completion_ms: f64,
    pub total_completed: u64,
    pub total_failed: u64,
    pub max_concurrent: u32,
    pub current_load: u32,
    pub last_active_at: Time,
}

impl Health {
    pub fn new(agent: &Known, now: Now) -> Health {
        let record = Record::new(agent);
        let told = agent.profile.prior.as_ref().and_then(|prior| prior.success_rate);
        Health {
            agent_id: agent.name.clone(),
            status: match (agent.is_stale(now), agent.is_healthy()) {
                (true, _) => "stale",
                (_, true) => "healthy",
                (_, false) => "degraded",
            },
            success_rate: agent.record.success_rate().or(told).map(rounded),
            avg_completion_ms: record.avg_completion_ms.unwrap_or(0.0),
            total_completed: record.completed,
            total_failed: record.failed,
            max_concurrent: agent.profile.capacity,
            current_load: agent.load.active,
            last_active_at: agent.active_at().into(),
        }
    }
}

/// The health of all together.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Flock {
    pub total_agents: usize,
    pub available: usize,
    pub busy: usize,
    pub stale: usize,
    pub avg_success_rate: f64,
    pub avg_utilisation: f64,
    /// How many agents have each skill.
    pub skill_distribution: BTreeMap<Capability, usize>,
    /// Those that can take nothing more.
    pub hotspot_agents: Vec<AgentName>,
    pub routing: Routing,
}

/// How the choice of agents has gone so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct Routing {
    /// Tasks that were given to a chosen agent.
    pub decided: u64,
    /// The share of them that went to somebody of whom little was known.
    pub exploration_rate: f64,
    /// Choices that were taken back.
    pub withdrawn: u64,
}

impl Flock {
    pub fn new(agents: &[Known], now: Now) -> Flock {
        let count = |of: fn(&Known) -> bool| agents.iter().filter(|agent| of(agent)).count();
        let mean = |of: fn(&Known) -> f64| match agents.len() {
            0 => 0.0,
            many => rounded(agents.iter().map(of).sum::<f64>() / many as f64),
        };
        let mut skills = BTreeMap::new();
        for agent in agents {
            let mut offers: Vec<&Capability> = agent.profile.offers().collect();
            offers.sort_unstable();
            offers.dedup();
            for offer in offers {
                *skills.entry(offer.clone()).or_insert(0) += 1;
            }
        }
        Flock {
            total_agents: agents.len(),
            available: count(|agent| agent.load.active == 0),
            busy: count(|agent| agent.load.active > 0),
            stale: agents.iter().filter(|agent| agent.is_stale(now)).count(),
            avg_success_rate: mean(|agent| agent.success_rate(1.0)),
            avg_utilisation: mean(|agent| agent.utilisation().min(1.0)),
            skill_distribution: skills,
            hotspot_agents: agents
                .iter()
                .filter(|agent| agent.status() == Status::Offline)
                .map(|agent| agent.name.clone())
                .collect(),
            routing: Routing::default(),
        }
    }

    pub fn routed(self, known: lesson::Routing) -> Flock {
        let routing = Routing {
            decided: known.decided,
            exploration_rate: match known.decided {
                0 => 0.0,
                decided => rounded(known.explored as f64 / decided as f64),
            },
            withdrawn: known.withdrawn,
        };
        Flock { routing, ..self }
    }
}

/// Who should get a task, or has got it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Routed {
    pub task: TaskId,
    pub selected: AgentName,
    pub strategy: Strategy,
    /// The team that the task is for.
    pub team: Option<TeamName>,
    /// What the chosen one has not done before and shall try, because a member of its team has learned it.
    pub tries: Vec<Capability>,
    pub confidence: f64,
    pub reason: String,
    /// The chosen one first.
    pub candidates: Vec<Candidate>,
    /// Who could do it, and how many of them are free.
    pub capable: usize,
    pub free: usize,
    /// The task was given to it.
    pub assigned: bool,
}

impl Routed {
    pub fn new(task: TaskId, decision: Decision, assigned: bool) -> Routed {
        Routed {
            task,
            selected: decision.selected,
            strategy: decision.strategy,
            team: decision.team,
            tries: decision.tries,
            confidence: decision.confidence,
            reason: decision.reason,
            candidates: decision.candidates,
            capable: decision.capable,
            free: decision.free,
            assigned,
        }
    }
}

/// Work that was moved from agents with much to do to others.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Balanced {
    pub moved: Vec<Moved>,
    pub count: usize,
    /// One agent still has much more to do than another, and nothing that waits can be moved.
    pub uneven: bool,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Moved {
    pub task: TaskId,
    pub from: AgentName,
    pub to: AgentName,
}

/// What became of the work of an agent that was let go.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct LetGo {
    pub agent_id: AgentName,
    pub deregistered: bool,
    /// It held them; they are ready again.
    pub returned: Vec<TaskId>,
    /// They were routed to it; anybody may take them now.
    pub freed: Vec<TaskId>,
    /// Their authors have named it, and nobody else may take them.
    pub orphaned: Vec<TaskId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::NOW;
    use domain::agent::{Load as Has, Record as Did};

    fn agent(name: &str, languages: &[&str], active: u32) -> Known {
        Known {
            name: AgentName::new(name).unwrap(),
            profile: Profile {
                languages: languages
                    .iter()
                    .map(|name| Capability::new(name).unwrap())
                    .collect(),
                registered_at: NOW.wall,
                ..Profile::default()
            },
            record: Did::default(),
            load: Has { active, queued: 0 },
        }
    }

    // proves: SPEC 3.6, SPEC 3.1
    #[test]
    fn a_flock_adds_up() {
        let agents = [
            agent("a", &["python", "javascript"], 0),
            agent("b", &["python"], 5),
            agent("c", &[], 1),
        ];
        let flock = Flock::new(&agents, NOW);
        let skills: Vec<_> = flock.skill_distribution.values().copied().collect();
        assert_eq!(skills, [1, 2]);
        assert_eq!((flock.available, flock.busy, flock.avg_utilisation), (1, 2, 0.4));
        assert_eq!(flock.hotspot_agents, [AgentName::new("b").unwrap()]);
        assert_eq!(Flock::new(&[], NOW).avg_success_rate, 0.0);
    }

    #[test]
    fn a_new_agent_is_well_and_says_what_is_unknown() {
        let shown = Agent::new(&agent("a", &[], 0), None, NOW);
        assert_eq!(
            (shown.record.success_rate, shown.healthy, shown.stale),
            (None, true, false)
        );
        let health = Health::new(&agent("a", &[], 0), NOW);
        assert_eq!((health.status, health.success_rate), ("healthy", None));
    }
}
