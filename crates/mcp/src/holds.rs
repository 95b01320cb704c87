//! The leases that a session holds, and their renewal.
//!
//! An agent may think for twenty minutes between two calls: the session renews by its own timer. A session that ends
//! renews no more, so its leases run out after their time, and whoever knows a token may go on with the task.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::{TaskId, Token, WorkerId};
use domain::store::{Command, Request, Target};
use domain::time::millis;
use engine::engine::Engine;

/// How long a session keeps leases for a client that calls nothing: one that was forgotten must not hold work for ever.
const QUIET_MAX: Duration = Duration::from_secs(4 * 3_600);
/// The longest time between two looks, so that a machine that slept renews soon after it wakes.
const LOOK_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Holds {
    engine: Engine,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    held: BTreeMap<TaskId, Held>,
    /// Leases that ended without the agent's doing, and why; told once.
    lost: Vec<(TaskId, String)>,
    /// Of the last call, on the lease clock.
    called: i64,
    looks: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) worker: WorkerId,
    pub(crate) ttl: Duration,
    /// On the lease clock.
    renewed: i64,
}

impl Holds {
    pub(crate) fn new(engine: Engine) -> Arc<Holds> {
        Arc::new(Holds {
            engine,
            kept: Mutex::default(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, task: &TaskId) -> Option<Held> {
        self.kept().held.get(task).cloned()
    }

    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        self.kept().held.keys().cloned().collect()
    }

    /// Keeps a lease from now on.
    pub(crate) fn keep(self: &Arc<Self>, task: TaskId, token: Token, worker: WorkerId, ttl: Duration) {
        let renewed = self.engine.now().mono;
        let held = Held {
            token,
            worker,
            ttl,
            renewed,
        };
        let mut kept = self.kept();
        kept.held.insert(task, held);
        if !std::mem::replace(&mut kept.looks, true) {
            tokio::spawn(look(Arc::downgrade(self)));
        }
    }

    /// The task has a fresh lease time, as its store just said.
    pub(crate) fn renewed(&self, task: &TaskId, ttl: Option<Duration>) {
        let now = self.engine.now().mono;
        if let Some(held) = self.kept().held.get_mut(task) {
            held.renewed = now;
            held.ttl = ttl.unwrap_or(held.ttl);
        }
    }

    pub(crate) fn forget(&self, task: &TaskId) {
        self.kept().held.remove(task);
    }

    /// A call has come in: the client is there.
    pub(crate) async fn called(&self) {
        self.kept().called = self.engine.now().mono;
        self.renew().await;
    }

    /// What ended without the agent's doing since it was last told.
    pub(crate) fn told(&self) -> Vec<(TaskId, String)> {
        std::mem::take(&mut self.kept().lost)
    }

    /// Renews each lease of which a third of its time has gone. A store that cannot be reached now is asked again.
    async fn renew(&self) {
        let now = self.engine.now();
        let due: Vec<(TaskId, Held)> = {
            let kept = self.kept();
            if now.mono - kept.called > millis(QUIET_MAX) {
                return;
            }
            let is_due = |held: &Held| (now.mono - held.renewed) * 3 >= millis(held.ttl);
            let due = kept.held.iter().filter(|(_, held)| is_due(held));
            due.map(|(task, held)| (task.clone(), held.clone())).collect()
        };
        if due.is_empty() {
            return;
        }
        let requests = due.iter().map(|(task, held)| Request {
            target: Target::Holder(held.token, Some(task.clone())),
            command: Command::Renew {
                ttl: None,
                progress: None,
            },
            actor: format!("worker:{}", held.worker).into(),
            idempotency_key: None,
        });
        let replies = self
            .engine
            .store
            .change(&self.engine.project, requests.collect(), now)
            .await;
        let replies = match replies {
            Ok(replies) => replies,
            Err(refusal) => return tracing::warn!(%refusal, "leases could not be renewed now"),
        };
        for ((task, _), reply) in due.into_iter().zip(replies) {
            match reply {
                Ok(_) => self.renewed(&task, None),
                Err(refusal) => self.lose(task, &refusal),
            }
        }
    }

    /// The store says that a lease is over.
    pub(crate) fn lose(&self, task: TaskId, refusal: &Refusal) {
        if !matches!(refusal.code, Code::LeaseLost | Code::TaskNotFound) {
            return;
        }
        let mut kept = self.kept();
        if kept.held.remove(&task).is_some() {
            tracing::info!(%task, %refusal, "a lease is over");
            kept.lost.push((task, refusal.detail.clone()));
        }
    }

    /// How long until somebody has to look again; `None` when nothing is held.
    fn pause(&self) -> Option<Duration> {
        let mut kept = self.kept();
        let shortest = kept.held.values().map(|held| held.ttl).min();
        kept.looks = shortest.is_some();
        shortest.map(|ttl| (ttl / 6).min(LOOK_MAX))
    }
}

/// Renews until nothing is held any more, or the session is gone.
async fn look(holds: Weak<Holds>) {
    loop {
        let Some(pause) = holds.upgrade().and_then(|holds| holds.pause()) else {
            return;
        };
        tokio::time::sleep(pause).await;
        match holds.upgrade() {
            Some(holds) => holds.renew().await,
            None => return,
        }
    }
}
