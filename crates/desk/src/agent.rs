//! Registered agents: who there is, what is said about them, how they do, and who gets a task.

use api::agent::{Agent, Agents, Balanced, Flock, Health, LetGo, Moved, Routed};
use api::ask;
use domain::agent::profile::{Level, Prior, Profile};
use domain::agent::search::Query;
use domain::code::Code;
use domain::id::{AgentName, Capability};
use domain::store::{Result, View};
use engine::agents::{self, learn, registry, router};
use engine::engine::Engine;

use crate::{find, invalid, limit};

/// Pages of the log that are learned from at the most before an answer.
const PAGES: usize = 200;

/// Does what is due, and brings the records up to date.
pub async fn catch_up(engine: &Engine) -> Result<()> {
    find::catch_up(engine).await?;
    match learn::catch_up(engine, PAGES).await {
        // Looking at a store that cannot be written is still allowed.
        Err(refusal) if refusal.code == Code::StoreReadOnly => Ok(()),
        caught_up => caught_up.map(drop),
    }
}

/// Those that fit, the best first.
pub async fn list(engine: &Engine, asked: ask::Agents) -> Result<Agents> {
    let most = limit(asked.limit)?;
    share("`max_load`", asked.max_load)?;
    share("`min_success`", asked.min_success)?;
    let versed: Result<_> = asked
        .specialisation
        .iter()
        .map(|text| specialisation(text))
        .collect();
    let query = Query {
        needs: asked.capability,
        kind: asked.kind,
        languages: asked.language,
        specialisations: versed?,
        utilisation_max: asked.max_load,
        success_min: asked.min_success,
    };
    catch_up(engine).await?;
    let now = engine.now();
    let mut all = agents::all(engine).await?;
    all.retain(|agent| !asked.stale || agent.is_stale(now));
    let looked_for = query != Query::default();
    let found = query.search(&all);
    let shown: Vec<Agent> = found
        .iter()
        .take(most)
        .map(|(agent, score)| Agent::new(agent, looked_for.then_some(*score), now))
        .collect();
    Ok(Agents {
        count: shown.len(),
        more: found.len() > shown.len(),
        agents: shown,
    })
}

/// `NAME` or `NAME:LEVEL`. Names may contain colons, so only a known level is split off.
pub fn specialisation(text: &str) -> Result<(Capability, Option<Level>)> {
    let split = text
        .rsplit_once(':')
        .and_then(|(name, level)| Some((name, level.parse().ok()?)));
    let (name, level) = match split {
        Some((name, level)) => (name, Some(level)),
        None => (text, None),
    };
    Ok((Capability::new(name)?, level))
}

fn share(what: &str, value: Option<f64>) -> Result<()> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(invalid(format!("{what} is {value}, and a share is from 0 to 1")))
        }
        _ => Ok(()),
    }
}

pub async fn show(engine: &Engine, name: &AgentName) -> Result<Agent> {
    catch_up(engine).await?;
    let (_, agent) = agents::existing(engine, name).await?;
    Ok(Agent::new(&agent, None, engine.now()))
}

pub async fn health(engine: &Engine, name: &AgentName) -> Result<Health> {
    catch_up(engine).await?;
    let (_, agent) = agents::existing(engine, name).await?;
    Ok(Health::new(&agent, engine.now()))
}

/// How all of them do together.
pub async fn flock(engine: &Engine) -> Result<Flock> {
    catch_up(engine).await?;
    let flock = Flock::new(&agents::all(engine).await?, engine.now());
    Ok(flock.routed(router::statistics(engine).await?))
}

/// The profile of an agent that is to be registered, or what is wrong with it.
pub fn profile(asked: &ask::AgentEdit, prior: Option<ask::Prior>) -> Result<Profile> {
    let mut profile = Profile::default();
    amend(asked, &mut profile);
    profile.prior = prior.map(|prior| Prior {
        success_rate: prior.success_rate,
        quality: prior.quality,
        latency_ms: prior.latency.map(|span| span.0.as_secs_f64() * 1e3),
        tasks: prior.tasks,
    });
    profile.checked()
}

pub async fn register(engine: &Engine, name: &AgentName, profile: Profile) -> Result<Agent> {
    let agent = registry::register(engine, name, profile).await?;
    Ok(Agent::new(&agent, None, engine.now()))
}

pub async fn edit(engine: &Engine, name: &AgentName, asked: &ask::AgentEdit) -> Result<Agent> {
    if *asked == ask::AgentEdit::default() {
        return Err(invalid("nothing was said").help("name what shall change, such as the capacity"));
    }
    let change = |profile: &mut Profile| {
        amend(asked, profile);
        Ok(())
    };
    let agent = registry::amend(engine, name, change).await?;
    Ok(Agent::new(&agent, None, engine.now()))
}

fn amend(asked: &ask::AgentEdit, profile: &mut Profile) {
    fn replace<T: Clone>(list: &mut T, said: Option<&T>) {
        if let Some(said) = said {
            list.clone_from(said);
        }
    }
    replace(&mut profile.capabilities, asked.capabilities.as_ref());
    replace(&mut profile.languages, asked.languages.as_ref());
    replace(&mut profile.specialisations, asked.specialisations.as_ref());
    replace(&mut profile.kinds, asked.kinds.as_ref());
    replace(&mut profile.capacity, asked.capacity.as_ref());
    profile.model = asked.model.clone().or(profile.model.take());
    profile.metadata = asked.metadata.clone().or(profile.metadata.take());
}

pub async fn learned(engine: &Engine, name: &AgentName, asked: &ask::Learn) -> Result<Agent> {
    share("`confidence`", asked.confidence)?;
    let confidence = asked.confidence.unwrap_or(1.0);
    let agent = registry::learn(engine, name, &asked.capability, confidence).await?;
    Ok(Agent::new(&agent, None, engine.now()))
}

pub async fn report(engine: &Engine, name: &AgentName, asked: ask::Report) -> Result<Agent> {
    let report = registry::Report {
        success: asked.success,
        duration_ms: asked.duration.0.as_secs_f64() * 1e3,
        quality: asked.quality,
    };
    registry::report(engine, name, &report).await?;
    show(engine, name).await
}

pub async fn heartbeat(engine: &Engine, name: &AgentName) -> Result<Agent> {
    let agent = registry::heartbeat(engine, name).await?;
    Ok(Agent::new(&agent, None, engine.now()))
}

pub async fn deregister(engine: &Engine, name: AgentName) -> Result<LetGo> {
    let let_go = registry::deregister(engine, &name).await?;
    Ok(LetGo {
        agent_id: name,
        deregistered: true,
        returned: let_go.returned,
        freed: let_go.freed,
        orphaned: let_go.orphaned,
    })
}

/// Chooses the agent for a task; it gets the task only when that is asked for.
pub async fn route(engine: &Engine, view: View, asked: &ask::Route) -> Result<Routed> {
    catch_up(engine).await?;
    let mut router = router::Router::open(engine).await?;
    let decision = router.decide(&view, asked.strategy, &asked.exclude)?;
    if asked.assign {
        router.assign(engine, &view.task.id, &decision).await?;
    }
    Ok(Routed::new(view.task.id, decision, asked.assign))
}

/// Moves routed work that nobody has begun from who has much to who has little.
pub async fn rebalance(engine: &Engine, asked: ask::Rebalance) -> Result<Balanced> {
    catch_up(engine).await?;
    let balanced = router::rebalance(engine, asked.strategy).await?;
    let moved = balanced.moved.into_iter();
    let moved: Vec<Moved> = moved.map(|(task, from, to)| Moved { task, from, to }).collect();
    Ok(Balanced {
        count: moved.len(),
        moved,
        uneven: balanced.left.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_level_is_split_off() {
        let of = |text| specialisation(text).unwrap();
        assert_eq!(of("auth:expert").1, Some(Level::Expert));
        assert_eq!(of("aws:s3").0.as_str(), "aws:s3");
        assert_eq!(of("aws:s3:novice").0.as_str(), "aws:s3");
        assert!(specialisation(":expert").is_err());
    }
}
