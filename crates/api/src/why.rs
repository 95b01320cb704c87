//! Why a task stands where it stands.

use std::collections::BTreeMap;

use domain::agent::route::Decision;
use domain::id::{AgentName, Capability, Key, TaskId, TeamName};
use domain::store::{HeldLock, Neighbours, View};
use domain::task::lock::{Lock, Mode};
use domain::task::order::Order;
use domain::task::record::Join;
use domain::task::score::{Explanation, Score};
use domain::task::spec::{Spec, When};
use domain::task::state::{Reason, State};
use domain::time::Now;
use schemars::JsonSchema;
use serde::Serialize;

use crate::task::{Lease, explain};
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Why {
    pub task: TaskId,
    pub key: Option<Key>,
    pub name: String,
    pub state: State,
    pub reason: Option<Reason>,
    /// Prerequisites that have not ended, and those that ended the wrong way.
    pub waits_for: Vec<Waits>,
    /// Not before this time.
    pub run_at: Option<Time>,
    /// The lock or limit that it stands in line for.
    pub parked_under: Option<String>,
    pub locks: Vec<LockAsked>,
    /// Breakers and limits that let nothing of its sort begin now.
    pub held_back: Vec<String>,
    pub lease: Option<Lease>,
    /// The parts of its score at this moment, each with its weight.
    pub score: Explanation,
    /// How long it is expected to take, where that makes it more urgent.
    pub estimate: Option<Estimate>,
    /// How many tasks stand before it in line; only while it is ready.
    pub ahead: Option<usize>,
    pub takers: Takers,
    /// Why an agent was chosen for it; while it is with that agent.
    pub routed: Option<Decision>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Waits {
    pub task: TaskId,
    pub key: Option<Key>,
    pub when: When,
    pub state: State,
    pub reason: Option<Reason>,
}

/// A lock that the task asks for, with those that have it now.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct LockAsked {
    pub name: String,
    pub mode: Mode,
    pub holders: Vec<TaskId>,
}

#[derive(Clone, Copy, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Estimate {
    pub seconds: f64,
    /// It was not said: tasks of this kind usually took so long when it was submitted.
    pub learned: bool,
}

/// Who could take it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Takers {
    /// The executor: `command`, `agent`, `http`, `handler`, `breakpoint` or `wait`.
    pub work: String,
    pub kind: String,
    pub agent: Option<AgentName>,
    /// Only its members.
    pub team: Option<TeamName>,
    pub needs: Vec<Capability>,
    /// Amounts that it takes from its worker.
    pub resources: BTreeMap<String, u64>,
}

impl Why {
    pub fn new(
        view: &View,
        spec: Spec,
        neighbours: &Neighbours,
        held: &[HeldLock],
        ahead: Option<usize>,
        now: Now,
    ) -> Why {
        let task = &view.task;
        Why {
            task: task.id.clone(),
            key: view.body.key.clone(),
            name: spec.name,
            state: task.state,
            reason: task.reason,
            waits_for: waits_for(task.state, task.join, neighbours),
            run_at: task.run_at.filter(|at| *at > now.wall).map(Time),
            parked_under: task.parked_under().map(ToString::to_string),
            locks: spec.locks.iter().map(|lock| asked(lock, task, held)).collect(),
            held_back: Vec::new(),
            lease: Lease::of(task, now),
            score: rounded(&explain(task, now)),
            estimate: task
                .estimate
                .filter(|_| task.deadline.is_some())
                .map(|span| Estimate {
                    seconds: span.as_secs_f64(),
                    learned: spec.estimate.is_none(),
                }),
            ahead,
            takers: Takers {
                work: view.class.work.clone(),
                kind: view.class.kind.to_string(),
                agent: view.class.agent.clone(),
                team: view.class.team.clone(),
                needs: view.class.needs.clone(),
                resources: view.class.resources.clone(),
            },
            routed: None,
        }
    }
}

impl Why {
    /// The same in a project with an order of its own.
    pub fn ordered(self, order: &Order, task: &domain::task::record::Task, now: Now) -> Why {
        let score = rounded(&order.explain(&task.facts(), now.wall));
        Why { score, ..self }
    }
}

fn waits_for(state: State, join: Option<Join>, neighbours: &Neighbours) -> Vec<Waits> {
    let matters = matches!(state, State::Pending | State::Blocked | State::Cancelled);
    let when = match join {
        Some(Join::Complete) => When::Success,
        _ => When::Finished,
    };
    let children = neighbours.children.iter().filter(|_| join.is_some());
    let children = children.map(|child| (child, when));
    let all = neighbours.after.iter().map(|on| (on, on.when)).chain(children);
    let waits = all.filter(|(on, when)| {
        let held = match when {
            When::Success => on.state == State::Completed,
            When::Failure => on.state == State::Failed,
            When::Finished => on.state.is_terminal(),
        };
        matters && !held
    });
    waits
        .map(|(on, when)| Waits {
            task: on.id.clone(),
            key: on.key.clone(),
            when,
            state: on.state,
            reason: on.reason,
        })
        .collect()
}

fn asked(lock: &Lock, task: &domain::task::record::Task, held: &[HeldLock]) -> LockAsked {
    let holders = held.iter().filter(|held| {
        let theirs = Lock {
            name: held.name.clone(),
            mode: held.mode,
        };
        held.holder != task.id && lock.conflicts(&theirs)
    });
    LockAsked {
        name: lock.name.clone(),
        mode: lock.mode,
        holders: holders.map(|held| held.holder.clone()).collect(),
    }
}

fn rounded(parts: &Explanation) -> Explanation {
    let round = |part: f64| Score::of(part).value();
    let signed = |part: f64| part.signum() * round(part.abs());
    Explanation {
        base: round(parts.base),
        depth: round(parts.depth),
        urgency: round(parts.urgency),
        blocking: round(parts.blocking),
        source: round(parts.source),
        retry: signed(parts.retry),
        ageing: round(parts.ageing),
        score: round(parts.score),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, view};
    use domain::id::Seq;
    use domain::store::Neighbour;

    fn on(id: &str, when: When, state: State) -> Neighbour {
        Neighbour {
            seq: Seq(9),
            id: TaskId::new(id).unwrap(),
            key: None,
            when,
            state,
            reason: None,
        }
    }

    #[test]
    fn a_blocked_task_names_the_edges_that_do_not_hold() {
        let neighbours = Neighbours {
            after: vec![
                on("done", When::Success, State::Completed),
                on("busy", When::Success, State::Running),
                on("broke", When::Failure, State::Failed),
                on("fine", When::Failure, State::Completed),
            ],
            ..Neighbours::default()
        };
        let waits: Vec<String> = waits_for(State::Blocked, None, &neighbours)
            .iter()
            .map(|waits| waits.task.to_string())
            .collect();
        assert_eq!(waits, ["busy", "fine"]);
        assert!(waits_for(State::Ready, None, &neighbours).is_empty());
    }

    #[test]
    fn a_lock_names_who_stands_in_its_way() {
        let mut spec = view().body.read_spec().unwrap();
        spec.locks = vec![Lock::new("path:src", Mode::Exclusive).unwrap()];
        let held = |name: &str, holder: &str| HeldLock {
            name: name.into(),
            mode: Mode::Exclusive,
            holder: TaskId::new(holder).unwrap(),
            waiting: 1,
        };
        let held = [
            held("path:src/auth", "other"),
            held("path:src", "test"),
            held("db", "third"),
        ];
        let why = Why::new(&view(), spec, &Neighbours::default(), &held, Some(0), NOW);
        assert_eq!(why.locks[0].holders, [TaskId::new("other").unwrap()]);
        assert_eq!(why.score.score, 32.5);
    }
}
