//! Signals: one look at the store for all waits of a worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::book::Book;
use domain::event::Kind;
use domain::store::Result;
use domain::task::outside::Signal;
use domain::task::record::Failure;
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::engine::{Engine, trouble};
use crate::execute::Job;

/// Two looks at the store are at least so far apart.
const LOOK: Duration = Duration::from_millis(100);
/// Events of a task that are looked at for the beginning of its wait.
const HISTORY: usize = 200;

type Latest = Arc<FxHashMap<Arc<str>, Signal>>;

/// The signals that the waits of this worker are for.
#[derive(Clone, Debug)]
pub struct Signals {
    wanted: Arc<Mutex<Wanted>>,
    latest: watch::Sender<Latest>,
}

#[derive(Debug, Default)]
struct Wanted {
    names: BTreeMap<Arc<str>, usize>,
    looking: bool,
}

impl Default for Signals {
    fn default() -> Signals {
        Signals {
            wanted: Arc::default(),
            latest: watch::channel(Latest::default()).0,
        }
    }
}

/// A name is looked for as long as somebody waits for it.
struct Place<'a>(&'a Signals, Arc<str>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut wanted = self.0.lock();
        if let Some(count) = wanted.names.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                wanted.names.remove(&self.1);
            }
        }
    }
}

impl Signals {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn find(
        &self,
        engine: &Engine,
        job: &Job,
        name: &str,
        earlier: bool,
    ) -> std::result::Result<Value, Failure> {
        let since = match earlier {
            true => Timestamp(i64::MIN),
            false => began(engine, job)
                .await
                .map_err(|refusal| Failure::new(refusal.to_string()))?,
        };
        let name: Arc<str> = name.into();
        let mut latest = self.latest.subscribe();
        let _place = self.enter(engine, &name);
        loop {
            let found = latest.borrow_and_update().get(&name).cloned();
            if let Some(signal) = found.filter(|signal| signal.at >= since) {
                return Ok(json!({
                    "signal": &*name,
                    "at": signal.at.to_string(),
                    "by": signal.by,
                    "count": signal.count,
                    "payload": signal.payload,
                }));
            }
            if latest.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn enter(&self, engine: &Engine, name: &Arc<str>) -> Place<'_> {
        let mut wanted = self.lock();
        *wanted.names.entry(name.clone()).or_default() += 1;
        if !std::mem::replace(&mut wanted.looking, true) {
            tokio::spawn(self.clone().look(engine.clone()));
        }
        Place(self, name.clone())
    }

    /// Looks whenever anything has been committed, until nobody waits any more.
    async fn look(self, engine: Engine) {
        let mut seen = 0;
        loop {
            let names: Vec<Arc<str>> = {
                let mut wanted = self.lock();
                if wanted.names.is_empty() {
                    wanted.looking = false;
                    return;
                }
                wanted.names.keys().cloned().collect()
            };
            match read(&engine, &names).await {
                Ok(found) => drop(self.latest.send_if_modified(|latest| {
                    let fresh = **latest != found;
                    if fresh {
                        *latest = Arc::new(found);
                    }
                    fresh
                })),
                Err(refusal) => trouble(&refusal, "signals could not be read"),
            }
            tokio::time::sleep(LOOK).await;
            // Somebody may have come who waits for another name.
            let others = || self.lock().names.keys().ne(names.iter());
            if !others() {
                tokio::select! {
                    moment = engine.store.changed(seen) => seen = moment,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
    }
}

async fn read(engine: &Engine, names: &[Arc<str>]) -> Result<FxHashMap<Arc<str>, Signal>> {
    let (store, project) = (&engine.store, &engine.project);
    let entries = store.entries_of(project, Book::Signal, names).await?;
    let read = |entry: domain::book::Entry| Ok((entry.key.clone(), entry.read::<Signal>()?));
    entries.into_iter().map(read).collect()
}

/// When the wait began: with its first attempt, whoever has taken it over since; or with the first after somebody
/// gave it another go.
async fn began(engine: &Engine, job: &Job) -> Result<Timestamp> {
    let (store, project) = (&engine.store, &engine.project);
    let history = store.history(project, &job.leased.task.id, HISTORY).await?;
    let mut began = None;
    for fact in history.iter().map(|seen| &seen.event.fact) {
        match fact.kind {
            Kind::TaskEntered(State::Running) => began = began.or(Some(fact.at)),
            Kind::TaskEntered(_) if fact.reason == Some(Reason::Retried) => began = None,
            _ => {}
        }
    }
    Ok(began.unwrap_or_else(|| engine.now().wall))
}
