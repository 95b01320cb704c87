//! One file per command: its flags, what it asks of the store, and how its answer reads.
//!
//! Each answers with a type of the `api` crate, printed as JSON or rendered for people from that same value.

pub(crate) mod agent;
pub(crate) mod analyze;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod breaker;
pub(crate) mod breakpoint;
pub(crate) mod budget;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod limit;
pub(crate) mod lock;
pub(crate) mod mcp;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod prime;
pub(crate) mod queue;
pub(crate) mod route;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schedule;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod submit;
pub(crate) mod task;
pub(crate) mod team;
pub(crate) mod token;
pub(crate) mod worker;
