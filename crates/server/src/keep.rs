//! What is done besides answering, for each project that somebody works with: what is due by time, periodic duties,
//! taking over from the dead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::id::Project;
use engine::engine::Engine;
use engine::service;
use engine::worker::{Options, Pace};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Projects that one server looks after; what is asked of others is answered all the same.
const PROJECTS: usize = 256;

#[derive(Clone, Debug)]
pub(crate) struct Keepers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    /// What the workers of the server's own project do; those of others only look after them.
    workers: Options,
    pace: watch::Receiver<Pace>,
    kept: Mutex<BTreeMap<Project, JoinHandle<()>>>,
}

impl Keepers {
    pub(crate) fn new(engine: Engine, workers: Options, pace: watch::Receiver<Pace>) -> Keepers {
        Keepers(Arc::new(Inner {
            engine,
            workers,
            pace,
            kept: Mutex::default(),
        }))
    }

    /// Looks after a project from now on.
    pub(crate) fn keep(&self, project: &Project) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.contains_key(project) || kept.len() >= PROJECTS || *self.0.pace.borrow() > Pace::Work {
            return;
        }
        let engine = Engine {
            project: project.clone(),
            ..self.0.engine.clone()
        };
        let own = *project == self.0.engine.project;
        let options = Options {
            jobs: if own { self.0.workers.jobs } else { 0 },
            ..self.0.workers.clone()
        };
        let pace = self.0.pace.clone();
        let keeper = tokio::spawn(async move {
            if let Err(refusal) = service::serve(&engine, options, &[], pace).await {
                tracing::error!(project = %engine.project, error = %refusal, "a project is no longer looked after");
            }
        });
        kept.insert(project.clone(), keeper);
    }

    /// What the server itself works on at the same time.
    pub(crate) fn jobs(&self) -> usize {
        self.0.workers.jobs
    }

    /// Whether everything that was begun is still being done.
    pub(crate) fn alive(&self) -> bool {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values().all(|keeper| !keeper.is_finished())
    }

    /// Whether nothing is being done any more.
    pub(crate) fn ended(&self) -> bool {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values().all(JoinHandle::is_finished)
    }

    /// Waits until all have ended; the pace tells them to.
    pub(crate) async fn end(&self) {
        let kept = std::mem::take(&mut *self.0.kept.lock().unwrap_or_else(PoisonError::into_inner));
        for keeper in kept.into_values() {
            drop(keeper.await);
        }
    }
}
