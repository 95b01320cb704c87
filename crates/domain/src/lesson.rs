//! What finished work teaches: how agents do ([`crate::agent::Record`]) and with whom, how teams do, and how each kind of task
//! usually goes.
//!
//! It follows from the log alone: attempt by attempt, in the order of the events. Whoever reads the log again from
//! its beginning, in pieces of whatever size, comes to the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent::profile::Prior;
use crate::agent::record::{Done, Record};
use crate::event::Kind as Fact;
use crate::id::{AgentName, Capability, Kind, RunId, Seq, TeamName};
use crate::task::record::Task;
use crate::task::state::{Reason, State};
use crate::time::Timestamp;

/// How many of the latest durations of a kind are kept.
const LATEST: usize = 64;
/// A duration weighs half as much when so many later ones are known.
const HALF: f64 = 16.0;
/// So many successes tell what is usual.
const ENOUGH: usize = 3;
/// Before the name of a kind in [`crate::book::Book::Habit`], where its practice is kept.
pub const KIND: &str = "kind ";

/// How tasks of a kind usually go; an entry of [`crate::book::Book::Habit`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Practice {
    pub completed: u64,
    pub failed: u64,
    /// Milliseconds of the latest attempts that succeeded, oldest first.
    pub latest: Vec<u64>,
}

impl Practice {
    fn took(&mut self, ms: u64) {
        if self.latest.len() == LATEST {
            self.latest.remove(0);
        }
        self.latest.push(ms);
    }

    /// The duration in milliseconds that so large a share of the latest did not exceed.
    pub fn duration(&self, share: f64) -> Option<u64> {
        let mut sorted = self.latest.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get(((last as f64) * share).round() as usize).copied()
    }

    /// How long such a task takes, in so large a share of the cases: what is later weighs more, and a few that took very
    /// long or no time at all change nothing.
    pub fn usual(&self, share: f64) -> Option<Duration> {
        if self.latest.len() < ENOUGH {
            return None;
        }
        let weight = |age: usize| 0.5_f64.powf(age as f64 / HALF);
        let aged = self.latest.iter().rev().enumerate();
        let mut known: Vec<(u64, f64)> = aged.map(|(age, ms)| (*ms, weight(age))).collect();
        known.sort_unstable_by_key(|(ms, _)| *ms);
        let wanted = share * known.iter().map(|(_, weight)| weight).sum::<f64>();
        let mut sum = 0.0;
        let found = known.iter().find(|(_, weight)| {
            sum += weight;
            sum >= wanted
        });
        found.or(known.last()).map(|(ms, _)| Duration::from_millis(*ms))
    }

    pub fn failure_rate(&self) -> Option<f64> {
        let count = self.completed + self.failed;
        (count > 0).then(|| self.failed as f64 / count as f64)
    }
}

/// How the choice of agents has gone so far; an entry of [`crate::book::Book::Habit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routing {
    /// Tasks that were given to a chosen agent.
    pub decided: u64,
    /// Those that were chosen with little confidence, to learn about the agent.
    pub explored: u64,
    /// Choices that were taken back.
    pub withdrawn: u64,
}

/// What several tasks are parts of: whoever does well in one has worked with whoever does in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Whole {
    Run(RunId),
    /// Outside of runs: a task and its subtasks.
    Task(Seq),
}

impl Whole {
    /// What a task is a part of, and what it is the whole of.
    pub fn of(task: &Task, run: Option<RunId>) -> Vec<Whole> {
        match run {
            Some(run) => vec![Whole::Run(run)],
            None => {
                let own = (task.children > 0).then_some(task.seq);
                task.parent.into_iter().chain(own).map(Whole::Task).collect()
            }
        }
    }
}

/// Who has done well in each of the latest runs and families of tasks; an entry of [`crate::book::Book::Habit`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Circles {
    /// The latest last.
    latest: Vec<Circle>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Circle {
    #[serde(rename = "run")]
    whole: Whole,
    agents: Vec<AgentName>,
}

impl Circles {
    /// Circles that are remembered, and agents of one; later agents of a crowded one tie with these.
    const LATEST: usize = 128;
    const AGENTS: usize = 32;

    /// Notes that an agent did well in something. Returns who had before it, the first time.
    fn enter(&mut self, whole: Whole, agent: &AgentName) -> Vec<AgentName> {
        let known = self.latest.iter().position(|circle| circle.whole == whole);
        let mut circle = match known {
            Some(at) => self.latest.remove(at),
            None => {
                let agents = Vec::new();
                Circle { whole, agents }
            }
        };
        let is_new = !circle.agents.contains(agent);
        let others = if is_new { circle.agents.clone() } else { Vec::new() };
        if is_new && circle.agents.len() < Circles::AGENTS {
            circle.agents.push(agent.clone());
        }
        self.latest.push(circle);
        if self.latest.len() > Circles::LATEST {
            self.latest.remove(0);
        }
        others
    }
}

/// From this confidence on, a choice is no experiment (SPEC 2.6).
const SURE: f64 = 0.8;

/// What events of attempts tell in their data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Told {
    #[serde(default)]
    pub attempt: Option<u32>,
    /// The registered agent that took the task.
    #[serde(default)]
    pub agent: Option<AgentName>,
    #[serde(default)]
    pub usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Usage {
    /// How good the work is, from 0 to 1, as far as somebody has judged it.
    #[serde(default)]
    pub quality: Option<f64>,
}

/// How an attempt ended, as its event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Success,
    Failure,
    /// With its worker.
    Lost,
}

/// What an event says about the end of an attempt; `None` when it says nothing, or nobody is to be judged by it.
pub fn end(fact: Fact, reason: Option<Reason>, told: &Told) -> Option<End> {
    told.attempt?;
    match (fact, reason) {
        (Fact::TaskEntered(State::Completed), Some(Reason::Cached)) => None,
        (Fact::TaskEntered(State::Completed), _) => Some(End::Success),
        (Fact::TaskEntered(State::Ready | State::Failed), Some(Reason::Lost)) => Some(End::Lost),
        (Fact::TaskEntered(State::Retrying | State::Failed), _)
        | (Fact::TaskEntered(State::Blocked), Some(Reason::Replanning)) => Some(End::Failure),
        _ => None,
    }
}

/// One thing to learn from.
#[derive(Clone, Debug, PartialEq)]
pub enum Lesson {
    /// An agent is registered: its record begins.
    Came {
        at: Timestamp,
        agent: AgentName,
        prior: Option<Prior>,
    },
    Left {
        agent: AgentName,
    },
    /// An outcome that was told from outside.
    Reported {
        at: Timestamp,
        agent: AgentName,
        success: bool,
        ms: f64,
        quality: Option<f64>,
    },
    /// An agent was chosen for a task with so much confidence, or the choice was taken back.
    Routed {
        confidence: Option<f64>,
    },
    Ended {
        at: Timestamp,
        end: End,
        /// When it began.
        began: Option<Timestamp>,
        agent: Option<AgentName>,
        kind: Kind,
        needs: Vec<Capability>,
        /// The team that it was for.
        team: Option<TeamName>,
        /// What it was a part of.
        within: Vec<Whole>,
        usage: Usage,
    },
    /// A team is no more.
    Dissolved {
        team: TeamName,
    },
}

impl Lesson {
    /// Whose record it changes.
    pub fn agent(&self) -> Option<&AgentName> {
        match self {
            Lesson::Came { agent, .. } | Lesson::Left { agent } | Lesson::Reported { agent, .. } => {
                Some(agent)
            }
            Lesson::Ended { agent, .. } => agent.as_ref(),
            Lesson::Routed { .. } | Lesson::Dissolved { .. } => None,
        }
    }

    pub fn team(&self) -> Option<&TeamName> {
        match self {
            Lesson::Dissolved { team } => Some(team),
            Lesson::Ended { team, .. } => team.as_ref(),
            _ => None,
        }
    }

    pub fn kind(&self) -> Option<&Kind> {
        match self {
            Lesson::Ended { kind, .. } => Some(kind),
            _ => None,
        }
    }
}

/// What is known before and after some lessons. Only who is registered has a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    pub agents: BTreeMap<AgentName, Record>,
    pub kinds: BTreeMap<Kind, Practice>,
    /// What was done for teams by name.
    pub teams: BTreeMap<TeamName, Record>,
    pub circles: Circles,
    pub routing: Routing,
}

impl Known {
    pub fn learn(&mut self, lesson: &Lesson) {
        match lesson {
            Lesson::Came { at, agent, prior } => {
                let record = Record::beginning(prior.as_ref(), *at);
                self.agents.insert(agent.clone(), record);
            }
            Lesson::Routed { confidence: None } => self.routing.withdrawn += 1,
            Lesson::Routed {
                confidence: Some(confidence),
            } => {
                self.routing.decided += 1;
                self.routing.explored += u64::from(*confidence < SURE);
            }
            Lesson::Left { agent } => drop(self.agents.remove(agent)),
            Lesson::Dissolved { team } => drop(self.teams.remove(team)),
            Lesson::Reported {
                at,
                agent,
                success,
                ms,
                quality,
            } => {
                if let Some(record) = self.agents.get_mut(agent) {
                    record.done(&Done {
                        at: *at,
                        kind: None,
                        needs: &[],
                        success: *success,
                        ms: Some(*ms),
                        quality: *quality,
                    });
                }
            }
            Lesson::Ended {
                at,
                end,
                began,
                agent,
                kind,
                needs,
                team,
                within,
                usage,
            } => {
                let ms = began.map(|began| at.since(began).as_millis() as u64);
                let note = |record: &mut Record| match end {
                    End::Lost => record.lose(*at),
                    _ => record.done(&Done {
                        at: *at,
                        kind: Some(kind),
                        needs,
                        success: *end == End::Success,
                        ms: ms.map(|ms| ms as f64),
                        quality: usage.quality,
                    }),
                };
                if let Some(team) = team {
                    note(self.teams.entry(team.clone()).or_default());
                }
                let record = agent
                    .as_ref()
                    .and_then(|agent| Some((agent, self.agents.get_mut(agent)?)));
                if let Some((agent, record)) = record {
                    note(record);
                    for whole in within.iter().filter(|_| *end == End::Success) {
                        let others = self.circles.enter(*whole, agent);
                        record.worked_with(&others, *at);
                    }
                }
                let practice = self.kinds.entry(kind.clone()).or_default();
                match end {
                    End::Success => {
                        practice.completed += 1;
                        if let Some(ms) = ms {
                            practice.took(ms);
                        }
                    }
                    End::Failure => practice.failed += 1,
                    End::Lost => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(at: i64, end: End, agent: &str) -> Lesson {
        Lesson::Ended {
            at: Timestamp(at),
            end,
            began: Some(Timestamp(at - 100)),
            agent: Some(AgentName::new(agent).unwrap()),
            kind: Kind::new("review").unwrap(),
            needs: vec![Capability::new("python").unwrap()],
            team: None,
            within: Vec::new(),
            usage: Usage::default(),
        }
    }

    fn within(lesson: Lesson, number: u128) -> Lesson {
        match lesson {
            Lesson::Ended {
                at,
                end,
                began,
                agent,
                kind,
                needs,
                usage,
                ..
            } => Lesson::Ended {
                at,
                end,
                began,
                agent,
                kind,
                needs,
                team: TeamName::new("web").ok(),
                within: vec![Whole::Run(RunId(uuid::Uuid::from_u128(number)))],
                usage,
            },
            other => other,
        }
    }

    // proves: SPEC 3.6, DESIGN 9
    #[test]
    fn who_does_well_in_one_run_has_worked_together_once() {
        let mut known = Known::default();
        let mut lessons = vec![came("ann"), came("bob"), came("eve")];
        for run in 1..=2 {
            for agent in ["ann", "bob", "ann", "bob"] {
                lessons.push(within(ended(300, End::Success, agent), run));
            }
        }
        lessons.push(within(ended(400, End::Failure, "eve"), 2));
        lessons.iter().for_each(|lesson| known.learn(lesson));
        let with = |name: &str| &known.agents[&AgentName::new(name).unwrap()].with;
        let ann = AgentName::new("ann").unwrap();
        assert_eq!(with("bob")[&ann].runs, 2, "once for each run, by whom came later");
        assert!(with("ann").is_empty() && with("eve").is_empty());
        let web = &known.teams[&TeamName::new("web").unwrap()];
        assert_eq!((web.sum.completed, web.sum.failed), (8, 1));
        let gone = Lesson::Dissolved {
            team: TeamName::new("web").unwrap(),
        };
        known.learn(&gone);
        assert!(known.teams.is_empty());
    }

    #[test]
    fn circles_are_runs_or_families_of_tasks() {
        let text =
            r#"[{"run":"00000000-0000-0000-0000-000000000001","agents":["ann"]},{"run":7,"agents":[]}]"#;
        let circles: Circles = serde_json::from_str(text).unwrap();
        assert_eq!(
            circles.latest[0].whole,
            Whole::Run(RunId(uuid::Uuid::from_u128(1)))
        );
        assert_eq!(circles.latest[1].whole, Whole::Task(Seq(7)));
        assert_eq!(serde_json::to_string(&circles).unwrap(), text);
    }

    #[test]
    fn so_many_runs_and_agents_are_remembered() {
        let mut circles = Circles::default();
        let run = |n: usize| Whole::Run(RunId(uuid::Uuid::from_u128(n as u128)));
        let agent = |n: usize| AgentName::new(&format!("a{n}")).unwrap();
        for n in 0..=Circles::LATEST {
            assert!(circles.enter(run(n), &agent(0)).is_empty());
        }
        assert_eq!(circles.latest.len(), Circles::LATEST);
        for n in 1..=Circles::AGENTS + 1 {
            let others = circles.enter(run(Circles::LATEST), &agent(n));
            assert_eq!(others.len(), n.min(Circles::AGENTS));
        }
    }

    fn came(agent: &str) -> Lesson {
        Lesson::Came {
            at: Timestamp(1),
            agent: AgentName::new(agent).unwrap(),
            prior: None,
        }
    }

    #[test]
    fn only_the_registered_have_records_and_every_kind_its_practice() {
        let mut known = Known::default();
        let lessons = [
            ended(200, End::Success, "ann"),
            came("ann"),
            ended(300, End::Success, "ann"),
            ended(400, End::Failure, "ann"),
            ended(500, End::Lost, "ann"),
            ended(600, End::Success, "eve"),
        ];
        lessons.iter().for_each(|lesson| known.learn(lesson));
        let ann = &known.agents[&AgentName::new("ann").unwrap()];
        assert_eq!((ann.sum.completed, ann.sum.failed, ann.lost), (1, 1, 1));
        assert_eq!(known.agents.len(), 1);
        let practice = &known.kinds[&Kind::new("review").unwrap()];
        assert_eq!(
            (practice.completed, practice.failed, practice.duration(0.5)),
            (3, 1, Some(100))
        );
    }

    #[test]
    fn a_practice_is_what_was_usual_lately() {
        let mut practice = Practice::default();
        assert_eq!((practice.duration(0.5), practice.failure_rate()), (None, None));
        (0..1_000).for_each(|ms| practice.took(ms));
        assert_eq!(practice.latest.len(), LATEST);
        assert_eq!(
            (practice.duration(0.0), practice.duration(1.0)),
            (Some(936), Some(999))
        );
    }

    // proves: DESIGN 8
    #[test]
    fn what_is_usual_follows_the_times_and_not_the_outliers() {
        let of = |latest: Vec<u64>| Practice {
            latest,
            ..Practice::default()
        };
        let usual = |latest: Vec<u64>, share| of(latest).usual(share).map(|span| span.as_millis());
        assert_eq!(usual(vec![5, 5], 0.5), None, "twice is not usual");
        assert_eq!(usual(vec![90, 100, 3_600_000, 110, 0], 0.5), Some(100));
        assert_eq!(usual(vec![90, 100, 110], 0.9), Some(110));
        let faster = [vec![1_000; 40], vec![100; 20]].concat();
        assert_eq!(usual(faster.clone(), 0.5), Some(100), "it has become faster");
        let mut sorted = of(faster);
        sorted.latest.sort_unstable();
        assert_eq!(sorted.duration(0.5), Some(1_000));
    }

    #[test]
    fn ends_that_judge_nobody_teach_nothing() {
        let told = Told {
            attempt: Some(1),
            ..Told::default()
        };
        let of = |state, reason| end(Fact::TaskEntered(state), reason, &told);
        assert_eq!(of(State::Completed, None), Some(End::Success));
        assert_eq!(of(State::Completed, Some(Reason::Cached)), None);
        assert_eq!(of(State::Ready, Some(Reason::Released)), None);
        assert_eq!(of(State::Ready, Some(Reason::Lost)), Some(End::Lost));
        assert_eq!(of(State::Failed, Some(Reason::Lost)), Some(End::Lost));
        assert_eq!(of(State::Retrying, None), Some(End::Failure));
        assert_eq!(of(State::Blocked, Some(Reason::Replanning)), Some(End::Failure));
        assert_eq!(of(State::Blocked, Some(Reason::Joining)), None);
        assert_eq!(of(State::Awaiting, Some(Reason::Budget)), None);
        assert_eq!(
            end(Fact::TaskEntered(State::Completed), None, &Told::default()),
            None
        );
    }
}
