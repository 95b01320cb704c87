//! One unit of work: rows as they were and as they will be, events numbered as they happen, one write at the end.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::code::{Code, Refusal};
use domain::decide::Change;
use domain::event::{Draft, Event, Kind};
use domain::id::{EventNo, Key, Seq};
use domain::run::{Run, RunNo, RunState};
use domain::store::Result;
use domain::task::order::{ORDER, Order};
use domain::task::record::{Class, ClassNo, Outcome, Task, Wait};
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use domain::time::{Now, Timestamp};
use domain::transfer::MOVED;
use rustc_hash::FxHashMap;

use super::agents::{self, Agents};
use super::curb::{self, Curbs};
use super::lanes::{self, Lanes};
use super::letters::{self, Letters};
use super::reserve::{self, Reserved};
use super::tx::{Group, Head, ProjectNo, Tx, WriteSet};

pub(super) struct Step<'a> {
    pub(super) tx: &'a mut dyn Tx,
    pub(super) project: ProjectNo,
    pub(super) now: Now,
    pub(super) actor: Arc<str>,
    pub(super) writes: WriteSet,
    /// Boxed, so that a step of thousands of tasks does not move them each time the map grows.
    rows: FxHashMap<Seq, Box<Slot>>,
    runs: FxHashMap<RunNo, (Run, Run)>,
    /// Guarded tasks whose lease has ended: what they held is free.
    pub(super) released: Vec<Seq>,
    /// Things under which tasks were let out that have left the line since, with their group.
    pub(super) batons: Vec<(Arc<str>, Group)>,
    /// Other things that tasks are parked under, which may let some of them go now.
    pub(super) freed: Vec<Arc<str>>,
    pub(super) curbs: Curbs,
    pub(super) lanes: Lanes,
    pub(super) reserved: Reserved,
    pub(super) agents: Agents,
    pub(super) letters: Letters,
    pub(super) order: Order,
    classes: Option<Arc<Vec<(ClassNo, Class)>>>,
}

struct Slot {
    old: Task,
    new: Task,
    /// Not stored yet; written as a new row.
    fresh: bool,
}

impl<'a> Step<'a> {
    pub(super) fn new(tx: &'a mut dyn Tx, project: ProjectNo, now: Now, actor: Arc<str>) -> Result<Step<'a>> {
        let now = tx.now(now)?;
        let head = tx.head(project)?;
        let settings = match head.has(Book::Setting) {
            true => tx.entries(project, Book::Setting, &[MOVED.into(), ORDER.into()])?,
            false => Vec::new(),
        };
        super::transfer::check_open(&settings)?;
        Ok(Step {
            tx,
            project,
            now,
            actor,
            writes: WriteSet::new(project, head),
            rows: FxHashMap::default(),
            runs: FxHashMap::default(),
            released: Vec::new(),
            batons: Vec::new(),
            freed: Vec::new(),
            curbs: Curbs::default(),
            lanes: Lanes::default(),
            reserved: Reserved::default(),
            agents: Agents::default(),
            letters: Letters::default(),
            order: super::setting::order(&settings)?,
            classes: None,
        })
    }

    /// Whether anything was ever written to this book.
    pub(super) fn has(&self, book: Book) -> bool {
        self.writes.head.1.has(book)
    }

    /// All classes of the project, read once.
    pub(super) fn classes(&mut self) -> Result<Arc<Vec<(ClassNo, Class)>>> {
        if let Some(classes) = &self.classes {
            return Ok(classes.clone());
        }
        let classes = self.tx.classes(self.project)?;
        Ok(self.classes.insert(classes).clone())
    }

    pub(super) fn class(&mut self, no: ClassNo) -> Result<Class> {
        let find = |classes: &[(ClassNo, Class)]| {
            let known = classes.iter().find(|(known, _)| *known == no);
            known.map(|(_, class)| class.clone())
        };
        if let Some(class) = find(&self.classes()?) {
            return Ok(class);
        }
        // It was added in this step.
        self.classes = None;
        find(&self.classes()?)
            .ok_or_else(|| Refusal::new(Code::StoreCorrupt, format!("class number {} is missing", no.0)))
    }

    fn head(&mut self) -> &mut Head {
        &mut self.writes.head.1
    }

    /// The number that the next event will have.
    pub(super) fn next_event(&self) -> EventNo {
        EventNo(self.writes.head.1.chain.last.0 + 1)
    }

    // ---- rows ----

    /// Brings rows into the step, in one read.
    pub(super) fn load(&mut self, seqs: &[Seq]) -> Result<()> {
        let missing: Vec<Seq> = seqs
            .iter()
            .copied()
            .filter(|seq| !self.rows.contains_key(seq))
            .collect();
        if !missing.is_empty() {
            let rows = self.tx.tasks(self.project, &missing)?;
            rows.into_iter().for_each(|task| self.adopt(task));
        }
        Ok(())
    }

    /// Takes a row that was read elsewhere in this transaction, unless the step has it already.
    pub(super) fn adopt(&mut self, task: Task) {
        self.rows.entry(task.seq).or_insert_with(|| {
            Box::new(Slot {
                old: task.clone(),
                new: task,
                fresh: false,
            })
        });
    }

    pub(super) fn task(&mut self, seq: Seq) -> Result<&Task> {
        self.load(&[seq])?;
        match self.rows.get(&seq) {
            Some(slot) => Ok(&slot.new),
            None => Err(missing(seq)),
        }
    }

    /// Makes room for so many new rows, each with an event.
    pub(super) fn reserve(&mut self, count: usize) {
        self.rows.reserve(count);
        self.writes.new_tasks.reserve(count);
        self.writes.events.reserve(count);
    }

    /// Adds a row that is not stored yet; counted at once, written by the caller as a new row.
    pub(super) fn create(&mut self, task: Task) -> Result<()> {
        let mut task = self.finished(task, None);
        if task.guarded {
            lanes::follow(self, None, &mut task)?;
        }
        task.timer = timer(&task, &self.order, self.now);
        let head = self.head();
        head.counts.add(task.state);
        head.score_sum += i64::from(task.score.0);
        head.max_depth = head.max_depth.max(task.depth);
        head.newest = head.newest.max(Some(task.submitted_at));
        if let Some(no) = task.run {
            self.count_in_run(no, None, Some(&task))?;
        }
        self.rows.insert(
            task.seq,
            Box::new(Slot {
                old: task.clone(),
                new: task,
                fresh: true,
            }),
        );
        Ok(())
    }

    /// Replaces a row, keeping every counter that speaks of it.
    pub(super) fn put(&mut self, task: Task) -> Result<()> {
        let seq = task.seq;
        let before = self.task(seq)?.clone();
        let mut task = self.finished(task, Some(&before));
        task.timer = timer(&task, &self.order, self.now);
        let head = self.head();
        if before.state != task.state {
            head.counts.remove(before.state);
            head.counts.add(task.state);
        }
        head.dead_letters = head.dead_letters + u64::from(task.dead_letter) - u64::from(before.dead_letter);
        head.score_sum += i64::from(task.score.0) - i64::from(before.score.0);
        if let Some(no) = task.run
            && (before.state, before.reason, before.superseded) != (task.state, task.reason, task.superseded)
        {
            self.count_in_run(no, Some(&before), Some(&task))?;
        }
        if task.guarded && before.lease.is_some() && task.lease.is_none() {
            self.released.push(seq);
        }
        if let Wait::Baton(thing) = &before.wait
            && task.wait != before.wait
            && task.wait != Wait::Parked(thing.clone())
        {
            // The group that it stood for, even where its class has changed.
            self.batons.push((thing.clone(), (before.class, before.run)));
        }
        if self.has(Book::Agent) {
            agents::follow(self, &before, &mut task)?;
        }
        if task.guarded {
            lanes::follow(self, Some(&before), &mut task)?;
        }
        reserve::follow(self, &before, &task)?;
        if before.lease.is_some() != task.lease.is_some() && self.is_curbed(&task) {
            curb::follow(self, &before, &task)?;
        }
        let asked = |task: &Task| (task.state, task.reason) == (State::Awaiting, Some(Reason::Budget));
        if asked(&before) && !asked(&task) {
            curb::purses::asked(self, &task)?;
        }
        self.rows.get_mut(&seq).expect("the row was loaded above").new = task;
        Ok(())
    }

    /// Whether any curb may have to do with this task.
    fn is_curbed(&self, task: &Task) -> bool {
        const BOOKS: [Book; 3] = [Book::Limit, Book::Breaker, Book::Budget];
        task.guarded || BOOKS.into_iter().any(|book| self.has(book))
    }

    /// Takes a row out for good, with every counter that speaks of it but those of its run.
    pub(super) fn take_out(&mut self, task: Task, key: Option<Key>) {
        let head = self.head();
        head.counts.remove(task.state);
        head.score_sum -= i64::from(task.score.0);
        self.writes.gone.tasks.push((task, key));
    }

    /// Completes what follows from the rest of a row: a task that becomes ready, or whose priority has changed in line, is scored
    /// for that moment, and one that is not ready waits in no line.
    fn finished(&self, mut task: Task, before: Option<&Task>) -> Task {
        let in_line = |before: &Task| (before.state, before.priority) == (State::Ready, task.priority);
        if task.state == State::Ready && !before.is_some_and(in_line) {
            task.score = self.order.score(&task.facts(), self.now.wall);
        }
        if task.state != State::Ready {
            task.wait = Wait::No;
        }
        task
    }

    fn count_in_run(&mut self, no: RunNo, before: Option<&Task>, after: Option<&Task>) -> Result<()> {
        let run = self.run_mut(no)?;
        if let Some(task) = before.filter(|task| !task.superseded) {
            run.counts.remove(task.state);
            run.skipped -= u64::from(task.is_skipped());
        }
        if let Some(task) = after.filter(|task| !task.superseded) {
            run.counts.add(task.state);
            run.skipped += u64::from(task.is_skipped());
        }
        Ok(())
    }

    // ---- runs ----

    pub(super) fn add_run(&mut self, run: Run) {
        self.writes.new_runs.push(run.clone());
        self.runs.insert(run.no, (run.clone(), run));
    }

    pub(super) fn run_mut(&mut self, no: RunNo) -> Result<&mut Run> {
        if !self.runs.contains_key(&no) {
            let run = self
                .tx
                .run(self.project, no)?
                .ok_or_else(|| Refusal::new(Code::StoreCorrupt, format!("run number {} is missing", no.0)))?;
            self.runs.insert(no, (run.clone(), run));
        }
        Ok(&mut self.runs.get_mut(&no).expect("it was inserted above").1)
    }

    /// Runs whose last task has ended are finished, and finished runs with an open task go on. A finished run that
    /// ends otherwise now, because a task went on and ended within this one step, did both.
    fn close_runs(&mut self) {
        let mut numbers: Vec<RunNo> = self.runs.keys().copied().collect();
        numbers.sort_unstable();
        for no in numbers {
            let run = &self.runs[&no].1;
            let outcome = run.outcome();
            let mut was_open = run.finished_at.is_none();
            let over = run.counts.open() == 0;
            if !was_open && over && run.state != outcome {
                self.emit_run(Kind::RunResumed, no, None);
                was_open = true;
            }
            let run = &self.runs[&no].1;
            if was_open && over {
                let data = Json::of(&serde_json::json!({ "state": outcome, "counts": run.counts }));
                let at = self.now.wall;
                let run = &mut self.runs.get_mut(&no).expect("it is in the map").1;
                run.state = outcome;
                run.finished_at = Some(at);
                self.emit_run(Kind::RunFinished, no, Some(data));
            } else if !was_open && run.counts.open() > 0 {
                let run = &mut self.runs.get_mut(&no).expect("it is in the map").1;
                run.state = RunState::Active;
                run.finished_at = None;
                self.emit_run(Kind::RunResumed, no, None);
            }
        }
    }

    // ---- events ----

    /// Records a fact about a task and makes it the head of the task's history. Returns the row's new head.
    fn emit(&mut self, fact: Draft, prev: EventNo) -> EventNo {
        let no = self.next_event();
        let chain = &mut self.head().chain;
        let digest = chain.digest.next(no, prev, &fact);
        chain.last = no;
        chain.digest = digest;
        self.writes.events.push(Event {
            no,
            fact,
            prev,
            digest,
        });
        no
    }

    pub(super) fn emit_run(&mut self, kind: Kind, run: RunNo, data: Option<Json>) {
        let (at, actor) = (self.now.wall, self.actor.clone());
        let fact = Draft {
            at,
            kind,
            task: None,
            run: Some(run),
            actor,
            reason: None,
            data,
        };
        self.emit(fact, EventNo(0));
    }

    /// Records a fact that is about neither a task nor a run.
    pub(super) fn emit_other(&mut self, kind: Kind, data: Option<Json>) {
        let (at, actor) = (self.now.wall, self.actor.clone());
        let fact = Draft {
            at,
            kind,
            task: None,
            run: None,
            actor,
            reason: None,
            data,
        };
        self.emit(fact, EventNo(0));
    }

    pub(super) fn emit_task(
        &mut self,
        task: &mut Task,
        kind: Kind,
        reason: Option<Reason>,
        data: Option<Json>,
    ) {
        self.emit_task_at(self.now.wall, task, kind, reason, data);
    }

    fn emit_task_at(
        &mut self,
        at: Timestamp,
        task: &mut Task,
        kind: Kind,
        reason: Option<Reason>,
        data: Option<Json>,
    ) {
        let actor = self.actor.clone();
        let fact = Draft {
            at,
            kind,
            task: Some(task.seq),
            run: task.run,
            actor,
            reason,
            data,
        };
        task.last_event = self.emit(fact, task.last_event);
    }

    /// Carries a decision into the step: its events, its outcome, its row. Returns the row before it.
    pub(super) fn carry_out(&mut self, change: Change) -> Result<Task> {
        let Change {
            mut task,
            moves,
            outcome,
        } = change;
        for step in moves {
            let at = step.at.unwrap_or(self.now.wall);
            self.emit_task_at(at, &mut task, Kind::TaskEntered(step.to), step.reason, step.data);
        }
        let before = self.task(task.seq)?.clone();
        // A first attempt that leaves nothing behind needs no row: there is none to replace.
        let first = before.lease.is_some() && before.attempts == 0;
        if let Some(outcome) = outcome.filter(|outcome| !first || *outcome != Outcome::default()) {
            self.writes.outcomes.push((task.seq, outcome));
        }
        if task.dead_letter && !before.dead_letter {
            let signature = letters::signature(self, &task)?;
            let data = Json::of(&serde_json::json!({ "signature": *signature.key() }));
            let reason = task.reason;
            self.emit_task(&mut task, Kind::TaskEscalated, reason, Some(data));
            letters::come(self, &task, signature)?;
        } else if before.dead_letter && !task.dead_letter {
            letters::leave(self, &before)?;
        }
        self.put(task)?;
        Ok(before)
    }

    // ---- small documents ----

    /// The entries with these keys as they are in this step.
    pub(super) fn entries(&mut self, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        let stored = if self.writes.head.0.has(book) {
            self.tx.entries(self.project, book, keys)?
        } else {
            Vec::new()
        };
        let writes = &self.writes;
        Ok(keys
            .iter()
            .filter_map(|key| {
                let same = |entry: &&Entry| entry.book == book && entry.key == *key;
                if writes.erased.iter().any(|(b, k)| *b == book && k == key) {
                    return None;
                }
                let fresh = writes.entries.iter().find(same);
                fresh.or_else(|| stored.iter().find(same)).cloned()
            })
            .collect())
    }

    /// Replaces an entry, or removes it.
    pub(super) fn write_entry(&mut self, book: Book, key: &Arc<str>, to: Option<(Json, Option<Timestamp>)>) {
        let writes = &mut self.writes;
        writes
            .entries
            .retain(|entry| !(entry.book == book && entry.key == *key));
        writes.erased.retain(|(b, k)| !(*b == book && k == key));
        match to {
            Some((value, due)) => {
                writes.head.1.books |= 1 << book.number();
                writes.entries.push(Entry {
                    book,
                    key: key.clone(),
                    value,
                    due,
                });
            }
            None => writes.erased.push((book, key.clone())),
        }
    }

    // ---- writing ----

    /// Hands on what has become free, closes runs, writes.
    pub(super) fn finish(&mut self) -> Result<()> {
        super::locks::hand_on(self)?;
        curb::save(self);
        lanes::save(self);
        reserve::save(self);
        agents::save(self);
        letters::save(self);
        self.close_runs();
        self.flush()
    }

    /// Writes everything so far; the step goes on with what is now stored.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut seqs: Vec<Seq> = self.rows.keys().copied().collect();
        seqs.sort_unstable();
        for seq in seqs {
            let slot = self.rows.get_mut(&seq).expect("the key was listed");
            if slot.fresh {
                // The row as it is now, under the body that the admission listed.
                let at = self
                    .writes
                    .new_tasks
                    .binary_search_by_key(&seq, |row| row.task.seq);
                self.writes.new_tasks[at.expect("a new row has a body")].task = slot.new.clone();
                slot.old = slot.new.clone();
                slot.fresh = false;
            } else if slot.old != slot.new {
                let old = std::mem::replace(&mut slot.old, slot.new.clone());
                self.writes.tasks.push((old, slot.new.clone()));
            }
        }
        let new: Vec<RunNo> = self.writes.new_runs.iter().map(|run| run.no).collect();
        for run in &mut self.writes.new_runs {
            *run = self.runs[&run.no].1.clone();
        }
        for (old, now) in self.runs.values_mut().filter(|(old, now)| old != now) {
            if !new.contains(&now.no) {
                self.writes.runs.push(now.clone());
            }
            *old = now.clone();
        }
        self.writes.runs.sort_by_key(|run| run.no);
        if !self.writes.is_empty() {
            self.tx.apply(&self.writes)?;
        }
        self.writes = WriteSet::new(self.project, self.writes.head.1.clone());
        Ok(())
    }
}

/// When a row next changes by itself.
fn timer(task: &Task, order: &Order, now: Now) -> Option<Timestamp> {
    match task.state {
        State::Pending | State::Retrying => task.run_at,
        State::Awaiting if task.asks && task.guarded => task.deadline,
        State::Ready => order.next_change(&task.facts(), now.wall),
        _ => None,
    }
}

pub(super) fn missing(seq: Seq) -> Refusal {
    Refusal::new(Code::StoreCorrupt, format!("task number {} is missing", seq.0))
}
