//! Everything that is kept twice, computed again from the rows and compared.

use std::collections::{BTreeMap, BTreeSet};

use domain::book::Book;
use domain::decide::edges::{Fate, On, fate_for};
use domain::event::Verifier;
use domain::id::Seq;
use domain::prune::{BEGINNING, Beginning};
use domain::run::{Counts, RunNo};
use domain::store::Result;
use domain::task::state::State;

use super::shelf::{Entry, Shelf};
use crate::findings::{Findings, List, Sum, Who, Wrong};

pub(super) fn findings(shelf: &Shelf) -> Vec<String> {
    let mut found = Findings::default();
    head(shelf, &mut found);
    derived(shelf, &mut found);
    rows(shelf, &mut found);
    edges(shelf, &mut found);
    runs(shelf, &mut found);
    locks(shelf, &mut found);
    log(shelf, &mut found);
    found.lines()
}

fn who(shelf: &Shelf, seq: Seq) -> Who {
    Who::of(shelf.tasks.get(&seq).map(|task| task.id.clone()), seq)
}

/// Compares two lists of what stands where.
fn same<T: Ord>(
    shelf: &Shelf,
    found: &mut Findings,
    (kept, right): (&BTreeSet<T>, &BTreeSet<T>),
    list: impl Fn(&T) -> (Seq, List),
) {
    for (seq, list) in kept.difference(right).map(&list) {
        found.note(who(shelf, seq), &Wrong::Stray(list));
    }
    for (seq, list) in right.difference(kept).map(&list) {
        found.note(who(shelf, seq), &Wrong::Missing(list));
    }
}

fn head(shelf: &Shelf, found: &mut Findings) {
    let mut sum = Sum::default();
    shelf.tasks.values().for_each(|task| sum.add(task));
    found.head(shelf.head(), &sum);
    let written: BTreeSet<u8> = shelf.entries.keys().map(|(book, _)| book.number()).collect();
    for book in written {
        if shelf.head().books & 1 << book == 0 {
            found.say(format!("the head does not know that book {book} was written to"));
        }
    }
}

fn derived(shelf: &Shelf, found: &mut Findings) {
    let right = shelf.tasks.values().flat_map(Entry::of).collect();
    let kept = shelf.derived.entries().collect();
    same(shelf, found, (&kept, &right), Entry::list);
    let kept = shelf.ids.iter().map(|(id, seq)| (*seq, id.clone())).collect();
    let rows = shelf.tasks.values();
    let right = rows.map(|task| (task.seq, task.id.clone())).collect();
    same(shelf, found, (&kept, &right), |(seq, _)| (*seq, List::Ids));
}

fn rows(shelf: &Shelf, found: &mut Findings) {
    for task in shelf.tasks.values() {
        if !shelf.bodies.contains_key(&task.seq) {
            found.note(task, &Wrong::Body);
        }
        if !shelf.classes.contains_key(&task.class) {
            found.note(task, &Wrong::Class);
        }
        found.row(task);
        let children = shelf.derived.children.range((task.seq, Seq(0))..);
        let children = children.take_while(|((parent, _), ())| *parent == task.seq);
        let (kept, right) = (task.children.into(), children.count() as u64);
        if kept != right {
            found.note(task, &Wrong::Children(kept, right));
        }
    }
}

fn runs(shelf: &Shelf, found: &mut Findings) {
    let mut sums: BTreeMap<RunNo, (Counts, u64)> = BTreeMap::new();
    for task in shelf.tasks.values().filter(|task| !task.superseded) {
        let Some(run) = task.run else { continue };
        let (counts, skipped) = sums.entry(run).or_default();
        counts.add(task.state);
        *skipped += u64::from(task.is_skipped());
        if !shelf.runs.contains_key(&run) {
            found.note(task, &Wrong::NoRun);
        }
    }
    let going = beginning(shelf).ok().and_then(|from| from.within);
    for run in shelf.runs.values() {
        let (counts, skipped) = sums.remove(&run.no).unwrap_or_default();
        found.run(run, &counts, skipped);
        if run.counts.open() == 0 && going != Some(run.no) && run.state != run.outcome() {
            found.note(run, &Wrong::Outcome(run.state, run.outcome()));
        }
        if shelf.run_nos.get(&run.id) != Some(&run.no) {
            found.note(run, &Wrong::Id);
        }
    }
}

fn locks(shelf: &Shelf, found: &mut Findings) {
    let holders: BTreeSet<_> = shelf
        .holders
        .iter()
        .map(|((name, seq), mode)| (*seq, name.clone(), *mode))
        .collect();
    let held: BTreeSet<_> = shelf
        .held
        .iter()
        .map(|((seq, name), mode)| (*seq, name.clone(), *mode))
        .collect();
    same(shelf, found, (&holders, &held), |(seq, name, _)| {
        (*seq, List::Holders(name.clone()))
    });
    for (seq, name, _) in holders {
        if shelf.tasks.get(&seq).is_none_or(|task| task.lease.is_none()) {
            found.note(who(shelf, seq), &Wrong::Holds(name));
        }
    }
}

fn beginning(shelf: &Shelf) -> Result<Beginning> {
    Beginning::read(&shelf.name, &shelf.entries_of(Book::Cursor, &[BEGINNING.into()]))
}

fn log(shelf: &Shelf, found: &mut Findings) {
    let from = match beginning(shelf) {
        Ok(from) => from,
        Err(refusal) => return found.say(refusal.to_string()),
    };
    let mut verifier = Verifier::after(from.after);
    let mut last = BTreeMap::new();
    for event in shelf.events.values() {
        if let Err(broken) = verifier.follow(event) {
            return found.broken(&broken);
        }
        if let Some(seq) = event.fact.task {
            found.before(event, from.before(event, last.insert(seq, event.no)));
        }
    }
    if let Err(broken) = verifier.finish(&shelf.head().chain) {
        found.broken(&broken);
    }
    for task in shelf.tasks.values() {
        let right = from.last(task.last_event, last.get(&task.seq).copied());
        found.last_event(&task.id, task.last_event, right);
    }
}

fn edges(shelf: &Shelf, found: &mut Findings) {
    let mut dependents: BTreeMap<Seq, u64> = BTreeMap::new();
    let mut waits: BTreeMap<Seq, (u64, u64)> = BTreeMap::new();
    for (&(parent, child), &when) in shelf.edges.iter() {
        let (Some(from), Some(to)) = (shelf.tasks.get(&parent), shelf.tasks.get(&child)) else {
            found.note(who(shelf, parent), &Wrong::EdgeToNobody);
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
        let (open, dead) = waits.get(&task.seq).copied().unwrap_or_default();
        for (kept, right, wrong) in [
            (task.dependents, right, Wrong::Dependents as fn(u64, u64) -> Wrong),
            (task.open, open, Wrong::Open),
            (task.dead, dead, Wrong::Dead),
        ] {
            if u64::from(kept) != right {
                found.note(task, &wrong(kept.into(), right));
            }
        }
        if task.state == State::Blocked && (task.open, task.dead) == (0, 0) {
            found.note(task, &Wrong::BlockedByNothing);
        }
    }
}
