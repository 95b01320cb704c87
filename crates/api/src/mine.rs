//! Plans proposed from what went well before.

use schemars::JsonSchema;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Mined {
    /// What was seen most often first.
    pub proposals: Vec<Proposal>,
    pub count: usize,
    /// Runs that were looked at.
    pub runs: usize,
    /// There was more than is looked at: older runs, very long ones, or too much variety.
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Proposal {
    pub name: String,
    /// Runs that went like this.
    pub support: usize,
    /// Plans that they are of, the first few.
    pub plans: Vec<String>,
    pub steps: Vec<Step>,
    /// The plan as a file.
    pub yaml: String,
}

#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
pub struct Step {
    pub key: String,
    pub kind: String,
    /// Steps that were before it in every run.
    pub after: Vec<String>,
    /// The median; `null` where nobody knows.
    pub seconds: Option<f64>,
    /// What was asked for differed from run to run: the plan has the latest.
    pub varies: bool,
}
