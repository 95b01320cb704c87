//! What anybody may ask of a project, and what they are answered.
//!
//! One function for each operation: from the words of `api` and an engine to the words of `api`, or a refusal. It
//! knows nothing of HTTP, terminals and roles, so that every face of the program asks here and answers alike.
//!
//! In reading order: what people type becomes what is stored ([`find`]); tasks ([`task`]) and what is done to them
//! ([`change`]), by workers too ([`lease`]); runs ([`run`]), the queue ([`queue`]), dead letters ([`letter`]), what holds
//! work back ([`curb`]), schedules and pools ([`schedule`], [`pool`]), what happened ([`log`]), and who may ask
//! over the wire ([`token`]).

pub mod change;
pub mod curb;
pub mod find;
pub mod graph;
pub mod lease;
pub mod letter;
pub mod log;
pub mod pool;
pub mod queue;
pub mod run;
pub mod schedule;
pub mod task;
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
