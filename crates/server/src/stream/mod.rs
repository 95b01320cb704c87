//! The live stream: what happens and how it goes, pushed over WebSocket to whoever has asked for it.
//!
//! In reading order: one measurement (`metric`) and those of the last hour (`collect`), who listens (`listeners`), the
//! log as it grows (`tail`), what is known of tasks from it (`marks`) and measured because of it (`feed`), and one connection (`socket`). Events are pulled
//! by each connection in its own pace and by their numbers, so none is lost or told twice; measurements are
//! pushed, and who is too slow for them is told how many were left out.

mod collect;
mod feed;
mod listeners;
mod marks;
pub(crate) mod metric;
pub(crate) mod socket;
mod tail;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::code::{Code, Refusal};
use domain::id::{Project, TaskId};
use domain::store::Result;
use domain::task::spec::Json;
use domain::task::state::State;
use engine::engine::Engine;
use tokio::sync::watch;

pub(crate) use collect::Aggregate;
use collect::{Collector, WINDOW};
pub(crate) use listeners::Connection;
use listeners::Listeners;
use metric::Metric;
use tail::Tail;

use crate::measure::Measured;
use crate::trace::Tracer;

/// Projects whose log is followed at the same time.
const PROJECTS: usize = 256;

/// The streams of all projects that somebody has listened to.
#[derive(Debug)]
pub(crate) struct Streams {
    engine: Engine,
    closing: watch::Receiver<bool>,
    tracer: Option<Arc<Tracer>>,
    followed: Mutex<BTreeMap<Project, Arc<Stream>>>,
    /// Connections over all projects: now, and ever.
    pub(crate) open: AtomicUsize,
    pub(crate) ever: AtomicU64,
}

/// What is known and who listens, of one project.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) engine: Engine,
    pub(crate) tail: Tail,
    collector: Mutex<Collector>,
    pub(crate) listeners: Listeners,
    pub(crate) measured: Measured,
    pub(crate) tracer: Option<Arc<Tracer>>,
}

impl Streams {
    pub(crate) fn new(
        engine: Engine,
        closing: watch::Receiver<bool>,
        tracer: Option<Arc<Tracer>>,
    ) -> Streams {
        Streams {
            engine,
            closing,
            tracer,
            followed: Mutex::default(),
            open: AtomicUsize::new(0),
            ever: AtomicU64::new(0),
        }
    }

    /// The stream of a project; its log is followed from now on.
    pub(crate) fn of(&self, project: &Project) -> Result<Arc<Stream>> {
        let mut followed = self.lock();
        if let Some(stream) = followed.get(project) {
            return Ok(Arc::clone(stream));
        }
        if followed.len() >= PROJECTS {
            let detail = format!("{PROJECTS} projects are followed already");
            return Err(Refusal::new(Code::TooManyRequests, detail));
        }
        let stream = Arc::new(Stream {
            engine: Engine {
                project: project.clone(),
                ..self.engine.clone()
            },
            tail: Tail::default(),
            collector: Mutex::default(),
            listeners: Listeners::default(),
            measured: Measured::default(),
            tracer: self.tracer.clone(),
        });
        tokio::spawn(feed::follow(Arc::clone(&stream), self.closing.clone()));
        followed.insert(project.clone(), Arc::clone(&stream));
        Ok(stream)
    }

    /// Tells whoever listens here what an attempt has reported with a renewal. That is no event: it is told by the server that took
    /// it, and by no other.
    pub(crate) fn progressed(&self, engine: &Engine, task: &TaskId, state: State, said: &Json) {
        // Those beyond the bound of projects are left out.
        if let Ok(stream) = self.of(&engine.project) {
            let now = engine.now().wall;
            stream.publish(&Metric::progress(now, task, state, said, &engine.actor));
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().values().cloned().collect()
    }

    /// Takes room for one connection, unless there is none.
    pub(crate) fn enter(&self, most: usize) -> Result<()> {
        let entered = self
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            });
        if entered.is_err() {
            let detail = format!("{most} connections listen already");
            return Err(Refusal::new(Code::TooManyRequests, detail));
        }
        self.ever.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Project, Arc<Stream>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// Keeps a measurement, and sends it to those who asked for its type.
    pub(crate) fn publish(&self, metric: &Metric) {
        let text = self
            .listeners
            .wanted(metric.metric_type)
            .then(|| metric.message());
        self.collected().keep(metric.clone());
        if let Some(text) = text {
            self.listeners.send(metric.metric_type, &text.into());
        }
    }

    /// The same of what may be too much to be kept: `later` more of its type follow at once.
    fn publish_unless_lost(
        &self,
        metric_type: metric::MetricType,
        later: usize,
        metric: impl FnOnce() -> Metric,
    ) {
        if later < WINDOW || self.listeners.wanted(metric_type) {
            self.publish(&metric());
        }
    }

    pub(crate) fn aggregates(&self) -> Vec<Aggregate> {
        let now = self.engine.now().wall;
        self.collected().aggregates(now)
    }

    fn collected(&self) -> MutexGuard<'_, Collector> {
        self.collector.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
