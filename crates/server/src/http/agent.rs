//! Registered agents, and who gets a task.

use api::agent::{Agent, Agents, Balanced, Flock, Health, LetGo, Routed};
use api::ask;
use api::performance::{Advised, Performance};
use axum::http::{Method, StatusCode};
use desk::token::Role;
use desk::{agent, find, performance};
use domain::book::Book;
use domain::store::Result;

use crate::op::{Call, Op, get, post, send};

pub(super) fn ops() -> Vec<Op> {
    vec![
        get(
            "/v1/agents",
            "listAgents",
            "List the agents, the best for what is looked for first",
            list,
        ),
        post(
            "/v1/agents",
            "registerAgent",
            "Register an agent: what it can do, and how much at once",
            register,
        )
        .versioned(Book::Agent)
        .role(Role::Worker)
        .status(StatusCode::CREATED),
        get("/v1/agents/{name}", "showAgent", "Show an agent", show).versioned(Book::Agent),
        send(
            Method::PATCH,
            "/v1/agents/{name}",
            "editAgent",
            "Change what is said about an agent",
            edit,
        ).versioned(Book::Agent),
        send(
            Method::DELETE,
            "/v1/agents/{name}",
            "deregisterAgent",
            "Let an agent go, and hand its work back",
            deregister,
        ).versioned(Book::Agent)
        .bodiless(),
        get(
            "/v1/agents/{name}/health",
            "showAgentHealth",
            "Tell how well an agent does",
            health,
        ),
        post(
            "/v1/agents/{name}/learn",
            "learnSkill",
            "Add a skill that an agent has shown",
            learn,
        )
        .versioned(Book::Agent),
        post(
            "/v1/agents/{name}/report",
            "reportOutcome",
            "Tell an outcome of an agent's work outside of this store",
            report,
        )
        .role(Role::Worker),
        post(
            "/v1/agents/{name}/heartbeat",
            "heartbeatAgent",
            "Say that an agent is there",
            heartbeat,
        )
        .role(Role::Worker),
        get(
            "/v1/flock",
            "showFlock",
            "Tell how well all agents do together",
            flock,
        ),
        get(
            "/v1/flock/advice",
            "adviseFlock",
            "Tell what to do about agents that fail or are full, and about skills that nobody has",
            advise,
        ),
        get(
            "/v1/performance",
            "exportPerformance",
            "Tell what agents did, record by record, with names or without",
            export,
        ),
        post(
            "/v1/flock/rebalance",
            "rebalance",
            "Move routed work that nobody has begun from who has much to who has little",
            rebalance,
        ),
        post(
            "/v1/tasks/{id}/route",
            "routeTask",
            "Choose the agent for a task and say why; with `assign` it gets the task, which takes an operator",
            route,
        )
        .role(Role::Reader),
    ]
}

async fn list(call: Call, asked: ask::Agents) -> Result<Agents> {
    agent::list(&call.engine, asked).await
}

async fn register(call: Call, asked: ask::Agent) -> Result<Agent> {
    let profile = agent::profile(&asked.profile, asked.prior)?;
    agent::register(&call.engine, &asked.name, profile).await
}

async fn show(call: Call, _: ask::Nothing) -> Result<Agent> {
    agent::show(&call.engine, &call.parsed()?).await
}

async fn edit(call: Call, asked: ask::AgentEdit) -> Result<Agent> {
    agent::edit(&call.engine, &call.parsed()?, &asked).await
}

async fn deregister(call: Call, _: ask::Nothing) -> Result<LetGo> {
    agent::deregister(&call.engine, call.parsed()?).await
}

async fn health(call: Call, _: ask::Nothing) -> Result<Health> {
    agent::health(&call.engine, &call.parsed()?).await
}

async fn learn(call: Call, asked: ask::Learn) -> Result<Agent> {
    agent::learned(&call.engine, &call.parsed()?, &asked).await
}

async fn report(call: Call, asked: ask::Report) -> Result<Agent> {
    agent::report(&call.engine, &call.parsed()?, asked).await
}

async fn heartbeat(call: Call, _: ask::Nothing) -> Result<Agent> {
    agent::heartbeat(&call.engine, &call.parsed()?).await
}

async fn flock(call: Call, _: ask::Nothing) -> Result<Flock> {
    agent::flock(&call.engine).await
}

async fn advise(call: Call, _: ask::Nothing) -> Result<Advised> {
    performance::advise(&call.engine).await
}

async fn export(call: Call, asked: ask::Performance) -> Result<Performance> {
    performance::export(&call.engine, &asked).await
}

async fn rebalance(call: Call, asked: ask::Rebalance) -> Result<Balanced> {
    agent::rebalance(&call.engine, asked).await
}

async fn route(call: Call, asked: ask::Route) -> Result<Routed> {
    if asked.assign {
        call.caller.needs(Role::Operator)?;
    }
    let view = find::view(&call.engine, call.name()).await?;
    agent::route(&call.engine, view, &asked).await
}
