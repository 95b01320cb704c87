//! The contract of stores, each verb one request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::remote::{Call, Info as Told, Replied};
use async_trait::async_trait;
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal};
use domain::event::ChainHead;
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, Token, WorkerId};
use domain::prune::{Prune, Pruned};
use domain::run::Run;
use domain::store::{
    Admission, Admitted, CacheEntry, Claim, Filter, Held, HeldLock, Info, LeaseClock, Leased, Neighbours,
    Reply, Request, Result, Seen, Status, Store, Ticked, Upstream, View,
};
use domain::task::record::Lease;
use domain::task::spec::When;
use domain::time::{Now, Timestamp};
use domain::transfer::{Closed, Next, Piece, Totals};
use rustc_hash::FxHashMap;

use crate::aside::{self, Aside};
use crate::link::Link;
use crate::reach::PAUSE_MAX;
use crate::ship::{self, Reader, Shipper};

/// Leases whose secrets are remembered.
const REMEMBERED: usize = 10_000;

#[derive(Debug)]
pub struct Remote {
    link: Link,
    info: Info,
    /// Secrets of the leases that were claimed here, by fence: nobody else is shown them.
    secrets: Mutex<FxHashMap<(Seq, EventNo), u64>>,
    /// How long to wait before the next look for changes, at a server that answers with a refusal.
    pause: Mutex<Duration>,
    ship: Option<Shipper>,
    aside: Option<Arc<dyn Aside>>,
}

impl Remote {
    /// Asks the server what it keeps, so that everything wrong with the connection is found here.
    pub async fn open(link: Link, project: &Project) -> Result<Remote> {
        let told: Told = link.look(project, &Call::Info).await?;
        let known = ["memory", "sqlite", "postgres", "redis"];
        let info = Info {
            url: link.url().to_owned(),
            engine: known
                .into_iter()
                .find(|name| *name == told.engine)
                .unwrap_or("unknown"),
            durability: told.durability,
            schema: told.schema,
            // Leases are told on the server's wall clock.
            leases: LeaseClock::Server,
        };
        Ok(Remote {
            link,
            info,
            secrets: Mutex::default(),
            pause: Mutex::new(Duration::ZERO),
            ship: None,
            aside: None,
        })
    }

    /// The same, and what attempts of this machine print goes to the server.
    #[must_use]
    pub fn with_output(self, reader: Arc<Reader>) -> Remote {
        Remote {
            ship: Some(Shipper::new(self.link.clone(), reader)),
            ..self
        }
    }

    /// The same, and results that are too large for the store travel whole.
    #[must_use]
    pub fn with_results(self, aside: Arc<dyn Aside>) -> Remote {
        Remote {
            aside: Some(aside),
            ..self
        }
    }

    fn secrets(&self) -> MutexGuard<'_, FxHashMap<(Seq, EventNo), u64>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, leased: &mut [Leased]) {
        let mut secrets = self.secrets();
        if secrets.len() + leased.len() > REMEMBERED {
            secrets.clear();
        }
        for leased in leased {
            secrets.insert((leased.token.seq, leased.token.fence), leased.token.secret);
            if let Some(lease) = &mut leased.task.lease {
                lease.secret = leased.token.secret;
            }
        }
    }

    fn restore(&self, token: &mut Token) {
        if token.secret == 0
            && let Some(secret) = self.secrets().get(&(token.seq, token.fence))
        {
            token.secret = *secret;
        }
    }

    fn restore_lease(&self, seq: Seq, lease: &mut Lease) {
        let mut token = Token {
            seq,
            fence: lease.fence,
            secret: lease.secret,
        };
        self.restore(&mut token);
        lease.secret = token.secret;
    }

    fn restored(&self, mut view: View) -> View {
        let seq = view.task.seq;
        if let Some(lease) = &mut view.task.lease {
            self.restore_lease(seq, lease);
        }
        view
    }

    fn pause(&self) -> MutexGuard<'_, Duration> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is only done beside the store itself.
fn local() -> Refusal {
    Refusal::new(Code::Forbidden, "a store is only copied where it is")
        .help("use --store on the server's machine")
}

#[async_trait]
impl Store for Remote {
    fn info(&self) -> Info {
        self.info.clone()
    }

    async fn admit(&self, project: &Project, admission: Admission, _: Now) -> Result<Admitted> {
        self.link.ask(project, &Call::Admit(Box::new(admission))).await
    }

    async fn claim(&self, project: &Project, claim: Claim, _: Now) -> Result<Vec<Leased>> {
        let mut leased: Vec<Leased> = self.link.ask(project, &Call::Claim(Box::new(claim))).await?;
        self.remember(&mut leased);
        if let Some(ship) = &self.ship {
            ship.began(project, &leased);
        }
        Ok(leased)
    }

    async fn change(&self, project: &Project, requests: Vec<Request>, _: Now) -> Result<Vec<Result<Reply>>> {
        let ends: Vec<_> = requests.iter().map(ship::end).collect();
        if let Some(ship) = &self.ship {
            ship.ending(&requests).await;
        }
        let parts = match &self.aside {
            Some(aside) => aside::send(&**aside, project, requests),
            None => vec![requests],
        };
        let mut replies: Vec<Result<Reply>> = Vec::with_capacity(ends.len());
        for part in parts {
            let told: Vec<Replied> = self.link.insist(project, &Call::Change(part)).await?;
            replies.extend(told.into_iter().map(Result::from));
        }
        if let Some(ship) = &self.ship {
            ship.ended(&ends, &replies);
        }
        Ok(replies)
    }

    /// The server does what is due by itself; asking makes sure that it has.
    async fn tick(&self, project: &Project, _: Now) -> Result<Ticked> {
        self.link.look(project, &Call::Tick).await
    }

    async fn lose(&self, project: &Project, worker: &WorkerId, _: Now) -> Result<Vec<TaskId>> {
        self.link.ask(project, &Call::Lose(worker.clone())).await
    }

    async fn cache_put(&self, project: &Project, entry: CacheEntry, bound: usize) -> Result<()> {
        let here = |aside: &Arc<dyn Aside>| {
            let result = entry.result.as_ref()?;
            aside.whole(project, result)
        };
        // What stands for a file of this machine means nothing to others.
        if self.aside.as_ref().and_then(here).is_some() {
            return Ok(());
        }
        self.link
            .ask(project, &Call::CachePut(Box::new(entry), bound))
            .await
    }

    async fn edit(&self, project: &Project, edits: Vec<Edit>, _: Arc<str>, _: Now) -> Result<()> {
        self.link.ask(project, &Call::Edit(edits)).await
    }

    async fn lead(
        &self,
        project: &Project,
        who: &WorkerId,
        ttl: Option<Duration>,
        _: Now,
    ) -> Result<Option<u64>> {
        self.link.ask(project, &Call::Lead(who.clone(), ttl)).await
    }

    async fn prune(&self, project: &Project, prune: Prune, _: Arc<str>, _: Now) -> Result<Pruned> {
        self.link.ask(project, &Call::Prune(prune)).await
    }

    async fn compact(&self) -> Result<Option<u64>> {
        Err(
            Refusal::new(Code::Forbidden, "a store gives its room back only where it is")
                .help("use --store on the server's machine"),
        )
    }

    async fn close(&self, _: &Project, _: Option<Closed>) -> Result<()> {
        Err(local())
    }

    async fn dump(&self, _: &Project, _: Next) -> Result<(Piece, Option<Next>)> {
        Err(local())
    }

    async fn load(&self, _: &Project, _: Piece, _: Option<Totals>, _: Now) -> Result<()> {
        Err(local())
    }

    async fn totals(&self, _: &Project) -> Result<Option<Totals>> {
        Err(local())
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        self.link.look(&Project::default(), &Call::Projects).await
    }

    async fn views(&self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>> {
        let views: Vec<Option<View>> = self.link.look(project, &Call::Views(ids.to_vec())).await?;
        Ok(views
            .into_iter()
            .map(|view| view.map(|view| self.restored(view)))
            .collect())
    }

    async fn by_key(&self, project: &Project, key: &Key) -> Result<Option<TaskId>> {
        self.link.look(project, &Call::ByKey(key.clone())).await
    }

    async fn list(&self, project: &Project, filter: Filter, after: Seq, limit: usize) -> Result<Vec<View>> {
        let views: Vec<View> = self
            .link
            .look(project, &Call::List(Box::new(filter), after, limit))
            .await?;
        Ok(views.into_iter().map(|view| self.restored(view)).collect())
    }

    async fn history(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>> {
        self.link.look(project, &Call::History(task.clone(), limit)).await
    }

    async fn events(&self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>> {
        self.link.look(project, &Call::Events(after, limit)).await
    }

    async fn chain(&self, project: &Project) -> Result<ChainHead> {
        self.link.look(project, &Call::Chain).await
    }

    async fn status(&self, project: &Project) -> Result<Status> {
        self.link.look(project, &Call::Status).await
    }

    async fn runs(&self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>> {
        self.link
            .look(project, &Call::Runs(plan.map(str::to_owned), limit))
            .await
    }

    async fn run(&self, project: &Project, id: RunId) -> Result<Option<Run>> {
        self.link.look(project, &Call::Run(id)).await
    }

    async fn neighbours(&self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours> {
        self.link
            .look(project, &Call::Neighbours(task.clone(), limit))
            .await
    }

    async fn edges(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>> {
        self.link.look(project, &Call::Edges(tasks.to_vec())).await
    }

    async fn results(&self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>> {
        let mut upstream: Vec<Upstream> = self.link.look(project, &Call::Results(tasks.to_vec())).await?;
        if let Some(aside) = &self.aside {
            aside::fetch(&**aside, &self.link, project, &mut upstream).await;
        }
        Ok(upstream)
    }

    async fn ahead(&self, project: &Project, task: &TaskId, limit: usize) -> Result<usize> {
        self.link.look(project, &Call::Ahead(task.clone(), limit)).await
    }

    async fn locks(&self, project: &Project) -> Result<Vec<HeldLock>> {
        self.link.look(project, &Call::Locks).await
    }

    async fn leased(&self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>> {
        let mut held: Vec<Held> = self.link.look(project, &Call::Leased(worker.cloned())).await?;
        held.iter_mut().for_each(|held| self.restore(&mut held.token));
        Ok(held)
    }

    async fn cache_get(&self, project: &Project, key: &[u8; 32], _: Timestamp) -> Result<Option<CacheEntry>> {
        self.link.look(project, &Call::CacheGet(*key)).await
    }

    async fn entries(&self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>> {
        self.link
            .look(project, &Call::Entries(book, after.to_owned(), limit))
            .await
    }

    async fn entries_of(&self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        self.link
            .look(project, &Call::EntriesOf(book, keys.to_vec()))
            .await
    }

    async fn entries_due(
        &self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.link.look(project, &Call::EntriesDue(book, at, limit)).await
    }

    async fn check(&self, project: &Project) -> Result<Vec<String>> {
        self.link.look(project, &Call::Check).await
    }

    /// A server that does not answer is asked again after a while, longer and longer; then everything may have changed.
    async fn changed(&self, since: u64) -> u64 {
        let pause = *self.pause();
        tokio::time::sleep(pause.max(self.link.rest())).await;
        let asked: Result<u64> = self.link.ask(&Project::default(), &Call::Changed(since)).await;
        match asked {
            Ok(moment) => {
                *self.pause() = Duration::ZERO;
                moment
            }
            // The link tells of it, and leaves the server alone for long enough.
            Err(refusal) if refusal.code == Code::ServerUnreachable => 0,
            Err(refusal) => {
                tracing::warn!(error = %refusal, "the server could not be asked for changes");
                *self.pause() = (pause * 2).clamp(Duration::from_millis(250), PAUSE_MAX);
                0
            }
        }
    }
}
