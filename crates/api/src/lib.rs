//! The words on the wire: JSON shapes shared by the command line and the server.
//!
//! Made by hand from the types of `domain`, which do not know how they are shown. Every field is always there,
//! `null` when there is nothing to say, unless its doc says otherwise; times are RFC 3339 in UTC.
//!
//! In reading order: moments ([`time`]), what is asked ([`ask`]), a task ([`task`]) with its tries ([`attempt`]) and why it stands where
//! it stands ([`why`]), what claims and changes answer ([`lease`], [`answer`], [`letter`]), what happened ([`event`]), runs
//! and what they have in common ([`mine`]), curbs ([`curb`]), the queue and lists ([`run`], [`queue`], [`list`]), what works and when ([`worker`],
//! [`schedule`], [`rule`]), who is registered ([`agent`]) and in which teams ([`team`]), what they did ([`performance`]), a project as a whole ([`project`]), who may ask ([`token`]), and
//! every "no" ([`problem`]) with its cure ([`explain`]).

pub mod agent;
pub mod answer;
pub mod ask;
pub mod attempt;
pub mod curb;
pub mod event;
pub mod explain;
pub mod health;
pub mod lease;
pub mod letter;
pub mod list;
pub mod mine;
pub mod performance;
pub mod problem;
pub mod project;
pub mod queue;
pub mod remote;
pub mod replay;
pub mod rule;
pub mod run;
pub mod schedule;
pub mod stats;
pub mod task;
pub mod team;
pub mod time;
pub mod token;
pub mod why;
pub mod worker;

#[cfg(test)]
mod samples;
