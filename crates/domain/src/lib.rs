//! What is true and what may happen. No IO, no clock, no randomness: `now`, seeds and limits are arguments.
//!
//! In reading order: the words ([`id`], [`time`], [`limits`], [`code`]), a task and its life ([`task`]), what may happen
//! to it ([`decide`]), what it belongs to ([`run`]) and what is remembered of it ([`event`], [`anchor`], [`replay`]), small documents beside
//! tasks ([`book`]) such as schedules, rules and pools ([`schedule`], [`rule`], [`pool`]), what holds work back ([`curb`]), how tasks hang together
//! ([`graph`]) and are declared ([`plan`]), what every store must do ([`store`]) and how a project moves from one to another
//! ([`transfer`]).

pub mod agent;
pub mod anchor;
pub mod book;
pub mod caught;
pub mod code;
pub mod curb;
pub mod deadlock;
pub mod decide;
pub mod event;
pub mod graph;
pub mod id;
pub mod lesson;
pub mod limits;
pub mod mine;
pub mod plan;
pub mod pool;
pub mod problem;
pub mod prune;
pub mod replay;
pub mod rule;
pub mod run;
pub mod schedule;
#[cfg(feature = "schema")]
mod schema;
pub mod store;
pub mod task;
pub mod team;
pub mod time;
pub mod transfer;
