//! What the crate promises to those who use it.

mod graph;
mod mutate;
mod plan_faults;
mod plan_read;
mod schema;
