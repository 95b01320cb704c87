//! Benchmarks run, and their figures are figures. Nothing here looks at a clock.

mod rows;
