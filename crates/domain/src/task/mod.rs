//! What a task is: its specification, its record, its states, its place in line.

pub mod each;
pub mod lock;
pub mod order;
pub mod outside;
pub mod proposed;
pub mod record;
pub mod replan;
pub mod retry;
pub mod score;
pub mod signature;
pub mod spec;
pub mod state;
mod work;
