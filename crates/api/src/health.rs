//! Whether a server works, part by part.

use schemars::JsonSchema;
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Ready {
    pub ready: bool,
    /// Of the store.
    pub engine: String,
    /// What an acknowledged write survives: `full` a power failure, `relaxed` the death of the process.
    pub durability: String,
    pub version: String,
    pub components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Component {
    pub name: String,
    pub ready: bool,
    pub why: Option<String>,
}
