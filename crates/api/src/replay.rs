//! Whether rows are what the log of events makes of them.

use domain::id::{EventNo, Project};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Replays {
    pub sound: bool,
    pub projects: Vec<Checked>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Checked {
    pub project: Project,
    /// What contradicts itself, without the log.
    pub findings: Vec<String>,
    pub replay: Replay,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Replay {
    pub agrees: bool,
    pub events: u64,
    /// The first event that is left, where the beginning has been pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins_with: Option<EventNo>,
    /// Counters are compared as they stood with this event.
    pub upto: EventNo,
    /// Rows of tasks that were compared; of `partial` ones the beginning is pruned.
    pub tasks: u64,
    pub partial: u64,
    /// Rows of tasks of which the log tells nothing any more.
    pub silent: u64,
    pub runs: u64,
    /// Tasks and runs that kept changing, and were not compared.
    pub moving: u64,
    /// The first differences.
    pub differences: Vec<Difference>,
    pub count: u64,
}

/// A field that is stored otherwise than the log says.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Difference {
    /// `task ID`, `run ID` or `the project`.
    pub of: String,
    pub field: String,
    pub log: String,
    pub stored: String,
}
