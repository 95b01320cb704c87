//! `bell mcp`: agents that speak the protocol, each tool by what it does to the store.

mod classic;
mod client;
mod core;
mod events;
mod far;
mod race;
mod reading;
mod service;
mod session;
mod verbs;
