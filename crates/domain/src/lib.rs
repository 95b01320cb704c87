//! What is true and what may happen. No IO, no clock, no randomness: `now`, seeds and limits are arguments.
//!
//! In reading order: the words ([`id`], [`time`], [`limits`], [`code`]), a task and its life ([`task`]),
//! who waits for whom ([`graph`]), and what people write ([`plan`]).

pub mod code;
pub mod graph;
pub mod id;
pub mod limits;
pub mod plan;
pub mod task;
pub mod time;
