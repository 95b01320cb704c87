//! What a back end consists of: a writer that opens transactions, and readers.
//!
//! [`crate::local::Local`] turns a driver into a [`domain::store::Store`]: one thread owns the writer and commits
//! whatever waits as one transaction; readers serve reads beside it.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::event::ChainHead;
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::Run;
use domain::store::{
    CacheEntry, Filter, Held, HeldLock, Info, Neighbours, Result, Seen, Status, Upstream, View,
};
use domain::task::spec::When;
use domain::time::Timestamp;

use crate::kernel::tx::Tx;

pub trait Driver: Send + 'static {
    fn info(&self) -> Info;

    /// Runs `work` inside one transaction and commits it. When `work` or the commit fails, nothing is written.
    fn write(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()>;

    /// Called after callers have been answered: time for checkpoints and the like. `busy` says that more work
    /// is already waiting.
    fn idle(&mut self, busy: bool) {
        let _ = busy;
    }

    /// See [`domain::store::Store::compact`].
    fn compact(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// A new reader, for another thread.
    fn reader(&self) -> Result<Box<dyn Read>>;

    /// Something whose value changes when another process has committed; `None` where none can.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        None
    }
}

/// Waits for commits of other processes.
pub trait Watch: Send {
    /// Blocks until another process may have committed, or a bounded time has passed. Returns whether it may.
    fn wait(&mut self) -> bool;
}

/// The reading half of [`domain::store::Store`], blocking; the documentation is there.
pub trait Read: Send {
    fn projects(&mut self) -> Result<Vec<Project>>;
    fn views(&mut self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>>;
    fn by_key(&mut self, project: &Project, key: &Key) -> Result<Option<TaskId>>;
    fn list(&mut self, project: &Project, filter: &Filter, after: Seq, limit: usize) -> Result<Vec<View>>;
    fn history(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>>;
    fn events(&mut self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>>;
    fn chain(&mut self, project: &Project) -> Result<ChainHead>;
    fn status(&mut self, project: &Project) -> Result<Status>;
    fn runs(&mut self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>>;
    fn run(&mut self, project: &Project, id: RunId) -> Result<Option<Run>>;
    fn neighbours(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours>;
    fn edges(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>>;
    fn results(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>>;
    fn ahead(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<usize>;
    fn locks(&mut self, project: &Project) -> Result<Vec<HeldLock>>;
    fn leased(&mut self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>>;
    fn cache_get(&mut self, project: &Project, key: &[u8; 32], now: Timestamp) -> Result<Option<CacheEntry>>;
    fn entries(&mut self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>>;
    fn entries_of(&mut self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>>;
    fn entries_due(
        &mut self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>>;
    fn check(&mut self, project: &Project) -> Result<Vec<String>>;
}
