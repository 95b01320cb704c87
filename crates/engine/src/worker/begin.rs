//! What an attempt is given, and its start beside the loop.

use std::sync::Arc;
use std::time::Instant;

use domain::code::{Code, Refusal};
use domain::id::Seq;
use domain::limits::EACH_ITEMS;
use domain::store::{Leased, Result};
use domain::task::spec::Spec;
use rustc_hash::FxHashMap;

use super::ahead::Upstreams;
use super::attempt::attempt;
use super::dispatch::{Dispatch, Slot};
use crate::engine::{may_pass, trouble};
use crate::execute::{Finish, Job, Steering};
use crate::trace::Place;

impl Dispatch {
    /// What the prerequisites of these tasks ended with, in one read: a layer of a graph has many in common.
    pub(super) async fn upstream(&self, leased: &[Leased]) -> Upstreams {
        let after = leased.iter().flat_map(|lease| &lease.body.after);
        let mut seqs: Vec<Seq> = after.map(|(seq, _)| *seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        if seqs.is_empty() {
            return Ok(FxHashMap::default());
        }
        let results = self.engine.store.results(&self.engine.project, &seqs).await?;
        Ok(results.into_iter().map(|result| (result.seq, result)).collect())
    }

    /// Begins the first one that is held; false when none may.
    pub(super) async fn begin_next(&mut self) -> bool {
        let Some(held) = self.ahead.next(Instant::now()) else {
            return false;
        };
        self.begun.push((held.leased.token, self.engine.now().wall));
        self.begin(held.leased, &held.upstream).await;
        true
    }

    /// Starts one attempt beside the loop. False when the store was away: nothing has run then, and it costs no try.
    pub(super) async fn begin(&mut self, leased: Leased, upstream: &Upstreams) -> bool {
        let (seq, token) = (leased.task.seq, leased.token);
        let job = match self.job(leased, upstream).await {
            Ok(job) => job,
            Err(refusal) if may_pass(&refusal) => {
                trouble(&refusal, "a task could not begin");
                self.settle(token, Finish::Stopped);
                return false;
            }
            Err(refusal) => {
                let failure = domain::task::record::Failure::new(refusal.to_string());
                self.settle(token, Finish::failed(failure));
                return true;
            }
        };
        self.slots.insert(
            seq,
            Slot {
                job: job.clone(),
                token,
                began: Instant::now(),
                progress: None,
            },
        );
        let (engine, commands) = (self.engine.clone(), self.commands.clone());
        let waits = self.waits.clone();
        let (handlers, timeout) = (self.options.handlers.clone(), self.options.timeout);
        let (done, bound) = (self.done.clone(), self.options.cache_bound);
        tokio::spawn(async move {
            let finish = attempt(&engine, &commands, &handlers, &waits, timeout, bound, &job).await;
            let _ = done.send((token, finish));
        });
        true
    }

    async fn job(&self, leased: Leased, upstream: &Upstreams) -> Result<Job> {
        let spec: Spec = leased.body.read_spec().map_err(|e| {
            Refusal::new(
                Code::StoreCorrupt,
                format!("the spec of task {}: {e}", leased.task.id),
            )
        })?;
        let (store, project) = (&self.engine.store, &self.engine.project);
        let after = &leased.body.after;
        let results = match upstream {
            _ if after.is_empty() => Vec::new(),
            Ok(known) => after
                .iter()
                .filter_map(|(seq, _)| known.get(seq).cloned())
                .collect(),
            Err(refusal) => return Err(refusal.clone()),
        };
        let children = if leased.task.children > 0 {
            let near = store
                .neighbours(project, &leased.task.id, leased.task.children as usize)
                .await?;
            // Old ones may be gone; but a server tells of so many only.
            let told = near.children.len();
            if (EACH_ITEMS..leased.task.children as usize).contains(&told) {
                let detail = format!(
                    "task {} has {} subtasks, and the store tells of {} only",
                    leased.task.id, leased.task.children, told
                );
                let help = "let it split into parts that split again";
                return Err(Refusal::new(Code::LimitExceeded, detail).help(help));
            }
            store
                .results(
                    project,
                    &near.children.iter().map(|child| child.seq).collect::<Vec<_>>(),
                )
                .await?
        } else {
            Vec::new()
        };
        let error = match leased.task.failures {
            0 => None,
            _ => store.results(project, &[leased.task.seq]).await?.pop(),
        };
        let error = error.and_then(|own| own.outcome?.error);
        let place = Place::of(project, &leased.task.id, leased.task.run, &spec.env);
        let followed = self.options.traced || place.outer.is_some();
        Ok(Job {
            trace: followed.then(|| place.attempt(project, &leased.task.id, leased.task.attempt())),
            leased: Arc::new(leased),
            spec: Arc::new(spec),
            run: self.options.run,
            results,
            children,
            error: error.map(|error| error.message),
            steering: Steering::default(),
            mask: Arc::default(),
        })
    }
}
