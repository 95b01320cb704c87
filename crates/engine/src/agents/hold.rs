//! Work that was given to an agent without anybody asking for it: for how long, and when that ends early.
//!
//! A hold is written before the task is given and outlives whoever wrote it; nothing is held for longer than it says. It
//! is an entry of [`Book::Habit`] under the task's id that is due when it ends.

use std::time::Duration;

use domain::agent::route::Decision;
use domain::book::{Book, Edit, Entry};
use domain::code;
use domain::id::{AgentName, TaskId};
use domain::limits::{KEY_BYTES, PAGE_MAX};
use domain::store::{Command, Request, Result, Target, View};
use domain::task::spec::Json;
use domain::task::state::State;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::entries;
use super::router::Router;
use crate::engine::Engine;

const PREFIX: &str = "hold ";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub agent: AgentName,
    /// Before it was ready, for when it is.
    #[serde(default)]
    pub ahead: bool,
    /// It was taken back: until this ends, nobody is chosen anew.
    #[serde(default)]
    pub over: bool,
    pub until: Timestamp,
}

fn key(task: &TaskId) -> String {
    format!("{PREFIX}{task}")
}

/// Whether anything is held whose time is over at `at`.
pub async fn is_due(engine: &Engine, at: Timestamp) -> Result<bool> {
    let due = engine
        .store
        .entries_due(&engine.project, Book::Habit, at, 1)
        .await?;
    Ok(due.iter().any(|entry| entry.key.starts_with(PREFIX)))
}

/// What is held, or must not be given again yet.
pub async fn all(engine: &Engine) -> Result<Vec<(TaskId, Hold)>> {
    let mut holds = Vec::new();
    for entry in entries(engine, Book::Habit, PREFIX).await? {
        if let Some(task) = entry.key.strip_prefix(PREFIX) {
            holds.push((TaskId::new(task)?, entry.read()?));
        }
    }
    Ok(holds)
}

/// Gives a task to the chosen agent for a while. Returns whether it has it.
pub async fn give(
    engine: &Engine,
    router: &mut Router,
    task: &TaskId,
    mut decision: Decision,
    ahead: bool,
    span: Duration,
) -> Result<bool> {
    if key(task).len() > KEY_BYTES {
        return Ok(false);
    }
    let hold = Hold {
        agent: decision.selected.clone(),
        ahead,
        over: false,
        until: engine.now().wall.after(span),
    };
    decision.reason += &format!("; kept for it until {}", hold.until);
    write(engine, task, Some(&hold)).await?;
    match router.assign(engine, task, &decision).await {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.code.kind() == code::Kind::Store => Err(refusal),
        // It has begun or ended, or the agent has filled up.
        Err(_) => write(engine, task, None).await.map(|()| false),
    }
}

async fn write(engine: &Engine, task: &TaskId, hold: Option<&Hold>) -> Result<()> {
    let key = key(task);
    let edit = match hold {
        Some(hold) => Edit::put(Entry::new(Book::Habit, &key, hold).due(Some(hold.until))),
        None => Edit::remove(Book::Habit, &key),
    };
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, vec![edit], "system".into(), engine.now())
        .await
}

/// Whether all that a task still waits for is being worked on.
pub async fn is_coming(engine: &Engine, task: &TaskId) -> Result<bool> {
    let near = engine.store.neighbours(&engine.project, task, PAGE_MAX).await?;
    let mut open = near.after.iter().filter(|on| !on.state.is_terminal());
    Ok(!near.cut && open.all(|on| matches!(on.state, State::Running | State::Assigned)))
}

/// Ends what has lasted long enough, what is done, and what is no longer needed.
pub async fn end(engine: &Engine) -> Result<()> {
    let now = engine.now().wall;
    let holds = all(engine).await?;
    for holds in holds.chunks(PAGE_MAX) {
        let ids: Vec<TaskId> = holds.iter().map(|(task, _)| task.clone()).collect();
        let views = engine.store.views(&engine.project, &ids).await?;
        for ((task, hold), view) in holds.iter().zip(views) {
            let is_over = hold.until <= now;
            let Some(view) = view.filter(|view| has(view, &hold.agent) && !hold.over) else {
                if is_over || !hold.over {
                    write(engine, task, None).await?;
                }
                continue;
            };
            let why = match () {
                () if is_over => "it was not taken in time",
                () if !hold.ahead || view.task.state != State::Blocked => continue,
                () if is_coming(engine, task).await? => continue,
                () => "it is not about to be ready any more",
            };
            take_back(engine, &view, hold, why).await?;
            let rest = Hold {
                over: true,
                until: now.after(now.since(hold.until).max(REST)),
                ..hold.clone()
            };
            write(engine, task, Some(&rest).filter(|_| is_over)).await?;
        }
    }
    Ok(())
}

/// How long nobody is chosen anew for a task that the chosen one did not take.
const REST: Duration = Duration::from_secs(60);

/// Whether a task waits for this agent because it was chosen.
fn has(view: &View, agent: &AgentName) -> bool {
    let class = &view.class;
    class.routed
        && class.agent.as_ref() == Some(agent)
        && view.task.lease.is_none()
        && !view.task.state.is_terminal()
}

async fn take_back(engine: &Engine, view: &View, hold: &Hold, why: &str) -> Result<()> {
    let decision = json!({ "from": hold.agent, "reason": why });
    let request = Request {
        target: Target::Id(view.task.id.clone()),
        command: Command::Route {
            agent: None,
            decision: Json::of(&decision),
        },
        actor: "system".into(),
        idempotency_key: None,
    };
    // One that has begun meanwhile is refused, and stays where it is.
    engine
        .store
        .change(&engine.project, vec![request], engine.now())
        .await?;
    Ok(())
}
