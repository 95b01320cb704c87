//! The real binary in folders of its own.

mod bench;

mod errors;
mod frame;
mod lists;
mod plans;
mod runs;
mod shell_flock;
mod tasks;
