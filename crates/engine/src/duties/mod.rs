//! What has to be done from time to time, by one process at a time for each project.
//!
//! Every long-lived process has this loop beside its work. Where nothing is [`Duty::wanted`] it only reads; else
//! the processes elect a leader in the store, and the leader does its duties until nothing is wanted any more. A
//! leader that cannot renew in time stops by its own clock before another begins. Work that must not be done
//! twice does not rely on that: it is fenced in the store besides.

pub mod lessons;
pub mod retention;
pub mod routing;
pub mod schedules;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::WorkerId;
use domain::store::Result;
use domain::time::{Now, Timestamp, millis};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::engine::{Engine, is_away, trouble};
use crate::outside::Outside;
use crate::rules::Router;

/// How long the lead is taken for: after the death of a leader, duties rest for so long at the most.
pub const TTL: Duration = Duration::from_secs(10);
/// How often it is renewed, and how often others try to take it.
const RENEW: Duration = Duration::from_secs(3);
/// How often a process looks whether anything is wanted.
const LOOK: Duration = Duration::from_secs(1);
/// Commits that follow each other so closely are looked at together.
const TOGETHER: Duration = Duration::from_millis(10);
/// The pause between two rounds of duties that have more to do.
const PAUSE: Duration = Duration::from_millis(5);

/// One sort of periodic work.
#[async_trait]
pub trait Duty: Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// Whether somebody has to lead before `until`. Cheap: every process asks once a second.
    async fn wanted(&self, engine: &Engine, until: Timestamp) -> Result<bool>;

    /// Whether the leader looks at once when anything is committed, instead of once a second.
    fn is_eager(&self) -> bool {
        false
    }

    /// Does what is due, a bounded piece at a time and only while the lead holds. Returns when there is more to do,
    /// if that is known.
    async fn run(&mut self, engine: &Engine, lead: &Lead) -> Result<Option<Timestamp>>;
}

/// Everything that is done from time to time; what calls out keeps to the strictest policy.
pub fn all() -> Vec<Box<dyn Duty>> {
    with(&Outside::default())
}

/// The same with calls by `outside`.
pub fn with(outside: &Outside) -> Vec<Box<dyn Duty>> {
    vec![
        Box::new(schedules::Schedules),
        Box::new(Router::new(outside.clone())),
        Box::new(lessons::Lessons),
        Box::new(routing::Routing::default()),
        Box::new(retention::Retention::default()),
    ]
}

/// The right to do the duties of a project, until a moment on this machine's clock, whatever the store's leases are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Terms only grow.
    pub term: u64,
    until: i64,
}

impl Lead {
    pub fn holds(&self, engine: &Engine) -> bool {
        engine.clock.now().mono < self.until
    }
}

/// The duties of one project, as one process sees them.
#[derive(Debug)]
pub struct Duties {
    engine: Engine,
    who: WorkerId,
    duties: Vec<Box<dyn Duty>>,
    lead: Option<Lead>,
    /// When to try next to lead.
    next_try: i64,
}

impl Duties {
    pub fn new(engine: Engine, who: WorkerId, duties: Vec<Box<dyn Duty>>) -> Duties {
        Duties {
            engine,
            who,
            duties,
            lead: None,
            next_try: i64::MIN,
        }
    }

    pub fn lead(&self) -> Option<Lead> {
        self.lead.filter(|lead| lead.holds(&self.engine))
    }

    /// One round: looks whether anything is wanted, leads if so, and does what is due. Returns how long to wait.
    pub async fn turn(&mut self) -> Duration {
        let now = self.engine.clock.now();
        if !self.wanted(now.wall.after(TTL)).await || !self.leads(now).await {
            return LOOK;
        }
        let Some(lead) = self.lead else { return LOOK };
        let mut next = now.wall.after(LOOK);
        for duty in &mut self.duties {
            if !lead.holds(&self.engine) {
                break;
            }
            match duty.run(&self.engine, &lead).await {
                Ok(at) => next = next.min(at.unwrap_or(next)),
                Err(refusal) if is_away(&refusal) => {}
                Err(refusal) => {
                    tracing::warn!(duty = duty.name(), error = %refusal, "a duty could not be done");
                }
            }
        }
        next.since(self.engine.now().wall).max(PAUSE)
    }

    /// Others are woken up only once a second: they have nothing to do while this process leads.
    fn is_eager(&self) -> bool {
        self.lead.is_some() && self.duties.iter().any(|duty| duty.is_eager())
    }

    async fn wanted(&self, until: Timestamp) -> bool {
        for duty in &self.duties {
            match duty.wanted(&self.engine, until).await {
                Ok(false) => {}
                Ok(true) => return true,
                Err(refusal) if is_away(&refusal) => {}
                Err(refusal) => {
                    tracing::warn!(duty = duty.name(), error = %refusal, "what is due could not be read");
                }
            }
        }
        false
    }

    /// Takes or renews the lead when it is time to. Counts from before the store was asked, so that this process never
    /// believes longer in its lead than the store does.
    async fn leads(&mut self, now: Now) -> bool {
        if now.mono >= self.next_try {
            let (store, project) = (&self.engine.store, &self.engine.project);
            self.next_try = now.mono + millis(RENEW);
            match store.lead(project, &self.who, Some(TTL), self.engine.now()).await {
                Ok(term) => {
                    let until = now.mono + millis(TTL);
                    self.lead = term.map(|term| Lead { term, until });
                }
                Err(refusal) => trouble(&refusal, "the lead could not be asked for"),
            }
        }
        self.lead().is_some()
    }

    /// Hands the lead back, so that nobody has to wait for its end.
    pub async fn resign(mut self) {
        if self.lead().is_none() {
            return;
        }
        self.lead = None;
        let (store, project) = (&self.engine.store, &self.engine.project);
        if let Err(refusal) = store.lead(project, &self.who, None, self.engine.now()).await {
            trouble(&refusal, "the lead could not be handed back");
        }
    }

    /// Goes round until the handle is stopped.
    pub fn start(mut self) -> Handle {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let (store, mut seen) = (self.engine.store.clone(), 0);
            loop {
                // A round is not cut short: what it has begun it writes down.
                let wait = self.turn().await;
                let eager = self.is_eager();
                let changed = async {
                    let moment = store.changed(seen).await;
                    tokio::time::sleep(TOGETHER).await;
                    moment
                };
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    moment = changed, if eager => seen = moment,
                    _ = &mut stopped => break,
                }
            }
            self.resign().await;
        });
        Handle { stop, task }
    }
}

/// Duties under way. Dropping it ends them after their round, too.
#[derive(Debug)]
pub struct Handle {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Ends the duties in good order.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the periodic duties have ended with a defect");
        }
    }
}
