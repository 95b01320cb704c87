//! Two tools: who should do a task, and how much has found somebody.

use std::cmp::Ordering;

use domain::agent::Agent;
use domain::code::{Code, Refusal};
use domain::id::AgentName;
use serde_json::json;

use super::agents::{all, can};
use super::view;
use crate::session::Session;
use crate::tool::args::Args;
use crate::tool::field::{Form, has, may, must};
use crate::tool::{Answer, Sort, Tool, Voice};

pub(super) const ROUTE: Tool = Tool {
    name: "orchestration_route_task",
    about: "Name the best agent for a task: capable of everything it requires, not full, by quality. Assigns nothing.",
    sort: Sort::Looks,
    takes: &[
        must("task_id", Form::Text, ""),
        may("exclude_agents", Form::Texts, ""),
    ],
    gives: &[
        has("task_id", Form::Text),
        has("selected_agent", Form::Text),
        has("routed", Form::Flag),
    ],
    voice: Voice::Routing,
    run: |session, args, _| Box::pin(route(session, args)),
};

pub(super) const STATS: Tool = Tool {
    name: "orchestration_get_routing_stats",
    about: "How many tasks have found an agent",
    sort: Sort::Looks,
    takes: &[],
    gives: &[
        has("total_tasks", Form::Whole(0, i64::MAX)),
        has("assigned_count", Form::Whole(0, i64::MAX)),
        has("assignment_rate", Form::Number),
    ],
    voice: Voice::Classic,
    run: |session, _, _| {
        Box::pin(async move {
            let counts = super::health::Counts::read(session.engine()).await?;
            Ok(counts.routing())
        })
    },
};

async fn route(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    let view = view::find(engine, args.text("task_id")).await?;
    let excluded = args.all::<AgentName>("exclude_agents")?;
    let agents = all(engine).await?;
    let needs = &view.class.needs;
    let capable: Vec<&Agent> = agents
        .iter()
        .filter(|agent| !excluded.contains(&agent.name) && can(agent, needs))
        .collect();
    let mut free: Vec<&Agent> = capable
        .iter()
        .copied()
        .filter(|agent| agent.utilisation() < 1.0)
        .collect();
    free.sort_by(|one, other| better(one, other));
    let id = &view.task.id;
    let Some(best) = free.first() else {
        let why = match capable.len() {
            0 => format!("No capable agent for task {id}"),
            _ => format!("No available agent for task {id}: all that are capable are full"),
        };
        return Err(
            Refusal::new(Code::Waiting, why).help("register an agent that can do it, or wait for one")
        );
    };
    Ok(json!({ "task_id": id, "selected_agent": best.name, "routed": true }))
}

/// The higher quality, then the less loaded, the faster, and the first by name.
fn better(one: &Agent, other: &Agent) -> Ordering {
    let speed = |agent: &Agent| agent.record.latency.value;
    other
        .quality()
        .total_cmp(&one.quality())
        .then(one.load.active.cmp(&other.load.active))
        .then(speed(one).total_cmp(&speed(other)))
        .then_with(|| one.name.cmp(&other.name))
}

#[cfg(test)]
mod tests {
    use domain::agent::profile::Prior;
    use domain::agent::{Load, Profile, Record};
    use domain::time::Timestamp;

    use super::*;

    fn agent(name: &str, success: f64, active: u32) -> Agent {
        let prior = Prior {
            success_rate: Some(success),
            latency_ms: Some(100.0),
            tasks: 10,
            ..Prior::default()
        };
        Agent {
            name: name.parse().unwrap(),
            profile: Profile::default(),
            record: Record::beginning(Some(&prior), Timestamp(0)),
            load: Load { active, queued: 0 },
        }
    }

    // proves: SPEC 3.4
    #[test]
    fn the_best_is_good_and_has_time() {
        let mut agents = [
            agent("busy", 1.0, 4),
            agent("poor", 0.1, 0),
            agent("good", 0.9, 0),
            agent("even", 0.9, 0),
        ];
        agents.sort_by(better);
        let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
        assert_eq!(names, ["even", "good", "busy", "poor"]);
    }
}
