//! What a driver must be able to do inside one transaction: read rows, and apply one [`WriteSet`].
//!
//! The verbs of the store are written once, in this folder, over this trait. Reads see what earlier `apply` calls of
//! the same transaction wrote. All methods take whole batches, so that a driver over a network needs one round
//! trip for each. A driver serialises its writing transactions, or retries the ones that collide.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::event::{ChainHead, Event};
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::{Counts, Run, RunNo};
use domain::store::{CacheEntry, Result};
use domain::task::lock::Mode;
use domain::task::record::{Body, Class, ClassNo, Outcome, Place, Task};
use domain::task::spec::When;
use domain::time::{Now, Timestamp};

/// A project's local number in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectNo(pub u32);

/// A key in a run, or outside any run.
pub type Name = (Option<RunNo>, Key);

pub trait Tx {
    /// The moment that this transaction acts in. Stores that several machines share answer with their own clock, so that
    /// a node whose clock is wrong neither ends leases early nor holds them for ever; the others take the caller's.
    fn now(&mut self, asked: Now) -> Result<Now> {
        Ok(asked)
    }

    /// The project's number; unknown projects get one when `create` is set.
    fn project(&mut self, name: &Project, create: bool) -> Result<Option<ProjectNo>>;

    /// The project's head as of this transaction; never cached across transactions, since other processes write too.
    fn head(&mut self, project: ProjectNo) -> Result<Head>;

    /// Where ids lead, in the order asked.
    fn find(&mut self, project: ProjectNo, ids: &[TaskId]) -> Result<Vec<Option<Seq>>>;

    /// The first of these ids that a task has already. A driver whose keys refuse a second task of one id may say that
    /// there is none: writing the task is then refused with [`Code::TaskExists`](domain::code::Code).
    fn taken(&mut self, project: ProjectNo, ids: &[TaskId]) -> Result<Option<TaskId>> {
        let found = self.find(project, ids)?;
        let mut all = ids.iter().zip(found);
        Ok(all.find(|(_, seq)| seq.is_some()).map(|(id, _)| id.clone()))
    }

    /// Which tasks go by these names, in the order asked. Of runs before the newest that has such a name, a driver may
    /// say that none does.
    fn named(&mut self, project: ProjectNo, names: &[Name]) -> Result<Vec<Option<Seq>>>;

    /// The rows with their leases, in the order asked; unknown numbers are left out.
    fn tasks(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<Task>>;

    /// In the order asked; unknown numbers are left out.
    fn bodies(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Body)>>;

    /// What tasks ended with; those without an outcome are left out.
    fn outcomes(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Outcome)>>;

    /// The first `limit` subtasks of `parent`, in order of their numbers.
    fn children(&mut self, project: ProjectNo, parent: Seq, limit: usize) -> Result<Vec<Seq>>;

    /// The last `limit` tasks of a run with numbers below `before`, the last one first.
    fn members(&mut self, project: ProjectNo, run: RunNo, before: Seq, limit: usize) -> Result<Vec<Seq>>;

    /// Dependents of `parent` after `after`, in order of their numbers.
    fn dependents(
        &mut self,
        project: ProjectNo,
        parent: Seq,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, When)>>;

    /// The next unused task number; numbers given out in `apply` continue from it.
    fn next_seq(&mut self, project: ProjectNo) -> Result<Seq>;

    /// The class's number, giving it one if it is new.
    fn class(&mut self, project: ProjectNo, class: &Class) -> Result<ClassNo>;

    /// All classes of the project; cheap when nothing was added since the last call.
    fn classes(&mut self, project: ProjectNo) -> Result<Arc<Vec<(ClassNo, Class)>>>;

    /// The first `limit` tasks in line of these classes, best place first; of one run only if given.
    fn line(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        classes: &[ClassNo],
        limit: usize,
    ) -> Result<Vec<Task>>;

    /// Holders of exactly this name.
    fn holders(&mut self, project: ProjectNo, name: &str) -> Result<Vec<(Seq, Mode)>>;

    /// Holders of names in `start..end`.
    fn holders_between(
        &mut self,
        project: ProjectNo,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Seq, Mode)>>;

    /// Names that this task holds.
    fn held_by(&mut self, project: ProjectNo, holder: Seq) -> Result<Vec<(String, Mode)>>;

    /// The best placed task parked under this thing, of each group (class and run) that has any; or of one group.
    fn parked(&mut self, project: ProjectNo, thing: &str, group: Option<Group>) -> Result<Vec<Task>>;

    /// Leased tasks whose lease ended at or before `mono`, in order of their end.
    fn expired(&mut self, project: ProjectNo, mono: i64, limit: usize) -> Result<Vec<Seq>>;

    fn leased_by(&mut self, project: ProjectNo, worker: &WorkerId) -> Result<Vec<Seq>>;

    /// Tasks whose timer is at or before `at`, and the time of the first timer after that.
    fn due(
        &mut self,
        project: ProjectNo,
        at: Timestamp,
        limit: usize,
    ) -> Result<(Vec<Seq>, Option<Timestamp>)>;

    fn run(&mut self, project: ProjectNo, no: RunNo) -> Result<Option<Run>>;

    fn find_run(&mut self, project: ProjectNo, id: RunId) -> Result<Option<Run>>;

    /// The newest run of this plan.
    fn newest_run(&mut self, project: ProjectNo, plan: &str) -> Result<Option<Run>>;

    fn next_run(&mut self, project: ProjectNo) -> Result<RunNo>;

    /// Ended tasks whose dependents are not all settled, with the last dependent that is.
    fn unsettled(&mut self, project: ProjectNo, limit: usize) -> Result<Vec<(Seq, Seq)>>;

    /// Whether this transaction may leave ended tasks whose dependents are not all settled. What one before it has left
    /// and nobody has gone on with is found by the next tick.
    fn leaves_unsettled(&mut self, project: ProjectNo) -> Result<bool> {
        Ok(!self.unsettled(project, 1)?.is_empty())
    }

    /// The event with this number.
    fn event(&mut self, project: ProjectNo, no: EventNo) -> Result<Option<Event>>;

    /// The digest of the request and the answer remembered under this idempotency key.
    fn remembered(&mut self, project: ProjectNo, key: &str) -> Result<Option<Remembered>>;

    /// What is remembered, in order of the keys, after `after`.
    fn remembered_page(
        &mut self,
        project: ProjectNo,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Remembered)>>;

    /// The entries with these keys, in the order asked; unknown keys are left out.
    fn entries(&mut self, project: ProjectNo, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>>;

    /// Entries in order of their keys, those after `after`.
    fn entry_page(&mut self, project: ProjectNo, book: Book, after: &str, limit: usize)
    -> Result<Vec<Entry>>;

    /// Entries that are due at or before `at`, in order of their time and key.
    fn entries_due(
        &mut self,
        project: ProjectNo,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    fn apply(&mut self, writes: &WriteSet) -> Result<()>;

    fn cache_put(&mut self, project: ProjectNo, entry: &CacheEntry, bound: usize) -> Result<()>;
}

/// Tasks that the same claims can find. Parked tasks are let out per group, so that one which nobody serves does
/// not stand in the way of the others.
pub type Group = (ClassNo, Option<RunNo>);

/// What a project keeps in one row: it is read first and written last in every transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub chain: ChainHead,
    /// Of all tasks, superseded ones too.
    pub counts: Counts,
    pub dead_letters: u64,
    /// In thousandths.
    pub score_sum: i64,
    pub max_depth: u32,
    pub newest: Option<Timestamp>,
    /// The books that were ever written to, one bit each by number: a step reads only those. Beside them stands
    /// [`Head::OVERTAKEN`].
    pub books: u32,
}

impl Head {
    /// Somebody was passed over and still waits, so that steps have to ask who has reserved what.
    pub const OVERTAKEN: u32 = 1 << 31;

    pub fn has(&self, book: Book) -> bool {
        self.books & (1 << book.number()) != 0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub digest: [u8; 32],
    pub answer: String,
    pub at: Timestamp,
}

/// Everything that one step of the kernel changes, ready to be written in any order within it.
///
/// What follows from a row is not listed: the driver derives a task's place in line, its parking, its timer and its
/// lease row from the old and the new row (`Task::in_line`, `parked_under`, `timer`, `lease`).
#[derive(Clone, Debug)]
pub struct WriteSet {
    pub project: ProjectNo,
    /// The head before and after.
    pub head: (Head, Head),
    /// In order of their numbers.
    pub new_tasks: Vec<NewRow>,
    /// (prerequisite, dependent, condition), sorted.
    pub new_edges: Vec<(Seq, Seq, When)>,
    /// The row before and after, in order of their numbers; each task at most once.
    pub tasks: Vec<(Task, Task)>,
    /// Replaces what was there.
    pub outcomes: Vec<(Seq, Outcome)>,
    pub acquired: Vec<(String, Seq, Mode)>,
    /// These tasks hold nothing any more.
    pub released: Vec<Seq>,
    pub new_runs: Vec<Run>,
    pub runs: Vec<Run>,
    /// The task now goes by this name.
    pub keys: Vec<(Name, Seq)>,
    /// Numbered, chained, in order.
    pub events: Vec<Event>,
    /// Ended task and the last dependent that is settled; `None` when all are.
    pub settled: Vec<(Seq, Option<Seq>)>,
    pub remember: Vec<(String, Remembered)>,
    /// Replace what was there; an entry is in here or in `erased`, once.
    pub entries: Vec<Entry>,
    pub erased: Vec<(Book, Arc<str>)>,
    pub gone: Gone,
}

/// What leaves the project for good. A transaction does nothing more to the project after a set with any of it.
#[derive(Clone, Debug, Default)]
pub struct Gone {
    /// Rows as they are stored, with the keys that they go by; everything beside them goes too, and the edges to their
    /// dependents. A key that the newest of them goes by is known no longer.
    pub tasks: Vec<(Task, Option<Key>)>,
    /// (prerequisite that stays, dependent).
    pub edges: Vec<(Seq, Seq)>,
    /// Runs without any task left.
    pub runs: Vec<Run>,
    /// Idempotency keys.
    pub answers: Vec<String>,
    /// The log up to this event, and the one after which it has begun so far.
    pub log: Option<(EventNo, EventNo)>,
}

impl Gone {
    pub fn is_empty(&self) -> bool {
        let Gone {
            tasks,
            edges,
            runs,
            answers,
            log,
        } = self;
        tasks.is_empty() && edges.is_empty() && runs.is_empty() && answers.is_empty() && log.is_none()
    }
}

#[derive(Clone, Debug)]
pub struct NewRow {
    pub task: Task,
    pub body: Body,
}

impl WriteSet {
    pub fn new(project: ProjectNo, head: Head) -> WriteSet {
        WriteSet {
            project,
            head: (head.clone(), head),
            new_tasks: Vec::new(),
            new_edges: Vec::new(),
            tasks: Vec::new(),
            outcomes: Vec::new(),
            acquired: Vec::new(),
            released: Vec::new(),
            new_runs: Vec::new(),
            runs: Vec::new(),
            keys: Vec::new(),
            events: Vec::new(),
            settled: Vec::new(),
            remember: Vec::new(),
            entries: Vec::new(),
            erased: Vec::new(),
            gone: Gone::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        let WriteSet {
            project: _,
            head,
            new_tasks,
            new_edges,
            tasks,
            outcomes,
            acquired,
            released,
            new_runs,
            runs,
            keys,
            events,
            settled,
            remember,
            entries,
            erased,
            gone,
        } = self;
        head.0 == head.1
            && new_tasks.is_empty()
            && new_edges.is_empty()
            && tasks.is_empty()
            && outcomes.is_empty()
            && acquired.is_empty()
            && released.is_empty()
            && new_runs.is_empty()
            && runs.is_empty()
            && keys.is_empty()
            && events.is_empty()
            && settled.is_empty()
            && remember.is_empty()
            && entries.is_empty()
            && erased.is_empty()
            && gone.is_empty()
    }
}

/// The place of a task if it is in line.
pub fn place_in_line(task: &Task) -> Option<(ClassNo, Place, Option<RunNo>)> {
    task.in_line().then(|| (task.class, task.place(), task.run))
}
