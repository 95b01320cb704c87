//! Registered agents at work: who may take how much, and what each has.
//!
//! A task that an agent takes, or that was chosen for it, is in the class of that agent's tasks as long as it is with
//! the agent, and goes back to everybody's when it comes back unfinished. So a claim finds an agent's work as it finds
//! any other, and what each has is counted where it changes. What is for a team is found by its members. Nothing here is read
//! in a project without agents and teams.

use std::borrow::Cow;
use std::sync::Arc;

use domain::agent::{Load, Profile};
use domain::book::{Book, Edit};
use domain::code::{Code, Refusal};
use domain::decide::Change;
use domain::event::Kind;
use domain::id::{AgentName, TeamName};
use domain::store::{Result, Wants};
use domain::task::record::{Class, Task};
use domain::task::spec::Json;
use domain::task::state::State;
use domain::team::Team;
use rustc_hash::FxHashMap;

use super::step::Step;

/// The agents that a step has had to do with; `None` for names that nobody is registered under.
#[derive(Debug, Default)]
pub(super) struct Agents(FxHashMap<AgentName, Option<OnFile>>);

/// What a step knows of one agent.
#[derive(Debug)]
pub(super) struct OnFile {
    profile: Profile,
    load: Load,
    changed: bool,
}

fn gauge(name: &AgentName) -> Arc<str> {
    format!("agent:{name}").into()
}

fn load<'s>(step: &'s mut Step<'_>, name: &AgentName) -> Result<Option<&'s mut OnFile>> {
    if !step.has(Book::Agent) {
        return Ok(None);
    }
    if !step.agents.0.contains_key(name) {
        let agent = read(step, name)?;
        step.agents.0.insert(name.clone(), agent);
    }
    Ok(step.agents.0.get_mut(name).and_then(Option::as_mut))
}

fn read(step: &mut Step<'_>, name: &AgentName) -> Result<Option<OnFile>> {
    let Some(entry) = step.entries(Book::Agent, &[name.as_str().into()])?.pop() else {
        return Ok(None);
    };
    let gauge = step.entries(Book::Gauge, &[gauge(name)])?.pop();
    Ok(Some(OnFile {
        profile: entry.read()?,
        load: gauge.map(|gauge| gauge.read()).transpose()?.unwrap_or_default(),
        changed: false,
    }))
}

/// What a claimer wants, with what it offers as a registered agent.
pub(super) fn widen(step: &mut Step<'_>, wants: &Wants) -> Result<Wants> {
    let mut wants = wants.clone();
    wants.teams = Vec::new();
    let Some(name) = &wants.agent else {
        return Ok(wants);
    };
    wants.teams = teams(step, name)?;
    if let Some(agent) = load(step, name)? {
        wants.capabilities.extend(agent.profile.offers().cloned());
        if wants.kinds.is_empty() {
            wants.kinds.clone_from(&agent.profile.kinds);
        }
    }
    Ok(wants)
}

/// Those that an agent is in, of the teams that tasks are for.
fn teams(step: &mut Step<'_>, name: &AgentName) -> Result<Vec<TeamName>> {
    if !step.has(Book::Team) {
        return Ok(Vec::new());
    }
    let classes = step.classes()?;
    let mut named: Vec<Arc<str>> = classes
        .iter()
        .filter_map(|(_, class)| Some(class.team.as_ref()?.as_str().into()))
        .collect();
    named.sort_unstable();
    named.dedup();
    let mut teams = Vec::new();
    for entry in step.entries(Book::Team, &named)? {
        if entry.read::<Team>()?.has(name) {
            teams.push(TeamName::new(&entry.key)?);
        }
    }
    Ok(teams)
}

/// The registered agent that a task of this class is, or would be, with when `claimer` takes it.
pub(super) fn doer<'a>(
    step: &mut Step<'_>,
    class: &'a Class,
    claimer: Option<&'a AgentName>,
) -> Result<Option<&'a AgentName>> {
    let name = class.agent.as_ref().or(claimer);
    match name {
        Some(name) => Ok(load(step, name)?.map(|_| name)),
        None => Ok(None),
    }
}

/// The class that a task of this class has while `claimer` has it leased.
pub(super) fn leased_as<'a>(
    step: &mut Step<'_>,
    class: &'a Class,
    claimer: Option<&AgentName>,
) -> Result<Cow<'a, Class>> {
    Ok(match (doer(step, class, claimer)?, &class.agent) {
        (Some(agent), None) => Cow::Owned(class.routed_to(agent)),
        _ => Cow::Borrowed(class),
    })
}

/// Whether the doer of a task of this class may have one more.
pub(super) fn has_room(step: &mut Step<'_>, class: &Class, claimer: Option<&AgentName>) -> Result<bool> {
    let Some(name) = class.agent.as_ref().or(claimer) else {
        return Ok(true);
    };
    let agent = load(step, name)?;
    Ok(agent.is_none_or(|agent| agent.load.room_to_claim(&agent.profile) > 0))
}

/// Moves a task into the class of the chosen agent's tasks, or out of it.
pub(super) fn route(
    step: &mut Step<'_>,
    agent: Option<&AgentName>,
    decision: &Json,
    change: &mut Change,
) -> Result<()> {
    let class = step.class(change.task.class)?;
    if let Some(author) = class.agent.as_ref().filter(|_| !class.routed) {
        let detail = format!("task {} is for the agent {author} and no other", change.task.id);
        return Err(Refusal::new(Code::InvalidTransition, detail)
            .help("`bell task assign ID --anybody` leaves the choice open"));
    }
    if class.agent.as_ref() == agent {
        return Ok(());
    }
    let to = match agent {
        None => class.unrouted(),
        Some(name) => {
            let Some(agent) = load(step, name)? else {
                return Err(not_found(name));
            };
            if agent.load.room(&agent.profile) == 0 {
                let detail = format!("the agent {name} has all it may have");
                return Err(Refusal::new(Code::NoAvailableAgent, detail));
            }
            class.routed_to(name)
        }
    };
    change.task.class = step.tx.class(step.project, &to)?;
    step.emit_task(&mut change.task, Kind::TaskRouted, None, Some(decision.clone()));
    Ok(())
}

fn not_found(name: &AgentName) -> Refusal {
    Refusal::new(Code::AgentNotFound, format!("there is no agent `{name}`"))
        .help("`bell agent list` shows the agents")
}

/// Who has a task, and whether it is being worked on.
fn stance(step: &mut Step<'_>, task: &Task) -> Result<Option<(AgentName, bool)>> {
    let class = step.class(task.class)?;
    let works = task.lease.is_some();
    let waits = class.routed && !task.state.is_terminal();
    Ok(class.agent.filter(|_| works || waits).map(|name| (name, works)))
}

/// Follows a change of a row: takes the choice of an agent back where it has given the task up, and counts.
pub(super) fn follow(step: &mut Step<'_>, before: &Task, after: &mut Task) -> Result<()> {
    let given_up = before.lease.is_some() && after.lease.is_none() || before.state.is_terminal();
    if given_up && matches!(after.state, State::Ready | State::Retrying | State::Blocked) {
        let class = step.class(after.class)?;
        if class.routed {
            after.class = step.tx.class(step.project, &class.unrouted())?;
        }
    }
    let same = before.class == after.class
        && before.lease.is_some() == after.lease.is_some()
        && before.state.is_terminal() == after.state.is_terminal();
    if same {
        return Ok(());
    }
    let (was, is) = (stance(step, before)?, stance(step, after)?);
    if was != is {
        count(step, was, |count| count.saturating_sub(1))?;
        count(step, is, |count| count.saturating_add(1))?;
    }
    Ok(())
}

fn count(step: &mut Step<'_>, whose: Option<(AgentName, bool)>, change: fn(u32) -> u32) -> Result<()> {
    let Some((name, works)) = whose else {
        return Ok(());
    };
    if let Some(agent) = load(step, &name)? {
        let count = match works {
            true => &mut agent.load.active,
            false => &mut agent.load.queued,
        };
        *count = change(*count);
        agent.changed = true;
    }
    Ok(())
}

/// Checks what somebody wants to say about an agent, and counts what one has that is new.
pub(super) fn edited(step: &mut Step<'_>, edit: &Edit, was_there: bool) -> Result<()> {
    if edit.book == Book::Team {
        return team(edit);
    }
    if edit.book != Book::Agent {
        return Ok(());
    }
    let name: AgentName = edit.key.parse()?;
    step.agents.0.remove(&name);
    let Some((value, _)) = &edit.to else {
        step.write_entry(Book::Gauge, &gauge(&name), None);
        return Ok(());
    };
    let profile: Profile = serde_json::from_str(value.get()).map_err(|e| {
        let detail = format!("what is said about the agent `{name}`: {e}");
        Refusal::new(Code::InvalidArgument, detail)
    })?;
    profile.check()?;
    if was_there {
        return Ok(());
    }
    let leased = step.tx.expired(step.project, i64::MAX, usize::MAX)?;
    let leased = step.tx.tasks(step.project, &leased)?;
    let mut load = Load::default();
    for task in leased {
        let class = step.class(task.class)?;
        load.active += u32::from(class.agent.as_ref() == Some(&name));
    }
    step.write_entry(Book::Gauge, &gauge(&name), Some((Json::of(&load), None)));
    Ok(())
}

fn team(edit: &Edit) -> Result<()> {
    let name: TeamName = edit.key.parse()?;
    let Some((value, _)) = &edit.to else {
        return Ok(());
    };
    let team: Team = serde_json::from_str(value.get()).map_err(|e| {
        let detail = format!("what is said about the team `{name}`: {e}");
        Refusal::new(Code::InvalidArgument, detail)
    })?;
    team.check()
}

/// Writes what this step has changed.
pub(super) fn save(step: &mut Step<'_>) {
    let mut changed: Vec<(AgentName, Load)> = Vec::new();
    for (name, agent) in &mut step.agents.0 {
        if let Some(agent) = agent.as_mut().filter(|agent| agent.changed) {
            agent.changed = false;
            changed.push((name.clone(), agent.load));
        }
    }
    changed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (name, load) in changed {
        step.write_entry(Book::Gauge, &gauge(&name), Some((Json::of(&load), None)));
    }
}
