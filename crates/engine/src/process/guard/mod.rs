//! The helper that outlives its worker by one duty: to end what the worker was running.
//!
//! One guard per worker, the same program started anew as `<exe> __guard <incarnation> <grace ms>`.
//! The worker writes to its stdin which groups live and until when its lease is renewed (`wire`).
//! When the pipe closes (the worker ended, in whatever way) or the renewal runs out (it is stopped or
//! hangs), the guard ends every group it was told of and everything that carries the worker's mark,
//! and exits (`watch`). Its stdout is the worker's presence lock, which so stays held until then.

mod handle;
mod watch;
mod wire;

pub use handle::Guard;
pub use watch::main;

/// The hidden subcommand under which the binary must call [`main`] with the arguments that follow.
pub const SUBCOMMAND: &str = "__guard";
