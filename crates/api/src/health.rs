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
    pub load: Load,
}

/// How much waits for those who work here.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Load {
    /// As many tasks are ready or under way as this server works on at the same time, twice over. It still answers.
    pub degraded: bool,
    pub is_running: bool,
    /// Tasks that are ready or under way.
    pub queue_size: u64,
    pub processing_tasks: u64,
    /// `null` for a server that works on nothing itself: it is never too slow.
    pub max_concurrent: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Component {
    pub name: String,
    pub ready: bool,
    pub why: Option<String>,
}
