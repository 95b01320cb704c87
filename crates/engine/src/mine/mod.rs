//! Plans proposed from what went well before: the runs that succeeded are read (`read`), what many of them have in common
//! is found ([`domain::mine`]) and written as plans (`propose`).

mod propose;
mod read;

use std::collections::BTreeSet;

use domain::mine::{Pattern, Wanted, patterns};
use domain::store::Result;

use crate::engine::Engine;
use read::Course;

pub use propose::{Proposal, Step};

/// By what steps are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Kind and title: the key without numbers, else the name.
    #[default]
    Title,
    /// The kind alone.
    Kind,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub wanted: Wanted,
    pub by: By,
    /// Only runs of this plan.
    pub plan: Option<String>,
    /// Also patterns that are the whole of one plan that there is already.
    pub known: bool,
    pub limit: usize,
}

/// What mining came to.
#[derive(Clone, Debug, Default)]
pub struct Mined {
    pub proposals: Vec<Proposal>,
    /// Runs that were looked at.
    pub runs: usize,
    /// There was more than is looked at: older runs, very long ones, or too much variety.
    pub cut: bool,
}

/// Looks for sequences of steps that come again in the latest runs that succeeded.
pub async fn mine(engine: &Engine, options: &Options) -> Result<Mined> {
    let (courses, mut cut) = read::courses(engine, options).await?;
    let sequences: Vec<Vec<u32>> = courses.iter().map(|course| course.labels.clone()).collect();
    let (found, more) = patterns(&sequences, options.wanted);
    cut |= more;
    let new = found
        .iter()
        .filter(|pattern| options.known || !is_known(pattern, &courses));
    let mut proposals: Vec<Proposal> = Vec::new();
    for pattern in new.take(options.limit) {
        let taken: BTreeSet<String> = proposals.iter().map(|other| other.name.clone()).collect();
        proposals.extend(propose::propose(pattern, &courses, &taken));
    }
    Ok(Mined {
        proposals,
        runs: courses.len(),
        cut,
    })
}

/// Whether somebody has written it down already: all of its runs are of one plan, and it is all that they do.
fn is_known(pattern: &Pattern, courses: &[Course]) -> bool {
    let mut runs = pattern.seen.iter().map(|at| &courses[*at]);
    let Some(first) = runs.next() else { return true };
    let whole = |course: &Course| course.labels.len() == pattern.steps.len();
    whole(first) && runs.all(|course| course.plan == first.plan && whole(course))
}
