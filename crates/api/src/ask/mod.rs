//! What is asked: bodies and queries of requests. Unknown fields are refused.

mod agent;
mod project;

use domain::id::{AgentName, Capability, Kind, PoolName, RunId, TeamName, Token as LeaseToken, WorkerId};
use domain::limits;
use domain::task::spec::{Json, Source};
use domain::task::state::{Reason, State};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

use crate::time::{Moment, Span};

pub use agent::{Agent, AgentEdit, Agents, Learn, Performance, Prior, Rebalance, Report, Route, Team};
pub use project::{
    Break, Check, Payload, Prune, RuleLetters, Rules, ScheduleEdit, Settings, Simulate, Since, Verify,
    WhichLetters,
};

/// Nothing can be asked beside the path.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What to look for in runs that succeeded.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mine {
    /// So many runs have it in common, 3 by default.
    #[schemars(range(min = 2))]
    pub support: Option<usize>,
    /// It has so many steps, 2 by default.
    #[schemars(range(min = 2))]
    pub steps: Option<usize>,
    /// Only runs of this plan.
    pub plan: Option<String>,
    pub by: By,
    /// Also what is all of a plan that there is already.
    pub known: bool,
    /// Propose at most so many, 5 by default.
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<usize>,
}

/// By what steps are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Kind, and key or name without numbers.
    #[default]
    Title,
    Kind,
}

/// How much of a list, and from where.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// At most so many, 1,000 by default.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// The `cursor` of the page before.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limited {
    /// At most so many, 1,000 by default.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tasks {
    /// Only tasks in these states.
    pub state: Vec<State>,
    pub kind: Option<Kind>,
    pub source: Option<Source>,
    /// A run's id, or a plan's name: its newest run.
    pub run: Option<String>,
    /// Only tasks pinned to this agent.
    pub agent: Option<AgentName>,
    /// Only tasks for the members of this team.
    pub team: Option<TeamName>,
    /// Only subtasks of this task.
    pub parent: Option<String>,
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Full {
    /// Embed the whole task.
    pub full: bool,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// Of this attempt; of the latest when absent.
    pub attempt: Option<u32>,
    /// Only what was printed after so many bytes.
    pub after: u64,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Not now but then.
    pub at: Option<Moment>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Assign {
    /// Nobody else may take it; anybody when absent.
    pub agent: Option<AgentName>,
}

/// What a worker asks for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The leases belong to this name.
    pub worker: WorkerId,
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Any, when empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Only work of these sorts: `prompt`, `command`, `http`, `handler`, `wait`. Any, when empty.
    #[serde(default)]
    pub works: Vec<Work>,
    /// Takes what is pinned to this agent too; the worker's name when absent.
    #[serde(default)]
    pub agent: Option<AgentName>,
    /// Amounts for tasks that take `resources`.
    #[serde(default)]
    pub offers: BTreeMap<Kind, u64>,
    /// At most so many, 1 by default.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub max: Option<usize>,
    /// How long a lease lasts without a renewal, 30 min by default.
    #[serde(default)]
    pub ttl: Option<Span>,
    /// Wait so long for work when there is none, at most 60 s.
    #[serde(default)]
    pub wait: Option<Span>,
    /// `false` only takes them; `start` starts one.
    #[serde(default)]
    pub start: Option<bool>,
    /// Embed the whole tasks.
    #[serde(default)]
    pub full: bool,
}

/// A sort of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    Prompt,
    Command,
    Http,
    Handler,
    Wait,
}

impl Work {
    /// As executors are named.
    pub fn executor(self) -> &'static str {
        match self {
            Work::Prompt => "agent",
            Work::Command => "command",
            Work::Http => "http",
            Work::Handler => "handler",
            Work::Wait => "wait",
        }
    }
}

/// The lease that is meant.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    #[serde(deserialize_with = "token")]
    pub token: LeaseToken,
}

/// What an attempt has printed since it last said so.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Printed {
    #[serde(deserialize_with = "token")]
    pub token: LeaseToken,
    pub output: String,
    /// How many bytes came before it; with that, what is sent twice is kept once.
    #[serde(default)]
    pub at: Option<u64>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    #[serde(deserialize_with = "token")]
    pub token: LeaseToken,
    /// Replaces what was reported before.
    #[serde(default)]
    pub progress: Option<Json>,
    /// Keep the lease so long from now; as it was claimed when absent.
    #[serde(default)]
    pub ttl: Option<Span>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    #[serde(deserialize_with = "token")]
    pub token: LeaseToken,
    /// Dependents get it; at most 16 MiB. One over 32 KiB is kept as a file, and `{"file", "bytes"}` stands for it.
    #[serde(default)]
    pub result: Option<Json>,
    /// What it took, such as `{"tokens": 1200}`.
    #[serde(default)]
    pub usage: Option<Json>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    #[serde(deserialize_with = "token")]
    pub token: LeaseToken,
    #[schemars(length(min = 1, max = limits::ERROR_BYTES))]
    pub error: String,
    /// The sort of error; `validation`, `authentication` and the like are not tried again.
    #[serde(default)]
    pub class: Option<String>,
    /// The exit status, when it was a program.
    #[serde(default)]
    pub exit: Option<i32>,
    #[serde(default)]
    pub no_retry: bool,
    #[serde(default)]
    pub usage: Option<Json>,
}

/// Many leases kept at once.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    #[schemars(length(min = 1, max = 1000))]
    pub leases: Vec<Progress>,
}

/// Many attempts ended at once.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    #[schemars(length(min = 1, max = 1000))]
    pub ends: Vec<End>,
}

/// How one attempt ended.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Complete(Complete),
    Fail(Fail),
    /// Handed back: no try is spent.
    Release(Held),
}

/// A plan that is submitted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The plan as an object.
    #[serde(default)]
    pub plan: Option<Json>,
    /// The plan as the text of its file: YAML, JSON or TOML.
    #[serde(default)]
    pub text: Option<String>,
    /// The path of its file: it names a plan that has no name, and commands run in its folder.
    #[serde(default)]
    pub file: Option<String>,
    /// Begin a new run.
    #[serde(default)]
    pub new: bool,
    /// Continue this run.
    #[serde(default)]
    pub resume: Option<RunId>,
    #[serde(default)]
    pub profile: Option<Profile>,
}

/// What goes first.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    Classic,
    CriticalPath,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Runs {
    /// Only runs of this plan.
    pub plan: Option<String>,
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    #[default]
    Json,
    Mermaid,
    Dot,
    Svg,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Graph {
    pub format: Picture,
}

/// Tasks by id or key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    #[schemars(length(max = 1000))]
    pub tasks: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stale {
    /// Under way for longer than this; 1 h by default.
    pub older: Option<Span>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Letters {
    pub kind: Option<Kind>,
    pub reason: Option<Reason>,
    /// The signature, or the beginning of one.
    pub signature: Option<String>,
    pub older_than: Option<Span>,
    /// A run's id, or a plan's name: its newest run.
    pub run: Option<String>,
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
}

/// Which dead letters: one, or those that fit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Requeue {
    /// A task's id or key.
    pub task: Option<String>,
    /// Every dead letter.
    pub all: bool,
    pub kind: Option<Kind>,
    pub reason: Option<Reason>,
    pub signature: Option<String>,
    pub older_than: Option<Span>,
    pub run: Option<String>,
}

/// A breaker's settings; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: Option<f64>,
    pub window: Option<usize>,
    pub min: Option<usize>,
    pub failures: Option<u32>,
    pub successes: Option<u32>,
    pub timeout: Option<Span>,
    pub identical: Option<u32>,
    pub spend: Option<f64>,
}

/// A limit; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// Attempts at once.
    pub concurrency: Option<u32>,
    /// Attempts begun in a time, such as `10/1m`.
    pub rate: Option<String>,
}

/// A budget; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Nothing begins that could go beyond it.
    pub hard: Amounts,
    /// Somebody is asked from here on.
    pub soft: Amounts,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    #[schemars(range(min = 0.0))]
    pub tokens: Option<f64>,
    #[schemars(range(min = 0.0))]
    pub money: Option<f64>,
    #[schemars(range(min = 0.0))]
    pub seconds: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breakpoints {
    /// Only what this person is to answer.
    pub owner: Option<String>,
}

/// An answer to a breakpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    pub accept: bool,
    /// Tasks that wait for it get it as its result.
    #[serde(default)]
    pub answer: Option<Json>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Those after this number; the newest ones when absent.
    pub after: Option<u64>,
    /// Globs over types: `task.*`.
    #[serde(rename = "type")]
    #[schemars(length(max = 32))]
    pub types: Vec<String>,
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// When there is none, wait so long for the next one, at most 60 s.
    pub wait: Option<Span>,
}

/// When a schedule fires, and what it hands in. One of `cron`, `every` and `at`; one of `task` and `plan`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub name: domain::id::ScheduleName,
    #[serde(default)]
    pub cron: Option<String>,
    /// The time zone of `cron`; UTC when absent.
    #[serde(default)]
    pub tz: Option<String>,
    #[serde(default)]
    pub every: Option<Span>,
    #[serde(default)]
    pub at: Option<Moment>,
    /// Times that passed while nobody was there.
    #[serde(default)]
    pub catch_up: Option<CatchUp>,
    /// While the last one still runs.
    #[serde(default)]
    pub overlap: Option<Overlap>,
    /// A task, with the keys of `POST /v1/tasks`.
    #[serde(default)]
    pub task: Option<Json>,
    /// The text of a plan.
    #[serde(default)]
    pub plan: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    Skip,
    One,
    All,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    Allow,
    Skip,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// So many, 5 by default.
    #[schemars(range(min = 1, max = 1000))]
    pub count: Option<usize>,
}

/// A pool; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pool {
    pub name: Option<PoolName>,
    pub min: Option<usize>,
    pub max: Option<usize>,
    pub up: Option<usize>,
    pub down: Option<usize>,
    pub interval: Option<Span>,
    pub kinds: Option<Vec<Kind>>,
}

/// A token that is made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub name: PoolName,
    pub role: crate::token::Role,
    /// Not after then; never when absent.
    #[serde(default)]
    pub expires: Option<Moment>,
    /// Only for these projects; all, when empty.
    #[serde(default)]
    pub projects: Vec<domain::id::Project>,
}

fn token<'de, D: Deserializer<'de>>(d: D) -> Result<LeaseToken, D::Error> {
    String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
}
