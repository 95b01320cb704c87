//! The server over real sockets of the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod lab;
mod once;
mod operations;
mod project;
mod remote;
mod stream;
mod tokens;
mod workers;
