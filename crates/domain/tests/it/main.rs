//! What the crate promises to those who use it.

#![expect(clippy::unwrap_used, reason = "a test that stops here says where")]

mod graph;
mod mutate;
mod plan_faults;
mod plan_read;
mod schema;
