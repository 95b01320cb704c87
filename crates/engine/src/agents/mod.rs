//! Registered agents: who there is ([`registry`]) and in which teams ([`teams`]), what their work teaches ([`learn`]) and what
//! follows from that ([`grow`]), who gets what ([`router`]) and
//! for how long without being asked ([`hold`]), and what of it is told elsewhere ([`performance`]).

pub mod grow;
pub mod hold;
pub mod learn;
pub mod performance;
pub mod registry;
pub mod router;
pub mod teams;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::agent::advice::{self, Advice};
use domain::agent::{Agent, Load, Profile, Record};
use domain::book::{Book, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::id::AgentName;
use domain::limits::PAGE_MAX;
use domain::store::Result;
use serde::de::DeserializeOwned;

use crate::engine::Engine;

/// Before the agent's name, where the store keeps its load.
const LOAD: &str = "agent:";

/// Every agent with its record and load, in order of their names.
pub async fn all(engine: &Engine) -> Result<Vec<Agent>> {
    let mut loads = by_agent::<Load>(engine, Book::Gauge, LOAD).await?;
    let mut records = by_agent::<Record>(engine, Book::Habit, learn::AGENT).await?;
    let mut agents = Vec::new();
    for entry in entries(engine, Book::Agent, "").await? {
        let load = loads.remove(&*entry.key).unwrap_or_default();
        let record = records.remove(&*entry.key).unwrap_or_default();
        agents.push(whole(&entry, load, record)?);
    }
    Ok(agents)
}

/// One agent, and the entry that its profile was read from.
pub async fn find(engine: &Engine, name: &AgentName) -> Result<Option<(Entry, Agent)>> {
    let one = async |book, key: Arc<str>| {
        let found = engine.store.entries_of(&engine.project, book, &[key]).await;
        found.map(|mut found| found.pop())
    };
    let Some(entry) = one(Book::Agent, name.as_str().into()).await? else {
        return Ok(None);
    };
    let load = one(Book::Gauge, format!("{LOAD}{name}").into()).await?;
    let record = one(Book::Habit, format!("{}{name}", learn::AGENT).into()).await?;
    let agent = whole(
        &entry,
        load.map(|entry| entry.read()).transpose()?.unwrap_or_default(),
        record.map(|entry| entry.read()).transpose()?.unwrap_or_default(),
    )?;
    Ok(Some((entry, agent)))
}

/// The same, or a refusal that offers the nearest name.
pub async fn existing(engine: &Engine, name: &AgentName) -> Result<(Entry, Agent)> {
    if let Some(found) = find(engine, name).await? {
        return Ok(found);
    }
    let known = engine
        .store
        .entries(&engine.project, Book::Agent, "", PAGE_MAX)
        .await?;
    let detail = format!("project {} has no agent `{name}`", engine.project);
    let refusal = Refusal::new(Code::AgentNotFound, detail);
    Err(
        match nearest(name.as_str(), known.iter().map(|entry| &*entry.key)) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None => refusal.help("`bell agent list` shows the agents"),
        },
    )
}

/// What to do about agents and skills, as far as a bounded look at what waits tells.
pub async fn advise(engine: &Engine) -> Result<Vec<Advice>> {
    let agents = all(engine).await?;
    let teams = teams::all(engine).await?;
    let teams: BTreeMap<_, _> = teams.into_iter().map(|(name, (_, team))| (name, team)).collect();
    let waiting = crate::health::ready(engine).await?;
    let waiting: Vec<_> = waiting
        .into_iter()
        .map(|(view, since)| (view.class, since))
        .collect();
    Ok(advice::advise(&advice::Sight {
        now: engine.now(),
        agents: &agents,
        teams: &teams,
        waiting: &waiting,
    }))
}

fn whole(entry: &Entry, load: Load, record: Record) -> Result<Agent> {
    Ok(Agent {
        name: AgentName::new(&entry.key)?,
        profile: entry.read::<Profile>()?,
        record,
        load,
    })
}

/// Entries that belong to agents, by the agents' names.
async fn by_agent<T: DeserializeOwned>(
    engine: &Engine,
    book: Book,
    prefix: &str,
) -> Result<BTreeMap<String, T>> {
    let of = |entry: Entry| {
        let name = entry.key.strip_prefix(prefix)?.to_owned();
        Some(entry.read().map(|value| (name, value)))
    };
    entries(engine, book, prefix)
        .await?
        .into_iter()
        .filter_map(of)
        .collect()
}

/// Every entry of a book whose key begins with `prefix`.
pub(crate) async fn entries(engine: &Engine, book: Book, prefix: &str) -> Result<Vec<Entry>> {
    let mut all: Vec<Entry> = Vec::new();
    let mut after = prefix.to_owned();
    loop {
        let page = engine
            .store
            .entries(&engine.project, book, &after, PAGE_MAX)
            .await?;
        let full = page.len() == PAGE_MAX;
        all.extend(page.into_iter().take_while(|entry| entry.key.starts_with(prefix)));
        match all.last() {
            Some(last) if full && *last.key > *after => after = last.key.to_string(),
            _ => return Ok(all),
        }
    }
}
