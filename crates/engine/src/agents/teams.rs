//! Teams: who is in which, and changing that.

use std::collections::BTreeMap;

use domain::agent::{Agent, Record};
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::event::Kind;
use domain::id::{AgentName, TeamName};
use domain::limits;
use domain::store::{Result, Wants};
use domain::team::Team;
use serde_json::json;

use super::{entries, learn};
use crate::engine::Engine;

/// Every team with the entry that it was read from.
pub async fn all(engine: &Engine) -> Result<BTreeMap<TeamName, (Entry, Team)>> {
    let mut teams = BTreeMap::new();
    for entry in entries(engine, Book::Team, "").await? {
        let team: Team = entry.read()?;
        teams.insert(TeamName::new(&entry.key)?, (entry, team));
    }
    Ok(teams)
}

pub async fn find(engine: &Engine, name: &TeamName) -> Result<Option<(Entry, Team)>> {
    let found = engine
        .store
        .entries_of(&engine.project, Book::Team, &[name.as_str().into()])
        .await?
        .pop();
    found
        .map(|entry| entry.read().map(|team| (entry, team)))
        .transpose()
}

/// The same, or a refusal that offers the nearest name.
pub async fn existing(engine: &Engine, name: &TeamName) -> Result<(Entry, Team)> {
    if let Some(found) = find(engine, name).await? {
        return Ok(found);
    }
    let detail = format!("project {} has no team `{name}`", engine.project);
    let refusal = Refusal::new(Code::TeamNotFound, detail);
    let known = entries(engine, Book::Team, "").await?;
    let near = nearest(name.as_str(), known.iter().map(|entry| &*entry.key));
    Err(match near {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help("`bell team list` shows the teams"),
    })
}

/// What was done for a team by name.
pub async fn record(engine: &Engine, name: &TeamName) -> Result<Record> {
    let key = format!("{}{name}", learn::TEAM);
    let found = engine
        .store
        .entries_of(&engine.project, Book::Habit, &[key.into()])
        .await?;
    found.first().map_or(Ok(Record::default()), Entry::read)
}

/// The registered members of a team.
pub fn members<'a>(agents: &'a [Agent], team: &Team) -> Vec<&'a Agent> {
    agents.iter().filter(|agent| team.has(&agent.name)).collect()
}

/// What changes about a team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// These and no others.
    pub members: Option<Vec<AgentName>>,
    pub add: Vec<AgentName>,
    pub remove: Vec<AgentName>,
    pub about: Option<String>,
}

/// Makes a team or changes one, whoever else does so at the same time. One that was found belongs to people from then on.
pub async fn set(engine: &Engine, name: &TeamName, change: &Change) -> Result<Team> {
    const TRIES: usize = 20;
    for left in (0..TRIES).rev() {
        let found = find(engine, name).await?;
        if found.is_none() && entries(engine, Book::Team, "").await?.len() >= limits::TEAMS {
            let detail = format!("project {} has {} teams", engine.project, limits::TEAMS);
            return Err(
                Refusal::new(Code::LimitExceeded, detail).help("`bell team remove NAME` takes one away")
            );
        }
        let (entry, before) = found.map_or((None, None), |(entry, team)| (Some(entry), Some(team)));
        let team = changed(before.clone(), change, engine)?;
        if before.as_ref() == Some(&team) {
            return Ok(team);
        }
        let edit = put(name, &team).instead_of(entry.as_ref());
        match write(engine, vec![edit]).await {
            Err(refusal) if refusal.code == Code::EntryChanged && left > 0 => {}
            written => return written.map(|()| team),
        }
    }
    unreachable!("the last try returns")
}

fn changed(before: Option<Team>, change: &Change, engine: &Engine) -> Result<Team> {
    let mut team = before.unwrap_or_else(|| Team {
        since: engine.now().wall,
        ..Team::default()
    });
    if let Some(members) = &change.members {
        team.members.clone_from(members);
    }
    team.members.extend(change.add.iter().cloned());
    team.members.retain(|member| !change.remove.contains(member));
    team.about = change.about.clone().or(team.about);
    team.found = false;
    team.checked()
}

/// Takes a team away. What is for it waits until there is one of that name again.
pub async fn remove(engine: &Engine, name: &TeamName) -> Result<Team> {
    let (entry, team) = existing(engine, name).await?;
    let edit = take_away(name).instead_of(Some(&entry));
    write(engine, vec![edit]).await?;
    Ok(team)
}

pub(super) fn put(name: &TeamName, team: &Team) -> Edit {
    let entry = Entry::new(Book::Team, name.as_str(), team);
    let data = json!({ "team": name, "members": team.members, "found": team.found });
    Edit::put(entry).with_event(Kind::TeamSet, &data)
}

pub(super) fn take_away(name: &TeamName) -> Edit {
    Edit::remove(Book::Team, name.as_str()).with_event(Kind::TeamRemoved, &json!({ "team": name }))
}

pub(super) async fn write(engine: &Engine, edits: Vec<Edit>) -> Result<()> {
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, edits, engine.actor.clone(), engine.now())
        .await
}

/// What these would claim, with the teams that their agents are in.
pub async fn with_teams(engine: &Engine, doers: &[Wants]) -> Result<Vec<Wants>> {
    let mut doers = doers.to_vec();
    if doers.iter().all(|wants| wants.agent.is_none()) {
        return Ok(doers);
    }
    let teams = all(engine).await?;
    for wants in &mut doers {
        let Some(agent) = &wants.agent else { continue };
        let is_in = |(name, (_, team)): (&TeamName, &(Entry, Team))| team.has(agent).then(|| name.clone());
        wants.teams = teams.iter().filter_map(is_in).collect();
    }
    Ok(doers)
}
