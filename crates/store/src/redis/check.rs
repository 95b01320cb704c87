//! Everything that is kept twice, computed again from the rows and compared.
//!
//! All rows are read in pages; what is remembered of each is a few bytes.

use std::collections::BTreeMap;
use std::fmt::Debug;

use domain::book::Book;
use domain::event::{Broken, Verifier};
use domain::id::{EventNo, Project, Seq, TaskId};
use domain::prune::{BEGINNING, Beginning};
use domain::run::{Counts, RunNo};
use domain::task::record::Task;
use domain::task::state::{Reason, State};
use rustc_hash::FxHashMap;

use super::base::Base;
use super::batch::Batch;
use super::desk::Listing;
use super::keys;
use super::send::{Spot, spot};
use super::snapshot::{Found, Snapshot};
use crate::kernel::tx::Head;

/// The commands that count the members of a set.
const ORDERED: &[u8] = b"ZCARD";
const PLAIN: &[u8] = b"SCARD";
/// How many findings of one sort are listed.
const LISTED: usize = 10;
/// Rows and events looked at in one exchange.
const PAGE: usize = 1_000;

#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    sorts: FxHashMap<&'static str, usize>,
}

impl Findings {
    /// Notes a finding, unless there are enough of its sort.
    fn note(&mut self, sort: &'static str, line: impl FnOnce() -> String) {
        let known = self.sorts.entry(sort).or_default();
        *known += 1;
        if *known <= LISTED {
            self.lines.push(line());
        }
    }

    fn same<T: PartialEq + Debug>(&mut self, what: &str, kept: &T, right: &T) {
        if kept != right {
            self.lines
                .push(format!("{what} is kept as {kept:?}, and is {right:?}"));
        }
    }
}

/// What the rows add up to.
#[derive(Default)]
struct Sum {
    counts: Counts,
    dead_letters: u64,
    score_sum: i64,
    max_depth: u32,
    newest: Option<domain::time::Timestamp>,
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
    let mut sum = Sum::default();
    let last = at.head.last_seq.0;
    let mut next = 1;
    while next <= last {
        let end = last.min(next + PAGE as u64 - 1);
        let seqs: Vec<Seq> = (next..=end).map(Seq).collect();
        page(at, &seqs, &mut sum, &mut found)?;
        next = end + 1;
    }
    head(&at.head.head, &sum, &mut found);
    sizes(at, project, &sum, &mut found)?;
    edges(at, &sum, &mut found)?;
    runs(at, &mut sum, &mut found)?;
    holders(at, &sum, &mut found)?;
    chain(at, project, &sum, &mut found)?;
    Ok(found.lines)
}

fn page(at: &mut Snapshot<'_>, seqs: &[Seq], sum: &mut Sum, found: &mut Findings) -> Found<()> {
    let tasks = at.base.tasks(seqs)?;
    let bodies: Vec<Seq> = at.base.bodies(seqs)?.into_iter().map(|(seq, _)| seq).collect();
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
    let numbers = if ids.is_empty() {
        Vec::new()
    } else {
        at.base.find(&ids)?
    };
    for (task, number) in tasks.iter().zip(numbers) {
        let id = &task.id;
        if number != Some(task.seq) {
            found.note("ids", || format!("the id {id} does not lead to its task"));
        }
        if bodies.binary_search(&task.seq).is_err() {
            found.note("bodies", || format!("task {id} has no body"));
        }
        if !at.classes.iter().any(|(no, _)| *no == task.class) {
            found.note("classes", || format!("task {id} has no class"));
        }
        row(task, found);
        add(task, sum);
    }
    listings(&mut at.base, &tasks, sum, found)
}

/// What a row says by itself.
fn row(task: &Task, found: &mut Findings) {
    let (id, state) = (&task.id, task.state);
    let may_be_leased = state.is_leased() || matches!(state, State::Suspended | State::Cancelled);
    if task.lease.is_some() && !may_be_leased {
        found.note("leases", || format!("task {id} has a lease in state {state}"));
    }
    if task.lease.is_none() && state.is_leased() {
        found.note("leases", || format!("task {id} is {state} without a lease"));
    }
    if task.dead_letter && state != State::Failed {
        found.note("letters", || {
            format!("task {id} is in the dead letters and not failed")
        });
    }
    if task.left.is_some() != (state == State::Suspended) {
        found.note("left", || {
            format!("task {id} is {state} and left {:?}", task.left)
        });
    }
}

fn add(task: &Task, sum: &mut Sum) {
    sum.counts.add(task.state);
    sum.dead_letters += u64::from(task.dead_letter);
    sum.score_sum += i64::from(task.score.0);
    sum.max_depth = sum.max_depth.max(task.depth);
    sum.newest = sum.newest.max(Some(task.submitted_at));
    if let Some(run) = task.run.filter(|_| !task.superseded) {
        let (counts, skipped) = sum.runs.entry(run).or_default();
        counts.add(task.state);
        let not_needed = task.state == State::Cancelled && task.reason == Some(Reason::NotNeeded);
        *skipped += u64::from(not_needed);
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
fn listings(base: &mut Base<'_>, tasks: &[Task], sum: &mut Sum, found: &mut Findings) -> Found<()> {
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
            expected.push((&task.id, listing, score.unwrap_or(1)));
        }
    }
    if expected.is_empty() {
        return Ok(());
    }
    let mut answers = base.ask(&batch)?;
    for (id, listing, score) in expected {
        let kept = answers.bytes()?;
        let kept: Option<f64> = kept.and_then(|text| String::from_utf8(text).ok()?.parse().ok());
        if kept != Some(score as f64) {
            found.note("listings", || {
                format!("task {id} is not where it should be: {listing:?}")
            });
        }
    }
    Ok(())
}

fn head(head: &Head, sum: &Sum, found: &mut Findings) {
    for ((state, kept), (_, right)) in head.counts.iter().zip(sum.counts.iter()) {
        found.same(&format!("the number of {state} tasks"), &kept, &right);
    }
    found.same(
        "the number of dead letters",
        &head.dead_letters,
        &sum.dead_letters,
    );
    found.same("the sum of scores", &head.score_sum, &sum.score_sum);
    // Of all that ever were: the deepest and the newest may have gone.
    let (max_depth, newest) = (sum.max_depth.max(head.max_depth), sum.newest.max(head.newest));
    found.same("the greatest depth", &head.max_depth, &max_depth);
    found.same("the newest submission", &head.newest, &newest);
}

/// Nobody stands where no row says so: every set has as many members as it should.
fn sizes(at: &mut Snapshot<'_>, project: &Project, sum: &Sum, found: &mut Findings) -> Found<()> {
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
        found.same(&format!("the size of {name}"), &kept, right);
    }
    for what in ["rows", "bodies", "ids"] {
        let kept = answers.int()?.cast_unsigned();
        found.same(&format!("the number of {what}"), &kept, &(sum.brief.len() as u64));
    }
    let events = answers.int()?.cast_unsigned();
    let from = beginning(at, project)?.after.last.0;
    let right = at.head.head.chain.last.0.saturating_sub(from);
    found.same("the length of the log", &events, &right);
    Ok(())
}

fn edges(at: &mut Snapshot<'_>, sum: &Sum, found: &mut Findings) -> Found<()> {
    let mut open: FxHashMap<Seq, u32> = FxHashMap::default();
    for page in sum.brief.chunks(PAGE) {
        let of: Vec<_> = page.iter().map(|(seq, _)| (*seq, Seq(0))).collect();
        let all = at.base.dependents(&of, usize::MAX)?;
        for ((seq, brief), edges) in page.iter().zip(all) {
            if brief.dependents as usize != edges.len() {
                found.note("dependents", || {
                    let (kept, right) = (brief.dependents, edges.len());
                    format!("task {} counts {kept} dependents and has {right}", brief.id)
                });
            }
            let children = sum.children.get(seq).copied().unwrap_or(0);
            if brief.children != children {
                found.note("children", || {
                    format!(
                        "task {} counts {} children and has {children}",
                        brief.id, brief.children
                    )
                });
            }
            for (child, _) in edges {
                if child.0 == 0 || child > at.head.last_seq {
                    found.note("edges", || {
                        format!("task {} has an edge to a task that does not exist", brief.id)
                    });
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
        if brief.open.is_some_and(|kept| kept < right) {
            found.note("open", || {
                format!(
                    "task {} counts {:?} open prerequisites and has {right}",
                    brief.id, brief.open
                )
            });
        }
    }
    Ok(())
}

fn runs(at: &mut Snapshot<'_>, sum: &mut Sum, found: &mut Findings) -> Found<()> {
    let numbers: Vec<RunNo> = (1..=at.head.last_run.0).map(RunNo).collect();
    if numbers.is_empty() {
        return Ok(());
    }
    for run in at.base.runs(&numbers)? {
        let right = sum.runs.remove(&run.no).unwrap_or_default();
        let kept = (run.counts, run.skipped);
        found.same(&format!("the counters of run {}", run.id), &kept, &right);
        let over = run.counts.open() == 0;
        found.same(
            &format!("the end of run {}", run.id),
            &run.finished_at.is_some(),
            &over,
        );
    }
    for run in sum.runs.keys() {
        found.note("runs", || format!("there are tasks of the unknown run {}", run.0));
    }
    Ok(())
}

fn holders(at: &mut Snapshot<'_>, sum: &Sum, found: &mut Findings) -> Found<()> {
    let holders = at.base.holders(b"-", b"+")?;
    let held = at.base.texts(&at.base.keys.of("hd"), b"-", b"+", usize::MAX)?;
    found.same("the number of held names", &held.len(), &holders.len());
    for (name, seq, mode) in holders {
        if !held.contains(&keys::held(seq, &name, mode)) {
            found.note("held", || {
                format!("`{name}` is held by task number {}, which does not know", seq.0)
            });
        }
        let leased = sum.brief.binary_search_by_key(&seq, |(seq, _)| *seq);
        if !leased.is_ok_and(|at| sum.brief[at].1.leased) {
            found.note("holders", || {
                format!("`{name}` is held by task number {} without a lease", seq.0)
            });
        }
    }
    Ok(())
}

fn beginning(at: &mut Snapshot<'_>, project: &Project) -> Found<Beginning> {
    let kept = at.base.entries(Book::Cursor, &[BEGINNING.into()])?;
    Ok(Beginning::read(project, &kept)?)
}

/// Follows the log from its first event to the head, and the events of each task to its row.
fn chain(at: &mut Snapshot<'_>, project: &Project, sum: &Sum, found: &mut Findings) -> Found<()> {
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
                found.lines.push(tell(&broken));
                return Ok(());
            }
            if let Some(seq) = event.fact.task {
                let before = from.before(&event, last.insert(seq, event.no));
                if before != event.prev {
                    found.note("threads", || {
                        format!(
                            "event {} names {} as the one before, and it was {}",
                            event.no.0, event.prev.0, before.0
                        )
                    });
                }
            }
            next = EventNo(event.no.0 + 1);
        }
    }
    if let Err(broken) = verifier.finish(&at.head.head.chain) {
        found.lines.push(tell(&broken));
    }
    for (seq, brief) in &sum.brief {
        let right = from.last(brief.last_event, last.get(seq).copied());
        if brief.last_event != right {
            found.note("heads", || {
                format!(
                    "task {} has event {} as its last, and it is {}",
                    brief.id, brief.last_event.0, right.0
                )
            });
        }
    }
    Ok(())
}

fn tell(broken: &Broken) -> String {
    match broken {
        Broken::Missing(no) => format!("event {} is missing or stands elsewhere", no.0),
        Broken::Edited(no) => format!("event {} is not what was written", no.0),
        Broken::CutOff { last, head } => format!("the log ends at event {}, the head at {}", last.0, head.0),
    }
}
