//! What a transaction has changed in one project and not yet sent: later reads of the same transaction look here
//! first.
//!
//! Where a task is listed follows from its row alone ([`Listing::of`]). So an index is read with room for all rows
//! that were touched, those are taken out, and the touched ones that belong there are put in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::event::Event;
use domain::id::{Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::{Run, RunNo};
use domain::store::CacheEntry;
use domain::task::lock::Mode;
use domain::task::record::{Body, Class, ClassNo, Outcome, Place, Task, is_aside};
use domain::task::spec::When;
use domain::task::state::State;
use domain::time::Timestamp;
use rustc_hash::FxHashMap;

use super::keys::Keys;
use super::rows::{HeadRow, Named};
use crate::findings::List;
use crate::kernel::tx::{Gone, Group, Remembered, WriteSet, place_in_line};

pub(super) struct Desk {
    pub(super) project: Project,
    pub(super) keys: Keys,
    /// As it is stored; `None` while the project does not exist.
    pub(super) stored: Option<HeadRow>,
    /// As it will be.
    pub(super) head: HeadRow,
    /// The server's clock, in milliseconds, never behind what any transaction has seen.
    pub(super) clock: i64,
    /// The courtesy lock is ours.
    pub(super) locked: bool,
    /// The project comes into being with this transaction.
    pub(super) created: bool,
    pub(super) rows: FxHashMap<Seq, Row>,
    pub(super) ids: FxHashMap<TaskId, Seq>,
    pub(super) bodies: FxHashMap<Seq, Body>,
    /// Stored ones that were read with their rows; they never change.
    pub(super) seen: FxHashMap<Seq, Body>,
    pub(super) outcomes: FxHashMap<Seq, Outcome>,
    pub(super) edges: BTreeMap<(Seq, Seq), When>,
    /// `None` is a holder that was there and has let go.
    pub(super) holders: BTreeMap<(String, Seq), Hold>,
    pub(super) classes: Vec<(ClassNo, Class)>,
    pub(super) runs: BTreeMap<RunNo, Run>,
    pub(super) new_runs: Vec<(RunNo, RunId)>,
    pub(super) named: FxHashMap<Key, Named>,
    pub(super) events: Vec<Event>,
    /// All of them, once somebody has asked; beside them the fields that were changed.
    pub(super) unsettled: Option<BTreeMap<Seq, Seq>>,
    pub(super) resettled: BTreeSet<Seq>,
    pub(super) remembered: FxHashMap<String, Remembered>,
    pub(super) entries: BTreeMap<(Book, Arc<str>), Option<Entry>>,
    /// With the moment of the use.
    pub(super) cached: Vec<(CacheEntry, i64)>,
    /// Of the cache, what goes for what was put in.
    pub(super) outdated: Vec<Vec<u8>>,
    pub(super) gone: Gone,
    /// Keys by which only what has gone went.
    pub(super) unnamed: Vec<Key>,
    /// Something was written, be it only a row without an event.
    pub(super) dirty: bool,
}

/// A touched task.
#[derive(Debug)]
pub(super) struct Row {
    /// `None` for a new one.
    pub(super) stored: Option<Task>,
    pub(super) now: Task,
}

/// How a name is held by a task.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Hold {
    pub(super) stored: Option<Mode>,
    pub(super) now: Option<Mode>,
}

/// One place where a task is listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listing {
    Line(ClassNo, Place),
    RunLine(RunNo, ClassNo, Place),
    Parked(Arc<str>, Group, Place),
    Timer(Timestamp, Seq),
    Expiry(i64, Seq),
    Worker(WorkerId, Seq),
    Aside(State, Seq),
}

impl Listing {
    /// All that follow from one row, but for what never changes.
    pub(super) fn of(task: &Task) -> Vec<Listing> {
        let mut all = Vec::with_capacity(4);
        if let Some((class, place, run)) = place_in_line(task) {
            all.push(Listing::Line(class, place));
            all.extend(run.map(|run| Listing::RunLine(run, class, place)));
        }
        if let Some(thing) = task.parked_under() {
            all.push(Listing::Parked(
                thing.clone(),
                (task.class, task.run),
                task.place(),
            ));
        }
        if let Some(at) = task.timer {
            all.push(Listing::Timer(at, task.seq));
        }
        if let Some(lease) = &task.lease {
            all.push(Listing::Expiry(lease.expires, task.seq));
            all.push(Listing::Worker(lease.worker.clone(), task.seq));
        }
        if task.lease.is_none() && is_aside(task.state) {
            all.push(Listing::Aside(task.state, task.seq));
        }
        all
    }

    pub(super) fn list(&self) -> List {
        match self {
            Listing::Line(..) => List::Line,
            Listing::RunLine(..) => List::RunLine,
            Listing::Parked(thing, ..) => List::Parked(thing.to_string()),
            Listing::Timer(..) => List::Timers,
            Listing::Expiry(..) => List::Leases,
            Listing::Worker(worker, _) => List::Worker(worker.clone()),
            Listing::Aside(state, _) => List::State(*state),
        }
    }
}

impl Desk {
    pub(super) fn new(project: Project, keys: Keys, stored: Option<HeadRow>, birth: u64) -> Desk {
        let head = stored.clone();
        let head = head.unwrap_or_else(|| HeadRow::empty(&project, birth));
        Desk {
            project,
            keys,
            stored,
            head,
            clock: 0,
            locked: false,
            created: false,
            rows: FxHashMap::default(),
            ids: FxHashMap::default(),
            bodies: FxHashMap::default(),
            seen: FxHashMap::default(),
            outcomes: FxHashMap::default(),
            edges: BTreeMap::new(),
            holders: BTreeMap::new(),
            classes: Vec::new(),
            runs: BTreeMap::new(),
            new_runs: Vec::new(),
            named: FxHashMap::default(),
            events: Vec::new(),
            unsettled: None,
            resettled: BTreeSet::new(),
            remembered: FxHashMap::default(),
            entries: BTreeMap::new(),
            cached: Vec::new(),
            outdated: Vec::new(),
            gone: Gone::default(),
            unnamed: Vec::new(),
            dirty: false,
        }
    }

    /// Whether there is anything to send.
    pub(super) fn is_dirty(&self) -> bool {
        self.created || self.dirty
    }

    /// Nothing of this is sent after all.
    pub(super) fn forget(&mut self) {
        (self.created, self.dirty) = (false, false);
    }

    /// How many touched rows were stored where `listed` says.
    pub(super) fn taken_out(&self, listed: impl Fn(&Task) -> bool) -> usize {
        let stored = self.rows.values().filter_map(|row| row.stored.as_ref());
        stored.filter(|task| listed(task)).count()
    }

    /// Touched rows as they are now, where `listed` says.
    pub(super) fn put_in<'a>(
        &'a self,
        listed: impl Fn(&Task) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Task> {
        let now = self.rows.values().map(|row| &row.now);
        now.filter(move |task| listed(task))
    }

    /// Takes over a set of writes, of which `held` says what the released tasks hold in the store.
    pub(super) fn apply(&mut self, writes: &WriteSet, held: Vec<(Seq, String, Mode)>) {
        self.dirty = true;
        debug_assert_eq!(
            self.head.head, writes.head.0,
            "the head changed since it was read"
        );
        self.head.head = writes.head.1.clone();
        for row in &writes.new_tasks {
            let task = &row.task;
            self.ids.insert(task.id.clone(), task.seq);
            self.bodies.insert(task.seq, row.body.clone());
            self.head.last_seq = self.head.last_seq.max(task.seq);
            let row = Row {
                stored: None,
                now: task.clone(),
            };
            self.rows.insert(task.seq, row);
        }
        for (before, after) in &writes.tasks {
            let row = self.rows.entry(after.seq).or_insert_with(|| Row {
                stored: Some(before.clone()),
                now: before.clone(),
            });
            debug_assert_eq!(row.now, *before, "the row changed since it was read");
            row.now = after.clone();
        }
        self.edges.extend(
            writes
                .new_edges
                .iter()
                .map(|(from, to, when)| ((*from, *to), *when)),
        );
        self.outcomes.extend(writes.outcomes.iter().cloned());
        self.release(&writes.released, held);
        for (name, seq, mode) in &writes.acquired {
            self.holders.entry((name.clone(), *seq)).or_default().now = Some(*mode);
        }
        for run in &writes.new_runs {
            self.new_runs.push((run.no, run.id));
            self.head.last_run = self.head.last_run.max(run.no);
        }
        for run in writes.new_runs.iter().chain(&writes.runs) {
            self.runs.insert(run.no, run.clone());
        }
        self.events.extend(writes.events.iter().cloned());
        for (seq, last) in &writes.settled {
            let all = self.unsettled.get_or_insert_default();
            match last {
                Some(last) => drop(all.insert(*seq, *last)),
                None => drop(all.remove(seq)),
            }
            self.resettled.insert(*seq);
        }
        if let Some(all) = &self.unsettled {
            self.head.unsettled = all.len() as u64;
        }
        self.remembered.extend(writes.remember.iter().cloned());
        for entry in &writes.entries {
            let at = (entry.book, entry.key.clone());
            self.entries.insert(at, Some(entry.clone()));
        }
        for at in &writes.erased {
            self.entries.insert(at.clone(), None);
        }
        debug_assert!(self.gone.is_empty(), "nothing follows what goes");
        self.gone = writes.gone.clone();
    }

    /// The key is known no longer if it was that of this task, which has gone.
    pub(super) fn unname(&mut self, key: &Key, task: &Task, stored: Option<Named>) {
        if self.named.get(key).copied().or(stored) == Some((task.run, task.seq)) {
            self.unnamed.push(key.clone());
        }
    }

    fn release(&mut self, released: &[Seq], held: Vec<(Seq, String, Mode)>) {
        for (seq, name, mode) in held {
            let hold = self.holders.entry((name, seq)).or_default();
            hold.stored = Some(mode);
        }
        for ((_, holder), hold) in &mut self.holders {
            if released.contains(holder) {
                hold.now = None;
            }
        }
    }

    /// The task goes by this key, unless one of a later run does.
    pub(super) fn name(&mut self, key: &Key, run: Option<RunNo>, seq: Seq, stored: Option<Named>) {
        let known = self.named.get(key).copied().or(stored);
        if known.is_none_or(|(other, _)| run >= other) {
            self.named.insert(key.clone(), (run, seq));
        }
    }

    /// What `stored` holders become.
    pub(super) fn overlay(
        &self,
        stored: Vec<(String, Seq, Mode)>,
        fits: impl Fn(&str) -> bool,
    ) -> Vec<(String, Seq, Mode)> {
        let mut all: BTreeMap<(String, Seq), Mode> = stored
            .into_iter()
            .map(|(name, seq, mode)| ((name, seq), mode))
            .collect();
        for ((name, seq), hold) in self.holders.iter().filter(|((name, _), _)| fits(name)) {
            let at = (name.clone(), *seq);
            match hold.now {
                Some(mode) => drop(all.insert(at, mode)),
                None => drop(all.remove(&at)),
            }
        }
        all.into_iter()
            .map(|((name, seq), mode)| (name, seq, mode))
            .collect()
    }
}
