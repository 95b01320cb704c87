//! The one thread that writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use domain::caught::{Catcher, catch};
use domain::code::{Code, Kind, Refusal};
use domain::id::Project;
use domain::store::Result;
use domain::time::Now;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::panicked;
use crate::driver::{Driver, Read};
use crate::kernel;
use crate::kernel::tx::Tx;

/// Requests that share one transaction at most, so that the first of them does not wait for ever.
const GROUP_REQUESTS: usize = 256;
/// Once a transaction has this many tasks to move, what else waits is left to the next one.
pub(super) const GROUP_TASKS: usize = 5_000;

/// What the writer is asked for.
pub(super) enum Ask {
    Write(Box<dyn Work>),
    Reader(oneshot::Sender<Result<Box<dyn Read>>>),
    Compact(oneshot::Sender<Result<Option<u64>>>),
}

/// One request, whatever its answer is.
pub(super) trait Work: Send {
    fn project(&self) -> &Project;
    fn now(&self) -> Option<Now>;
    /// Tasks that it may move.
    fn weight(&self) -> usize;
    /// Carries it out. A refusal is an answer like any other; an error means that the transaction has failed.
    /// May be called again after the transaction was rolled back.
    fn run(&mut self, tx: &mut dyn Tx) -> Result<()>;
    /// Whether the last `run` changed something.
    fn wrote(&self) -> bool;
    /// Gives the caller what the last `run` came to.
    fn answer(self: Box<Self>);
    fn fail(self: Box<Self>, refusal: Refusal);
}

type Carry<T> = dyn FnMut(&mut dyn Tx, &Project) -> Result<T> + Send;

/// A verb of the kernel on its way to the writer.
pub(super) struct Verb<T> {
    project: Project,
    now: Option<Now>,
    weight: usize,
    carry: Box<Carry<T>>,
    wrote: fn(&T) -> bool,
}

impl<T: Send + 'static> Verb<T> {
    pub(super) fn new(
        project: &Project,
        now: Option<Now>,
        weight: usize,
        carry: impl FnMut(&mut dyn Tx, &Project) -> Result<T> + Send + 'static,
    ) -> Verb<T> {
        Verb {
            project: project.clone(),
            now,
            weight,
            carry: Box::new(carry),
            wrote: |_| true,
        }
    }

    /// Whether an answer means that something was written: the others wake nobody who waits for a change.
    pub(super) fn wrote_if(self, wrote: fn(&T) -> bool) -> Verb<T> {
        Verb { wrote, ..self }
    }

    pub(super) fn asked_by(self, caller: oneshot::Sender<Result<T>>) -> Ask {
        Ask::Write(Box::new(Request {
            verb: self,
            caller,
            answer: None,
        }))
    }
}

struct Request<T> {
    verb: Verb<T>,
    caller: oneshot::Sender<Result<T>>,
    answer: Option<Result<T>>,
}

impl<T: Send> Work for Request<T> {
    fn project(&self) -> &Project {
        &self.verb.project
    }

    fn now(&self) -> Option<Now> {
        self.verb.now
    }

    fn weight(&self) -> usize {
        self.verb.weight
    }

    fn run(&mut self, tx: &mut dyn Tx) -> Result<()> {
        let known = tx.project(&self.verb.project, false)?.is_some();
        match (self.verb.carry)(tx, &self.verb.project) {
            Err(refusal) if matches!(refusal.code.kind(), Kind::Store | Kind::Bug) => Err(refusal),
            // A project that only a refused request has opened goes with its transaction.
            Err(refusal) if !known => Err(refusal),
            // Otherwise the kernel has refused before it wrote, and nobody else in the transaction is touched.
            answer => {
                self.answer = Some(answer);
                Ok(())
            }
        }
    }

    fn wrote(&self) -> bool {
        matches!(&self.answer, Some(Ok(answer)) if (self.verb.wrote)(answer))
    }

    // A caller that has gone does not matter: what was asked is done all the same.
    fn answer(self: Box<Self>) {
        if let Some(answer) = self.answer {
            let _ = self.caller.send(answer);
        }
    }

    fn fail(self: Box<Self>, refusal: Refusal) {
        let _ = self.caller.send(Err(refusal));
    }
}

/// Serves `inbox` until every sender is gone and everything asked is done. `committed` counts changes.
pub(super) fn run(driver: impl Driver, inbox: mpsc::Receiver<Ask>, committed: Arc<watch::Sender<u64>>) {
    let mut writer = Writer {
        driver,
        inbox,
        committed,
        unsettled: BTreeMap::new(),
    };
    while let Some(group) = writer.gather() {
        if !group.is_empty() {
            writer.serve(group);
        }
        writer.settle_on();
        let busy = !writer.inbox.is_empty() || !writer.unsettled.is_empty();
        writer.driver.idle(busy);
    }
}

struct Writer<D> {
    driver: D,
    inbox: mpsc::Receiver<Ask>,
    committed: Arc<watch::Sender<u64>>,
    /// Projects with ended tasks whose dependents are not all settled, and the last time that was told of them.
    /// After a crash it is the next tick that finds them.
    unsettled: BTreeMap<Project, Now>,
}

impl<D: Driver> Writer<D> {
    /// What waits, within the bounds of one transaction. Waits for a first request unless there is settling to
    /// do. `None` when nobody is left who could ask.
    fn gather(&mut self) -> Option<Vec<Box<dyn Work>>> {
        let mut next = if self.unsettled.is_empty() {
            let first = self.inbox.blocking_recv()?;
            // A worker sends its finishes and its next claim one right after the other. Where waking this thread has put it
            // aside in between, it gets to send the second, and both share a commit.
            if self.inbox.is_empty() {
                thread::yield_now();
            }
            Some(first)
        } else {
            match self.inbox.try_recv() {
                Ok(ask) => Some(ask),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return None,
            }
        };
        let mut group = Vec::new();
        let mut weight = 0;
        while let Some(ask) = next {
            match ask {
                Ask::Write(work) => {
                    weight += work.weight();
                    group.push(work);
                }
                Ask::Reader(caller) => {
                    let _ = caller.send(self.driver.reader());
                }
                Ask::Compact(caller) => {
                    let _ = caller.send(self.driver.compact());
                }
            }
            let room = group.len() < GROUP_REQUESTS && weight < GROUP_TASKS;
            next = room.then(|| self.inbox.try_recv().ok()).flatten();
        }
        Some(group)
    }

    /// Carries a group out in one transaction, then answers. When that fails, each request gets a transaction of
    /// its own, so that one which cannot be written does not fail its neighbours.
    fn serve(&mut self, mut group: Vec<Box<dyn Work>>) {
        match self.carry_out(&mut group) {
            Ok(()) => {
                if group.iter().any(|work| work.wrote()) {
                    self.tell();
                }
                group.into_iter().for_each(Work::answer);
            }
            // A server that was waited for in vain may have carried the transaction out: nothing is done again.
            Err(refusal) if group.len() == 1 || refusal.code == Code::StoreUnavailable => {
                group.into_iter().for_each(|work| work.fail(refusal.clone()));
            }
            Err(_) => group.into_iter().for_each(|work| self.serve(vec![work])),
        }
    }

    fn carry_out(&mut self, group: &mut [Box<dyn Work>]) -> Result<()> {
        // Project after project, so that processes which lock projects never wait for each other in a circle.
        group.sort_by(|one, other| one.project().cmp(other.project()));
        let mut unsettled = BTreeMap::new();
        self.transact(&mut |tx| {
            unsettled.clear();
            for work in group.iter_mut() {
                work.run(tx)?;
            }
            for work in group.iter() {
                if let Some(now) = work.now() {
                    unsettled.insert(work.project().clone(), now);
                }
            }
            let mut settled = Vec::new();
            for project in unsettled.keys() {
                let rest = match tx.project(project, false)? {
                    Some(no) => tx.leaves_unsettled(no)?,
                    None => false,
                };
                if !rest {
                    settled.push(project.clone());
                }
            }
            unsettled.retain(|project, _| !settled.contains(project));
            Ok(())
        })?;
        self.unsettled.extend(unsettled);
        Ok(())
    }

    /// Settles the next part of what a wide fan-out has left over.
    fn settle_on(&mut self) {
        let Some((project, now)) = self.unsettled.pop_first() else {
            return;
        };
        let mut more = false;
        let done = self.transact(&mut |tx| {
            more = kernel::settle_rest(tx, &project, now)?;
            Ok(())
        });
        match done {
            Ok(()) => {
                self.tell();
                if more {
                    self.unsettled.insert(project, now);
                }
            }
            Err(refusal) => tracing::warn!(%project, %refusal, "settling stops until the next tick"),
        }
    }

    fn tell(&self) {
        self.committed.send_modify(|moment| *moment += 1);
    }

    /// A transaction in which a panic is a failure like any other: the driver rolls back while it unwinds.
    fn transact(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        let done = catch(Catcher::Answers, || self.driver.write(work));
        done.unwrap_or_else(|panic| Err(panicked(&*panic)))
    }
}
