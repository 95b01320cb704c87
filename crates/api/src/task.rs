//! A task as everybody outside sees it.

use domain::id::{AgentName, Capability, Key, Kind, RunId, TaskId, WorkerId};
use domain::store::{Neighbours, Seen, View};
use domain::task::order::Order;
use domain::task::record;
use domain::task::score::{Explanation, Score};
use domain::task::spec::{Json, Priority, Source, When};
use domain::task::state::{Reason, State};
use domain::time::Now;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, attempts};
use crate::time::Time;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Task {
    pub id: TaskId,
    /// Its name inside its plan.
    pub key: Option<Key>,
    pub run: Option<RunId>,
    pub name: String,
    pub kind: Kind,
    pub state: State,
    pub reason: Option<Reason>,
    pub priority: Priority,
    /// Computed for the moment of the answer; of an ended task as it last was.
    pub score: f64,
    pub depth: u32,
    pub source: Source,
    pub agent: Option<AgentName>,
    pub needs: Vec<Capability>,
    pub after: Vec<After>,
    pub dependents: Vec<TaskId>,
    pub lease: Option<Lease>,
    pub attempts: Vec<Attempt>,
    pub result: Option<Json>,
    pub error: Option<String>,
    pub progress: Option<Json>,
    pub submitted_at: Time,
    pub run_at: Option<Time>,
    pub deadline: Option<Time>,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
}

/// A prerequisite.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct After {
    pub task: TaskId,
    pub when: When,
}

/// Who has it, never the token that proves it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Lease {
    pub worker: WorkerId,
    pub expires_at: Time,
    pub attempt: u32,
}

impl Lease {
    pub fn of(task: &record::Task, now: Now) -> Option<Lease> {
        task.lease.as_ref().map(|lease| Lease {
            worker: lease.worker.clone(),
            expires_at: Time::of_lease(lease.expires, now),
            attempt: lease.attempt,
        })
    }
}

impl Task {
    pub fn new(view: View, neighbours: &Neighbours, history: &[Seen], now: Now) -> Task {
        let (error, result) = match view.outcome {
            Some(outcome) => (outcome.error.map(|failure| failure.message), outcome.result),
            None => (None, None),
        };
        let name = name(&view.body, &view.task.id);
        let score = score(&view.task, now).value();
        let lease = Lease::of(&view.task, now);
        let task = view.task;
        let after = neighbours.after.iter().map(|on| After {
            task: on.id.clone(),
            when: on.when,
        });
        Task {
            key: view.body.key,
            run: view.run,
            name,
            kind: view.class.kind,
            state: task.state,
            reason: task.reason,
            priority: task.priority,
            score,
            depth: task.depth,
            source: task.source,
            agent: view.class.agent,
            needs: view.class.needs,
            after: after.collect(),
            dependents: neighbours.dependents.iter().map(|on| on.id.clone()).collect(),
            lease,
            attempts: attempts(history),
            result,
            error,
            progress: task.lease.and_then(|lease| lease.progress),
            submitted_at: Time(task.submitted_at),
            run_at: task.run_at.map(Time),
            deadline: task.deadline.map(Time),
            started_at: task.started_at.map(Time),
            finished_at: task.finished_at.map(Time),
            id: task.id,
        }
    }
}

/// What people call the task.
pub fn name(body: &record::Body, id: &TaskId) -> String {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    match serde_json::from_str::<Named>(&body.spec) {
        Ok(named) => named.name,
        Err(_) => id.to_string(),
    }
}

/// The score of this moment.
pub fn score(task: &record::Task, now: Now) -> Score {
    if task.state.is_terminal() {
        return task.score;
    }
    Score::of(explain(task, now).score)
}

pub fn explain(task: &record::Task, now: Now) -> Explanation {
    Order::default().explain(&task.facts(), now.wall)
}

/// The score of this moment in a project with an order of its own.
pub fn score_in(order: &Order, task: &record::Task, now: Now) -> Score {
    match task.state.is_terminal() {
        true => task.score,
        false => order.score(&task.facts(), now.wall),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, entered, view};
    use domain::id::Seq;
    use domain::store::Neighbour;

    #[test]
    fn a_task_has_the_fields_of_the_contract_in_its_order() {
        let contract = "id key run name kind state reason priority score depth source agent needs after dependents \
                        lease attempts result error progress submitted_at run_at deadline started_at finished_at";
        let json = serde_json::to_string(&Task::new(view(), &Neighbours::default(), &[], NOW)).unwrap();
        let places = contract.split_whitespace().map(|name| {
            let field = format!("\"{name}\":");
            json.find(&field).unwrap_or_else(|| panic!("no {name} in {json}"))
        });
        assert!(places.is_sorted(), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value.as_object().unwrap().len(),
            contract.split_whitespace().count()
        );
    }

    #[test]
    fn a_leased_task_shows_who_has_it_and_not_the_token() {
        let neighbours = Neighbours {
            after: vec![Neighbour {
                seq: Seq(1),
                id: TaskId::new("lint").unwrap(),
                key: None,
                when: When::Success,
                state: State::Completed,
                reason: None,
            }],
            ..Neighbours::default()
        };
        let history = [entered(2, State::Running, None, r#"{"attempt":1}"#)];
        let json = serde_json::to_value(Task::new(view(), &neighbours, &history, NOW)).unwrap();
        assert_eq!(json["name"], "run the tests");
        assert_eq!(json["score"], 32.5);
        assert_eq!(
            json["after"],
            serde_json::json!([{"task": "lint", "when": "success"}])
        );
        assert_eq!(
            json["lease"],
            serde_json::json!({"worker": "w", "expires_at": "1970-01-01T00:00:40.000Z", "attempt": 1})
        );
        assert_eq!(json["attempts"][0]["worker"], "w");
        assert!(!json.to_string().contains("secret"));
    }
}
