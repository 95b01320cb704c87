//! What a task is: its specification, its record, its states, its place in line.

pub mod lock;
pub mod retry;
pub mod spec;
