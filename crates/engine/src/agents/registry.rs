//! Registering agents, changing what is said about them, and letting them go.

use domain::agent::{Agent, Profile};
use domain::book::{Book, Edit, Entry};
use domain::code::{self, Code, Refusal};
use domain::event::Kind;
use domain::id::{AgentName, Capability, Seq, TaskId};
use domain::limits::{self, PAGE_MAX};
use domain::store::{Command, Filter, Request, Result, Target, View};
use domain::task::spec::Json;
use domain::task::state::State;
use serde::Serialize;
use serde_json::json;

use super::{entries, existing, find};
use crate::engine::Engine;

/// Adds an agent. What it already holds under its name counts from now on.
pub async fn register(engine: &Engine, name: &AgentName, profile: Profile) -> Result<Agent> {
    let now = engine.now().wall;
    let profile = Profile {
        registered_at: now,
        seen_at: now,
        ..profile.checked()?
    };
    if entries(engine, Book::Agent, "").await?.len() >= limits::AGENTS {
        let detail = format!("project {} has {} agents", engine.project, limits::AGENTS);
        return Err(
            Refusal::new(Code::RegistryFull, detail).help("`bell agent list --stale` shows who is gone")
        );
    }
    let edit = Edit::put(Entry::new(Book::Agent, name.as_str(), &profile)).instead_of(None);
    let data = json!({ "agent": name, "profile": profile });
    match write(engine, edit.with_event(Kind::AgentRegistered, &data)).await {
        Err(refusal) if refusal.code == Code::EntryChanged => {
            let detail = format!("there is an agent `{name}` already");
            let help = format!("`bell agent edit {name}` changes it");
            Err(Refusal::new(Code::AgentExists, detail).help(help))
        }
        Err(refusal) => Err(refusal),
        Ok(()) => Ok(existing(engine, name).await?.1),
    }
}

/// Changes what is said about an agent, whoever else does so at the same time. `change` may be called again.
pub async fn amend(
    engine: &Engine,
    name: &AgentName,
    change: impl Fn(&mut Profile) -> Result<()> + Sync,
) -> Result<Agent> {
    revise(engine, name, true, change).await
}

/// Remembers that an agent is there.
pub async fn heartbeat(engine: &Engine, name: &AgentName) -> Result<Agent> {
    let now = engine.now().wall;
    let seen = move |profile: &mut Profile| {
        profile.seen_at = now;
        Ok(())
    };
    revise(engine, name, false, seen).await
}

/// Adds a skill that an agent has shown.
pub async fn learn(engine: &Engine, name: &AgentName, skill: &Capability, confidence: f64) -> Result<Agent> {
    let learn = |profile: &mut Profile| {
        profile.learn(skill, confidence);
        Ok(())
    };
    revise(engine, name, true, learn).await
}

async fn revise(
    engine: &Engine,
    name: &AgentName,
    tell: bool,
    change: impl Fn(&mut Profile) -> Result<()> + Sync,
) -> Result<Agent> {
    const TRIES: usize = 20;
    for left in (0..TRIES).rev() {
        let (entry, mut agent) = existing(engine, name).await?;
        let before = agent.profile.clone();
        change(&mut agent.profile)?;
        agent.profile = agent.profile.checked()?;
        if agent.profile == before {
            return Ok(agent);
        }
        let mut edit =
            Edit::put(Entry::new(Book::Agent, name.as_str(), &agent.profile)).instead_of(Some(&entry));
        if tell {
            let data = json!({ "agent": name, "profile": agent.profile });
            edit = edit.with_event(Kind::AgentEdited, &data);
        }
        match write(engine, edit).await {
            Err(refusal) if refusal.code == Code::EntryChanged && left > 0 => {}
            Err(refusal) => return Err(refusal),
            Ok(()) => return Ok(agent),
        }
    }
    unreachable!("the last try returns")
}

/// An outcome of an agent's work that was not a task of this store.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Report {
    pub success: bool,
    pub duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
}

/// Tells an outcome; it counts in the agent's record like one of a task.
pub async fn report(engine: &Engine, name: &AgentName, report: &Report) -> Result<()> {
    let (entry, _) = existing(engine, name).await?;
    let sound = report.duration_ms.is_finite() && report.duration_ms >= 0.0;
    if !sound
        || report
            .quality
            .is_some_and(|quality| !(0.0..=1.0).contains(&quality))
    {
        return Err(Refusal::new(
            Code::InvalidArgument,
            "a duration is not negative, and quality is between 0 and 1",
        ));
    }
    #[derive(Serialize)]
    struct Told<'a> {
        agent: &'a AgentName,
        #[serde(flatten)]
        report: &'a Report,
    }
    // The profile stays as it is: the event is what is written.
    let edit = Edit::put(entry).with_event(Kind::AgentReported, &Told { agent: name, report });
    write(engine, edit).await
}

/// What became of the work of an agent that was let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    /// It held them; they are ready again.
    pub returned: Vec<TaskId>,
    /// They were routed to it; anybody may take them now.
    pub freed: Vec<TaskId>,
    /// Their authors have named it, and nobody else may take them.
    pub orphaned: Vec<TaskId>,
}

/// Takes an agent out of the registry and hands its work back. Whoever is interrupted in the middle of it may begin again.
pub async fn deregister(engine: &Engine, name: &AgentName) -> Result<LetGo> {
    let leave = |profile: &mut Profile| {
        profile.leaving = true;
        Ok(())
    };
    revise(engine, name, false, leave).await?;
    let let_go = hand_back(engine, name).await?;
    let Some((entry, _)) = find(engine, name).await? else {
        return Ok(let_go);
    };
    let data = json!({ "agent": name, "returned": let_go.returned.len(), "freed": let_go.freed.len() });
    let edit = Edit::remove(Book::Agent, name.as_str()).instead_of(Some(&entry));
    match write(engine, edit.with_event(Kind::AgentDeregistered, &data)).await {
        // Somebody else has let it go at the same time, or has written to it: it may not leave unseen.
        Err(refusal) if refusal.code == Code::EntryChanged && find(engine, name).await?.is_none() => {
            Ok(let_go)
        }
        written => written.map(|()| let_go),
    }
}

async fn hand_back(engine: &Engine, name: &AgentName) -> Result<LetGo> {
    let open = State::ALL.into_iter().filter(|state| !state.is_terminal());
    let filter = Filter {
        agent: Some(name.clone()),
        states: open.collect(),
        ..Filter::default()
    };
    let mut let_go = LetGo::default();
    let mut after = Seq(0);
    loop {
        let page = engine
            .store
            .list(&engine.project, filter.clone(), after, PAGE_MAX)
            .await?;
        let Some(last) = page.last() else {
            return Ok(let_go);
        };
        after = last.task.seq;
        let (held, waiting): (Vec<View>, Vec<View>) =
            page.into_iter().partition(|view| view.task.lease.is_some());
        let (routed, named): (Vec<View>, Vec<View>) = waiting.into_iter().partition(|view| view.class.routed);
        let_go.returned.extend(ask(engine, &held, release).await?);
        let_go
            .freed
            .extend(ask(engine, &routed, |view| unroute(name, view)).await?);
        let_go.orphaned.extend(named.into_iter().map(|view| view.task.id));
    }
}

fn release(view: &View) -> (Target, Command) {
    let token = view.task.token().expect("only leased tasks are released");
    (
        Target::Holder(token, Some(view.task.id.clone())),
        Command::Release,
    )
}

fn unroute(name: &AgentName, view: &View) -> (Target, Command) {
    let decision = Json::of(&json!({ "from": name, "reason": "the agent is deregistered" }));
    let command = Command::Route {
        agent: None,
        decision,
    };
    (Target::Id(view.task.id.clone()), command)
}

/// Asks for all at once, and tells for which it was done: others have moved on by themselves.
async fn ask(
    engine: &Engine,
    views: &[View],
    what: impl Fn(&View) -> (Target, Command),
) -> Result<Vec<TaskId>> {
    if views.is_empty() {
        return Ok(Vec::new());
    }
    let request = |view: &View| {
        let (target, command) = what(view);
        Request {
            target,
            command,
            actor: engine.actor.clone(),
            idempotency_key: None,
        }
    };
    let requests = views.iter().map(request).collect();
    let replies = engine
        .store
        .change(&engine.project, requests, engine.now())
        .await?;
    let mut done = Vec::with_capacity(replies.len());
    for reply in replies {
        match reply {
            Ok(reply) => done.push(reply.task),
            Err(refusal) if refusal.code.kind() == code::Kind::Store => return Err(refusal),
            Err(_) => {}
        }
    }
    Ok(done)
}

async fn write(engine: &Engine, edit: Edit) -> Result<()> {
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, vec![edit], engine.actor.clone(), engine.now())
        .await
}
