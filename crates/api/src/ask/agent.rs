//! What is asked about registered agents.

use std::collections::BTreeMap;

use domain::agent::profile::Level;
use domain::agent::route::Strategy;
use domain::id::{AgentName, Capability, Kind};
use domain::task::spec::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::time::{Moment, Span};

/// Who is looked for; all of it has to fit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agents {
    /// Named among capabilities, languages, specialisations or what was learned.
    pub capability: Vec<Capability>,
    pub kind: Option<Kind>,
    pub language: Vec<Capability>,
    /// `NAME` or `NAME:LEVEL`, with the level that it must have at least.
    pub specialisation: Vec<String>,
    /// Has no more to do than this share of its capacity.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_load: Option<f64>,
    /// Its work succeeds this often at the least.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_success: Option<f64>,
    /// Only those that nothing was heard of for a day.
    pub stale: bool,
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

/// An agent that is registered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub name: AgentName,
    /// What is said about it, with the keys of an edit.
    #[serde(default)]
    pub profile: AgentEdit,
    #[serde(default)]
    pub prior: Option<Prior>,
}

/// What is said about an agent; what is absent stays as it is, and a list is replaced whole.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentEdit {
    pub capabilities: Option<Vec<Capability>>,
    pub languages: Option<Vec<Capability>>,
    /// With levels: `novice`, `intermediate`, `expert`, `master`, or `null`.
    #[schemars(with = "Option<BTreeMap<String, Option<String>>>")]
    pub specialisations: Option<BTreeMap<Capability, Option<Level>>>,
    /// Kinds of work that it takes; any, when empty.
    pub kinds: Option<Vec<Kind>>,
    /// Tasks that it may hold at once, 5 by default.
    pub capacity: Option<u32>,
    /// The family of models that it is made of.
    pub model: Option<String>,
    pub metadata: Option<Json>,
}

/// What was known of an agent before it came here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prior {
    #[schemars(range(min = 0.0, max = 1.0))]
    pub success_rate: Option<f64>,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quality: Option<f64>,
    pub latency: Option<Span>,
    /// How many tasks that is known from.
    pub tasks: u32,
}

/// A skill that an agent has shown.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    pub capability: Capability,
    /// How sure that is, 1 by default; from 0.5 on, tasks that need it are found for the agent.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub confidence: Option<f64>,
}

/// An outcome of work that was no task of this store.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    pub success: bool,
    pub duration: Span,
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quality: Option<f64>,
}

/// What changes about a team; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Team {
    /// These are its members, and nobody else. They need not be registered.
    #[schemars(length(max = 256))]
    pub members: Option<Vec<AgentName>>,
    /// These come to it.
    pub add: Vec<AgentName>,
    /// These leave it.
    pub remove: Vec<AgentName>,
    /// What it is for, in up to 200 characters.
    pub about: Option<String>,
}

/// What agents did, and how names are told.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Performance {
    /// What happened since: a time, or a duration back from now.
    pub since: Option<Moment>,
    /// Only of this agent.
    pub agent: Option<AgentName>,
    /// Tell names of agents, teams, tasks and runs as digests, equal within one answer.
    pub anonymous: bool,
    /// With this key digests are equal in all answers, and whoever knows it can guess names.
    pub key: Option<String>,
    /// At most so many, 10,000 by default and at the most.
    #[schemars(range(min = 1, max = 10000))]
    pub limit: Option<usize>,
    /// The `cursor` of the part before.
    pub cursor: Option<String>,
}

/// How the agent for a task is chosen.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    pub strategy: Strategy,
    /// Not these.
    pub exclude: Vec<AgentName>,
    /// Give the task to the chosen one; else nothing is written.
    pub assign: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rebalance {
    pub strategy: Strategy,
}
