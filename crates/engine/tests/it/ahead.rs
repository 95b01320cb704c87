//! Leases that a worker holds for attempts to come.

use std::sync::{Arc, Mutex};

use domain::event::Kind;
use domain::id::EventNo;
use domain::plan::{self, Format};
use domain::store::Held;
use domain::task::state::State;
use engine::clock::SystemClock;
use engine::engine::Engine;
use engine::execute::handler::Handlers;
use engine::home::Home;
use engine::submit;
use engine::worker::{self, Activity, Options, Pace};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

const JOBS: usize = 4;

struct Bench {
    engine: Engine,
    /// The names of tasks in the order in which they began.
    began: Arc<Mutex<Vec<String>>>,
    /// One permit for each slow task that may end.
    gate: Arc<Semaphore>,
    folder: tempfile::TempDir,
}

struct Worker {
    pace: watch::Sender<Pace>,
    activity: watch::Receiver<Activity>,
    task: JoinHandle<domain::store::Result<()>>,
}

impl Worker {
    async fn stop(self) {
        self.pace.send_replace(Pace::Drain);
        self.task.await.unwrap().unwrap();
    }
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine {
            store: store::open("memory:", store::Options::default()).unwrap(),
            project: Default::default(),
            clock: Arc::new(SystemClock),
            home: Home::new(folder.path().join("home")),
            actor: "user:test".into(),
        };
        let (began, gate) = (Arc::default(), Arc::new(Semaphore::new(0)));
        Bench {
            engine,
            began,
            gate,
            folder,
        }
    }

    async fn submit(&self, name: &str, tasks: impl Iterator<Item = (String, serde_json::Value)>) {
        let tasks: serde_json::Map<_, _> = tasks.collect();
        let text = serde_json::json!({ "name": name, "tasks": tasks }).to_string();
        let plan = plan::read(text.as_bytes(), Format::Json, "plan.json").unwrap();
        let options = submit::Options {
            into: submit::Into::New,
            profile: None,
            joins: |_, _| false,
        };
        let file = self.folder.path().join("plan.json");
        let submitted = submit::submit(&self.engine, &plan, &file, &options);
        submitted.await.unwrap();
    }

    fn worker(&self) -> Worker {
        let (began, gate) = (Arc::clone(&self.began), Arc::clone(&self.gate));
        let note = move |name: &str| began.lock().unwrap().push(name.to_owned());
        let noted = note.clone();
        let handlers = Handlers::default()
            .with("quick", move |job| {
                noted(&job.spec.name);
                async { Ok(None) }
            })
            .with("slow", move |job| {
                note(&job.spec.name);
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.unwrap().forget();
                    Ok(None)
                }
            });
        let options = Options {
            jobs: JOBS,
            handlers,
            commands: false,
            ..Options::default()
        };
        let (pace, paced) = watch::channel(Pace::Work);
        let (doing, activity) = watch::channel(Activity::default());
        let task = tokio::spawn(worker::work(self.engine.clone(), options, paced, doing));
        Worker { pace, activity, task }
    }

    async fn leased(&self) -> Vec<Held> {
        let (store, project) = (&self.engine.store, &self.engine.project);
        store.leased(project, None).await.unwrap()
    }

    /// Waits until the store shows this; the test hangs, and is ended, if it never does.
    async fn until(&self, mut shown: impl AsyncFnMut(&Bench) -> bool) {
        let mut seen = 0;
        while !shown(self).await {
            seen = self.engine.store.changed(seen).await;
        }
    }

    fn began(&self) -> Vec<String> {
        self.began.lock().unwrap().clone()
    }
}

fn tasks(name: &str, handler: &str, count: usize) -> impl Iterator<Item = (String, serde_json::Value)> {
    (0..count).map(move |i| (format!("{name}{i}"), serde_json::json!({ "handler": handler })))
}

// proves: DESIGN 4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_attempts_follow_each_other_without_a_commit_between() {
    let bench = Bench::new();
    let mut worker = bench.worker();
    bench.submit("quick", tasks("q", "quick", 2_000)).await;
    let done = async |bench: &Bench| {
        let status = bench.engine.store.status(&bench.engine.project).await.unwrap();
        status.counts.of(State::Completed) == 2_000
    };
    bench.until(done).await;
    worker.activity.wait_for(|activity| activity.idle).await.unwrap();
    worker.stop().await;

    let mut began = bench.began();
    assert_eq!(began.len(), 2_000);
    began.sort();
    began.dedup();
    assert_eq!(began.len(), 2_000, "none began twice");
    let (store, project) = (&bench.engine.store, &bench.engine.project);
    let (mut held, mut after) = (0, EventNo(0));
    loop {
        let seen = store.events(project, after, 1_000).await.unwrap();
        let Some(last) = seen.last() else { break };
        after = last.event.no;
        let assigned = Kind::TaskEntered(State::Assigned);
        held += seen
            .iter()
            .filter(|seen| seen.event.fact.kind == assigned)
            .count();
    }
    assert!(held > 0, "the worker has held none ahead");
}

// proves: DESIGN 4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_urgent_is_not_kept_waiting_by_what_is_held_ahead() {
    let bench = Bench::new();
    let mixed = tasks("q", "quick", 40).chain(tasks("s", "slow", 20));
    bench.submit("mixed", mixed).await;
    let worker = bench.worker();
    // Those that were held ahead when the last quick one had ended go back.
    let only_running = async |bench: &Bench| {
        let leased = bench.leased().await;
        leased.len() == JOBS && leased.iter().all(|held| held.state == State::Running) && {
            bench.began().len() == 40 + JOBS
        }
    };
    bench.until(only_running).await;

    let urgent = serde_json::json!({ "handler": "quick", "priority": "critical" });
    bench
        .submit("urgent", std::iter::once(("urgent".to_owned(), urgent)))
        .await;
    bench.gate.add_permits(1);
    bench
        .until(async |bench: &Bench| bench.began().len() > 40 + JOBS)
        .await;
    assert_eq!(bench.began()[40 + JOBS], "urgent");
    bench.gate.add_permits(100);
    worker.stop().await;
    assert!(bench.leased().await.is_empty());
}
