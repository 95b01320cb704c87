//! A project as a whole: what it keeps, how far its log is proven, what has gone because it was old.

use domain::id::{EventNo, Key, Project};
use domain::plan::Verdict;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Settings {
    pub settings: Vec<Setting>,
    pub count: usize,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Setting {
    pub name: String,
    pub value: Value,
    /// `default`, or where it was set.
    pub origin: String,
}

/// Whether logs are what was written.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Proofs {
    pub intact: bool,
    pub projects: Vec<Proof>,
}

/// How far the log of a project is proven.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Proof {
    pub project: Project,
    pub intact: bool,
    /// The first event that is left, where the beginning has been pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins_with: Option<EventNo>,
    /// Up to here every event is what was written.
    pub proven_to: EventNo,
    /// The digest of that event: the same head proves the same history.
    pub digest: String,
    /// The anchors that the log leads through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<EventNo>,
    /// Anchors of what has been pruned since: nothing can be said of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors_before: Vec<EventNo>,
    pub first_bad: Option<EventNo>,
    pub detail: Option<String>,
}

/// Where logs stand, to be kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Anchors {
    pub anchors: Vec<Anchor>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Anchor {
    pub project: Project,
    pub number: EventNo,
    pub digest: String,
    /// What `bell audit verify --anchor` takes.
    pub anchor: String,
}

/// What has gone because it ended long ago.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Pruned {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    pub before: String,
    /// With `dry_run` at most so many.
    pub tasks: u64,
    pub runs: u64,
    pub answers: u64,
    pub events: u64,
    /// What the file has become smaller by; not with stores that see to that themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_bytes: Option<u64>,
}

/// Whether what the store keeps twice agrees.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Checked {
    pub sound: bool,
    pub projects: Vec<Findings>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Findings {
    pub project: Project,
    /// What contradicts itself.
    pub findings: Vec<String>,
}

/// What a plan will be like.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Analysis {
    pub tasks: usize,
    pub edges: usize,
    /// Keys that can go side by side, one batch after the other.
    pub batches: Vec<Vec<String>>,
    pub depth: usize,
    pub max_parallelism: usize,
    pub critical_path: CriticalPath,
    pub durations: Durations,
    pub warnings: Vec<String>,
}

/// By what it is known how long tasks take: so many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Durations {
    /// The plan says it.
    pub estimates: usize,
    /// Earlier runs of the plan.
    pub runs: usize,
    /// What tasks of the kind usually take.
    pub kinds: usize,
    /// They are taken to be like the others.
    pub unknown: usize,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct CriticalPath {
    pub tasks: Vec<String>,
    pub seconds: f64,
}

/// How long a plan will take.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Forecast {
    pub workers: usize,
    pub samples: usize,
    /// Samples in which everything went well.
    pub succeeded: usize,
    pub p50_seconds: f64,
    pub p90_seconds: f64,
    /// Busy time over the time of all workers, 0 to 1.
    pub utilisation: f64,
    /// Tasks whose durations come from earlier runs.
    pub learned: usize,
    /// Tasks whose durations are those of their kind.
    pub by_kind: usize,
}

/// What is so of a plan in every order in which it can go.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Verified {
    pub sound: bool,
    pub rules: Vec<Judged>,
    /// Tasks that can never begin, because what they wait for contradicts itself.
    pub unreachable: Vec<Key>,
    /// Every task was looked at for that.
    pub whole: bool,
    /// Tasks that stop for a person.
    pub asks: Vec<Key>,
}

/// A rule about a plan, and whether it holds.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Judged {
    pub rule: String,
    pub result: Verdict,
}
