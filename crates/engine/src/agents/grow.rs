//! What follows from what was learned: skills that work has shown, teams that nobody had to name, and skills of one member
//! that the others may try.
//!
//! It is computed anew from all agents whenever something was learned, and only differences are written. Whoever is
//! interrupted or comes second leaves the rest to the next one.

use std::collections::BTreeMap;

use domain::agent::{Agent, Profile};
use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::TeamName;
use domain::limits::PAGE_MAX;
use domain::store::Result;
use domain::team::{Team, find};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::teams;
use crate::engine::Engine;

const CURSOR: &str = "grown";

/// Up to where what was learned has been followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    last: u64,
}

/// Follows what was learned up to the event `learned`, unless somebody has.
pub(super) async fn grow(engine: &Engine, learned: u64) -> Result<()> {
    let (store, project) = (&engine.store, &engine.project);
    let keys = [CURSOR.into()];
    let found = store.entries_of(project, Book::Cursor, &keys).await?.pop();
    let cursor: Cursor = found.as_ref().map(Entry::read).transpose()?.unwrap_or_default();
    if cursor.last == learned {
        return Ok(());
    }
    if !follow(engine).await? {
        return Ok(());
    }
    let entry = Entry::new(Book::Cursor, CURSOR, &Cursor { last: learned });
    one(engine, Edit::put(entry).instead_of(found.as_ref())).await
}

/// Writes one thing. Whoever was there first has seen to it.
async fn one(engine: &Engine, edit: Edit) -> Result<()> {
    engine.write(vec![edit]).await.map(drop)
}

/// Returns whether that was all: a piece of it is bounded.
async fn follow(engine: &Engine) -> Result<bool> {
    let mut agents = super::all(engine).await?;
    if agents.is_empty() {
        return Ok(true);
    }
    let known = teams::all(engine).await?;
    let entries: BTreeMap<&TeamName, &Entry> = known.iter().map(|(name, (entry, _))| (name, entry)).collect();
    let mut all: BTreeMap<TeamName, Team> = known
        .iter()
        .map(|(name, (_, team))| (name.clone(), team.clone()))
        .collect();
    let (write, gone) = find::teams(&agents, &all, engine.now().wall);
    for name in &gone {
        one(
            engine,
            teams::take_away(name).instead_of(entries.get(name).copied()),
        )
        .await?;
        all.remove(name);
    }
    for (name, team) in write {
        one(
            engine,
            teams::put(&name, &team).instead_of(entries.get(&name).copied()),
        )
        .await?;
        all.insert(name, team);
    }
    let before: Vec<Profile> = agents.iter().map(|agent| agent.profile.clone()).collect();
    for agent in &mut agents {
        agent.profile.shown = agent.profile.shown_by(&agent.record);
    }
    let mut tries = find::tries(&agents, all.values());
    let mut room = PAGE_MAX;
    for (agent, before) in agents.iter_mut().zip(before) {
        agent.profile.tries = tries.remove(&agent.name).unwrap_or_default();
        if agent.profile == before || agent.profile.leaving {
            continue;
        }
        if room == 0 {
            return Ok(false);
        }
        room -= 1;
        learned(engine, agent).await?;
    }
    Ok(true)
}

/// Writes what is new into a profile as it is now.
async fn learned(engine: &Engine, agent: &Agent) -> Result<()> {
    let Some((entry, now)) = super::find(engine, &agent.name).await? else {
        return Ok(());
    };
    let profile = Profile {
        shown: agent.profile.shown.clone(),
        tries: agent.profile.tries.clone(),
        ..now.profile
    };
    let data = json!({ "agent": agent.name, "profile": profile });
    let put = Edit::put(Entry::new(Book::Agent, agent.name.as_str(), &profile));
    let put = put.instead_of(Some(&entry));
    one(engine, put.with_event(Kind::AgentEdited, &data)).await
}
