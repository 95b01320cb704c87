#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod agents;
mod ahead;
mod bench;
mod duties;
mod endpoint;
mod lab;
mod left;
mod plans;
mod pools;
mod process;
mod process_bench;
mod process_guard;
mod process_presence;
mod retention;
mod routing;
mod rules;
mod teams;
mod waits;
