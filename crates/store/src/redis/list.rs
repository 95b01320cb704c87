//! Pages of tasks in insertion order.
//!
//! The numbers come from the narrowest place that holds all which fit: the children of a parent, the sets of those
//! aside, leased and in line when they hold a small part of the project, the tasks of a run, else all numbers in
//! order. What remains of the filter is decided on the rows.

use domain::id::Seq;
use domain::limits;
use domain::run::RunNo;
use domain::store::{Filter, View};
use domain::task::record::{Task, is_aside};
use domain::task::state::State;

use super::batch::Batch;
use super::keys::{self, field};
use super::snapshot::{Found, Snapshot};

/// States are looked up when they hold less than one task in so many.
const RARE: u64 = 4;
/// Rows looked at in one exchange.
const LOOK: usize = 1_000;

/// What remains of a filter once its names are numbers.
struct Fits<'a> {
    filter: &'a Filter,
    run: Option<RunNo>,
    parent: Option<Seq>,
    classes: Option<Vec<domain::task::record::ClassNo>>,
}

impl Fits<'_> {
    fn fits(&self, task: &Task) -> bool {
        let filter = self.filter;
        (filter.states.is_empty() || filter.states.contains(&task.state))
            && self.run.is_none_or(|run| task.run == Some(run))
            && self.parent.is_none_or(|parent| task.parent == Some(parent))
            && self
                .classes
                .as_ref()
                .is_none_or(|classes| classes.contains(&task.class))
            && filter.source.is_none_or(|source| task.source == source)
            && (!filter.dead_letters || task.dead_letter)
            && (filter.superseded || !task.superseded)
    }
}

/// Where the numbers come from.
enum From {
    /// All of them, in order.
    Some(Vec<Seq>),
    /// A list on the server, from this place on.
    Run(RunNo, i64),
    All,
}

pub(super) fn list(at: &mut Snapshot<'_>, filter: &Filter, after: Seq, limit: usize) -> Found<Vec<View>> {
    let Some(fits) = resolve(at, filter)? else {
        return Ok(Vec::new());
    };
    let limit = limit.min(limits::PAGE_MAX);
    let mut from = choose(at, &fits, after)?;
    let mut page = Vec::new();
    let mut after = after;
    while page.len() < limit {
        let seqs = next(at, &mut from, after)?;
        let Some(last) = seqs.last() else { break };
        after = *last;
        // A project that has come from elsewhere has gaps in its numbers.
        let tasks = at.base.tasks(&seqs)?;
        page.extend(tasks.into_iter().filter(|task| fits.fits(task)));
    }
    page.truncate(limit);
    at.views(page)
}

/// `None` when nothing can fit.
fn resolve<'f>(at: &mut Snapshot<'_>, filter: &'f Filter) -> Found<Option<Fits<'f>>> {
    let run = match filter.run {
        None => None,
        Some(id) => match at.base.run_no(id)? {
            Some(no) => Some(no),
            None => return Ok(None),
        },
    };
    let parent = match &filter.parent {
        None => None,
        Some(id) => match at.base.find(std::slice::from_ref(id))?.pop().flatten() {
            Some(seq) => Some(seq),
            None => return Ok(None),
        },
    };
    let fitting = at.classes.iter().filter(|(_, class)| filter.wants(class));
    let classes = filter.is_by_class().then(|| fitting.map(|(no, _)| *no).collect());
    Ok(Some(Fits {
        filter,
        run,
        parent,
        classes,
    }))
}

fn choose(at: &mut Snapshot<'_>, fits: &Fits<'_>, after: Seq) -> Found<From> {
    if let Some(parent) = fits.parent {
        let children = at.base.children(parent, usize::MAX)?;
        return Ok(From::Some(later(children, after)));
    }
    let failed = [State::Failed];
    let states = if fits.filter.dead_letters {
        &failed[..]
    } else {
        &fits.filter.states
    };
    let counts = at.head.head.counts;
    let listed = |state: &State| is_aside(*state) || state.is_leased() || *state == State::Ready;
    let some: u64 = states.iter().map(|state| counts.of(*state)).sum();
    if !states.is_empty() && states.iter().all(listed) && some * RARE < counts.total() {
        let seqs = by_states(at, states)?;
        return Ok(From::Some(later(seqs, after)));
    }
    match fits.run {
        Some(run) => Ok(From::Run(
            run,
            at.base.place_in_run(run, Seq(after.0.saturating_add(1)))?,
        )),
        None => Ok(From::All),
    }
}

fn later(mut seqs: Vec<Seq>, after: Seq) -> Vec<Seq> {
    seqs.retain(|seq| *seq > after);
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

/// The next numbers to look at.
fn next(at: &mut Snapshot<'_>, from: &mut From, after: Seq) -> Found<Vec<Seq>> {
    match from {
        From::Some(seqs) => {
            let count = seqs.len().min(LOOK);
            Ok(seqs.drain(..count).collect())
        }
        From::Run(run, place) => {
            let end = *place + LOOK as i64;
            let members = at.base.members_at(*run, *place, end - 1)?;
            *place = end;
            Ok(members)
        }
        From::All => {
            let last = at.head.last_seq.0.min(after.0.saturating_add(LOOK as u64));
            Ok((after.0.saturating_add(1)..=last).map(Seq).collect())
        }
    }
}

/// All tasks in these states, and some that are not.
fn by_states(at: &mut Snapshot<'_>, states: &[State]) -> Found<Vec<Seq>> {
    let keys = at.base.keys.clone();
    let mut batch = Batch::default();
    let mut numbered = 0;
    let mut sets: Vec<Vec<u8>> = Vec::new();
    sets.extend(
        states
            .iter()
            .filter(|state| is_aside(**state))
            .map(|state| keys.aside(*state)),
    );
    if states
        .iter()
        .any(|state| state.is_leased() || *state == State::Suspended)
    {
        sets.push(keys.of("x"));
    }
    for set in &sets {
        batch.put(&[b"ZRANGE", set, b"0", b"-1"]);
        numbered += 1;
    }
    let ready = states.contains(&State::Ready);
    let lines = if ready { at.classes.len() } else { 0 };
    if ready {
        for (class, _) in at.classes.iter() {
            batch.put(&[b"ZRANGE", &keys.line(*class, None), b"0", b"-1"]);
        }
        batch.put(&[b"ZRANGE", &keys.of("p"), b"0", b"-1"]);
    }
    if batch.count() == 0 {
        return Ok(Vec::new());
    }
    let mut answers = at.base.ask(&batch)?;
    let mut seqs = Vec::new();
    for _ in 0..numbered {
        for member in answers.members()? {
            seqs.push(keys::seq_of(&member)?);
        }
    }
    for _ in 0..lines {
        for member in answers.members()? {
            seqs.push(keys::place_of(&member, 0)?.seq);
        }
    }
    if ready {
        for member in answers.members()? {
            seqs.push(keys::parked_of(&member)?.2);
        }
    }
    Ok(seqs)
}

/// The first pending or blocked task, by number.
pub(super) fn oldest_waiting(at: &mut Snapshot<'_>) -> Found<Option<Task>> {
    let mut batch = Batch::default();
    for state in [State::Pending, State::Blocked] {
        batch.put(&[b"ZRANGE", &at.base.keys.aside(state), &field(0), &field(0)]);
    }
    let mut answers = at.base.ask(&batch)?;
    let mut first: Option<Seq> = None;
    for _ in 0..2 {
        for member in answers.members()? {
            let seq = keys::seq_of(&member)?;
            first = Some(first.map_or(seq, |first| first.min(seq)));
        }
    }
    match first {
        Some(seq) => Ok(at.base.listed(&[seq])?.pop()),
        None => Ok(None),
    }
}
