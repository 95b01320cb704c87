//! Three tools: the queue in numbers, whether all is well, and what to do about it.

use domain::agent::Agent;
use domain::agent::advice::Kind;
use domain::store::{Result, Status};
use domain::task::state::State;
use engine::agents;
use engine::engine::Engine;
use serde_json::{Value, json};

use super::agents::{all, mean};
use super::view;
use crate::session::Session;
use crate::tool::field::{Form, has};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

/// Shares of success above this are good.
const GOOD: f64 = Agent::HEALTHY;
/// More waiting tasks than this are too many.
const PENDING_MANY: u64 = 100;
/// Agents that differ more than this in how busy they are should share.
const APART: f64 = 0.5;

const COUNT: Form = Form::Whole(0, i64::MAX);

pub(super) const METRICS: Tool = Tool {
    name: "orchestration_get_queue_metrics",
    about: "Count tasks by status",
    sort: Sort::Looks,
    takes: &[],
    gives: &[
        has("pending", COUNT),
        has("assigned", COUNT),
        has("running", COUNT),
        has("completed", COUNT),
        has("failed", COUNT),
        has("success_rate", Form::Number),
        has("avg_execution_ms", Form::Number),
        has("total", COUNT),
    ],
    voice: Voice::Classic,
    run: |session, _, _| Box::pin(metrics(session)),
};

pub(super) const HEALTH: Tool = Tool {
    name: "orchestration_get_health",
    about: "Whether queue, agents and routing are well",
    sort: Sort::Looks,
    takes: &[],
    gives: &[
        has("queue", Form::Object),
        has("agents", Form::Object),
        has("routing", Form::Object),
        has("status", Form::Text),
    ],
    voice: Voice::Classic,
    run: |session, _, _| Box::pin(health(session)),
};

pub(super) const RECOMMENDATIONS: Tool = Tool {
    name: "orchestration_get_recommendations",
    about: "What to do about what is not well",
    sort: Sort::Looks,
    takes: &[],
    gives: &[has("recommendations", Form::Texts), has("count", COUNT)],
    voice: Voice::Classic,
    run: |session, _, _| Box::pin(recommend(session)),
};

/// The queue in the statuses of these tools.
pub(super) struct Counts(Status);

impl Counts {
    pub(super) async fn read(engine: &Engine) -> Result<Counts> {
        find::catch_up(engine).await?;
        Ok(Counts(engine.store.status(&engine.project).await?))
    }

    fn of(&self, status: &str) -> u64 {
        let states = view::states(status);
        states.into_iter().map(|state| self.0.counts.of(state)).sum()
    }

    fn total(&self) -> u64 {
        self.0.counts.total()
    }

    fn active(&self) -> u64 {
        self.of("assigned") + self.of("running")
    }

    fn ended(&self) -> u64 {
        self.of("completed") + self.of("failed")
    }

    /// Of those that ended; nothing has gone wrong while none has.
    fn success_rate(&self) -> f64 {
        share(self.of("completed"), self.ended(), 1.0)
    }

    pub(super) fn routing(&self) -> Value {
        let assigned = self.total() - self.of("pending") - self.0.counts.of(State::Cancelled);
        json!({
            "total_tasks": self.total(),
            "assigned_count": assigned,
            "assignment_rate": share(assigned, self.total(), 0.0),
        })
    }
}

fn share(part: u64, whole: u64, none: f64) -> f64 {
    match whole {
        0 => none,
        whole => part as f64 / whole as f64,
    }
}

async fn metrics(session: &Session) -> Answer {
    let engine = session.engine();
    let counts = Counts::read(engine).await?;
    let completed = view::tasks(engine, vec![State::Completed], None).await?;
    let durations: Vec<u64> = completed.iter().filter_map(view::duration).collect();
    let sum: u64 = durations.iter().sum();
    let mut metrics = json!({
        "success_rate": counts.success_rate(),
        "avg_execution_ms": share(sum, durations.len() as u64, 0.0),
        "total": counts.total(),
    });
    for status in view::STATUSES {
        metrics[status] = json!(counts.of(status));
    }
    Ok(metrics)
}

async fn health(session: &Session) -> Answer {
    let counts = Counts::read(session.engine()).await?;
    let agents = all(session.engine()).await?;
    let is_well = counts.ended() == 0 || counts.success_rate() > GOOD && !agents.is_empty();
    Ok(json!({
        "queue": {
            "total_tasks": counts.total(),
            "active_tasks": counts.active(),
            "success_rate": counts.success_rate(),
        },
        "agents": { "total_agents": agents.len(), "avg_success_rate": mean(&agents) },
        "routing": { "assignment_rate": counts.routing()["assignment_rate"] },
        "status": if is_well { "healthy" } else { "degraded" },
    }))
}

async fn recommend(session: &Session) -> Answer {
    let counts = Counts::read(session.engine()).await?;
    let agents = all(session.engine()).await?;
    let mut all = recommendations(&counts, &agents);
    let advice = agents::advise(session.engine()).await?;
    let told = advice.into_iter().filter(|advice| advice.kind != Kind::Uneven);
    all.extend(told.map(|advice| format!("{}: {}; {}", advice.subject, advice.cause, advice.cure)));
    Ok(json!({ "count": all.len(), "recommendations": all }))
}

fn recommendations(counts: &Counts, agents: &[Agent]) -> Vec<String> {
    let mut all = Vec::new();
    let busy: Vec<f64> = agents.iter().map(Agent::utilisation).collect();
    let most = busy.iter().copied().fold(0.0, f64::max);
    let least = busy.iter().copied().fold(f64::INFINITY, f64::min);
    if agents.len() >= 2 && most - least > APART {
        let (most, least) = (most * 100.0, least * 100.0);
        all.push(format!(
            "Rebalance: the busiest agent is at {most:.0} %, the idlest at {least:.0} %"
        ));
    }
    let pending = counts.of("pending");
    if pending > PENDING_MANY {
        all.push(format!("Add agents: {pending} tasks are pending"));
    }
    let rate = counts.success_rate();
    if rate < GOOD {
        all.push(format!(
            "Look at failed tasks: only {:.0} % succeed",
            rate * 100.0
        ));
    }
    all
}
