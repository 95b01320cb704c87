//! Reservations: a task that others keep overtaking gets its locks before they do.
//!
//! Who needs several locks, or one that many share, may find one of them taken each time another is free. When tasks that
//! stand behind it in line have overtaken it often enough ([`Pass`]) all of its locks are kept for it: whoever stands behind
//! it and wants one of them is parked under the name as if somebody held it. Of tasks that want the same only one
//! reserves. A task that needs more of a worker than that has free is kept room for in the same way: the worker takes
//! nothing more that would be in its way. A reservation that leads to nothing is given up.
//!
//! All of it is one small document, apart from the locks that are held; the head says whether there is one, so where
//! nobody is overtaken nothing is read. What a task wants stands in its body.

use std::sync::Arc;

use domain::book::Book;
use domain::curb::turn::{Kept, Pass, Passed};
use domain::id::{Seq, WorkerId};
use domain::store::Result;
use domain::task::lock::Lock;
use domain::task::record::{Task, Wait};
use domain::task::spec::Json;
use domain::task::state::State;
use rustc_hash::FxHashSet;

use super::lanes;
use super::locks::{self, Obstacle};
use super::step::Step;
use super::tx::Head;

/// How long something is kept, in milliseconds: while its task waits for the rest, while nobody takes the task, and while
/// its worker does not ask.
const WAITS: i64 = Kept::LONGEST;
const TAKEN: i64 = 10_000;
const ASKED: i64 = 60_000;

/// Those that reserve, with their locks.
type Wanted = Arc<[(Seq, Vec<Lock>)]>;

/// What a step knows of those who were passed over.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    passed: Option<Passed>,
    changed: bool,
    /// Known once somebody has asked.
    wanted: Option<Wanted>,
    /// A step that hands on many locks has passed over nobody twice.
    counted: FxHashSet<Seq>,
}

/// Whether anybody is counted at all.
fn any(step: &Step<'_>) -> bool {
    match &step.reserved.passed {
        Some(passed) => !passed.tasks.is_empty(),
        None => step.writes.head.1.books & Head::OVERTAKEN != 0,
    }
}

fn look<'s>(step: &'s mut Step<'_>) -> Result<&'s Passed> {
    if step.reserved.passed.is_none() && any(step) {
        let found = step.entries(Book::Gauge, &[Passed::KEY.into()])?.pop();
        step.reserved.passed = found.map(|entry| entry.read()).transpose()?;
    }
    Ok(step.reserved.passed.get_or_insert_default())
}

fn change<'s>(step: &'s mut Step<'_>) -> Result<&'s mut Passed> {
    look(step)?;
    step.reserved.changed = true;
    Ok(step.reserved.passed.get_or_insert_default())
}

fn wanted(step: &mut Step<'_>) -> Result<Wanted> {
    if let Some(known) = &step.reserved.wanted {
        return Ok(known.clone());
    }
    let seqs: Vec<Seq> = look(step)?.reserving().collect();
    let wanted = match seqs.is_empty() {
        true => Vec::new(),
        false => {
            step.load(&seqs)?;
            let bodies = step.tx.bodies(step.project, &seqs)?.into_iter();
            bodies.map(|(seq, body)| (seq, locks::of(&body.spec))).collect()
        }
    };
    Ok(step.reserved.wanted.insert(wanted.into()).clone())
}

/// The name that a task before this one in line has reserved of what this one wants.
pub(super) fn in_the_way(step: &mut Step<'_>, task: &Task, locks: &[Lock]) -> Result<Option<String>> {
    if locks.is_empty() || !any(step) {
        return Ok(None);
    }
    for (seq, wanted) in wanted(step)?.iter().filter(|(seq, _)| *seq != task.seq) {
        if let Some(name) = clash(wanted, locks)
            && step.task(*seq)?.place() < task.place()
        {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

fn clash<'a>(wanted: &'a [Lock], locks: &[Lock]) -> Option<&'a str> {
    let mut clashes = wanted
        .iter()
        .filter(|lock| locks.iter().any(|other| lock.conflicts(other)));
    clashes.next().map(|lock| lock.name.as_str())
}

/// A task could have gone on but for a lock. If somebody behind it in line has got that, it was passed over.
pub(super) fn pass(step: &mut Step<'_>, task: &Task, locks: &[Lock], obstacle: &Obstacle) -> Result<()> {
    let Some(holder) = obstacle.holder else {
        return Ok(());
    };
    if step.task(holder)?.place() < task.place() || !count(step, task)? {
        return Ok(());
    }
    let reserving = wanted(step)?;
    let taken = reserving.iter().any(|(_, wanted)| clash(wanted, locks).is_some());
    match taken || reserving.len() >= Passed::RESERVING {
        true => Ok(()),
        false => keep(step, task.seq, None, WAITS),
    }
}

/// Counts once more; whether it is enough and nothing is kept for the task yet.
fn count(step: &mut Step<'_>, task: &Task) -> Result<bool> {
    let now = step.now.wall;
    if !step.reserved.counted.insert(task.seq) {
        return Ok(false);
    }
    let known = &look(step)?.tasks;
    if known.len() >= Passed::COUNTED && !known.contains_key(&task.seq.0) {
        return Ok(false);
    }
    let passed = change(step)?;
    let pass = passed.tasks.entry(task.seq.0).or_insert_with(|| Pass::new(now));
    Ok(pass.again(now) && pass.kept.is_none())
}

/// Keeps something for a task, or goes on with that for another span.
fn keep(step: &mut Step<'_>, seq: Seq, by: Option<&WorkerId>, span: i64) -> Result<()> {
    let now = step.now.wall;
    let Some(pass) = look(step)?.tasks.get(&seq.0) else {
        return Ok(());
    };
    let kept = match &pass.kept {
        Some(kept) => kept.lasting(now, span),
        None => Kept::new(by.cloned(), now, span),
    };
    if pass.kept.as_ref() != Some(&kept) {
        let passed = change(step)?;
        if let Some(pass) = passed.tasks.get_mut(&seq.0) {
            pass.kept = Some(kept);
        }
        step.reserved.wanted = None;
    }
    Ok(())
}

/// The task that this worker keeps something back for.
pub(super) fn of_worker(step: &mut Step<'_>, worker: &WorkerId) -> Result<Option<Task>> {
    if !any(step) {
        return Ok(None);
    }
    let now = step.now.wall;
    let mut kept = look(step)?
        .tasks
        .iter()
        .filter_map(|(seq, pass)| Some((Seq(*seq), pass.kept.as_ref()?)));
    let found = kept.find(|(_, kept)| kept.by.as_ref() == Some(worker));
    let Some((seq, until)) = found.map(|(seq, kept)| (seq, kept.until)) else {
        return Ok(None);
    };
    step.load(&[seq])?;
    let task = step.task(seq).ok().filter(|task| task.in_line()).cloned();
    match &task {
        None => drop(change(step)?.tasks.remove(&seq.0)),
        // Not with every claim.
        Some(_) if until.0.saturating_sub(now.0) < ASKED / 2 => keep(step, seq, Some(worker), ASKED)?,
        Some(_) => {}
    }
    Ok(task)
}

/// A worker has taken others while a task stood before them that it could carry out if only it were idle.
pub(super) fn pass_for(step: &mut Step<'_>, task: &Task, worker: &WorkerId) -> Result<()> {
    match count(step, task)? {
        true => keep(step, task.seq, Some(worker), ASKED),
        false => Ok(()),
    }
}

/// Keeps up with a task that is handed out, comes into line or leaves it.
pub(super) fn follow(step: &mut Step<'_>, before: &Task, after: &Task) -> Result<()> {
    if before.state != State::Ready || !any(step) {
        return Ok(());
    }
    let Some(pass) = look(step)?.tasks.get(&after.seq.0) else {
        return Ok(());
    };
    let reserves = pass.reserves();
    if after.state != State::Ready {
        change(step)?.tasks.remove(&after.seq.0);
        step.reserved.wanted = None;
        return match reserves && after.lease.is_none() {
            true => free(step, after.seq),
            false => Ok(()),
        };
    }
    match (before.parked_under(), after.parked_under()) {
        _ if !reserves => Ok(()),
        // It waits for something else than locks.
        (_, Some(thing)) if lanes::is_lane(thing) => give_up(step, after.seq),
        (None, Some(_)) => keep(step, after.seq, None, WAITS),
        (Some(_), None) => keep(step, after.seq, None, TAKEN),
        _ => Ok(()),
    }
}

/// Whoever waits for what this task has reserved may go on.
fn free(step: &mut Step<'_>, seq: Seq) -> Result<()> {
    let locks = locks::guards(step, seq)?.locks;
    step.freed.extend(locks.into_iter().map(|lock| lock.name.into()));
    Ok(())
}

/// The task is counted anew.
fn give_up(step: &mut Step<'_>, seq: Seq) -> Result<()> {
    let now = step.now.wall;
    let passed = change(step)?;
    let before = passed.tasks.insert(seq.0, Pass::new(now));
    step.reserved.wanted = None;
    match before.is_some_and(|pass| pass.reserves()) {
        true => free(step, seq),
        false => Ok(()),
    }
}

/// Reservations that have led to nothing.
pub(super) fn wake(step: &mut Step<'_>) -> Result<()> {
    let now = step.now.wall;
    let over = |pass: &Pass| pass.kept.as_ref().is_some_and(|kept| kept.until <= now);
    let tasks = look(step)?.tasks.iter();
    let over: Vec<Seq> = tasks
        .filter(|(_, pass)| over(pass))
        .map(|(seq, _)| Seq(*seq))
        .collect();
    over.into_iter().try_for_each(|seq| give_up(step, seq))
}

/// Lets out those who have reserved what is free now; whoever waits behind them is not asked first.
pub(super) fn let_out(step: &mut Step<'_>, free: &[Arc<str>]) -> Result<()> {
    if !any(step) {
        return Ok(());
    }
    for (seq, _) in wanted(step)?.iter() {
        let task = step.task(*seq)?.clone();
        let Some(thing) = task.parked_under().filter(|thing| free.contains(thing)).cloned() else {
            continue;
        };
        let guards = locks::guards(step, *seq)?;
        let wait = match locks::obstacle(step, &task, &guards)? {
            None => Wait::Baton(thing),
            Some(other) => Wait::Parked(other.name),
        };
        if wait != task.wait {
            step.put(Task { wait, ..task })?;
            step.flush()?;
        }
    }
    Ok(())
}

pub(super) fn save(step: &mut Step<'_>) {
    if !std::mem::take(&mut step.reserved.changed) {
        return;
    }
    let passed = step.reserved.passed.clone().unwrap_or_default();
    let ends = passed.tasks.values().filter_map(|pass| pass.kept.as_ref());
    let due = ends.map(|kept| kept.until).min();
    let kept = (!passed.tasks.is_empty()).then(|| (Json::of(&passed), due));
    let books = &mut step.writes.head.1.books;
    match kept {
        Some(_) => *books |= Head::OVERTAKEN,
        None => *books &= !Head::OVERTAKEN,
    }
    step.write_entry(Book::Gauge, &Passed::KEY.into(), kept);
}
