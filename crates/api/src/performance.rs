//! What agents did, record by record, and what to do about it.

use std::collections::BTreeMap;

use domain::agent::advice::Advice;
use schemars::JsonSchema;
use serde::Serialize;

use crate::time::Time;

/// What happened, the oldest first.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Performance {
    pub records: Vec<Record>,
    pub count: usize,
    pub stats: Stats,
    /// Where the next part begins.
    pub cursor: Option<String>,
}

/// One thing that happened; what there is nothing to say about is left out. Titles, prompts, results and errors are never told.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Record {
    /// The number of the event that it follows from.
    pub no: u64,
    pub at: Time,
    /// `task_execution`, `agent_registration`, `agent_status_change`, `routing_decision` or `evaluation_outcome`.
    pub what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// `success`, `failure` or `lost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Others that were thought of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternatives: Option<usize>,
}

/// Over the records of one answer.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Stats {
    pub total: u64,
    /// How many of each sort.
    pub by: BTreeMap<&'static str, u64>,
    /// Of what succeeded; `null` where nothing has.
    pub average_completion_time_ms: Option<f64>,
    pub overall_success_rate: Option<f64>,
    pub lost: u64,
    pub first_at: Option<Time>,
    pub last_at: Option<Time>,
}

/// What to do about agents and skills, what holds work up first.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Advised {
    pub advice: Vec<Advice>,
    pub count: usize,
}
