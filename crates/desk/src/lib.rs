//! What anybody may ask of a project, and what they are answered.
//!
//! One function for each operation: from the words of `api` and an engine to the words of `api`, or a refusal. It
//! knows nothing of HTTP, terminals and roles, so that every face of the program asks here and answers alike.
//!
//! In reading order: what people type becomes what is stored ([`find`]); tasks ([`task`]) and what is done to them
//! ([`change`], [`signal`]), by workers too ([`lease`]); plans and runs ([`plan`], [`run`]) and what comes again in them ([`mine`]), the queue ([`queue`],
//! [`stats`]), dead letters ([`letter`]), what holds work back ([`curb`], [`lock`]), schedules and pools ([`schedule`],
//! [`pool`]), rules, agents and teams ([`rule`], [`agent`], [`team`], [`performance`]), what a project keeps ([`setting`], [`prune`]), what happened
//! ([`log`], [`audit`]), who may ask over the wire ([`token`]), and what a refusal means ([`explain`]).

pub mod agent;
pub mod audit;
pub mod change;
pub mod curb;
pub mod explain;
pub mod find;
pub mod graph;
pub mod lease;
pub mod letter;
pub mod lock;
pub mod log;
pub mod mine;
pub mod performance;
pub mod plan;
pub mod pool;
pub mod prune;
pub mod queue;
pub mod rule;
pub mod run;
pub mod schedule;
pub mod setting;
pub mod signal;
pub mod stats;
pub mod task;
pub mod team;
pub mod token;

use domain::code::{Code, Refusal};
use domain::limits::PAGE_MAX;
use domain::store::Result;

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidArgument, detail)
}

/// The bound of a page.
fn limit(asked: Option<usize>) -> Result<usize> {
    match asked {
        None => Ok(PAGE_MAX),
        Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        Some(limit) => Err(invalid(format!(
            "a page has 1 to {PAGE_MAX} entries, not {limit}"
        ))),
    }
}
