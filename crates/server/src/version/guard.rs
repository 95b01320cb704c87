//! A store that writes some documents only while they are as they were seen. All else goes through as it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::book::{Book, Edit, Entry, Expect};
use domain::event::ChainHead;
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::prune::{Prune, Pruned};
use domain::run::Run;
use domain::store::{
    Admission, Admitted, CacheEntry, Claim, Filter, Held, HeldLock, Info, Leased, Neighbours, Reply, Request,
    Result, Seen, Status, Store, Ticked, Upstream, View,
};
use domain::task::spec::When;
use domain::time::{Now, Timestamp};
use domain::transfer::{Closed, Next, Piece, Totals};

use super::{Documents, changed};

#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) store: Arc<dyn Store>,
    pub(super) book: Book,
    /// The caller has named the version.
    pub(super) is_conditional: bool,
    pub(super) documents: Arc<Mutex<Documents>>,
}

impl Guarded {
    /// The edits with what they rely on, and the documents as they then are.
    fn relying(&self, edits: Vec<Edit>) -> Result<(Vec<Edit>, Documents)> {
        let mut then = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut relying = Vec::with_capacity(edits.len());
        for edit in edits {
            let Some(seen) = then.get_mut(&edit.key).filter(|_| edit.book == self.book) else {
                relying.push(edit);
                continue;
            };
            let expect = seen.take().map_or(Expect::Nothing, Expect::This);
            if self.is_conditional && edit.expect != Expect::Anything && edit.expect != expect {
                return Err(changed("somebody else has changed it meanwhile"));
            }
            *seen = edit.to.as_ref().map(|(value, _)| value.clone());
            relying.push(match edit.expect {
                Expect::Anything => edit.expecting(expect),
                _ => edit,
            });
        }
        Ok((relying, then))
    }
}

#[async_trait]
impl Store for Guarded {
    async fn edit(&self, project: &Project, edits: Vec<Edit>, actor: Arc<str>, now: Now) -> Result<()> {
        let (edits, then) = self.relying(edits)?;
        self.store.edit(project, edits, actor, now).await?;
        *self.documents.lock().unwrap_or_else(PoisonError::into_inner) = then;
        Ok(())
    }

    async fn cache_get(
        &self,
        project: &Project,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<CacheEntry>> {
        self.store.cache_get(project, key, now).await
    }

    fn info(&self) -> Info {
        self.store.info()
    }

    async fn admit(&self, project: &Project, admission: Admission, now: Now) -> Result<Admitted> {
        self.store.admit(project, admission, now).await
    }

    async fn claim(&self, project: &Project, claim: Claim, now: Now) -> Result<Vec<Leased>> {
        self.store.claim(project, claim, now).await
    }

    async fn change(
        &self,
        project: &Project,
        requests: Vec<Request>,
        now: Now,
    ) -> Result<Vec<Result<Reply>>> {
        self.store.change(project, requests, now).await
    }

    async fn tick(&self, project: &Project, now: Now) -> Result<Ticked> {
        self.store.tick(project, now).await
    }

    async fn lose(&self, project: &Project, worker: &WorkerId, now: Now) -> Result<Vec<TaskId>> {
        self.store.lose(project, worker, now).await
    }

    async fn cache_put(&self, project: &Project, entry: CacheEntry, bound: usize) -> Result<()> {
        self.store.cache_put(project, entry, bound).await
    }

    async fn lead(
        &self,
        project: &Project,
        who: &WorkerId,
        ttl: Option<Duration>,
        now: Now,
    ) -> Result<Option<u64>> {
        self.store.lead(project, who, ttl, now).await
    }

    async fn prune(&self, project: &Project, prune: Prune, actor: Arc<str>, now: Now) -> Result<Pruned> {
        self.store.prune(project, prune, actor, now).await
    }

    async fn compact(&self) -> Result<Option<u64>> {
        self.store.compact().await
    }

    async fn close(&self, project: &Project, closed: Option<Closed>) -> Result<()> {
        self.store.close(project, closed).await
    }

    async fn dump(&self, project: &Project, next: Next) -> Result<(Piece, Option<Next>)> {
        self.store.dump(project, next).await
    }

    async fn load(&self, project: &Project, piece: Piece, totals: Option<Totals>, now: Now) -> Result<()> {
        self.store.load(project, piece, totals, now).await
    }

    async fn totals(&self, project: &Project) -> Result<Option<Totals>> {
        self.store.totals(project).await
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        self.store.projects().await
    }

    async fn views(&self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>> {
        self.store.views(project, ids).await
    }

    async fn by_key(&self, project: &Project, key: &Key) -> Result<Option<TaskId>> {
        self.store.by_key(project, key).await
    }

    async fn list(&self, project: &Project, filter: Filter, after: Seq, limit: usize) -> Result<Vec<View>> {
        self.store.list(project, filter, after, limit).await
    }

    async fn history(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>> {
        self.store.history(project, task, limit).await
    }

    async fn events(&self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>> {
        self.store.events(project, after, limit).await
    }

    async fn chain(&self, project: &Project) -> Result<ChainHead> {
        self.store.chain(project).await
    }

    async fn status(&self, project: &Project) -> Result<Status> {
        self.store.status(project).await
    }

    async fn runs(&self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>> {
        self.store.runs(project, plan, limit).await
    }

    async fn run(&self, project: &Project, id: RunId) -> Result<Option<Run>> {
        self.store.run(project, id).await
    }

    async fn neighbours(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours> {
        self.store.neighbours(project, task, limit).await
    }

    async fn edges(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>> {
        self.store.edges(project, tasks).await
    }

    async fn results(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>> {
        self.store.results(project, tasks).await
    }

    async fn ahead(&self, project: &Project, task: &TaskId, limit: usize) -> Result<usize> {
        self.store.ahead(project, task, limit).await
    }

    async fn locks(&self, project: &Project) -> Result<Vec<HeldLock>> {
        self.store.locks(project).await
    }

    async fn leased(&self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>> {
        self.store.leased(project, worker).await
    }

    async fn entries(&self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>> {
        self.store.entries(project, book, after, limit).await
    }

    async fn entries_of(&self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        self.store.entries_of(project, book, keys).await
    }

    async fn entries_due(
        &self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.store.entries_due(project, book, at, limit).await
    }

    async fn check(&self, project: &Project) -> Result<Vec<String>> {
        self.store.check(project).await
    }

    async fn changed(&self, since: u64) -> u64 {
        self.store.changed(since).await
    }
}
