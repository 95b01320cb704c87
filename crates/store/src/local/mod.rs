//! A store in this process: one thread writes (`writer`), a few readers read beside it (`readers`).
//!
//! The writer owns the driver. Whatever waits when it looks goes into one transaction in order of arrival, and
//! callers are answered after the commit, so they share its cost. Between transactions it settles what wide
//! fan-outs have left over.

mod readers;
#[cfg(test)]
mod tests;
mod writer;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use domain::book::{Book, Edit, Entry};
use domain::caught::text;
use domain::code::{Code, Refusal};
use domain::event::ChainHead;
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::limits::PAGE_MAX;
use domain::prune::{Prune, Pruned};
use domain::run::Run;
use domain::store::{
    Admission, Admitted, CacheEntry, Claim, Filter, Held, HeldLock, Info, Leased, Neighbours, Reply, Request,
    Result, Seen, Status, Store, Ticked, Upstream, View,
};
use domain::task::spec::When;
use domain::time::{Now, Timestamp};
use domain::transfer::{Closed, Next, Piece, Totals};
use tokio::sync::{mpsc, oneshot, watch};

use crate::driver::{Driver, Read, Watch};
use crate::kernel;
use readers::Readers;
use writer::{Ask, Verb};

/// Requests that may wait for the writer; further callers wait for room.
const QUEUE: usize = 1_024;

/// A store in this process. Dropping it ends the writer once everything that was asked is done.
pub struct Local {
    info: Info,
    /// `None` only while it is dropped.
    asks: Option<mpsc::Sender<Ask>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
    moment: Arc<watch::Sender<u64>>,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("url", &self.info.url).finish()
    }
}

impl Local {
    /// Starts the writer's thread, and one that listens to other processes where the driver can.
    pub fn open(driver: impl Driver) -> Result<Local> {
        let info = driver.info();
        let (asks, inbox) = mpsc::channel(QUEUE);
        let moment = Arc::new(watch::Sender::new(1));
        if let Some(watch) = driver.watch() {
            let moment = Arc::downgrade(&moment);
            spawn("bell-watch", move || follow(watch, &moment))?;
        }
        let committed = moment.clone();
        let writer = spawn("bell-store", move || writer::run(driver, inbox, committed))?;
        Ok(Local {
            info,
            asks: Some(asks),
            writer: Some(writer),
            readers: Arc::default(),
            moment,
        })
    }

    /// Has the writer carry out one verb, and waits for the commit.
    async fn write<T: Send + 'static>(&self, verb: Verb<T>) -> Result<T> {
        let (caller, answer) = oneshot::channel();
        self.ask(verb.asked_by(caller)).await?;
        answer.await.map_err(|_| gone())?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.readers.turn().await;
        let reader = match self.readers.idle() {
            Some(reader) => reader,
            None => self.new_reader().await?,
        };
        self.readers.serve(turn, reader, read).await
    }

    /// The driver lives with the writer, so that is whom to ask.
    async fn new_reader(&self) -> Result<Box<dyn Read>> {
        let (caller, reader) = oneshot::channel();
        self.ask(Ask::Reader(caller)).await?;
        reader.await.map_err(|_| gone())?
    }

    async fn ask(&self, ask: Ask) -> Result<()> {
        let asks = self.asks.as_ref().ok_or_else(gone)?;
        asks.send(ask).await.map_err(|_| gone())
    }
}

impl Drop for Local {
    /// Waits for the writer. That needs no runtime to finish, so a worker thread of one may be held up here for the
    /// transactions that were asked for, but never for ever.
    fn drop(&mut self) {
        self.asks = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(|e| {
        Refusal::new(
            Code::StoreUnavailable,
            format!("the thread `{name}` does not start: {e}"),
        )
    })
}

fn gone() -> Refusal {
    Refusal::new(Code::StoreUnavailable, "the store has been closed")
}

/// The answer to somebody whose request has hit a defect of ours.
fn panicked(panic: &(dyn Any + Send)) -> Refusal {
    let detail = format!("the store panicked, and nothing was written: {}", text(panic));
    Refusal::new(Code::Internal, detail)
}

/// Passes on what other processes commit, until the store is dropped.
fn follow(mut watch: Box<dyn Watch>, moment: &Weak<watch::Sender<u64>>) {
    loop {
        let happened = watch.wait();
        let Some(moment) = moment.upgrade() else { return };
        if happened {
            moment.send_modify(|moment| *moment += 1);
        }
    }
}

#[async_trait]
impl Store for Local {
    fn info(&self) -> Info {
        self.info.clone()
    }

    async fn admit(&self, project: &Project, admission: Admission, now: Now) -> Result<Admitted> {
        let weight = admission.tasks.len();
        let verb = Verb::new(project, Some(now), weight, move |tx, project| {
            kernel::admit(tx, project, &admission, now)
        });
        self.write(verb.wrote_if(|admitted| !admitted.repeated)).await
    }

    async fn claim(&self, project: &Project, claim: Claim, now: Now) -> Result<Vec<Leased>> {
        let verb = Verb::new(project, Some(now), claim.max, move |tx, project| {
            kernel::claim(tx, project, &claim, now)
        });
        self.write(verb.wrote_if(|leased| !leased.is_empty())).await
    }

    async fn change(
        &self,
        project: &Project,
        requests: Vec<Request>,
        now: Now,
    ) -> Result<Vec<Result<Reply>>> {
        let verb = Verb::new(project, Some(now), requests.len(), move |tx, project| {
            kernel::change(tx, project, &requests, now)
        });
        let changed = |replies: &Vec<Result<Reply>>| replies.iter().any(Result::is_ok);
        self.write(verb.wrote_if(changed)).await
    }

    async fn tick(&self, project: &Project, now: Now) -> Result<Ticked> {
        let verb = Verb::new(project, Some(now), 1, move |tx, project| {
            kernel::tick(tx, project, now)
        });
        self.write(verb.wrote_if(|ticked| ticked.moved > 0)).await
    }

    async fn lose(&self, project: &Project, worker: &WorkerId, now: Now) -> Result<Vec<TaskId>> {
        let worker = worker.clone();
        let verb = Verb::new(project, Some(now), 1, move |tx, project| {
            kernel::lose(tx, project, &worker, now)
        });
        self.write(verb.wrote_if(|lost| !lost.is_empty())).await
    }

    async fn cache_put(&self, project: &Project, entry: CacheEntry, bound: usize) -> Result<()> {
        let verb = Verb::new(project, None, 1, move |tx, project| {
            match tx.project(project, true)? {
                Some(no) => tx.cache_put(no, &entry, bound),
                None => Ok(()),
            }
        });
        self.write(verb).await
    }

    async fn edit(&self, project: &Project, edits: Vec<Edit>, actor: Arc<str>, now: Now) -> Result<()> {
        let verb = Verb::new(project, None, edits.len(), move |tx, project| {
            kernel::edit(tx, project, &edits, &actor, now)
        });
        self.write(verb).await
    }

    async fn lead(
        &self,
        project: &Project,
        who: &WorkerId,
        ttl: Option<Duration>,
        now: Now,
    ) -> Result<Option<u64>> {
        let who = who.clone();
        let verb = Verb::new(project, None, 1, move |tx, project| {
            kernel::lead(tx, project, &who, ttl, now)
        });
        self.write(verb.wrote_if(|_| false)).await
    }

    async fn prune(&self, project: &Project, prune: Prune, actor: Arc<str>, now: Now) -> Result<Pruned> {
        // Nothing may follow it in its transaction.
        let verb = Verb::new(project, None, writer::GROUP_TASKS, move |tx, project| {
            kernel::prune(tx, project, &prune, &actor, now)
        });
        let wrote = |pruned: &Pruned| pruned.tasks + pruned.events > 0;
        self.write(verb.wrote_if(wrote)).await
    }

    async fn compact(&self) -> Result<Option<u64>> {
        let (caller, answer) = oneshot::channel();
        self.ask(Ask::Compact(caller)).await?;
        answer.await.map_err(|_| gone())?
    }

    async fn close(&self, project: &Project, closed: Option<Closed>) -> Result<()> {
        let verb = Verb::new(project, None, 1, move |tx, project| {
            kernel::close(tx, project, closed.as_ref())
        });
        self.write(verb).await
    }

    async fn dump(&self, project: &Project, next: Next) -> Result<(Piece, Option<Next>)> {
        let verb = Verb::new(project, None, PAGE_MAX, move |tx, project| {
            kernel::dump(tx, project, &next)
        });
        self.write(verb.wrote_if(|_| false)).await
    }

    async fn load(&self, project: &Project, piece: Piece, totals: Option<Totals>, now: Now) -> Result<()> {
        let verb = Verb::new(project, None, PAGE_MAX, move |tx, project| {
            kernel::load(tx, project, &piece, totals.as_ref(), now)
        });
        self.write(verb.wrote_if(|()| false)).await
    }

    async fn totals(&self, project: &Project) -> Result<Option<Totals>> {
        let verb = Verb::new(project, None, 1, |tx, project| kernel::totals(tx, project));
        self.write(verb.wrote_if(|_| false)).await
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        self.read(|reader| reader.projects()).await
    }

    async fn views(&self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>> {
        let (project, ids) = (project.clone(), ids.to_vec());
        self.read(move |reader| reader.views(&project, &ids)).await
    }

    async fn by_key(&self, project: &Project, key: &Key) -> Result<Option<TaskId>> {
        let (project, key) = (project.clone(), key.clone());
        self.read(move |reader| reader.by_key(&project, &key)).await
    }

    async fn list(&self, project: &Project, filter: Filter, after: Seq, limit: usize) -> Result<Vec<View>> {
        let project = project.clone();
        self.read(move |reader| reader.list(&project, &filter, after, limit))
            .await
    }

    async fn history(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>> {
        let (project, task) = (project.clone(), task.clone());
        self.read(move |reader| reader.history(&project, &task, limit))
            .await
    }

    async fn events(&self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>> {
        let project = project.clone();
        self.read(move |reader| reader.events(&project, after, limit))
            .await
    }

    async fn chain(&self, project: &Project) -> Result<ChainHead> {
        let project = project.clone();
        self.read(move |reader| reader.chain(&project)).await
    }

    async fn status(&self, project: &Project) -> Result<Status> {
        let project = project.clone();
        self.read(move |reader| reader.status(&project)).await
    }

    async fn runs(&self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>> {
        let (project, plan) = (project.clone(), plan.map(str::to_owned));
        self.read(move |reader| reader.runs(&project, plan.as_deref(), limit))
            .await
    }

    async fn run(&self, project: &Project, id: RunId) -> Result<Option<Run>> {
        let project = project.clone();
        self.read(move |reader| reader.run(&project, id)).await
    }

    async fn neighbours(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours> {
        let (project, task) = (project.clone(), task.clone());
        self.read(move |reader| reader.neighbours(&project, &task, limit))
            .await
    }

    async fn edges(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>> {
        let (project, tasks) = (project.clone(), tasks.to_vec());
        self.read(move |reader| reader.edges(&project, &tasks)).await
    }

    async fn results(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>> {
        let (project, tasks) = (project.clone(), tasks.to_vec());
        self.read(move |reader| reader.results(&project, &tasks)).await
    }

    async fn ahead(&self, project: &Project, task: &TaskId, limit: usize) -> Result<usize> {
        let (project, task) = (project.clone(), task.clone());
        self.read(move |reader| reader.ahead(&project, &task, limit))
            .await
    }

    async fn locks(&self, project: &Project) -> Result<Vec<HeldLock>> {
        let project = project.clone();
        self.read(move |reader| reader.locks(&project)).await
    }

    async fn leased(&self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>> {
        let (project, worker) = (project.clone(), worker.cloned());
        self.read(move |reader| reader.leased(&project, worker.as_ref()))
            .await
    }

    async fn cache_get(
        &self,
        project: &Project,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<CacheEntry>> {
        let (project, key) = (project.clone(), *key);
        self.read(move |reader| reader.cache_get(&project, &key, now))
            .await
    }

    async fn entries(&self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>> {
        let (project, after) = (project.clone(), after.to_owned());
        self.read(move |reader| reader.entries(&project, book, &after, limit))
            .await
    }

    async fn entries_of(&self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        let (project, keys) = (project.clone(), keys.to_vec());
        self.read(move |reader| reader.entries_of(&project, book, &keys))
            .await
    }

    async fn entries_due(
        &self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let project = project.clone();
        self.read(move |reader| reader.entries_due(&project, book, at, limit))
            .await
    }

    async fn check(&self, project: &Project) -> Result<Vec<String>> {
        let project = project.clone();
        self.read(move |reader| reader.check(&project)).await
    }

    async fn changed(&self, since: u64) -> u64 {
        let mut moment = self.moment.subscribe();
        let later = moment.wait_for(|moment| *moment > since).await;
        later.map_or(since, |moment| *moment)
    }
}
