//! Curbs at work: what may begin, by class ([`classes`]) and by budget ([`purses`]); see [`domain::curb`].
//!
//! Nothing here is read, and nothing costs anything, in a project that has no curbs.

pub(super) mod classes;
pub(super) mod purses;

use std::sync::Arc;

use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal};
use domain::curb::Scope;
use domain::curb::breaker::{Settings, Verdict};
use domain::curb::budget::{Budget, Usage};
use domain::curb::limit::Limit;
use domain::store::Result;
use domain::task::record::Task;
use domain::task::state::{Reason, State};
use rustc_hash::FxHasher;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hash::{Hash, Hasher};

use super::step::Step;

/// What a step knows of the curbs, once it has had to look.
#[derive(Debug, Default)]
pub(super) struct Curbs {
    classes: Option<classes::Classes>,
    purses: purses::Purses,
}

/// Follows a lease that has begun or ended with this change of a row. Both count under the class that the task has while it
/// is leased: the choice of an agent is taken back with the end.
pub(super) fn follow(step: &mut Step<'_>, before: &Task, after: &Task) -> Result<()> {
    let leased = if after.lease.is_some() { after } else { before };
    let class = step.class(leased.class)?;
    let by_class = class.breaker.is_some() || step.has(Book::Limit) || step.has(Book::Breaker);
    match (&before.lease, &after.lease) {
        (None, Some(_)) if by_class => classes::begin(step, &class),
        (Some(lease), None) => {
            let report = report(step, after);
            if by_class {
                classes::end(step, &class, verdict(before, after, &report))?;
            }
            let began = before.started_at.unwrap_or(lease.claimed_at);
            let seconds = step.now.wall.since(began).as_secs_f64();
            purses::settle(
                step,
                before,
                after,
                &class,
                Usage {
                    seconds,
                    ..report.usage
                },
            )
        }
        _ => Ok(()),
    }
}

/// What the attempt that ends in this step has left behind.
struct Report {
    digest: Option<u64>,
    usage: Usage,
}

fn report(step: &Step<'_>, task: &Task) -> Report {
    let mut latest = step.writes.outcomes.iter().rev();
    let outcome = latest
        .find(|(seq, _)| *seq == task.seq)
        .map(|(_, outcome)| outcome);
    let digest = outcome.and_then(|outcome| outcome.result.as_ref()).map(|result| {
        let mut hasher = FxHasher::default();
        result.get().hash(&mut hasher);
        hasher.finish()
    });
    let usage = outcome.and_then(|outcome| outcome.usage.as_ref());
    Report {
        digest,
        usage: usage.map(Usage::reported).unwrap_or_default(),
    }
}

fn verdict(before: &Task, after: &Task, report: &Report) -> Verdict {
    let cost = report.usage.money;
    match after.state {
        State::Completed if after.reason == Some(Reason::Cached) => Verdict::Neither,
        _ if after.failures > before.failures => Verdict::Failure { cost },
        State::Completed | State::Blocked => Verdict::Success {
            digest: report.digest,
            cost,
        },
        _ => Verdict::Neither,
    }
}

/// Checks what somebody wants to set, and does what follows from it.
pub(super) fn edited(step: &mut Step<'_>, edit: &Edit) -> Result<()> {
    match edit.book {
        Book::Limit => {
            let scope: Scope = edit.key.parse()?;
            classes::limit_set(step, &scope, settings::<Limit>(edit)?)
        }
        Book::Breaker => {
            edit.key.parse::<Scope>()?;
            let settings = settings::<Settings>(edit)?;
            settings.map_or(Ok(()), |settings| settings.check().map_err(|e| wrong(edit, &e)))
        }
        Book::Budget => {
            let scope: Scope = edit.key.parse()?;
            purses::budget_set(step, &scope, settings::<Budget>(edit)?)
        }
        _ => Ok(()),
    }
}

fn settings<T: DeserializeOwned>(edit: &Edit) -> Result<Option<T>> {
    let value = edit
        .to
        .as_ref()
        .map(|(value, _)| serde_json::from_str(value.get()));
    value.transpose().map_err(|e| wrong(edit, &e))
}

fn wrong(edit: &Edit, why: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(
        Code::InvalidArgument,
        format!("the settings of `{}`: {why}", edit.key),
    )
}

/// Writes what this step has changed.
pub(super) fn save(step: &mut Step<'_>) {
    classes::save(step);
    purses::save(step);
}

/// All entries of a book; settings are few.
fn all(step: &mut Step<'_>, book: Book) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    if !step.has(book) {
        return Ok(entries);
    }
    loop {
        let after = entries.last().map_or("", |entry| &*entry.key).to_owned();
        let page = step
            .tx
            .entry_page(step.project, book, &after, domain::limits::PAGE_MAX)?;
        let last = page.len() < domain::limits::PAGE_MAX;
        entries.extend(page);
        if last {
            return Ok(entries);
        }
    }
}

/// The states kept under these names, each at its default when there is none.
fn gauges<T: DeserializeOwned + Default>(step: &mut Step<'_>, keys: &[Arc<str>]) -> Result<Vec<T>> {
    let found = step.entries(Book::Gauge, keys)?;
    let mut found = found.iter().peekable();
    keys.iter()
        .map(|key| match found.next_if(|entry| entry.key == *key) {
            Some(entry) => entry.read(),
            None => Ok(T::default()),
        })
        .collect()
}

fn keep(step: &mut Step<'_>, key: &Arc<str>, state: &impl Serialize, due: Option<domain::time::Timestamp>) {
    let value = domain::task::spec::Json::of(state);
    step.write_entry(Book::Gauge, key, Some((value, due)));
}
