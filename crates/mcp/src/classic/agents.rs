//! Five tools: agents, from registration to leave.

use std::collections::{BTreeMap, BTreeSet};

use domain::agent::{Agent, Profile};
use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability};
use domain::store::Result;
use engine::agents::registry::{self, Report};
use engine::agents::{self, learn};
use engine::engine::Engine;
use serde_json::{Value, json};

use crate::call::Call;
use crate::session::Session;
use crate::tool::args::Args;
use crate::tool::field::{Field, Form, has, may, must, some};
use crate::tool::{Answer, Sort, Tool, Voice};

const ID: Field = must("agent_id", Form::Text, "");
const AGENT: Field = has("agent_id", Form::Text);
const MESSAGE: Field = has("message", Form::Text);
const CAPACITY_MAX: i64 = 1_000;
/// Pages of the log that one call reads to learn from; a duty reads the rest.
const LEARN_PAGES: usize = 10;

pub(super) const REGISTER: Tool = Tool {
    name: "orchestration_register_agent",
    about: "Register an agent",
    sort: Sort::Works,
    takes: &[
        ID,
        must("capabilities", Form::Texts, ""),
        may("max_concurrent", Form::Whole(1, CAPACITY_MAX), "Default 5"),
    ],
    gives: &[
        AGENT,
        has("capabilities", Form::Texts),
        has("registered", Form::Flag),
        MESSAGE,
    ],
    voice: Voice::Classic,
    run: |session, args, call| Box::pin(register(session, args, call)),
};

pub(super) const UPDATE: Tool = Tool {
    name: "orchestration_update_agent_performance",
    about: "Tell how an agent did in work that is no task here; tasks that it ends are counted by themselves",
    sort: Sort::Works,
    takes: &[
        ID,
        must("success", Form::Flag, ""),
        must("duration_ms", Form::Number, ""),
        may("metrics", Form::Object, ""),
    ],
    gives: &[AGENT, has("updated", Form::Flag), MESSAGE],
    voice: Voice::Classic,
    run: |session, args, call| Box::pin(update(session, args, call)),
};

pub(super) const HEALTH: Tool = Tool {
    name: "orchestration_get_agent_health",
    about: "Health of one agent, or a summary of all",
    sort: Sort::Looks,
    takes: &[may("agent_id", Form::Text, "")],
    gives: &[
        some("status", Form::Text),
        some("success_rate", Form::Number),
        some("total_agents", Form::Whole(0, i64::MAX)),
        some("skill_distribution", Form::Object),
    ],
    voice: Voice::Classic,
    run: |session, args, _| Box::pin(health(session, args)),
};

pub(super) const FIND: Tool = Tool {
    name: "orchestration_find_capable_agents",
    about: "Find agents that have all these skills",
    sort: Sort::Looks,
    takes: &[must("requirements", Form::Texts, "")],
    gives: &[
        has("requirements", Form::Texts),
        has(
            "capable_agents",
            Form::Many(&[has("id", Form::Text), has("health", Form::Object)]),
        ),
        has("count", Form::Whole(0, i64::MAX)),
    ],
    voice: Voice::Classic,
    run: |session, args, _| Box::pin(find(session, args)),
};

pub(super) const DEREGISTER: Tool = Tool {
    name: "orchestration_deregister_agent",
    about: "Remove an agent; what it holds is handed back",
    sort: Sort::Steers,
    takes: &[ID],
    gives: &[AGENT, has("deregistered", Form::Flag), MESSAGE],
    voice: Voice::Classic,
    run: |session, args, call| Box::pin(deregister(session, args, call)),
};

/// Every agent, with what its work has taught until now.
pub(super) async fn all(engine: &Engine) -> Result<Vec<Agent>> {
    learn::catch_up(engine, LEARN_PAGES).await?;
    agents::all(engine).await
}

/// Over all time; of an agent of which nothing is known, the best is assumed.
pub(super) fn success_rate(agent: &Agent) -> f64 {
    agent.record.sum.success_rate().unwrap_or(1.0)
}

fn skills(agent: &Agent) -> BTreeSet<&Capability> {
    agent.profile.offers().collect()
}

async fn register(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine_for(call);
    let name: AgentName = args.must("agent_id")?;
    let profile = Profile {
        capabilities: args.all::<Capability>("capabilities")?,
        capacity: args.count("max_concurrent", Profile::CAPACITY as usize) as u32,
        ..Profile::default()
    };
    let agent = registry::register(&engine, &name, profile)
        .await
        .map_err(|refusal| match refusal.code {
            Code::AgentExists => Refusal {
                detail: format!("Agent {name} already registered"),
                ..refusal
            },
            _ => refusal,
        })?;
    let message = format!("Agent {name} registered");
    Ok(json!({ "agent_id": name, "capabilities": skills(&agent), "registered": true, "message": message }))
}

async fn update(session: &Session, args: Args, call: &Call) -> Answer {
    let name: AgentName = args.must("agent_id")?;
    let told = Report {
        success: args.flag("success").unwrap_or_default(),
        duration_ms: args.number("duration_ms").unwrap_or_default(),
        quality: None,
    };
    let updated = known(registry::report(&session.engine_for(call), &name, &told).await)?.is_some();
    let message = match updated {
        true => format!("Performance of {name} updated"),
        false => format!("Agent {name} is not registered; nothing was changed"),
    };
    Ok(json!({ "agent_id": name, "updated": updated, "message": message }))
}

/// What is said of an agent that nobody registered changes nothing, and is no error.
fn known<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(refusal) if refusal.code == Code::AgentNotFound => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

async fn health(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    if let Some(name) = args.named::<AgentName>("agent_id")? {
        learn::catch_up(engine, LEARN_PAGES).await?;
        return Ok(match agents::find(engine, &name).await? {
            Some((_, agent)) => well(&agent),
            None => json!({ "agent_id": name, "status": "not_found" }),
        });
    }
    let agents = all(engine).await?;
    let mut distribution: BTreeMap<&str, u64> = BTreeMap::new();
    for capability in agents.iter().flat_map(skills) {
        *distribution.entry(capability.as_str()).or_default() += 1;
    }
    Ok(json!({
        "total_agents": agents.len(),
        "avg_success_rate": mean(&agents),
        "skill_distribution": distribution,
    }))
}

pub(super) fn mean(agents: &[Agent]) -> f64 {
    let sum: f64 = agents.iter().map(success_rate).sum();
    match agents.len() {
        0 => 0.0,
        count => sum / count as f64,
    }
}

fn well(agent: &Agent) -> Value {
    let record = &agent.record;
    let rate = success_rate(agent);
    json!({
        "agent_id": agent.name,
        "success_rate": rate,
        "avg_completion_ms": record.latency.value,
        "total_completed": record.sum.completed,
        "total_failed": record.sum.failed,
        "max_concurrent": agent.profile.capacity,
        "current_load": agent.load.active,
        "status": if rate > Agent::HEALTHY { "healthy" } else { "degraded" },
    })
}

async fn find(session: &Session, args: Args) -> Answer {
    let needs = args.all::<Capability>("requirements")?;
    let agents = all(session.engine()).await?;
    let capable: Vec<Value> = agents
        .iter()
        .filter(|agent| can(agent, &needs))
        .map(|agent| json!({ "id": agent.name, "health": well(agent) }))
        .collect();
    Ok(json!({ "requirements": needs, "count": capable.len(), "capable_agents": capable }))
}

pub(super) fn can(agent: &Agent, needs: &[Capability]) -> bool {
    needs.iter().all(|need| agent.profile.has(need))
}

async fn deregister(session: &Session, args: Args, call: &Call) -> Answer {
    let name: AgentName = args.must("agent_id")?;
    let gone = known(registry::deregister(&session.engine_for(call), &name).await)?;
    let returned = gone.as_ref().map_or(0, |gone| gone.returned.len());
    for task in gone.iter().flat_map(|gone| &gone.returned) {
        session.holds.forget(task);
    }
    let message = match (&gone, returned) {
        (None, _) => format!("Agent {name} was not registered"),
        (Some(_), 0) => format!("Agent {name} deregistered"),
        (Some(_), back) => format!("Agent {name} deregistered; {back} of its tasks were handed back"),
    };
    Ok(json!({ "agent_id": name, "deregistered": gone.is_some(), "message": message }))
}
