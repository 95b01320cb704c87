//! Handing out leases: who asks, for what, and what he gets.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{AgentName, Capability, Kind, RunId, TaskId, TeamName, Token, WorkerId};
use crate::task::record::{Body, Class, Task};
use crate::task::spec::Work;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    pub worker: WorkerId,
    pub wants: Wants,
    pub max: usize,
    /// Leases so many more that nothing else depends on, and does not start them: the claimer is about to have room. It gets none
    /// where limits, breakers, budgets or locks count what is under way.
    #[serde(default)]
    pub ahead: usize,
    pub ttl: Duration,
    /// Start what is handed out at once.
    pub start: bool,
    /// Source of the tokens' secrets; fresh for every call.
    pub seed: u64,
}

/// What a claimer takes. Empty lists mean anything, except capabilities, of which a task may need none that
/// is not offered, and works, where they mean all that takes a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wants {
    pub capabilities: Vec<Capability>,
    pub kinds: Vec<Kind>,
    /// Names of executors.
    #[serde(deserialize_with = "works")]
    pub works: Vec<&'static str>,
    pub handlers: Vec<String>,
    /// Also takes tasks pinned to this agent.
    pub agent: Option<AgentName>,
    /// What that agent is in; the store says, whatever is claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamName>,
    pub run: Option<RunId>,
    /// This task and no other; refused, with what is in its way, when it cannot be handed out now.
    pub task: Option<TaskId>,
    /// Amounts that the claimer has left; tasks that need more, or anything else, are not for it.
    pub free: BTreeMap<String, u64>,
    /// Amounts that it has when nothing is under way, if it knows: then it keeps back for tasks that need much.
    #[serde(default)]
    pub offers: BTreeMap<String, u64>,
}

/// Executors that nobody knows here are nothing that could be handed out.
fn works<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<&'static str>, D::Error> {
    let named = Vec::<String>::deserialize(d)?;
    let known = |name: &String| Work::NAMES.into_iter().find(|known| known == name);
    Ok(named.iter().filter_map(known).collect())
}

impl Wants {
    /// Who does not say what it can do is somebody who works; waiting and splitting are for engines.
    fn takes_work(&self, work: &str) -> bool {
        match self.works.is_empty() {
            true => !Work::BESIDE.contains(&work),
            false => self.works.contains(&work),
        }
    }

    pub fn takes(&self, class: &Class) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&class.kind))
            && self.takes_work(&class.work)
            && class
                .handler
                .as_ref()
                .is_none_or(|name| self.handlers.contains(name))
            && class
                .agent
                .as_ref()
                .is_none_or(|name| self.agent.as_ref() == Some(name))
            && (class.routed || self.is_fit(class))
    }

    /// Whether it may take what nobody has chosen it for; who was chosen has been looked at.
    fn is_fit(&self, class: &Class) -> bool {
        let named = class.agent.is_some();
        let team = class.team.as_ref();
        (named || team.is_none_or(|team| self.teams.contains(team)))
            && class.needs.iter().all(|need| self.capabilities.contains(need))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leased {
    pub task: Task,
    pub body: Body,
    pub token: Token,
}
