//! The service: HTTP operations, the live stream, remote workers. It works through an engine and never sees a database.
//!
//! In reading order: what it is told (`options`) and what it holds (`app`); one operation (`op`) and all of them
//! (`http`); what every request goes through (`frame`: who asks (`auth`, `ticket`), how much (`body`), in what words it
//! is refused (`problem`)), versions of what is changed (`version`), what is asked again with its key (`once`), what computes for long (`toil`) and what others put beside them (`mount`); their description (`openapi`); what is done besides (`keep`), what is measured (`measure`)
//! and told as it happens (`stream`) and when it is over (`trace`); and the listener around it all (`listen`) with its
//! door (`door`), and how it takes its leave (`leave`).

mod app;
mod auth;
mod body;
mod door;
mod frame;
mod http;
mod keep;
mod leave;
mod listen;
mod measure;
mod mount;
mod once;
mod op;
mod openapi;
mod options;
mod problem;
mod stream;
mod ticket;
mod toil;
mod trace;
mod version;

pub use http::operations;
pub use listen::{Renew, Server, serve};
pub use mount::{Mount, Serve, Who};
pub use options::{Fresh, Options, Tls};
pub use trace::Collector;
