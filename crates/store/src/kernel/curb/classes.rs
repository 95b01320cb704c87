//! Breakers and limits: they let classes of tasks through, or leave them out of a claim.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::curb::Scope;
use domain::curb::breaker::{Breaker, Settings, State, Verdict};
use domain::curb::limit::{Limit, Used};
use domain::store::Result;
use domain::task::record::Class;
use domain::task::spec::Json;
use domain::time::Timestamp;
use serde_json::json;

use super::super::step::Step;
use super::{all, gauges, keep};

#[derive(Debug)]
pub(super) struct Classes(Vec<Curb>);

#[derive(Debug)]
struct Curb {
    scope: Scope,
    /// Of its state.
    key: Arc<str>,
    what: What,
    changed: bool,
}

#[derive(Debug)]
enum What {
    Breaker(Settings, Breaker),
    Limit(Limit, Used),
}

fn breaker_key(scope: &Scope) -> Arc<str> {
    format!("breaker:{scope}").into()
}

fn limit_key(scope: &Scope) -> Arc<str> {
    format!("limit:{scope}").into()
}

fn load<'s>(step: &'s mut Step<'_>) -> Result<&'s mut Vec<Curb>> {
    if step.curbs.classes.is_none() {
        let curbs = read(step)?;
        step.curbs.classes = Some(Classes(curbs));
    }
    Ok(&mut step.curbs.classes.as_mut().expect("it was set above").0)
}

fn read(step: &mut Step<'_>) -> Result<Vec<Curb>> {
    let settings = |entries: &[Entry]| -> Result<Vec<(Scope, Settings)>> {
        let read = |entry: &Entry| Ok((entry.key.parse()?, entry.read()?));
        entries.iter().map(read).collect()
    };
    let mut breakers = settings(&all(step, Book::Breaker)?)?;
    for (_, class) in step.classes()?.iter() {
        // A breaker that a task names is there without being set up.
        let Some(name) = &class.breaker else { continue };
        let scope = Scope::Key(name.clone());
        if !breakers.iter().any(|(known, _)| *known == scope) {
            breakers.push((scope, Settings::default()));
        }
    }
    let limits = all(step, Book::Limit)?;
    let keys: Vec<Arc<str>> = breakers.iter().map(|(scope, _)| breaker_key(scope)).collect();
    let states: Vec<Breaker> = gauges(step, &keys)?;
    let mut curbs: Vec<Curb> = Vec::with_capacity(breakers.len() + limits.len());
    for (((scope, settings), state), key) in breakers.into_iter().zip(states).zip(keys) {
        curbs.push(Curb {
            scope,
            key,
            what: What::Breaker(settings, state),
            changed: false,
        });
    }
    let keys: Vec<Arc<str>> = limits
        .iter()
        .map(|entry| format!("limit:{}", entry.key).into())
        .collect();
    let states: Vec<Used> = gauges(step, &keys)?;
    for ((entry, used), key) in limits.iter().zip(states).zip(keys) {
        curbs.push(Curb {
            scope: entry.key.parse()?,
            key,
            what: What::Limit(entry.read()?, used),
            changed: false,
        });
    }
    Ok(curbs)
}

/// Whether claims have to ask about classes at all.
pub(in super::super) fn any(step: &mut Step<'_>) -> bool {
    // A breaker that nobody has set up has a state once something was told to it.
    step.has(Book::Breaker) || step.has(Book::Limit) || step.has(Book::Gauge)
}

/// How many more attempts of this class may begin.
pub(in super::super) fn room(step: &mut Step<'_>, class: &Class) -> Result<usize> {
    let now = step.now;
    let curbs = load(step)?.iter().filter(|curb| curb.scope.takes(class));
    let rooms = curbs.map(|curb| match &curb.what {
        What::Breaker(settings, breaker) => breaker.room(settings),
        What::Limit(limit, used) => used.room(limit, now),
    });
    Ok(rooms.min().unwrap_or(usize::MAX))
}

pub(super) fn begin(step: &mut Step<'_>, class: &Class) -> Result<()> {
    let now = step.now;
    for curb in load(step)?.iter_mut().filter(|curb| curb.scope.takes(class)) {
        match &mut curb.what {
            What::Breaker(_, breaker) if breaker.state == State::HalfOpen => breaker.begin(),
            What::Breaker(..) => continue,
            What::Limit(limit, used) => used.begin(limit, now),
        }
        curb.changed = true;
    }
    Ok(())
}

pub(super) fn end(step: &mut Step<'_>, class: &Class, verdict: Verdict) -> Result<()> {
    let now = step.now;
    let mut told = Vec::new();
    for curb in load(step)?.iter_mut().filter(|curb| curb.scope.takes(class)) {
        match &mut curb.what {
            What::Breaker(settings, breaker) => {
                let kind = breaker.end(settings, verdict, now);
                told.extend(kind.map(|kind| (kind, describe(&curb.scope, breaker))));
            }
            What::Limit(_, used) => used.end(),
        }
        curb.changed = true;
    }
    for (kind, data) in told {
        step.emit_other(kind, Some(data));
    }
    Ok(())
}

fn describe(scope: &Scope, breaker: &Breaker) -> Json {
    Json::of(&json!({
        "breaker": scope,
        "state": breaker.state,
        "why": breaker.why,
        "until": breaker.until.map(|until| until.to_string()),
    }))
}

/// Lets through what waits for its time: probes of open breakers, attempts under a rate.
pub(in super::super) fn wake(step: &mut Step<'_>, due: &[Entry]) -> Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    let now = step.now;
    let mut told = Vec::new();
    for curb in load(step)? {
        if !due.iter().any(|entry| entry.key == curb.key) {
            continue;
        }
        curb.changed = true;
        if let What::Breaker(_, breaker) = &mut curb.what {
            let kind = breaker.wake(now);
            told.extend(kind.map(|kind| (kind, describe(&curb.scope, breaker))));
        }
    }
    // What its settings have been taken from is over.
    let gone: Vec<Arc<str>> = due
        .iter()
        .filter(|entry| !load_keys(step).any(|key| *key == entry.key))
        .map(|entry| entry.key.clone())
        .collect();
    for key in gone {
        step.write_entry(Book::Gauge, &key, None);
    }
    for (kind, data) in told {
        step.emit_other(kind, Some(data));
    }
    Ok(())
}

fn load_keys<'s>(step: &'s Step<'_>) -> impl Iterator<Item = &'s Arc<str>> {
    let curbs = step.curbs.classes.as_ref().map_or(&[][..], |classes| &classes.0);
    curbs.iter().map(|curb| &curb.key)
}

/// A new limit counts what is under way already.
pub(super) fn limit_set(step: &mut Step<'_>, scope: &Scope, limit: Option<Limit>) -> Result<()> {
    let key = limit_key(scope);
    if limit.is_none() {
        step.write_entry(Book::Gauge, &key, None);
        return Ok(());
    }
    let leased = step.tx.expired(step.project, i64::MAX, usize::MAX)?;
    let leased = step.tx.tasks(step.project, &leased)?;
    let mut held = 0;
    for task in leased {
        held += u32::from(scope.takes(&step.class(task.class)?));
    }
    let used: Used = gauges(step, std::slice::from_ref(&key))?
        .pop()
        .unwrap_or_default();
    keep(step, &key, &Used { held, ..used }, None);
    Ok(())
}

pub(super) fn save(step: &mut Step<'_>) {
    let Some(Classes(mut curbs)) = step.curbs.classes.take() else {
        return;
    };
    let now = step.now;
    for curb in curbs.iter_mut().filter(|curb| curb.changed) {
        curb.changed = false;
        match &curb.what {
            What::Breaker(_, breaker) => keep(step, &curb.key, breaker, breaker.until),
            What::Limit(limit, used) => {
                let next: Option<Timestamp> = used.next(limit, now);
                keep(step, &curb.key, used, next);
            }
        }
    }
    step.curbs.classes = Some(Classes(curbs));
}
