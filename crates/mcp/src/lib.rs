//! Tools for agents: any client of the Model Context Protocol is a worker.
//!
//! A `session` is one client on one store: it holds the leases of what it took and renews them. In reading order:
//! what a `tool` is, the sets of tools (`core`, `classic`, `service`, `events`, and [`extra`](Extra) ones), one
//! request (`call`), texts to read and to start with (`resources`, `prompts`), and how a session reaches its client
//! (`server`, over [`stdio`] or [`http`]). No rule about tasks lives here; each tool says in the words of the
//! protocol what the desk answers and what the store's verbs do.

mod call;
mod classic;
mod core;
mod events;
mod extra;
mod holds;
pub mod http;
mod prompts;
mod resources;
mod server;
mod service;
mod session;
pub mod stdio;
mod tool;

pub use extra::{Extra, Offer};
pub use session::{Caller, Setup};
pub use tool::{Rights, Set};
