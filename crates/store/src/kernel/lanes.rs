//! Keys that take turns: of the tasks with one key, one of each group stands in line, the others wait behind it.
//!
//! Its place there is that of the moment when its key was served last, so that a key with a hundred thousand tasks is
//! served as often as one with a single task. When it leaves the line, the next of its group comes in; when the key's
//! slots or its rate are used up, nobody does until that changes.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::curb::turn::Lane;
use domain::id::Seq;
use domain::store::Result;
use domain::task::lock::LIMIT;
use domain::task::record::{Task, Wait};
use domain::task::spec::{Concurrency, Json};
use domain::task::state::State;
use rustc_hash::{FxHashMap, FxHashSet};

use super::locks;
use super::step::Step;
use super::tx::Group;

/// What a step knows of keys.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    known: FxHashMap<Arc<str>, Lane>,
    changed: FxHashSet<Arc<str>>,
    /// The things that tasks of this step wait under for their key; none has none.
    things: FxHashMap<Seq, Option<Arc<str>>>,
}

fn thing(key: &str) -> Arc<str> {
    Lane::thing(key).into()
}

pub(super) fn is_lane(thing: &str) -> bool {
    thing.starts_with(LIMIT)
}

fn look<'s>(step: &'s mut Step<'_>, thing: &Arc<str>) -> Result<&'s Lane> {
    if !step.lanes.known.contains_key(thing) {
        load(step, std::slice::from_ref(thing))?;
    }
    Ok(step.lanes.known.entry(thing.clone()).or_default())
}

fn change<'s>(step: &'s mut Step<'_>, thing: &Arc<str>) -> Result<&'s mut Lane> {
    look(step, thing)?;
    step.lanes.changed.insert(thing.clone());
    Ok(step.lanes.known.entry(thing.clone()).or_default())
}

/// Brings lanes into the step, in one read.
fn load(step: &mut Step<'_>, things: &[Arc<str>]) -> Result<()> {
    let missing = |thing: &&Arc<str>| !step.lanes.known.contains_key(*thing);
    let missing: Vec<Arc<str>> = things.iter().filter(missing).cloned().collect();
    let keys: Vec<Arc<str>> = missing.iter().map(|thing| Lane::kept(thing).into()).collect();
    let found = step.entries(Book::Gauge, &keys)?;
    let mut found = found.iter().peekable();
    for (thing, key) in missing.into_iter().zip(keys) {
        let lane = match found.next_if(|entry| entry.key == key) {
            Some(entry) => entry.read()?,
            None => Lane::default(),
        };
        step.lanes.known.insert(thing, lane);
    }
    Ok(())
}

/// Tells the step what the new tasks of an admission wait under, since their bodies are not stored yet.
pub(super) fn announce(step: &mut Step<'_>, keys: Vec<(Seq, Option<String>)>) -> Result<()> {
    let mut all: Vec<Arc<str>> = Vec::new();
    for (seq, key) in keys {
        let thing = key.map(|key| thing(&key));
        all.extend(thing.clone());
        step.lanes.things.insert(seq, thing);
    }
    all.sort_unstable();
    all.dedup();
    load(step, &all)
}

/// What a task waits under for its key, if it has one.
fn thing_of(step: &mut Step<'_>, seq: Seq) -> Result<Option<Arc<str>>> {
    if let Some(known) = step.lanes.things.get(&seq) {
        return Ok(known.clone());
    }
    let key = locks::guards(step, seq)?.concurrency.map(|limit| limit.key);
    let thing = key.map(|key| thing(&key));
    step.lanes.things.insert(seq, thing.clone());
    Ok(thing)
}

/// Who stands in line for a key, and for which group.
fn head(task: &Task) -> Option<(Arc<str>, Group)> {
    match &task.wait {
        Wait::Turn(thing, _) => Some((thing.clone(), (task.class, task.run))),
        _ => None,
    }
}

/// Lets a task that has become ready wait for its turn, and keeps in mind who stands in line.
pub(super) fn follow(step: &mut Step<'_>, before: Option<&Task>, task: &mut Task) -> Result<()> {
    let was_ready = before.is_some_and(|before| before.state == State::Ready);
    let group = (task.class, task.run);
    if task.state == State::Ready && !was_ready && task.wait == Wait::No {
        if let Some(thing) = thing_of(step, task.seq)? {
            enter(step, task, thing)?;
        }
    } else if let (Some(thing), Some(before)) = (task.parked_under().cloned(), before)
        && is_lane(&thing)
        && before.class != task.class
        && !look(step, &thing)?.heads.contains(&group)
    {
        // Its new group may have nobody in line.
        enter(step, task, thing)?;
    }
    let (was, is) = (before.and_then(head), head(task));
    if was == is {
        return Ok(());
    }
    if let Some((thing, group)) = was {
        change(step, &thing)?.heads.retain(|head| *head != group);
        if task.parked_under() != Some(&thing) {
            step.batons.push((thing, group));
        }
    }
    if let Some((thing, group)) = is {
        let lane = change(step, &thing)?;
        if !lane.heads.contains(&group) {
            lane.heads.push(group);
        }
    }
    Ok(())
}

/// Into the line if nobody of its group stands there for the key, else behind whoever does.
fn enter(step: &mut Step<'_>, task: &mut Task, thing: Arc<str>) -> Result<()> {
    let busy = look(step, &thing)?.heads.contains(&(task.class, task.run));
    task.wait = match busy {
        true => Wait::Parked(thing),
        false => turn(step, task, &thing)?,
    };
    Ok(())
}

/// The place of a task whose turn it is.
pub(super) fn turn(step: &mut Step<'_>, task: &Task, thing: &Arc<str>) -> Result<Wait> {
    let served = look(step, thing)?.served;
    let at = served.map_or(task.submitted_at, |served| served.max(task.submitted_at));
    Ok(Wait::Turn(thing.clone(), at))
}

/// Whether somebody of this group stands in line for the key.
pub(super) fn has_head(step: &mut Step<'_>, thing: &Arc<str>, group: Group) -> Result<bool> {
    Ok(is_lane(thing) && look(step, thing)?.heads.contains(&group))
}

/// Whether the rate of a key lets one more begin.
pub(super) fn open(step: &mut Step<'_>, asked: &Concurrency) -> Result<bool> {
    let Some(rate) = asked.rate else { return Ok(true) };
    let now = step.now;
    let lane = change(step, &thing(&asked.key))?;
    lane.rate = Some(rate);
    Ok(lane.open(now))
}

/// An attempt of this key begins.
pub(super) fn serve(step: &mut Step<'_>, asked: &Concurrency) -> Result<()> {
    let now = step.now;
    change(step, &thing(&asked.key))?.serve(asked.rate, now);
    Ok(())
}

/// Whether the entry is one of a key.
pub(super) fn is_kept(entry: &Entry) -> bool {
    entry.key.starts_with(Lane::PREFIX)
}

/// An entry as it goes to another store, where groups have other numbers. Who stands in line passes the turn on all the
/// same.
pub(super) fn carry(entry: &mut Entry) -> Result<()> {
    if is_kept(entry) {
        let lane: Lane = entry.read()?;
        entry.value = Json::of(&Lane {
            heads: Vec::new(),
            ..lane
        });
    }
    Ok(())
}

/// Rates that let somebody through now, and keys that are forgotten.
pub(super) fn wake(step: &mut Step<'_>, due: &[Entry]) -> Result<()> {
    for entry in due {
        let thing = thing(&entry.key[Lane::PREFIX.len()..]);
        change(step, &thing)?;
        step.freed.push(thing);
    }
    Ok(())
}

pub(super) fn save(step: &mut Step<'_>) {
    let now = step.now;
    let mut changed: Vec<Arc<str>> = step.lanes.changed.drain().collect();
    changed.sort_unstable();
    for thing in changed {
        let lane = &step.lanes.known[&thing];
        let due = lane.due(now);
        let over = lane.heads.is_empty() && due.is_some_and(|due| due <= now.wall);
        let kept = (!over).then(|| (Json::of(lane), due));
        step.write_entry(Book::Gauge, &Lane::kept(&thing).into(), kept);
    }
}
