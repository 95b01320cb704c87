//! Leases that a worker holds for attempts to come.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::event::Kind;
use domain::id::{EventNo, Seq};
use domain::store::{Filter, Held};
use domain::task::state::State;
use engine::execute::handler::Handlers;
use engine::worker::{Options, Pace};
use tokio::sync::Semaphore;

use super::bench::{Bench, Worker};

const JOBS: usize = 4;
const NAP: Duration = Duration::from_millis(5);

struct Watch {
    /// The names of tasks in the order in which they began.
    began: Arc<Mutex<Vec<String>>>,
    /// One permit for each slow task that may end.
    gate: Arc<Semaphore>,
}

impl Watch {
    fn new() -> Watch {
        Watch {
            began: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    fn worker(&self, bench: &Bench) -> Worker {
        let (began, gate) = (Arc::clone(&self.began), Arc::clone(&self.gate));
        let note = move |name: &str| began.lock().unwrap().push(name.to_owned());
        let noted = note.clone();
        let handlers = Handlers::default()
            .with("quick", move |job| {
                noted(&job.spec.name);
                async { Ok(None) }
            })
            .with("nap", |_| async {
                tokio::time::sleep(NAP).await;
                Ok(None)
            })
            .with("slow", move |job| {
                note(&job.spec.name);
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.unwrap().forget();
                    Ok(None)
                }
            });
        bench.worker(Options {
            jobs: JOBS,
            handlers,
            commands: false,
            ..Options::default()
        })
    }

    fn began(&self) -> Vec<String> {
        self.began.lock().unwrap().clone()
    }
}

async fn leased(bench: &Bench) -> Vec<Held> {
    let (store, project) = (&bench.engine.store, &bench.engine.project);
    store.leased(project, None).await.unwrap()
}

/// Waits until the store shows this; the test hangs, and is ended, if it never does.
async fn until(bench: &Bench, mut shown: impl AsyncFnMut() -> bool) {
    let mut seen = 0;
    while !shown().await {
        seen = bench.engine.store.changed(seen).await;
    }
}

async fn all_completed(bench: &Bench, count: u64) {
    until(bench, async || {
        let status = bench.engine.store.status(&bench.engine.project).await;
        status.unwrap().counts.of(State::Completed) == count
    })
    .await;
}

fn tasks(name: &str, handler: &str, count: usize) -> String {
    (0..count).fold(String::new(), |mut tasks, i| {
        writeln!(tasks, "  {name}{i}: {{ handler: {handler} }}").unwrap();
        tasks
    })
}

// proves: DESIGN 4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_attempts_follow_each_other_without_a_commit_between() {
    let (bench, watch) = (Bench::new(), Watch::new());
    let mut worker = watch.worker(&bench);
    bench.submit(&tasks("q", "quick", 2_000)).await;
    let (store, project) = (&bench.engine.store, &bench.engine.project);
    all_completed(&bench, 2_000).await;
    worker.activity.wait_for(|activity| activity.idle).await.unwrap();
    worker.stop(Pace::Drain).await;

    let mut began = watch.began();
    assert_eq!(began.len(), 2_000);
    began.sort();
    began.dedup();
    assert_eq!(began.len(), 2_000, "none began twice");
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
async fn what_begins_and_ends_between_two_commits_took_its_time() {
    let (bench, watch) = (Bench::new(), Watch::new());
    let worker = watch.worker(&bench);
    bench.submit(&tasks("n", "nap", 200)).await;
    let (store, project) = (&bench.engine.store, &bench.engine.project);
    all_completed(&bench, 200).await;
    worker.stop(Pace::Drain).await;
    let views = store.list(project, Filter::default(), Seq(0), 200).await.unwrap();
    assert_eq!(views.len(), 200);
    for domain::store::View { task, .. } in views {
        let took = task.finished_at.unwrap().0 - task.started_at.unwrap().0;
        assert!(took >= NAP.as_millis() as i64 - 1, "{} took {took} ms", task.id);
    }
}

// proves: DESIGN 4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_urgent_is_not_kept_waiting_by_what_is_held_ahead() {
    let (bench, watch) = (Bench::new(), Watch::new());
    bench
        .submit(&(tasks("q", "quick", 40) + &tasks("s", "slow", 20)))
        .await;
    let worker = watch.worker(&bench);
    // Those that were held ahead when the last quick one had ended go back.
    until(&bench, async || {
        let leased = leased(&bench).await;
        let running = leased.iter().all(|held| held.state == State::Running);
        leased.len() == JOBS && running && watch.began().len() == 40 + JOBS
    })
    .await;

    bench
        .submit("  urgent: { handler: quick, priority: critical }")
        .await;
    watch.gate.add_permits(100);
    let place = || watch.began().iter().position(|name| name == "urgent");
    until(&bench, async || place().is_some()).await;
    // The worker may have held some more just before it was there.
    let ahead = place().unwrap() - (40 + JOBS);
    assert!(ahead <= JOBS, "{ahead} others began first");
    worker.stop(Pace::Drain).await;
    assert!(leased(&bench).await.is_empty());
}
