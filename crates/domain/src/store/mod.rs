//! The contract of every store: a few verbs that write, cursors that read.
//!
//! A writing verb is one atomic business operation with its events: all of it is there after it returned, or
//! nothing is. Rules live in this crate and in the kernel of the `store` crate, never in a driver.
//!
//! `now` is passed in everywhere; shared stores replace its `mono` by their server's clock. Cancelling the future
//! of a writing verb does not undo it: the write may or may not have happened, and an idempotency key tells.

mod admit;
mod change;
mod claim;
mod read;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::book::{Book, Edit, Entry};
use crate::code::Refusal;
use crate::event::ChainHead;
use crate::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use crate::prune::{Prune, Pruned};
use crate::run::Run;
use crate::task::spec::When;
use crate::time::{Now, Timestamp};
use crate::transfer::{Closed, Next, Piece, Totals};

pub use admit::*;
pub use change::*;
pub use claim::*;
pub use read::*;

pub type Result<T> = std::result::Result<T, Refusal>;

#[async_trait]
pub trait Store: Debug + Send + Sync {
    fn info(&self) -> Info;

    // ---- writing ----

    /// Stores new tasks with their edges, all or none.
    async fn admit(&self, project: &Project, admission: Admission, now: Now) -> Result<Admitted>;

    /// Hands out up to `claim.max` tasks in order of their place in line. None ready is an empty answer.
    async fn claim(&self, project: &Project, claim: Claim, now: Now) -> Result<Vec<Leased>>;

    /// Carries out requests in order; each succeeds or is refused on its own, and all that succeed are one
    /// transaction. The outer error means that nothing happened.
    async fn change(&self, project: &Project, requests: Vec<Request>, now: Now)
    -> Result<Vec<Result<Reply>>>;

    /// Does what is due by time: expired leases, back-offs that are over, `run_at`, scores, unfinished settling.
    /// Bounded per call; `Ticked::more` asks to be called again at once.
    async fn tick(&self, project: &Project, now: Now) -> Result<Ticked>;

    /// Takes back every lease of a worker that is known to be dead.
    async fn lose(&self, project: &Project, worker: &WorkerId, now: Now) -> Result<Vec<TaskId>>;

    /// Remembers a result under a content key, dropping the least recently used beyond `bound` entries.
    async fn cache_put(&self, project: &Project, entry: CacheEntry, bound: usize) -> Result<()>;

    /// Writes small documents, all or none, with their events. Refused with `entry-changed` when one is not what
    /// its edit expects.
    async fn edit(&self, project: &Project, edits: Vec<Edit>, actor: Arc<str>, now: Now) -> Result<()>;

    /// Takes or keeps the periodic duties of a project for `ttl` from now on. Returns the term's number when `who`
    /// leads, and `None` while somebody else does. With no `ttl`, hands them back. Terms only grow: what a leader writes
    /// under an earlier term can be told from what its successor writes.
    async fn lead(
        &self,
        project: &Project,
        who: &WorkerId,
        ttl: Option<Duration>,
        now: Now,
    ) -> Result<Option<u64>>;

    /// Takes one bounded piece of what ended long ago out of the project; see [`crate::prune`].
    async fn prune(&self, project: &Project, prune: Prune, actor: Arc<str>, now: Now) -> Result<Pruned>;

    /// Gives the room of what was taken out back to the machine, as far as the store does not do that by itself. Nobody
    /// writes meanwhile. Returns how many bytes that was; `None` where it never has to be asked for.
    async fn compact(&self) -> Result<Option<u64>>;

    // ---- moving to another store ----

    /// Closes a project for everything but its transfer, or opens it again; see [`crate::transfer`].
    async fn close(&self, project: &Project, closed: Option<Closed>) -> Result<()>;

    /// One piece of a project without its events, and where the next one begins.
    async fn dump(&self, project: &Project, next: Next) -> Result<(Piece, Option<Next>)>;

    /// Takes a piece of a project in that is arriving here. With `totals`, it is the last one.
    async fn load(&self, project: &Project, piece: Piece, totals: Option<Totals>, now: Now) -> Result<()>;

    /// What a project keeps about itself as a whole; `None` when nothing was ever written to it.
    async fn totals(&self, project: &Project) -> Result<Option<Totals>>;

    // ---- reading ----

    async fn projects(&self) -> Result<Vec<Project>>;

    /// In the order asked; `None` for ids that do not exist.
    async fn views(&self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>>;

    /// The task with this key in the newest run that has it, or the newest task with it outside any run.
    async fn by_key(&self, project: &Project, key: &Key) -> Result<Option<TaskId>>;

    /// In insertion order, those after `after`, at most [`crate::limits::PAGE_MAX`].
    async fn list(&self, project: &Project, filter: Filter, after: Seq, limit: usize) -> Result<Vec<View>>;

    /// The newest `limit` events of a task, oldest first.
    async fn history(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>>;

    async fn events(&self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>>;

    /// Where the chain stands, as kept apart from the log.
    async fn chain(&self, project: &Project) -> Result<ChainHead>;

    async fn status(&self, project: &Project) -> Result<Status>;

    /// Newest first.
    async fn runs(&self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>>;

    async fn run(&self, project: &Project, id: RunId) -> Result<Option<Run>>;

    async fn neighbours(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours>;

    /// The edges among the tasks given by number: (prerequisite, dependent, condition).
    async fn edges(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>>;

    /// What the tasks given by number ended with, for those that depend on them.
    async fn results(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>>;

    /// How many tasks of any class stand before this one in line, counting at most `limit`.
    async fn ahead(&self, project: &Project, task: &TaskId, limit: usize) -> Result<usize>;

    async fn locks(&self, project: &Project) -> Result<Vec<HeldLock>>;

    /// Everything leased, or what one worker has leased.
    async fn leased(&self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>>;

    async fn cache_get(
        &self,
        project: &Project,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<CacheEntry>>;

    /// Entries of a book in order of their keys, those after `after`.
    async fn entries(&self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>>;

    /// The entries with these keys, in the order asked; unknown keys are left out.
    async fn entries_of(&self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>>;

    /// Entries of a book that somebody has to look at, the longest overdue first.
    async fn entries_due(
        &self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// Compares everything that is kept twice; an empty answer is a sound store.
    async fn check(&self, project: &Project) -> Result<Vec<String>>;

    /// Resolves when anything was committed, by any process, after the moment that `since` stands for, and
    /// returns the new moment. Start with 0. May resolve without need; never misses a commit for longer than
    /// the store's poll interval.
    async fn changed(&self, since: u64) -> u64;
}

#[derive(Clone, Debug)]
pub struct Info {
    /// Without secrets.
    pub url: String,
    pub engine: &'static str,
    pub durability: Durability,
    pub schema: u32,
    pub leases: LeaseClock,
}

/// What a lease's end is counted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseClock {
    /// [`Now::mono`] of the machine, which all who use the store are on.
    #[default]
    Machine,
    /// The wall clock of the server that keeps the store.
    Server,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// Power loss.
    #[default]
    Full,
    /// The death of the process; power loss may take the last second.
    Relaxed,
}

impl Durability {
    pub fn as_str(self) -> &'static str {
        match self {
            Durability::Full => "full",
            Durability::Relaxed => "relaxed",
        }
    }
}
