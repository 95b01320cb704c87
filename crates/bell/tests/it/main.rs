//! The real binary in folders of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent_calls;
mod agents;
mod analyses;
mod anchors;
mod bench;
mod chaos;
mod crowd;
mod curbs;
mod each;
mod errors;
mod faults;
mod frame;
mod health;
mod hostile;
mod ids;
mod letters;
mod lifecycle;
mod lists;
mod locks;
mod mcp;
mod moves;
mod once;
mod planned_analyses;
mod plans;
mod publish;
mod remote;
mod replans;
mod replay;
mod retention;
mod rules;
mod runs;
mod schedules;
mod secrets;
mod serve;
mod settings;
mod shared;
mod shell_flock;
mod stats;
mod tasks;
mod teams;
mod tls;
mod traces;
mod workers;
