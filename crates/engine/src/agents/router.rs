//! Chooses agents for tasks, gives tasks to them, and moves waiting work from who is full to who is not.

use domain::agent::Agent;
use domain::agent::roster::Roster;
use domain::agent::route::{Asked, Candidate, Decision, Imbalance, Strategy, imbalance, route};
use domain::book::Entry;
use domain::code::{Code, Refusal};
use domain::id::{AgentName, Seq, TaskId};
use domain::lesson::Routing;
use domain::limits::PAGE_MAX;
use domain::store::{Command, Filter, Reply, Request, Result, Target, View};
use domain::task::spec::Json;
use domain::task::state::State;

use super::{all, learn, teams};
use crate::engine::Engine;
use crate::ids;

/// What routing knows of a project at one moment.
#[derive(Debug)]
pub struct Router {
    pub roster: Roster,
    /// Decisions so far.
    pub decided: u64,
}

impl Router {
    pub async fn open(engine: &Engine) -> Result<Router> {
        let agents: Vec<Agent> = all(engine).await?;
        let mut roster = Roster::new(&agents, engine.now());
        for (name, (_, team)) in &teams::all(engine).await? {
            roster.put_team(name, &team.members);
        }
        Ok(Router {
            roster,
            decided: statistics(engine).await?.decided,
        })
    }

    /// Who should get this task. A task whose author has named somebody is that agent's.
    pub fn decide(&self, view: &View, strategy: Strategy, exclude: &[AgentName]) -> Result<Decision> {
        let class = &view.class;
        if let Some(author) = class.agent.as_ref().filter(|_| !class.routed) {
            return Ok(named(author, strategy));
        }
        let asked = Asked {
            needs: &class.needs,
            kind: &class.kind,
            team: class.team.as_ref(),
            exclude,
            strategy,
            decided: self.decided,
            seed: ids::seed(),
        };
        route(&self.roster, &asked)
    }

    /// Gives a task to the chosen agent, and keeps the decision with it.
    pub async fn assign(&mut self, engine: &Engine, task: &TaskId, decision: &Decision) -> Result<Reply> {
        let command = Command::Route {
            agent: Some(decision.selected.clone()),
            decision: Json::of(decision),
        };
        let request = Request {
            target: Target::Id(task.clone()),
            command,
            actor: engine.actor.clone(),
            idempotency_key: None,
        };
        let replies = engine.store.change(&engine.project, vec![request], engine.now());
        let reply = replies
            .await?
            .pop()
            .unwrap_or_else(|| Err(Refusal::new(Code::Internal, "a request had no reply")))?;
        self.roster.give(&decision.selected, 1);
        self.decided += 1;
        Ok(reply)
    }
}

fn named(author: &AgentName, strategy: Strategy) -> Decision {
    let reason = "the task names it".to_owned();
    Decision {
        selected: author.clone(),
        strategy,
        team: None,
        tries: Vec::new(),
        confidence: 1.0,
        candidates: vec![Candidate {
            agent: author.clone(),
            score: 1.0,
            reason: reason.clone(),
        }],
        reason,
        capable: 1,
        free: 1,
    }
}

/// How routing has gone so far.
pub async fn statistics(engine: &Engine) -> Result<Routing> {
    routing(&learn::all(engine).await?)
}

pub(super) fn routing(all: &[Entry]) -> Result<Routing> {
    let found = all.iter().find(|entry| &*entry.key == learn::ROUTING);
    found.map_or(Ok(Routing::default()), Entry::read)
}

/// What was moved, and what is left to move.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Balanced {
    /// Each task with the agent it was taken from and the one it went to.
    pub moved: Vec<(TaskId, AgentName, AgentName)>,
    /// A gap that waiting work cannot close.
    pub left: Option<Imbalance>,
}

/// Moves work that nobody has begun from the busiest agents to those that have room, until they are about even.
pub async fn rebalance(engine: &Engine, strategy: Strategy) -> Result<Balanced> {
    let mut router = Router::open(engine).await?;
    let mut balanced = Balanced::default();
    while balanced.moved.len() < PAGE_MAX {
        let Some(gap) = imbalance(&router.roster) else {
            return Ok(balanced);
        };
        match relieve(engine, &mut router, &gap, strategy).await? {
            Some((task, to)) => balanced.moved.push((task, gap.busiest, to)),
            None => {
                balanced.left = Some(gap);
                return Ok(balanced);
            }
        }
    }
    Ok(balanced)
}

/// Moves one waiting task of the busiest agent to another that can do it, if there is one of each.
async fn relieve(
    engine: &Engine,
    router: &mut Router,
    gap: &Imbalance,
    strategy: Strategy,
) -> Result<Option<(TaskId, AgentName)>> {
    let filter = Filter {
        agent: Some(gap.busiest.clone()),
        states: vec![State::Ready, State::Blocked, State::Pending, State::Retrying],
        ..Filter::default()
    };
    let waiting = engine
        .store
        .list(&engine.project, filter, Seq(0), PAGE_MAX)
        .await?;
    for view in waiting.iter().rev().filter(|view| view.class.routed) {
        let exclude = std::slice::from_ref(&gap.busiest);
        let Ok(decision) = router.decide(view, strategy, exclude) else {
            continue;
        };
        let Some(to) = router.roster.seat(&decision.selected) else {
            continue;
        };
        let from = router
            .roster
            .seat(&gap.busiest)
            .map_or(0.0, domain::agent::roster::Seat::utilisation);
        // Moving back and forth helps nobody.
        if to.utilisation_with_one_more() >= from {
            continue;
        }
        match router.assign(engine, &view.task.id, &decision).await {
            Ok(_) => {
                router.roster.give(&gap.busiest, -1);
                return Ok(Some((view.task.id.clone(), decision.selected)));
            }
            // It has begun, or the agent has filled up meanwhile.
            Err(refusal) if refusal.code.kind() != domain::code::Kind::Store => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(None)
}
