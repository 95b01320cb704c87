//! The only place that starts operating-system processes.

pub mod output;
