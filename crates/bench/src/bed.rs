//! A store of a workload's own, with the few calls that workloads are made of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::code::Refusal;
use domain::id::{Project, TaskId, Token, WorkerId};
use domain::limits;
use domain::store::{
    Admission, AdmitLimits, Claim, Command, IntoRun, Leased, NewTask, Reply, Request, Store, Target, Wants,
};
use domain::task::record::Outcome;
use domain::task::spec::{Priority, Spec, Work};
use domain::time::Now;
use engine::clock::{Clock, SystemClock};
use engine::engine::Engine;
use engine::home::Home;
use engine::ids;
use tempfile::TempDir;

use crate::lab::Lab;
use crate::place::Place;
use crate::space::Space;

pub(crate) type Result<T> = std::result::Result<T, Refusal>;

/// Bytes of a task's stored specification, and of a raw row's payload.
pub(crate) const PAYLOAD: usize = 150;

/// The handler that tasks of workloads call.
pub(crate) const HANDLER: &str = "noop";

/// How the scores of tasks are spread. Raw rows get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// All alike: first in, first out.
    One,
    Ten,
    Thousand,
}

/// A small generator of numbers (splitmix64, Steele et al. 2014), the same ones in every run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    /// A raw row's place in line.
    pub(crate) fn rank(&mut self, mix: Mix) -> i64 {
        match mix {
            Mix::One => 0,
            Mix::Ten => self.below(10) as i64,
            Mix::Thousand => self.below(1_000) as i64,
        }
    }
}

pub(crate) struct Bed {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) project: Project,
    pub(crate) url: String,
    worker: WorkerId,
    actor: Arc<str>,
    spec: Spec,
    dice: Mutex<Dice>,
    /// Outlives the store, whose files are in it.
    folder: TempDir,
    space: Option<Space>,
}

impl Bed {
    pub(crate) fn open(lab: &Lab) -> Result<Bed> {
        let folder = lab.place.subfolder()?;
        let space = lab.space()?;
        let url = match &space {
            Some(space) => space.url(),
            None if matches!(lab.place, Place::Memory(_)) => "memory:".to_owned(),
            None => format!("sqlite:{}", folder.path().join("bell.db").display()),
        };
        let options = store::Options {
            durability: lab.durability,
            create: true,
            accept_volatile: lab.accept_volatile,
        };
        Ok(Bed {
            store: store::open(&url, options)?,
            project: Project::default(),
            url,
            worker: WorkerId::new("bench")?,
            actor: Arc::from("worker:bench"),
            spec: spec()?,
            dice: Mutex::new(Dice::new(7)),
            folder,
            space,
        })
    }

    /// The schema or prefix on a server.
    pub(crate) fn space_name(&self) -> Option<&str> {
        self.space.as_ref().map(Space::name)
    }

    /// Closes the store and gives the folder with its file.
    pub(crate) fn into_folder(self) -> TempDir {
        let Bed { store, folder, .. } = self;
        drop(store);
        folder
    }

    pub(crate) fn now(&self) -> Now {
        SystemClock.now()
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine {
            store: Arc::clone(&self.store),
            project: self.project.clone(),
            clock: Arc::new(SystemClock),
            home: Home::new(self.folder.path().join("home")),
            actor: Arc::from("user:bench"),
        }
    }

    /// New tasks with scores spread as `mix` says.
    pub(crate) fn fresh(&self, count: usize, mix: Mix) -> Vec<NewTask> {
        let now = self.now().wall;
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spec = self.spec.clone();
        (0..count)
            .map(|_| {
                if mix == Mix::Ten {
                    spec.priority = Priority::number(dice.below(10) as i64).expect("below ten");
                }
                let mut task = NewTask::new(ids::task(), None, &spec, now);
                if mix == Mix::Thousand {
                    task.path_share = Some(dice.below(1_000) as u16);
                }
                task
            })
            .collect()
    }

    pub(crate) fn admission(&self, tasks: Vec<NewTask>, run: IntoRun) -> Admission {
        Admission {
            tasks,
            run,
            supersede: Vec::new(),
            limits: AdmitLimits {
                prerequisites: limits::PLAN_PREREQUISITES,
                children: u32::MAX,
            },
            actor: Arc::clone(&self.actor),
            idempotency_key: None,
        }
    }

    pub(crate) async fn admit(&self, tasks: Vec<NewTask>) -> Result<Vec<TaskId>> {
        let admission = self.admission(tasks, IntoRun::None);
        let admitted = self.store.admit(&self.project, admission, self.now()).await?;
        Ok(admitted.tasks.into_iter().map(|(id, _)| id).collect())
    }

    /// Stores `count` tasks in batches of 1,000, or of less. Returns the duration of each.
    pub(crate) async fn fill(&self, count: usize, mix: Mix) -> Result<Vec<Duration>> {
        let mut calls = Vec::new();
        let mut left = count;
        while left > 0 {
            let batch = left.min(1_000);
            let start = Instant::now();
            self.admit(self.fresh(batch, mix)).await?;
            calls.push(start.elapsed());
            left -= batch;
        }
        Ok(calls)
    }

    /// Leases and starts up to `max` tasks.
    pub(crate) async fn claim(&self, max: usize) -> Result<Vec<Leased>> {
        self.claim_as(self.worker.clone(), max).await
    }

    pub(crate) async fn claim_as(&self, worker: WorkerId, max: usize) -> Result<Vec<Leased>> {
        let claim = Claim {
            worker,
            wants: Wants {
                handlers: vec![HANDLER.to_owned()],
                ..Wants::default()
            },
            max,
            ahead: 0,
            ttl: Duration::from_secs(3_600),
            start: true,
            seed: ids::seed(),
        };
        self.store.claim(&self.project, claim, self.now()).await
    }

    pub(crate) async fn complete(&self, tokens: &[Token]) -> Result<Vec<Reply>> {
        let outcome = Outcome::default();
        let command = Command::Complete {
            outcome,
            cached: false,
            children: None,
        };
        self.finish(tokens, &command).await
    }

    /// Sends one command under every token; each has to be accepted.
    pub(crate) async fn finish(&self, tokens: &[Token], command: &Command) -> Result<Vec<Reply>> {
        let targets = tokens.iter().map(|token| Target::Holder(*token, None));
        self.command(targets, command).await
    }

    pub(crate) async fn command(
        &self,
        targets: impl Iterator<Item = Target>,
        command: &Command,
    ) -> Result<Vec<Reply>> {
        let request = |target| Request {
            target,
            command: command.clone(),
            actor: Arc::clone(&self.actor),
            idempotency_key: None,
        };
        let requests: Vec<Request> = targets.map(request).collect();
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let replies = self.store.change(&self.project, requests, self.now()).await?;
        replies.into_iter().collect()
    }

    /// What a worker does in one turn: settles what it holds and claims the next, both at once. Returns what it
    /// holds now.
    pub(crate) async fn turn(&self, held: &[Token], max: usize) -> Result<Vec<Token>> {
        let (settled, leased) = tokio::join!(self.complete(held), self.claim(max));
        settled?;
        Ok(leased?.iter().map(|lease| lease.token).collect())
    }

    /// Claims and finishes `count` tasks, `batch` in each turn. Returns the duration of each turn.
    pub(crate) async fn drain(&self, count: usize, batch: usize) -> Result<Vec<Duration>> {
        let mut turns = Vec::new();
        let (mut held, mut claimed) = (Vec::new(), 0);
        while claimed < count || !held.is_empty() {
            let start = Instant::now();
            let next = batch.min(count - claimed);
            held = if next > 0 {
                self.turn(&held, next).await?
            } else {
                self.complete(&held).await?;
                Vec::new()
            };
            turns.push(start.elapsed());
            if next > 0 && held.is_empty() {
                return Err(too_few(claimed, count));
            }
            claimed += held.len();
        }
        Ok(turns)
    }
}

/// A workload that does less than it says has found a defect.
pub(crate) fn too_few(got: usize, wanted: usize) -> Refusal {
    Refusal::new(
        domain::code::Code::Internal,
        format!("the store handed out {got} of {wanted} tasks"),
    )
}

/// A task that does nothing, with a specification of exactly [`PAYLOAD`] bytes.
fn spec() -> Result<Spec> {
    let mut spec = Spec::new("benchmark", Work::Handler(HANDLER.to_owned()));
    spec.summary = Some(String::new());
    let bytes = serde_json::to_string(&spec).map_or(PAYLOAD, |json| json.len());
    spec.summary = Some("x".repeat(PAYLOAD.saturating_sub(bytes)));
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_has_the_size_that_the_legend_tells() {
        assert_eq!(serde_json::to_string(&spec().unwrap()).unwrap().len(), PAYLOAD);
    }
}
