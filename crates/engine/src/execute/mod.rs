//! Carrying out one attempt: what an executor gets, what it gives back, and how it is steered meanwhile.
//!
//! [`files`] is the protocol between an attempt and the program it runs, [`command`] starts programs,
//! [`handler`] calls functions of this process, [`agent`] programs that take a prompt, [`http`] endpoints, [`wait`] waits, [`each`] splits into subtasks, [`cache`] spares work whose result is
//! known.

pub mod agent;
pub mod cache;
pub mod command;
pub mod each;
pub mod files;
pub mod handler;
pub mod http;
pub mod inputs;
pub mod secrets;
pub mod wait;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use domain::id::RunId;
use domain::store::{Children, Leased, Upstream};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Spec};
use tokio::sync::watch;

use crate::process;
use crate::process::output::Mask;
use crate::trace::Context;

/// A leased task with everything that its executor needs.
#[derive(Clone, Debug)]
pub struct Job {
    pub leased: Arc<Leased>,
    pub spec: Arc<Spec>,
    pub run: Option<RunId>,
    /// What the prerequisites ended with.
    pub results: Vec<Upstream>,
    /// What the subtasks ended with, when a joining parent runs again.
    pub children: Vec<Upstream>,
    /// What the try before has failed with.
    pub error: Option<String>,
    pub steering: Steering,
    /// Hides the secrets of the attempt, once they were read.
    pub mask: Arc<OnceLock<Mask>>,
    /// The attempt in its trace, when somebody follows it.
    pub trace: Option<Context>,
}

impl Job {
    pub fn attempt(&self) -> u32 {
        self.leased.task.attempt()
    }

    /// A name for what lies about while the attempt lasts. A lease that was handed back spends no attempt, so the
    /// number of the attempt would not do.
    pub fn scratch_name(&self) -> String {
        let token = &self.leased.token;
        format!("{}-{}", token.seq.0, token.fence.0)
    }

    /// Stable for one attempt and different for the next: what makes an outside effect idempotent.
    pub fn attempt_key(&self) -> String {
        format!("{}:{}", self.leased.task.id, self.attempt())
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Finish {
    Completed {
        outcome: Outcome,
        cached: bool,
        children: Option<Children>,
    },
    Failed {
        failure: Failure,
        usage: Option<Json>,
        timed_out: bool,
    },
    /// Stopped from outside: the lease goes back and no try is spent.
    Stopped,
}

impl Finish {
    pub fn failed(failure: Failure) -> Finish {
        Finish::Failed {
            failure,
            usage: None,
            timed_out: false,
        }
    }
}

/// What the worker wishes of an attempt. Wishes made before the attempt has begun are kept for it.
#[derive(Clone, Debug)]
pub struct Steering {
    inner: Arc<Mutex<Wishes>>,
    cancelled: Arc<watch::Sender<bool>>,
}

#[derive(Debug, Default)]
struct Wishes {
    suspended: bool,
    process: Option<process::Control>,
}

impl Default for Steering {
    fn default() -> Steering {
        Steering {
            inner: Arc::default(),
            cancelled: Arc::new(watch::channel(false).0),
        }
    }
}

impl Steering {
    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the wishes on to a process that has just started.
    pub fn attach(&self, process: process::Control) {
        let mut wishes = self.lock();
        if wishes.suspended {
            process.suspend();
        }
        if *self.cancelled.borrow() {
            process.cancel();
        }
        wishes.process = Some(process);
    }

    pub fn suspend(&self, suspended: bool) {
        let mut wishes = self.lock();
        if wishes.suspended == suspended {
            return;
        }
        wishes.suspended = suspended;
        if let Some(process) = &wishes.process {
            if suspended {
                process.suspend();
            } else {
                process.resume();
            }
        }
    }

    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
        if let Some(process) = &self.lock().process {
            process.cancel();
        }
    }

    /// True once the attempt shall stop, for those who only look.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.cancelled.subscribe()
    }

    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Resolves once the attempt shall stop.
    pub async fn cancelled(&self) {
        let mut receiver = self.cancelled.subscribe();
        let _ = receiver.wait_for(|cancelled| *cancelled).await;
    }
}
