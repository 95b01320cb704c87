//! What the cases are written in: a project of a fresh store, a clock that is moved by hand, and short words for the
//! verbs.
//!
//! The short words panic on a refusal; the `try_` ones hand it out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::book::{Book, Entry};
use domain::event::Verifier;
use domain::id::{EventNo, Project, RunId, Seq};
use domain::limits;
use domain::prune::{BEGINNING, Beginning};
use domain::run::{Counts, Run};
use domain::store::{
    Admission, AdmitLimits, Admitted, Claim, Command, Filter, IntoRun, Leased, NewEdge, NewTask, On, Reply,
    Request, Result, Seen, Store, Ticked, View, Wants,
};
use domain::task::signature::Tally;
use domain::task::state::{Reason, State};
use domain::time::{Now, Timestamp, millis};
use uuid::Uuid;

use super::new::New;
use super::words::{ask, completion, failure, held, id, texts, worker};

/// An empty store, and whatever must live as long as it does.
pub struct Fresh {
    pub store: Arc<dyn Store>,
    pub keep: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fresh").field(&self.store).finish()
    }
}

#[derive(Clone, Debug)]
pub struct Lab {
    pub store: Arc<dyn Store>,
    pub project: Project,
    clock: Arc<Clock>,
}

#[derive(Debug)]
struct Clock {
    wall: AtomicI64,
    mono: AtomicI64,
    seed: AtomicU64,
}

/// 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp(1_767_225_600_000);
pub const TTL: Duration = Duration::from_secs(30);
pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3_600);

impl Lab {
    pub fn new(store: Arc<dyn Store>) -> Lab {
        let clock = Clock {
            wall: AtomicI64::new(START.0),
            mono: AtomicI64::new(1_000),
            seed: AtomicU64::new(1),
        };
        Lab {
            store,
            project: Project::default(),
            clock: Arc::new(clock),
        }
    }

    /// The same clock and project, another store.
    pub fn on(&self, store: Arc<dyn Store>) -> Lab {
        Lab {
            store,
            ..self.clone()
        }
    }

    /// The same store and clock, another project.
    pub fn beside(&self, project: &str) -> Lab {
        Lab {
            project: Project::new(project).expect("a name"),
            ..self.clone()
        }
    }

    // ---- time ----

    pub fn now(&self) -> Now {
        Now {
            wall: Timestamp(self.clock.wall.load(Ordering::Relaxed)),
            mono: self.clock.mono.load(Ordering::Relaxed),
        }
    }

    pub fn pass(&self, span: Duration) {
        self.jump(millis(span));
        self.clock.mono.fetch_add(millis(span), Ordering::Relaxed);
    }

    /// Somebody sets the wall clock.
    pub fn jump(&self, ms: i64) {
        self.clock.wall.fetch_add(ms, Ordering::Relaxed);
    }

    pub async fn tick(&self) -> Ticked {
        self.store.tick(&self.project, self.now()).await.unwrap()
    }

    /// Ticks until nothing more is due.
    pub async fn catch_up(&self) {
        while self.tick().await.more {
            tokio::task::yield_now().await;
        }
    }

    // ---- admission ----

    pub fn admission(&self, tasks: &[New]) -> Admission {
        let at = |id: &str| tasks.iter().position(|other| other.id == id);
        let edge = |(on, when): &(String, _)| NewEdge {
            on: at(on).map_or_else(|| On::Task(id(on)), |index| On::Batch(index as u32)),
            when: *when,
        };
        let new = |task: &New| NewTask {
            after: task.after.iter().map(edge).collect(),
            parent: task.parent.as_deref().map(id),
            ..NewTask::new(id(&task.id), task.key.clone(), &task.spec, self.now().wall)
        };
        Admission {
            tasks: tasks.iter().map(new).collect(),
            run: IntoRun::None,
            supersede: Vec::new(),
            limits: AdmitLimits {
                children: limits::AGENT_SUBTASKS,
                ..AdmitLimits::PLAN
            },
            actor: "user:ann".into(),
            idempotency_key: None,
        }
    }

    pub async fn admit(&self, admission: Admission) -> Result<Admitted> {
        self.store.admit(&self.project, admission, self.now()).await
    }

    pub async fn try_add(&self, tasks: &[New]) -> Result<Admitted> {
        self.admit(self.admission(tasks)).await
    }

    /// Admits tasks outside any run and tells their first states.
    pub async fn add(&self, tasks: &[New]) -> Vec<State> {
        let admitted = self.try_add(tasks).await.unwrap();
        admitted.tasks.into_iter().map(|(_, state)| state).collect()
    }

    /// Admits tasks as a new run of the plan.
    pub async fn submit(&self, plan: &str, tasks: &[New]) -> RunId {
        let id = RunId(Uuid::from_u128(u128::from(self.fresh())));
        let run = IntoRun::New {
            id,
            plan: plan.to_owned(),
            digest: [1; 32],
            newest: None,
        };
        let admission = Admission {
            run,
            ..self.admission(tasks)
        };
        self.admit(admission).await.unwrap();
        id
    }

    // ---- claiming ----

    /// A claim of one task of any class without needs, started at once.
    pub fn wish(&self) -> Claim {
        Claim {
            worker: worker("w"),
            wants: Wants::default(),
            max: 1,
            ahead: 0,
            ttl: TTL,
            start: true,
            seed: self.fresh(),
        }
    }

    pub async fn claim(&self, claim: Claim) -> Vec<Leased> {
        self.store.claim(&self.project, claim, self.now()).await.unwrap()
    }

    pub async fn claim_up_to(&self, max: usize) -> Vec<Leased> {
        self.claim(Claim { max, ..self.wish() }).await
    }

    pub async fn next(&self) -> Option<Leased> {
        self.claim(self.wish()).await.pop()
    }

    /// Claims and starts the task that must be the next in line.
    pub async fn begin(&self, expected: &str) -> Leased {
        let next = self.next().await;
        let next = next.unwrap_or_else(|| panic!("nothing is in line, not even {expected}"));
        assert_eq!(next.task.id, id(expected));
        next
    }

    // ---- changing ----

    pub async fn try_all(&self, requests: Vec<Request>) -> Vec<Result<Reply>> {
        self.store
            .change(&self.project, requests, self.now())
            .await
            .unwrap()
    }

    pub async fn try_held(&self, leased: &Leased, command: Command) -> Result<Reply> {
        self.try_all(vec![held(leased, command)]).await.remove(0)
    }

    pub async fn try_do(&self, task: &str, command: Command) -> Result<Reply> {
        self.try_all(vec![ask(task, command)]).await.remove(0)
    }

    pub async fn complete(&self, leased: &Leased) -> Reply {
        self.try_held(leased, completion()).await.unwrap()
    }

    pub async fn fail(&self, leased: &Leased) -> Reply {
        self.try_held(leased, failure("it broke")).await.unwrap()
    }

    pub async fn release(&self, leased: &Leased) -> Reply {
        self.try_held(leased, Command::Release).await.unwrap()
    }

    /// Takes the task, which must be next in line, to its end; tells who became ready.
    pub async fn done(&self, expected: &str) -> Vec<String> {
        let leased = self.begin(expected).await;
        texts(&self.complete(&leased).await.unblocked)
    }

    /// Takes the task, which must be next in line, to its failure; tells who was cancelled.
    pub async fn broken(&self, expected: &str) -> Vec<String> {
        let leased = self.begin(expected).await;
        texts(&self.fail(&leased).await.cancelled)
    }

    pub async fn cancel(&self, task: &str) -> Vec<String> {
        let command = Command::Cancel {
            reason: Reason::Cancelled,
        };
        texts(&self.try_do(task, command).await.unwrap().cancelled)
    }

    pub async fn suspend(&self, task: &str) -> State {
        self.try_do(task, Command::Suspend).await.unwrap().state
    }

    pub async fn resume(&self, task: &str) -> State {
        self.try_do(task, Command::Resume).await.unwrap().state
    }

    pub async fn retry(&self, task: &str) -> State {
        self.try_do(task, Command::Retry { at: None })
            .await
            .unwrap()
            .state
    }

    /// Works until nothing is in line and nothing is due within a day. Returns the order of completion.
    pub async fn drain(&self) -> Vec<String> {
        let mut done = Vec::new();
        loop {
            self.catch_up().await;
            let leased = self.claim_up_to(100).await;
            if leased.is_empty() {
                match self.tick().await.next {
                    Some(at) if at.since(self.now().wall) < 24 * HOUR => self.pass(at.since(self.now().wall)),
                    _ => return done,
                }
            }
            let requests = leased.iter().map(|leased| held(leased, completion())).collect();
            for reply in self.try_all(requests).await {
                done.push(reply.unwrap().task.to_string());
            }
        }
    }

    // ---- reading ----

    pub async fn view(&self, task: &str) -> View {
        let views = self.store.views(&self.project, &[id(task)]).await.unwrap();
        let view = views.into_iter().flatten().next();
        view.unwrap_or_else(|| panic!("there is no task {task}"))
    }

    pub async fn state(&self, task: &str) -> State {
        self.view(task).await.task.state
    }

    pub async fn reason(&self, task: &str) -> Option<Reason> {
        self.view(task).await.task.reason
    }

    pub async fn states(&self, tasks: &[&str]) -> Vec<State> {
        let ids: Vec<_> = tasks.iter().map(|task| id(task)).collect();
        let views = self.store.views(&self.project, &ids).await.unwrap();
        let state = |view: Option<View>| view.expect("the task exists").task.state;
        views.into_iter().map(state).collect()
    }

    pub async fn counts(&self) -> Counts {
        self.store.status(&self.project).await.unwrap().counts
    }

    pub async fn run(&self, id: RunId) -> Run {
        let run = self.store.run(&self.project, id).await.unwrap();
        run.expect("the run exists")
    }

    /// The kinds of a task's events without their `task.`.
    pub async fn story(&self, task: &str) -> Vec<&'static str> {
        let seen = self.store.history(&self.project, &id(task), 1_000).await.unwrap();
        let kinds = seen.iter().map(|seen| seen.event.fact.kind.as_str());
        kinds.map(|kind| kind.trim_start_matches("task.")).collect()
    }

    pub async fn all(&self) -> Vec<View> {
        let everything = Filter {
            superseded: true,
            ..Filter::default()
        };
        let mut all: Vec<View> = Vec::new();
        loop {
            let after = all.last().map_or(Seq(0), |view| view.task.seq);
            let page = self.store.list(&self.project, everything.clone(), after, 1_000);
            let page = page.await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    pub async fn log(&self) -> Vec<Seen> {
        let mut log: Vec<Seen> = Vec::new();
        loop {
            let after = log.last().map_or(EventNo(0), |seen| seen.event.no);
            let page = self.store.events(&self.project, after, 1_000).await.unwrap();
            if page.is_empty() {
                return log;
            }
            log.extend(page);
        }
    }

    /// Holds after every case: the store's own check, the chain of events, and counters against rows.
    pub async fn assert_sound(&self) {
        let findings = self.store.check(&self.project).await.unwrap();
        assert!(findings.is_empty(), "the store's check found: {findings:#?}");
        let mut verifier = Verifier::after(self.beginning().await.after);
        for seen in self.log().await {
            verifier.follow(&seen.event).unwrap();
        }
        let head = self.store.chain(&self.project).await.unwrap();
        verifier.finish(&head).unwrap();
        let mut counts = Counts::default();
        self.all()
            .await
            .iter()
            .for_each(|view| counts.add(view.task.state));
        assert_eq!(self.counts().await, counts);
        super::agents::assert_counted(self).await;
        let letters: u64 = self.tallies().await.iter().map(|(_, tally)| tally.count).sum();
        assert_eq!(
            self.store.status(&self.project).await.unwrap().dead_letters,
            letters
        );
    }

    pub async fn beginning(&self) -> Beginning {
        let keys = [BEGINNING.into()];
        let found = self.store.entries_of(&self.project, Book::Cursor, &keys);
        Beginning::read(&self.project, &found.await.unwrap()).unwrap()
    }

    /// Dead letters by signature.
    pub async fn tallies(&self) -> Vec<(String, Tally)> {
        let page = self
            .store
            .entries(&self.project, Book::Signature, "", limits::PAGE_MAX);
        let read = |entry: &Entry| (entry.key.to_string(), entry.read().unwrap());
        page.await.unwrap().iter().map(read).collect()
    }

    /// A number that this lab has not given out yet.
    pub fn fresh(&self) -> u64 {
        self.clock.seed.fetch_add(1, Ordering::Relaxed)
    }
}
