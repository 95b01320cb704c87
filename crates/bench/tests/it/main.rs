//! Benchmarks run, and their figures are figures. Nothing here looks at a clock.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod rows;
