//! Everything that is kept twice, computed again from the rows and compared.
//!
//! All rows are read in pages; what is remembered of each is a few bytes.

use std::collections::BTreeMap;

use domain::book::Book;
use domain::event::Verifier;
use domain::id::{EventNo, Project, Seq, TaskId};
use domain::prune::{BEGINNING, Beginning};
use domain::run::{Counts, RunNo};
use domain::task::record::Task;
use domain::task::state::State;
use rustc_hash::FxHashMap;

use super::base::Base;
use super::batch::Batch;
use super::desk::Listing;
use super::keys;
use super::send::{Spot, spot};
use super::snapshot::{Found, Snapshot};
use crate::findings::{Findings, List, Sum, Who, Wrong};

/// The commands that count the members of a set.
const ORDERED: &[u8] = b"ZCARD";
const PLAIN: &[u8] = b"SCARD";
/// Rows and events looked at in one exchange.
const PAGE: usize = 1_000;

/// What the rows add up to.
#[derive(Default)]
struct Sums {
    all: Sum,
    runs: BTreeMap<RunNo, (Counts, u64)>,
    /// How many members each set should have, by key and command that counts them.
    listed: BTreeMap<(Vec<u8>, &'static [u8]), u64>,
    children: FxHashMap<Seq, u32>,
    brief: Vec<(Seq, Brief)>,
}

/// What is still needed of a row once its page is gone.
struct Brief {
    id: TaskId,
    last_event: EventNo,
    dependents: u32,
    children: u32,
    ended: bool,
    leased: bool,
    /// Blocked and without subtasks: its open prerequisites can be counted.
    open: Option<u32>,
}

pub(super) fn findings(at: &mut Snapshot<'_>, project: &Project) -> Found<Vec<String>> {
    let mut found = Findings::default();
    let mut sum = Sums::default();
    let last = at.head.last_seq.0;
    let mut next = 1;
    while next <= last {
        let end = last.min(next + PAGE as u64 - 1);
        let seqs: Vec<Seq> = (next..=end).map(Seq).collect();
        page(at, &seqs, &mut sum, &mut found)?;
        next = end + 1;
    }
    found.head(&at.head.head, &sum.all);
    sizes(at, project, &sum, &mut found)?;
    edges(at, &sum, &mut found)?;
    runs(at, &mut sum, &mut found)?;
    holders(at, &sum, &mut found)?;
    chain(at, project, &sum, &mut found)?;
    Ok(found.lines())
}

fn page(at: &mut Snapshot<'_>, seqs: &[Seq], sum: &mut Sums, found: &mut Findings) -> Found<()> {
    let tasks = at.base.tasks(seqs)?;
    let bodies: Vec<Seq> = at.base.bodies(seqs)?.into_iter().map(|(seq, _)| seq).collect();
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
    let numbers = if ids.is_empty() {
        Vec::new()
    } else {
        at.base.find(&ids)?
    };
    for (task, number) in tasks.iter().zip(numbers) {
        if number != Some(task.seq) {
            found.note(task, &Wrong::Id);
        }
        if bodies.binary_search(&task.seq).is_err() {
            found.note(task, &Wrong::Body);
        }
        if !at.classes.iter().any(|(no, _)| *no == task.class) {
            found.note(task, &Wrong::Class);
        }
        found.row(task);
        add(task, sum);
    }
    listings(&mut at.base, &tasks, sum, found)
}

fn add(task: &Task, sum: &mut Sums) {
    sum.all.add(task);
    if let Some(run) = task.run.filter(|_| !task.superseded) {
        let (counts, skipped) = sum.runs.entry(run).or_default();
        counts.add(task.state);
        *skipped += u64::from(task.is_skipped());
    }
    if let Some(parent) = task.parent {
        *sum.children.entry(parent).or_default() += 1;
    }
    let countable = task.state == State::Blocked && task.children == 0;
    sum.brief.push((
        task.seq,
        Brief {
            id: task.id.clone(),
            last_event: task.last_event,
            dependents: task.dependents,
            children: task.children,
            ended: task.state.is_terminal(),
            leased: task.lease.is_some(),
            open: countable.then_some(task.open),
        },
    ));
}

/// Each task stands wherever its row says, with the right score.
fn listings(base: &mut Base<'_>, tasks: &[Task], sum: &mut Sums, found: &mut Findings) -> Found<()> {
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for task in tasks {
        for listing in Listing::of(task) {
            let Spot { key, member, score } = spot(&base.keys, &listing);
            let (ask, count): (&[u8], &[u8]) = match score {
                Some(_) => (b"ZSCORE", ORDERED),
                None => (b"SISMEMBER", PLAIN),
            };
            batch.put(&[ask, &key, &member]);
            *sum.listed.entry((key, count)).or_default() += 1;
            // A plain set answers with 1.
            expected.push((task, listing, score.unwrap_or(1)));
        }
    }
    if expected.is_empty() {
        return Ok(());
    }
    let mut answers = base.ask(&batch)?;
    for (task, listing, score) in expected {
        let kept = answers.bytes()?;
        let kept: Option<f64> = kept.and_then(|text| String::from_utf8(text).ok()?.parse().ok());
        if kept != Some(score as f64) {
            found.note(task, &Wrong::Missing(listing.list()));
        }
    }
    Ok(())
}

/// Nobody stands where no row says so: every set has as many members as it should.
fn sizes(at: &mut Snapshot<'_>, project: &Project, sum: &Sums, found: &mut Findings) -> Found<()> {
    let keys = at.base.keys.clone();
    let mut ordered: Vec<Vec<u8>> = ["p", "tm", "x"].map(|name| keys.of(name)).into();
    ordered.extend(at.classes.iter().map(|(class, _)| keys.line(*class, None)));
    ordered.extend(State::ALL.map(|state| keys.aside(state)));
    let mut sets: BTreeMap<_, u64> = ordered.into_iter().map(|key| ((key, ORDERED), 0)).collect();
    sets.extend(sum.listed.iter().map(|(set, count)| (set.clone(), *count)));
    let children: u32 = sum.children.values().sum();
    sets.insert((keys.of("g"), ORDERED), children.into());
    let mut batch = Batch::default();
    for (key, count) in sets.keys() {
        batch.put(&[count, key]);
    }
    for hash in ["t", "b", "i"] {
        batch.put(&[b"HLEN", &keys.of(hash)]);
    }
    batch.put(&[b"LLEN", &keys.of("e")]);
    let mut answers = at.base.ask(&batch)?;
    for ((key, _), right) in &sets {
        let kept = answers.int()?.cast_unsigned();
        let name = String::from_utf8_lossy(key);
        found.differ(format_args!("the size of `{name}`"), &kept, right);
    }
    for what in ["rows", "bodies", "ids"] {
        let kept = answers.int()?.cast_unsigned();
        found.differ(
            format_args!("the number of {what}"),
            &kept,
            &(sum.brief.len() as u64),
        );
    }
    let events = answers.int()?.cast_unsigned();
    let from = beginning(at, project)?.after.last.0;
    let right = at.head.head.chain.last.0.saturating_sub(from);
    found.differ("the length of the log", &events, &right);
    Ok(())
}

fn edges(at: &mut Snapshot<'_>, sum: &Sums, found: &mut Findings) -> Found<()> {
    let mut open: FxHashMap<Seq, u32> = FxHashMap::default();
    for page in sum.brief.chunks(PAGE) {
        let of: Vec<_> = page.iter().map(|(seq, _)| (*seq, Seq(0))).collect();
        let all = at.base.dependents(&of, usize::MAX)?;
        for ((seq, brief), edges) in page.iter().zip(all) {
            let (kept, right) = (u64::from(brief.dependents), edges.len() as u64);
            if kept != right {
                found.note(&brief.id, &Wrong::Dependents(kept, right));
            }
            let right = sum.children.get(seq).copied().unwrap_or(0);
            if brief.children != right {
                found.note(&brief.id, &Wrong::Children(brief.children.into(), right.into()));
            }
            for (child, _) in edges {
                if child.0 == 0 || child > at.head.last_seq {
                    found.note(&brief.id, &Wrong::EdgeToNobody);
                }
                if !brief.ended {
                    *open.entry(child).or_default() += 1;
                }
            }
        }
    }
    if at.head.unsettled > 0 {
        return Ok(());
    }
    for (seq, brief) in &sum.brief {
        let right = open.get(seq).copied().unwrap_or(0);
        if let Some(kept) = brief.open.filter(|kept| *kept < right) {
            found.note(&brief.id, &Wrong::Open(kept.into(), right.into()));
        }
    }
    Ok(())
}

fn runs(at: &mut Snapshot<'_>, sum: &mut Sums, found: &mut Findings) -> Found<()> {
    let numbers: Vec<RunNo> = (1..=at.head.last_run.0).map(RunNo).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    for run in at.base.runs(&numbers)? {
        let (counts, skipped) = sum.runs.remove(&run.no).unwrap_or_default();
        found.run(&run, &counts, skipped);
    }
    for run in sum.runs.keys() {
        found.say(format!(
            "there are tasks of run number {}, which does not exist",
            run.0
        ));
    }
    Ok(())
}

fn holders(at: &mut Snapshot<'_>, sum: &Sums, found: &mut Findings) -> Found<()> {
    let holders = at.base.holders(b"-", b"+")?;
    let held = at.base.texts(&at.base.keys.of("hd"), b"-", b"+", usize::MAX)?;
    found.differ("the number of held names", &held.len(), &holders.len());
    for (name, seq, mode) in holders {
        let brief = sum.brief.binary_search_by_key(&seq, |(seq, _)| *seq);
        let brief = brief.ok().map(|at| &sum.brief[at].1);
        let who = Who::of(brief.map(|brief| brief.id.clone()), seq);
        if !held.contains(&keys::held(seq, &name, mode)) {
            found.note(who.clone(), &Wrong::Stray(List::Holders(name.clone())));
        }
        if !brief.is_some_and(|brief| brief.leased) {
            found.note(who, &Wrong::Holds(name));
        }
    }
    Ok(())
}

fn beginning(at: &mut Snapshot<'_>, project: &Project) -> Found<Beginning> {
    let kept = at.base.entries(Book::Cursor, &[BEGINNING.into()])?;
    Ok(Beginning::read(project, &kept)?)
}

/// Follows the log from its first event to the head, and the events of each task to its row.
fn chain(at: &mut Snapshot<'_>, project: &Project, sum: &Sums, found: &mut Findings) -> Found<()> {
    let from = beginning(at, project)?;
    let mut verifier = Verifier::after(from.after);
    let mut last: FxHashMap<Seq, EventNo> = FxHashMap::default();
    let mut next = EventNo(1);
    loop {
        let events = at.raw_events(next, PAGE)?;
        if events.is_empty() {
            break;
        }
        for event in events {
            if let Err(broken) = verifier.follow(&event) {
                found.broken(&broken);
                return Ok(());
            }
            if let Some(seq) = event.fact.task {
                found.before(&event, from.before(&event, last.insert(seq, event.no)));
            }
            next = EventNo(event.no.0 + 1);
        }
    }
    if let Err(broken) = verifier.finish(&at.head.head.chain) {
        found.broken(&broken);
    }
    for (seq, brief) in &sum.brief {
        let right = from.last(brief.last_event, last.get(seq).copied());
        found.last_event(&brief.id, brief.last_event, right);
    }
    Ok(())
}
