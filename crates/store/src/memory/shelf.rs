//! A project's tables, and how they change.

use std::ops::Bound;
use std::sync::Arc;

use domain::book::{self, Book};
use domain::event::{ChainHead, Digest, Event};
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::{Counts, Run, RunNo};
use domain::store::CacheEntry;
use domain::task::lock::Mode;
use domain::task::record::{Body, Class, ClassNo, Outcome, Place, Task};
use domain::task::spec::When;
use domain::task::state::State;
use domain::time::Timestamp;

use super::table::{Table, Undo};
use crate::findings::List;
use crate::kernel::tx::{Gone, Group, Head, Remembered, WriteSet, place_in_line};

#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) name: Project,
    /// One row.
    pub(super) head: Table<(), Head>,

    // ---- what is written ----
    pub(super) tasks: Table<Seq, Task>,
    pub(super) bodies: Table<Seq, Body>,
    pub(super) outcomes: Table<Seq, Outcome>,
    pub(super) ids: Table<TaskId, Seq>,
    /// Of one key, the newest run sorts last; outside any run sorts first.
    pub(super) keys: Table<(Key, Option<RunNo>), Seq>,
    /// (prerequisite, dependent).
    pub(super) edges: Table<(Seq, Seq), When>,
    pub(super) holders: Table<(String, Seq), Mode>,
    pub(super) held: Table<(Seq, String), Mode>,
    pub(super) classes: Table<ClassNo, Class>,
    pub(super) class_nos: Table<Class, ClassNo>,
    pub(super) runs: Table<RunNo, Run>,
    pub(super) run_nos: Table<RunId, RunNo>,
    pub(super) events: Table<EventNo, Event>,
    /// Ended task and the last dependent that is settled.
    pub(super) unsettled: Table<Seq, Seq>,
    pub(super) remembered: Table<String, Remembered>,
    /// Beside each entry when it was last used, counted in uses.
    pub(super) cache: Table<[u8; 32], (u64, CacheEntry)>,
    pub(super) cache_uses: Table<u64, [u8; 32]>,

    pub(super) entries: Table<(Book, Arc<str>), book::Entry>,
    pub(super) entries_due: Table<(Book, Timestamp, Arc<str>)>,

    // ---- what follows from the rows ----
    pub(super) derived: Derived,
    /// All of `classes`, once somebody has asked.
    pub(super) class_list: Option<Arc<Vec<(ClassNo, Class)>>>,
}

/// Everything that [`Derived::entries`] makes of the rows, kept in order.
#[derive(Debug, Default)]
pub(super) struct Derived {
    /// (parent, child).
    pub(super) children: Table<(Seq, Seq)>,
    pub(super) members: Table<(RunNo, Seq)>,
    pub(super) line: Table<(ClassNo, Place)>,
    pub(super) run_line: Table<(RunNo, ClassNo, Place)>,
    pub(super) parked: Table<(Arc<str>, Group, Place)>,
    pub(super) timers: Table<(Timestamp, Seq)>,
    pub(super) expiries: Table<(i64, Seq)>,
    pub(super) workers: Table<(WorkerId, Seq)>,
    /// Pending and blocked tasks.
    pub(super) waiting: Table<Seq>,
}

/// One entry of [`Derived`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    Child(Seq, Seq),
    Member(RunNo, Seq),
    Line(ClassNo, Place),
    RunLine(RunNo, ClassNo, Place),
    Parked(Arc<str>, Group, Place),
    Timer(Timestamp, Seq),
    Expiry(i64, Seq),
    Worker(WorkerId, Seq),
    Waiting(Seq),
}

impl Entry {
    /// All entries that follow from one row.
    pub(super) fn of(task: &Task) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(4);
        if let Some(parent) = task.parent {
            entries.push(Entry::Child(parent, task.seq));
        }
        entries.extend(task.run.map(|run| Entry::Member(run, task.seq)));
        if let Some((class, place, run)) = place_in_line(task) {
            entries.push(Entry::Line(class, place));
            entries.extend(run.map(|run| Entry::RunLine(run, class, place)));
        }
        if let Some(thing) = task.parked_under() {
            entries.push(Entry::Parked(thing.clone(), (task.class, task.run), task.place()));
        }
        if let Some(at) = task.timer {
            entries.push(Entry::Timer(at, task.seq));
        }
        if let Some(lease) = &task.lease {
            entries.push(Entry::Expiry(lease.expires, task.seq));
            entries.push(Entry::Worker(lease.worker.clone(), task.seq));
        }
        if matches!(task.state, State::Pending | State::Blocked) {
            entries.push(Entry::Waiting(task.seq));
        }
        entries
    }

    /// Which task it is of, and where that stands by it.
    pub(super) fn list(&self) -> (Seq, List) {
        match self {
            Entry::Child(_, seq) => (*seq, List::Parent),
            Entry::Member(_, seq) => (*seq, List::Run),
            Entry::Line(_, place) => (place.seq, List::Line),
            Entry::RunLine(_, _, place) => (place.seq, List::RunLine),
            Entry::Parked(thing, _, place) => (place.seq, List::Parked(thing.to_string())),
            Entry::Timer(_, seq) => (*seq, List::Timers),
            Entry::Expiry(_, seq) => (*seq, List::Leases),
            Entry::Worker(worker, seq) => (*seq, List::Worker(worker.clone())),
            Entry::Waiting(seq) => (*seq, List::Waiting),
        }
    }
}

impl Derived {
    fn put(&mut self, entry: Entry) {
        match entry {
            Entry::Child(parent, child) => self.children.put((parent, child), ()),
            Entry::Member(run, seq) => self.members.put((run, seq), ()),
            Entry::Line(class, place) => self.line.put((class, place), ()),
            Entry::RunLine(run, class, place) => self.run_line.put((run, class, place), ()),
            Entry::Parked(thing, group, place) => self.parked.put((thing, group, place), ()),
            Entry::Timer(at, seq) => self.timers.put((at, seq), ()),
            Entry::Expiry(at, seq) => self.expiries.put((at, seq), ()),
            Entry::Worker(worker, seq) => self.workers.put((worker, seq), ()),
            Entry::Waiting(seq) => self.waiting.put(seq, ()),
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Child(parent, child) => self.children.take(&(parent, child)),
            Entry::Member(run, seq) => self.members.take(&(run, seq)),
            Entry::Line(class, place) => self.line.take(&(class, place)),
            Entry::RunLine(run, class, place) => self.run_line.take(&(run, class, place)),
            Entry::Parked(thing, group, place) => self.parked.take(&(thing, group, place)),
            Entry::Timer(at, seq) => self.timers.take(&(at, seq)),
            Entry::Expiry(at, seq) => self.expiries.take(&(at, seq)),
            Entry::Worker(worker, seq) => self.workers.take(&(worker, seq)),
            Entry::Waiting(seq) => self.waiting.take(&seq),
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let children = self.children.keys().map(|&(a, b)| Entry::Child(a, b));
        let members = self.members.keys().map(|&(a, b)| Entry::Member(a, b));
        let line = self.line.keys().map(|&(a, b)| Entry::Line(a, b));
        let run_line = self.run_line.keys().map(|&(a, b, c)| Entry::RunLine(a, b, c));
        let parked = self
            .parked
            .keys()
            .map(|(a, b, c)| Entry::Parked(a.clone(), *b, *c));
        let timers = self.timers.keys().map(|&(a, b)| Entry::Timer(a, b));
        let expiries = self.expiries.keys().map(|&(a, b)| Entry::Expiry(a, b));
        let workers = self.workers.keys().map(|(a, b)| Entry::Worker(a.clone(), *b));
        let waiting = self.waiting.keys().copied().map(Entry::Waiting);
        children
            .chain(members)
            .chain(line)
            .chain(run_line)
            .chain(parked)
            .chain(timers)
            .chain(expiries)
            .chain(workers)
            .chain(waiting)
    }
}

impl Shelf {
    pub(super) fn new(name: Project) -> Shelf {
        let mut shelf = Shelf {
            head: Table::default(),
            tasks: Table::default(),
            bodies: Table::default(),
            outcomes: Table::default(),
            ids: Table::default(),
            keys: Table::default(),
            edges: Table::default(),
            holders: Table::default(),
            held: Table::default(),
            classes: Table::default(),
            class_nos: Table::default(),
            runs: Table::default(),
            run_nos: Table::default(),
            events: Table::default(),
            unsettled: Table::default(),
            remembered: Table::default(),
            cache: Table::default(),
            cache_uses: Table::default(),
            entries: Table::default(),
            entries_due: Table::default(),
            derived: Derived::default(),
            class_list: None,
            name,
        };
        let empty = empty_head(&shelf.name);
        shelf.head.put((), empty);
        shelf
    }

    /// Every table: the pattern makes it impossible to forget one.
    fn tables(&mut self) -> [&mut dyn Undo; 29] {
        let Shelf {
            name: _,
            class_list: _,
            head,
            tasks,
            bodies,
            outcomes,
            ids,
            keys,
            edges,
            holders,
            held,
            classes,
            class_nos,
            runs,
            run_nos,
            events,
            unsettled,
            remembered,
            cache,
            cache_uses,
            entries,
            entries_due,
            derived:
                Derived {
                    children,
                    members,
                    line,
                    run_line,
                    parked,
                    timers,
                    expiries,
                    workers,
                    waiting,
                },
        } = self;
        [
            head,
            tasks,
            bodies,
            outcomes,
            ids,
            keys,
            edges,
            holders,
            held,
            classes,
            class_nos,
            runs,
            run_nos,
            events,
            unsettled,
            remembered,
            cache,
            cache_uses,
            entries,
            entries_due,
            children,
            members,
            line,
            run_line,
            parked,
            timers,
            expiries,
            workers,
            waiting,
        ]
    }

    pub(super) fn commit(&mut self) {
        self.tables().into_iter().for_each(Undo::commit);
    }

    pub(super) fn roll_back(&mut self) {
        self.class_list = None;
        self.tables().into_iter().for_each(Undo::roll_back);
    }

    pub(super) fn head(&self) -> &Head {
        &self.head[&()]
    }

    pub(super) fn last_seq(&self) -> Seq {
        self.tasks.keys().next_back().copied().unwrap_or_default()
    }

    pub(super) fn last_run(&self) -> RunNo {
        self.runs.keys().next_back().copied().unwrap_or(RunNo(0))
    }

    /// Writes a row and what follows from it.
    fn put_task(&mut self, before: Option<&Task>, after: &Task) {
        debug_assert_eq!(
            self.tasks.get(&after.seq),
            before,
            "the row changed since it was read"
        );
        for entry in before.map(Entry::of).into_iter().flatten() {
            self.derived.take(entry);
        }
        for entry in Entry::of(after) {
            self.derived.put(entry);
        }
        self.tasks.put(after.seq, after.clone());
    }

    pub(super) fn apply(&mut self, writes: &WriteSet) {
        debug_assert_eq!(self.head(), &writes.head.0, "the head changed since it was read");
        self.head.put((), writes.head.1.clone());
        for row in &writes.new_tasks {
            let seq = row.task.seq;
            debug_assert!(
                !self.ids.contains_key(&row.task.id),
                "{} is there already",
                row.task.id
            );
            self.ids.put(row.task.id.clone(), seq);
            self.bodies.put(seq, row.body.clone());
            self.put_task(None, &row.task);
        }
        for &(parent, child, when) in &writes.new_edges {
            self.edges.put((parent, child), when);
        }
        for (before, after) in &writes.tasks {
            self.put_task(Some(before), after);
        }
        for (seq, outcome) in &writes.outcomes {
            self.outcomes.put(*seq, outcome.clone());
        }
        for holder in &writes.released {
            for (name, _) in self.held_by(*holder) {
                self.holders.take(&(name.clone(), *holder));
                self.held.take(&(*holder, name));
            }
        }
        for (name, holder, mode) in &writes.acquired {
            self.holders.put((name.clone(), *holder), *mode);
            self.held.put((*holder, name.clone()), *mode);
        }
        for run in &writes.new_runs {
            self.run_nos.put(run.id, run.no);
        }
        for run in writes.new_runs.iter().chain(&writes.runs) {
            self.runs.put(run.no, run.clone());
        }
        for ((run, key), seq) in &writes.keys {
            self.keys.put((key.clone(), *run), *seq);
        }
        for event in &writes.events {
            self.events.put(event.no, event.clone());
        }
        for &(seq, settled) in &writes.settled {
            match settled {
                Some(last) => self.unsettled.put(seq, last),
                None => self.unsettled.take(&seq),
            }
        }
        for (key, remembered) in &writes.remember {
            self.remembered.put(key.clone(), remembered.clone());
        }
        for (book, key) in &writes.erased {
            self.erase(*book, key);
        }
        for entry in &writes.entries {
            self.erase(entry.book, &entry.key);
            if let Some(due) = entry.due {
                self.entries_due.put((entry.book, due, entry.key.clone()), ());
            }
            self.entries.put((entry.book, entry.key.clone()), entry.clone());
        }
        self.take_out(&writes.gone);
    }

    fn take_out(&mut self, gone: &Gone) {
        for (task, key) in &gone.tasks {
            let seq = task.seq;
            debug_assert_eq!(
                self.tasks.get(&seq),
                Some(task),
                "the row changed since it was read"
            );
            Entry::of(task)
                .into_iter()
                .for_each(|entry| self.derived.take(entry));
            self.tasks.take(&seq);
            self.bodies.take(&seq);
            self.outcomes.take(&seq);
            self.ids.take(&task.id);
            let all = self.edges.range((seq, Seq(0))..=(seq, Seq(u64::MAX)));
            let edges: Vec<_> = all.map(|(edge, _)| *edge).collect();
            edges.iter().for_each(|edge| self.edges.take(edge));
            if let Some(key) = key {
                self.unname(key, task);
            }
        }
        gone.edges.iter().for_each(|edge| self.edges.take(edge));
        for run in &gone.runs {
            self.runs.take(&run.no);
            self.run_nos.take(&run.id);
        }
        gone.answers.iter().for_each(|key| self.remembered.take(key));
        if let Some((last, _)) = gone.log {
            let old: Vec<EventNo> = self.events.range(..=last).map(|(no, _)| *no).collect();
            old.iter().for_each(|no| self.events.take(no));
        }
    }

    /// With the name of a task go those that older runs gave the same key.
    fn unname(&mut self, key: &Key, task: &Task) {
        let named = (key.clone(), task.run);
        if self.keys.get(&named) == Some(&task.seq) {
            let all = self.keys.range((key.clone(), None)..=named);
            let older: Vec<_> = all.map(|(name, _)| name.clone()).collect();
            older.iter().for_each(|name| self.keys.take(name));
        }
    }

    fn erase(&mut self, book: Book, key: &Arc<str>) {
        let at = (book, key.clone());
        if let Some(due) = self.entries.get(&at).and_then(|entry| entry.due) {
            self.entries_due.take(&(book, due, key.clone()));
        }
        self.entries.take(&at);
    }

    pub(super) fn entries_of(&self, book: Book, keys: &[Arc<str>]) -> Vec<book::Entry> {
        let found = |key: &Arc<str>| self.entries.get(&(book, key.clone())).cloned();
        keys.iter().filter_map(found).collect()
    }

    pub(super) fn entry_page(&self, book: Book, after: &str, limit: usize) -> Vec<book::Entry> {
        let start = (Bound::Excluded((book, after.into())), Bound::Unbounded);
        let later = self.entries.range(start).take_while(|((of, _), _)| *of == book);
        later.take(limit).map(|(_, entry)| entry.clone()).collect()
    }

    pub(super) fn entries_due(&self, book: Book, at: Timestamp, limit: usize) -> Vec<book::Entry> {
        let due = self.entries_due.range((book, Timestamp(i64::MIN), "".into())..);
        let keys = due
            .map(|((of, due, key), ())| (*of, *due, key))
            .take_while(|(of, due, _)| *of == book && *due <= at);
        keys.take(limit)
            .map(|(of, _, key)| self.entries[&(of, key.clone())].clone())
            .collect()
    }

    pub(super) fn held_by(&self, holder: Seq) -> Vec<(String, Mode)> {
        self.held
            .range((holder, String::new())..)
            .take_while(|((seq, _), _)| *seq == holder)
            .map(|((_, name), mode)| (name.clone(), *mode))
            .collect()
    }

    /// The entry becomes the most recently used one.
    pub(super) fn use_cache(&mut self, entry: CacheEntry) {
        let next = self.cache_uses.keys().next_back().map_or(1, |last| last + 1);
        if let Some(&(used, _)) = self.cache.get(&entry.key) {
            self.cache_uses.take(&used);
        }
        self.cache_uses.put(next, entry.key);
        self.cache.put(entry.key, (next, entry));
    }

    /// Drops what was not used for longest.
    pub(super) fn shrink_cache(&mut self, bound: usize) {
        while self.cache.len() > bound {
            let Some((&used, &key)) = self.cache_uses.first_key_value() else {
                return;
            };
            self.cache_uses.take(&used);
            self.cache.take(&key);
        }
    }
}

/// The head of a project in which nothing has happened.
fn empty_head(project: &Project) -> Head {
    Head {
        chain: ChainHead {
            last: EventNo(0),
            digest: Digest::root(project),
        },
        counts: Counts::default(),
        dead_letters: 0,
        score_sum: 0,
        max_depth: 0,
        newest: None,
        books: 0,
    }
}
