//! Teams: who is in which, what they can do, have to do and have done.

use api::ask;
use api::team::{Team, Teams};
use domain::id::TeamName;
use domain::store::Result;
use domain::team::Team as Kept;
use engine::agents::{self, teams};
use engine::engine::Engine;

use crate::{agent, invalid, limit};

/// In order of their names.
pub async fn list(engine: &Engine, asked: &ask::Page) -> Result<Teams> {
    let most = limit(asked.limit)?;
    agent::catch_up(engine).await?;
    let after = asked.cursor.as_deref().unwrap_or("");
    let all = teams::all(engine).await?;
    let mut rest = all.into_iter().filter(|(name, _)| name.as_str() > after);
    let page: Vec<(TeamName, Kept)> = rest
        .by_ref()
        .take(most)
        .map(|(name, (_, team))| (name, team))
        .collect();
    let cursor = rest.next().and(page.last()).map(|(name, _)| name.to_string());
    let agents = agents::all(engine).await?;
    let mut shown = Vec::with_capacity(page.len());
    for (name, team) in page {
        let record = teams::record(engine, &name).await?;
        let members = teams::members(&agents, &team);
        shown.push(Team::new(name, &team, &members, &record, engine.now()));
    }
    Ok(Teams {
        count: shown.len(),
        teams: shown,
        cursor,
    })
}

pub async fn show(engine: &Engine, name: &TeamName) -> Result<Team> {
    agent::catch_up(engine).await?;
    let (_, team) = teams::existing(engine, name).await?;
    one(engine, name, team).await
}

async fn one(engine: &Engine, name: &TeamName, team: Kept) -> Result<Team> {
    let mut members = Vec::with_capacity(team.members.len());
    for member in &team.members {
        members.extend(agents::find(engine, member).await?.map(|(_, agent)| agent));
    }
    let members: Vec<_> = members.iter().collect();
    let record = teams::record(engine, name).await?;
    Ok(Team::new(name.clone(), &team, &members, &record, engine.now()))
}

/// Makes a team, or changes one.
pub async fn set(engine: &Engine, name: &TeamName, asked: ask::Team) -> Result<Team> {
    if asked == ask::Team::default() {
        return Err(invalid("nothing was said").help("name its members"));
    }
    let change = teams::Change {
        members: asked.members,
        add: asked.add,
        remove: asked.remove,
        about: asked.about,
    };
    let team = teams::set(engine, name, &change).await?;
    one(engine, name, team).await
}

pub async fn remove(engine: &Engine, name: &TeamName) -> Result<Team> {
    let team = teams::remove(engine, name).await?;
    one(engine, name, team).await
}
