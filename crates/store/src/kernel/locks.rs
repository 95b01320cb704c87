//! Locks and limits: acquired all or none inside the claim; tasks that cannot have theirs are parked.
//!
//! A parked task stands under the one held name that blocks it, out of the line, so that claims never scan past it.
//! When that name becomes free, the best placed waiter of each group is let out with the *baton* of the name; when
//! it leaves the line again, for whatever reason, the next of its group is let out. So nobody is woken in
//! crowds, and no wake-up is lost: a name that blocks nobody any more always has a baton under way for every group
//! that waits under it.

use std::sync::Arc;

use domain::code::{Code, Refusal};
use domain::curb::budget::Cap;
use domain::id::Seq;
use domain::store::Result;
use domain::task::lock::{LIMIT, Lock, Mode};
use domain::task::record::{Task, Wait};
use domain::task::spec::Concurrency;
use serde::Deserialize;

use super::lanes;
use super::reserve;
use super::step::Step;
use super::tx::Group;

/// The part of a spec that a claim must look at.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Guards {
    #[serde(default)]
    pub(super) locks: Vec<Lock>,
    #[serde(default)]
    pub(super) concurrency: Option<Concurrency>,
    #[serde(default)]
    pub(super) budget: Option<Cap>,
    /// In milliseconds.
    #[serde(default)]
    pub(super) timeout: Option<u64>,
}

pub(super) fn guards(step: &mut Step<'_>, seq: Seq) -> Result<Guards> {
    let body = step.tx.bodies(step.project, &[seq])?.pop();
    Ok(body
        .and_then(|(_, body)| serde_json::from_str(&body.spec).ok())
        .unwrap_or_default())
}

/// The key that the task of this spec shares with others.
pub(super) fn key(spec: &str) -> Option<String> {
    let guards: Guards = serde_json::from_str(spec).ok()?;
    guards.concurrency.map(|limit| limit.key)
}

/// The locks that the task of this spec asks for.
pub(super) fn of(spec: &str) -> Vec<Lock> {
    let guards: Guards = serde_json::from_str(spec).unwrap_or_default();
    guards.locks
}

/// Takes everything that a task needs, once nothing is in its way.
pub(super) fn acquire(step: &mut Step<'_>, seq: Seq, guards: Guards) -> Result<()> {
    for lock in guards.locks {
        step.writes.acquired.push((lock.name, seq, lock.mode));
    }
    if let Some(limit) = guards.concurrency {
        lanes::serve(step, &limit)?;
        let name = format!("{LIMIT}{}", limit.key);
        step.writes.acquired.push((name, seq, Mode::Shared));
    }
    Ok(())
}

/// What a task has to wait for.
pub(super) struct Obstacle {
    pub(super) name: Arc<str>,
    /// Who holds it, where it is a lock that somebody holds.
    pub(super) holder: Option<Seq>,
}

impl Obstacle {
    fn full(name: String) -> Obstacle {
        Obstacle {
            name: name.into(),
            holder: None,
        }
    }
}

/// The first thing that is in the way of a task, counting what this step has acquired but not yet written.
pub(super) fn obstacle(step: &mut Step<'_>, task: &Task, guards: &Guards) -> Result<Option<Obstacle>> {
    if let Some(limit) = &guards.concurrency {
        let name = format!("{LIMIT}{}", limit.key);
        let stored = step.tx.holders(step.project, &name)?.len();
        let fresh = step
            .writes
            .acquired
            .iter()
            .filter(|(held, _, _)| *held == name)
            .count();
        if stored + fresh >= limit.limit as usize || !lanes::open(step, limit)? {
            return Ok(Some(Obstacle::full(name)));
        }
    }
    for lock in &guards.locks {
        if let Some((name, holder)) = conflicting(step, lock)? {
            return Ok(Some(Obstacle {
                name: name.into(),
                holder: Some(holder),
            }));
        }
    }
    Ok(reserve::in_the_way(step, task, &guards.locks)?.map(Obstacle::full))
}

/// A held lock that conflicts with this one, and who has it.
fn conflicting(step: &mut Step<'_>, lock: &Lock) -> Result<Option<(String, Seq)>> {
    let clash = |name: &str, mode: Mode| {
        lock.conflicts(&Lock {
            name: name.to_owned(),
            mode,
        })
    };
    let fresh = step
        .writes
        .acquired
        .iter()
        .find(|(name, _, mode)| clash(name, *mode));
    if let Some((name, seq, _)) = fresh {
        return Ok(Some((name.clone(), *seq)));
    }
    for name in std::iter::once(lock.name.clone()).chain(lock.ancestors()) {
        let holders = step.tx.holders(step.project, &name)?;
        if let Some((seq, _)) = holders.iter().find(|(_, mode)| clash(&name, *mode)) {
            return Ok(Some((name, *seq)));
        }
    }
    if let Some((start, end)) = lock.descendants() {
        let below = step.tx.holders_between(step.project, &start, &end)?;
        return Ok(below
            .into_iter()
            .find(|(name, _, mode)| clash(name, *mode))
            .map(|(name, seq, _)| (name, seq)));
    }
    Ok(None)
}

/// Refuses unless the task holds a lock of exactly this name.
pub(super) fn check_held(step: &mut Step<'_>, task: &Task, name: &str) -> Result<()> {
    let held = step.tx.held_by(step.project, task.seq)?;
    if task.lease.is_some() && held.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    let detail = format!(
        "task {} does not hold the lock `{}`",
        task.id,
        name.escape_debug()
    );
    Err(Refusal::new(Code::LockNotHeld, detail))
}

pub(super) fn park(step: &mut Step<'_>, task: &Task, thing: Arc<str>) -> Result<()> {
    step.put(Task {
        wait: Wait::Parked(thing),
        ..task.clone()
    })
}

/// Lets out whoever can go on, after leases have ended or batons have left the line in this step.
pub(super) fn hand_on(step: &mut Step<'_>) -> Result<()> {
    while !(step.released.is_empty() && step.batons.is_empty() && step.freed.is_empty()) {
        let mut free: Vec<(Arc<str>, Option<Group>)> = step
            .batons
            .drain(..)
            .map(|(thing, group)| (thing, Some(group)))
            .collect();
        free.extend(step.freed.drain(..).map(|thing| (thing, None)));
        for seq in std::mem::take(&mut step.released) {
            let held = step.tx.held_by(step.project, seq)?;
            free.extend(held.into_iter().map(|(name, _)| (name.into(), None)));
            step.writes.released.push(seq);
        }
        // From here on the store itself tells what is held and who waits.
        step.flush()?;
        let names: Vec<Arc<str>> = free.iter().map(|(thing, _)| thing.clone()).collect();
        reserve::let_out(step, &names)?;
        for (thing, group) in free {
            let heads = step.tx.parked(step.project, &thing, group)?;
            for head in heads {
                let group = (head.class, head.run);
                if lanes::has_head(step, &thing, group)? {
                    continue;
                }
                let_out(step, &thing, head, group)?;
            }
        }
    }
    Ok(())
}

/// Lets `head` out, or moves it under what else is in its way and tries the next of its group.
fn let_out(step: &mut Step<'_>, thing: &Arc<str>, head: Task, group: Group) -> Result<()> {
    let mut head = head;
    loop {
        let guards = guards(step, head.seq)?;
        step.adopt(head.clone());
        let Some(other) = obstacle(step, &head, &guards)? else {
            let wait = match lanes::is_lane(thing) {
                true => lanes::turn(step, &head, thing)?,
                false => Wait::Baton(thing.clone()),
            };
            return step.put(Task { wait, ..head });
        };
        reserve::pass(step, &head, &guards.locks, &other)?;
        if other.name == *thing {
            return Ok(());
        }
        park(step, &head, other.name)?;
        step.flush()?;
        match step.tx.parked(step.project, thing, Some(group))?.pop() {
            Some(next) => head = next,
            None => return Ok(()),
        }
    }
}
