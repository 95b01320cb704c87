//! Everything that is kept twice, computed again from the rows and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use domain::book::Book;
use domain::decide::edges::{Fate, On, fate_for};
use domain::event::Verifier;
use domain::id::Seq;
use domain::prune::{BEGINNING, Beginning};
use domain::run::{Counts, RunNo};
use domain::store::Result;
use domain::task::record::Task;
use domain::task::state::{Reason, State};

use super::shelf::{Entry, Shelf, empty_head};

/// How many disagreements of one sort are listed.
const LISTED: usize = 5;

pub(super) fn findings(shelf: &Shelf) -> Vec<String> {
    let mut found = Findings::default();
    head(shelf, &mut found);
    derived(shelf, &mut found);
    rows(shelf, &mut found);
    edges(shelf, &mut found);
    runs(shelf, &mut found);
    locks(shelf, &mut found);
    log(shelf, &mut found);
    found.0
}

#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn expect<T: PartialEq + Debug>(&mut self, what: impl FnOnce() -> String, kept: &T, right: &T) {
        if kept != right {
            self.0
                .push(format!("{}: kept {kept:?}, but the rows say {right:?}", what()));
        }
    }

    fn hold(&mut self, fact: bool, otherwise: impl FnOnce() -> String) {
        if !fact {
            self.0.push(otherwise());
        }
    }

    fn same<T: Ord + Debug>(&mut self, what: &str, kept: &BTreeSet<T>, right: &BTreeSet<T>) {
        for entry in kept.difference(right).take(LISTED) {
            self.0.push(format!("{what}: {entry:?} is kept without a reason"));
        }
        for entry in right.difference(kept).take(LISTED) {
            self.0.push(format!("{what}: {entry:?} is missing"));
        }
    }
}

fn head(shelf: &Shelf, found: &mut Findings) {
    let mut right = empty_head(&shelf.name);
    right.chain = shelf.head().chain;
    // Books that were emptied stay noted.
    let noted = |books: u32, (book, _): &(Book, _)| books | 1 << book.number();
    right.books = shelf.entries.keys().fold(shelf.head().books, noted);
    for task in shelf.tasks.values() {
        right.counts.add(task.state);
        right.dead_letters += u64::from(task.dead_letter);
        right.score_sum += i64::from(task.score.0);
        right.max_depth = right.max_depth.max(task.depth);
        right.newest = right.newest.max(Some(task.submitted_at));
    }
    // Of all that ever were: the deepest and the newest may have gone.
    right.max_depth = right.max_depth.max(shelf.head().max_depth);
    right.newest = right.newest.max(shelf.head().newest);
    found.expect(|| "the head".to_owned(), shelf.head(), &right);
}

fn derived(shelf: &Shelf, found: &mut Findings) {
    let right = shelf.tasks.values().flat_map(Entry::of).collect();
    found.same("the line and its kin", &shelf.derived.entries().collect(), &right);
    let ids = shelf.ids.iter().map(|(id, seq)| (id.clone(), *seq)).collect();
    let right = shelf
        .tasks
        .values()
        .map(|task| (task.id.clone(), task.seq))
        .collect();
    found.same("the ids", &ids, &right);
}

fn rows(shelf: &Shelf, found: &mut Findings) {
    for task in shelf.tasks.values() {
        let id = &task.id;
        found.hold(shelf.bodies.contains_key(&task.seq), || {
            format!("{id} has no body")
        });
        found.hold(shelf.classes.contains_key(&task.class), || {
            format!("{id} has no class")
        });
        found.hold(may_have_lease(task), || {
            format!("{id} is {} and leased: {:?}", task.state, task.lease)
        });
        found.hold(task.lease.is_some() || !task.state.is_leased(), || {
            format!("{id} is {} without a lease", task.state)
        });
        found.hold(!task.dead_letter || task.state == State::Failed, || {
            format!("{id} is {} in the dead letters", task.state)
        });
        found.hold(task.left.is_some() == (task.state == State::Suspended), || {
            format!("{id} is {} and left {:?}", task.state, task.left)
        });
        let children = shelf.derived.children.range((task.seq, Seq(0))..);
        let children = children.take_while(|((parent, _), ())| *parent == task.seq);
        found.expect(
            || format!("the children of {id}"),
            &(task.children as usize),
            &children.count(),
        );
    }
}

/// See [`domain::task::record::Lease`].
fn may_have_lease(task: &Task) -> bool {
    task.lease.is_none()
        || task.state.is_leased()
        || matches!(task.state, State::Suspended | State::Cancelled)
}

fn runs(shelf: &Shelf, found: &mut Findings) {
    let mut right: BTreeMap<RunNo, (Counts, u64)> = BTreeMap::new();
    for task in shelf.tasks.values().filter(|task| !task.superseded) {
        let Some(run) = task.run else { continue };
        let (counts, skipped) = right.entry(run).or_default();
        counts.add(task.state);
        let not_needed = task.state == State::Cancelled && task.reason == Some(Reason::NotNeeded);
        *skipped += u64::from(not_needed);
    }
    for run in shelf.runs.values() {
        let right = right.remove(&run.no).unwrap_or_default();
        found.expect(
            || format!("the counters of run {}", run.id),
            &(run.counts, run.skipped),
            &right,
        );
        let over = run.counts.open() == 0;
        found.expect(
            || format!("the end of run {}", run.id),
            &run.finished_at.is_some(),
            &over,
        );
        let going = beginning(shelf).is_ok_and(|from| from.within == Some(run.no));
        if over && !going {
            found.expect(
                || format!("the state of run {}", run.id),
                &run.state,
                &run.outcome(),
            );
        }
        found.expect(
            || format!("the number of run {}", run.id),
            &shelf.run_nos.get(&run.id),
            &Some(&run.no),
        );
    }
    found.hold(right.is_empty(), || {
        format!("there are tasks of unknown runs: {:?}", right.keys())
    });
}

fn locks(shelf: &Shelf, found: &mut Findings) {
    let holders: BTreeSet<_> = shelf
        .holders
        .iter()
        .map(|((name, seq), mode)| (*seq, name.clone(), *mode))
        .collect();
    let held = shelf
        .held
        .iter()
        .map(|((seq, name), mode)| (*seq, name.clone(), *mode))
        .collect();
    found.same("what tasks hold", &held, &holders);
    for (seq, name, _) in holders {
        let leased = shelf.tasks.get(&seq).is_some_and(|task| task.lease.is_some());
        found.hold(leased, || {
            format!("`{name}` is held by task number {} without a lease", seq.0)
        });
    }
}

fn beginning(shelf: &Shelf) -> Result<Beginning> {
    Beginning::read(&shelf.name, &shelf.entries_of(Book::Cursor, &[BEGINNING.into()]))
}

fn log(shelf: &Shelf, found: &mut Findings) {
    let from = match beginning(shelf) {
        Ok(from) => from,
        Err(refusal) => return found.0.push(refusal.to_string()),
    };
    let mut verifier = Verifier::after(from.after);
    let mut last = BTreeMap::new();
    for event in shelf.events.values() {
        if let Err(broken) = verifier.follow(event) {
            found.0.push(format!("the log is broken: {broken:?}"));
            return;
        }
        if let Some(seq) = event.fact.task {
            let before = from.before(event, last.insert(seq, event.no));
            found.expect(
                || format!("the event before event {}", event.no.0),
                &event.prev,
                &before,
            );
        }
    }
    if let Err(broken) = verifier.finish(&shelf.head().chain) {
        found
            .0
            .push(format!("the log does not end at the head: {broken:?}"));
    }
    for task in shelf.tasks.values() {
        let right = from.last(task.last_event, last.get(&task.seq).copied());
        found.expect(
            || format!("the last event of {}", task.id),
            &task.last_event,
            &right,
        );
    }
}

fn edges(shelf: &Shelf, found: &mut Findings) {
    let mut dependents: BTreeMap<Seq, u32> = BTreeMap::new();
    let mut waits: BTreeMap<Seq, (u32, u32)> = BTreeMap::new();
    for (&(parent, child), &when) in shelf.edges.iter() {
        let (Some(from), Some(to)) = (shelf.tasks.get(&parent), shelf.tasks.get(&child)) else {
            found
                .0
                .push(format!("the edge {} -> {} leads nowhere", parent.0, child.0));
            continue;
        };
        *dependents.entry(parent).or_default() += 1;
        let settled = shelf.unsettled.get(&parent).is_none_or(|last| child <= *last);
        let (open, dead) = waits.entry(child).or_default();
        match fate_for(when, On::from(from), to) {
            Fate::Dead(_) if settled => *dead += 1,
            Fate::Holds if settled => {}
            _ => *open += 1,
        }
    }
    for task in shelf.tasks.values() {
        let right = dependents.get(&task.seq).copied().unwrap_or(0);
        found.expect(
            || format!("the dependents of {}", task.id),
            &task.dependents,
            &right,
        );
        let right = waits.get(&task.seq).copied().unwrap_or_default();
        let kept = (task.open, task.dead);
        found.expect(
            || format!("the open and dead edges of {}", task.id),
            &kept,
            &right,
        );
        let waits_for_nothing = task.state == State::Blocked && kept == (0, 0);
        found.hold(!waits_for_nothing, || {
            format!("{} is blocked by nothing", task.id)
        });
    }
}
