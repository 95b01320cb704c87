//! Waits and calls, carried out by a worker on a memory store.

use std::path::Path;
use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::TaskId;
use domain::store::View;
use domain::task::outside::Signal;
use domain::task::spec::Json;
use domain::task::state::State;
use engine::outside::Outside;
use engine::worker::{Options, Pace};
use serde_json::{Value, json};

use super::bench::{Bench, Worker};
use super::endpoint::endpoint;

impl Bench {
    async fn view(&self, key: &str) -> View {
        let (store, project) = (&self.engine.store, &self.engine.project);
        let id: TaskId = store
            .by_key(project, &key.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        store.views(project, &[id]).await.unwrap().remove(0).unwrap()
    }

    /// Waits until a task is in a state; the test hangs, and is ended, if it never is.
    async fn until(&self, key: &str, state: State) -> View {
        let mut seen = 0;
        loop {
            let view = self.view(key).await;
            if view.task.state == state {
                return view;
            }
            assert!(
                !view.task.state.is_terminal(),
                "{key} is {}: {:?}",
                view.task.state,
                view.outcome
            );
            seen = self.engine.store.changed(seen).await;
        }
    }

    async fn result(&self, key: &str) -> Value {
        let view = self.until(key, State::Completed).await;
        serde_json::from_str(view.outcome.unwrap().result.unwrap().get()).unwrap()
    }

    async fn failure(&self, key: &str) -> (String, Option<String>) {
        let view = self.until(key, State::Failed).await;
        let error = view.outcome.unwrap().error.unwrap();
        (error.message, error.class)
    }

    async fn signal(&self, name: &str, payload: Value) {
        let signal = Signal::after(
            None,
            self.engine.now().wall,
            "user:test",
            Some(Json::of(&payload)),
        );
        let edit =
            Edit::put(Entry::new(Book::Signal, name, &signal)).with_event(Kind::SignalSent, &json!({}));
        let (store, project) = (&self.engine.store, &self.engine.project);
        store
            .edit(project, vec![edit], "user:test".into(), self.engine.now())
            .await
            .unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A worker that may call this machine.
fn start(bench: &Bench, jobs: usize) -> Worker {
    bench.worker(Options {
        jobs,
        outside: Outside::new("127.0.0.1".parse().unwrap()),
        ..Options::default()
    })
}

// proves: DESIGN 5, DESIGN 8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_take_no_slot_of_real_work() {
    let bench = Bench::new();
    let waits: String = (0..50)
        .map(|i| format!("  w{i}: {{ wait: {{ signal: go }} }}\n"))
        .collect();
    bench
        .submit(&format!(
            "{waits}  real: {{ run: 'true', after: [w0] }}\n  now: {{ run: 'true' }}\n"
        ))
        .await;
    let worker = start(&bench, 1);
    bench.until("now", State::Completed).await;
    for i in 0..50 {
        bench.until(&format!("w{i}"), State::Running).await;
    }
    bench.signal("other", json!(1)).await;
    bench.signal("go", json!({ "by": "ann" })).await;
    for i in 0..50 {
        assert_eq!(bench.result(&format!("w{i}")).await["payload"]["by"], "ann");
    }
    bench.until("real", State::Completed).await;
    worker.stop(Pace::Drain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_counts_from_the_beginning_of_the_wait_whoever_carries_it_on() {
    let bench = Bench::new();
    bench.signal("old", json!(1)).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    bench
        .submit(
            "  fresh: { wait: { signal: old } }\n  any: { wait: { signal: old, earlier: true } }\n  kept: { wait: { signal: new } }\n",
        )
        .await;
    let worker = start(&bench, 1);
    assert_eq!(bench.result("any").await["payload"], 1);
    bench.until("fresh", State::Running).await;
    bench.until("kept", State::Running).await;
    worker.stop(Pace::Stop).await;
    assert_eq!(bench.view("kept").await.task.state, State::Ready);
    // Nobody is there when it comes.
    bench.signal("new", json!(2)).await;
    let worker = start(&bench, 1);
    assert_eq!(bench.result("kept").await["payload"], 2);
    bench.until("fresh", State::Running).await;
    assert_eq!(bench.view("kept").await.task.failures, 0);
    worker.stop(Pace::Stop).await;
}

// proves: DESIGN 5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_found_once_it_has_come_to_rest() {
    let bench = Bench::new();
    bench
        .submit("  data: { wait: { file: 'in/*.csv', stable: 300ms } }\n  late: { wait: { file: 'never' }, timeout: 200ms }\n  bad: { wait: { file: '[' } }\n")
        .await;
    let worker = start(&bench, 1);
    bench.until("data", State::Running).await;
    bench.write("in/a.txt", "no");
    bench.write("in/a.csv", "1");
    let result = bench.result("data").await;
    assert_eq!(result["count"], 1);
    assert!(result["files"][0].as_str().unwrap().ends_with("in/a.csv"));
    assert_eq!(
        bench.failure("late").await,
        (
            "a file `never` did not come within 200ms".into(),
            Some("timeout".into())
        )
    );
    assert_eq!(bench.failure("bad").await.1.as_deref(), Some("validation"));
    worker.stop(Pace::Drain).await;
}

// proves: DESIGN 5, DESIGN 8, DESIGN 10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_are_called_and_waited_for() {
    let bench = Bench::new();
    let up = endpoint(&[503, 200]).await;
    let flaky = endpoint(&[500, 201]).await;
    let gone = endpoint(&[404]).await;
    let tasks = format!(
        "  up: {{ wait: {{ http: {{ url: '{up}' }}, interval: 500ms }} }}\n  \
           flaky: {{ http: {{ url: '{flaky}', method: post }}, retry: {{ attempts: 2, initial: 10ms }}, inputs: {{ x: 1 }} }}\n  \
           gone: {{ http: '{gone}', retry: {{ attempts: 3, initial: 10ms }} }}\n  \
           meant: {{ http: {{ url: '{gone}', status: [404] }} }}\n  \
           inside: {{ http: 'http://[::1]:1/' }}\n",
        up = up.url,
        flaky = flaky.url,
        gone = gone.url,
    );
    bench.submit(&tasks).await;
    let worker = start(&bench, 4);
    assert_eq!(bench.result("up").await, json!({ "status": 200, "body": "no" }));
    assert_eq!(bench.result("flaky").await["status"], 201);
    let heard = flaky.heard().await;
    let id = bench.view("flaky").await.task.id;
    let key = format!("idempotency-key: default:{id}");
    assert!(
        heard.iter().all(|text| text.to_lowercase().contains(&key)),
        "{heard:?}"
    );
    assert!(
        heard[0].contains(r#""inputs":{"x":1}"#) && !heard[0].contains("store"),
        "{heard:?}"
    );
    assert_eq!(
        bench.failure("gone").await,
        ("the endpoint answered 404: no".into(), Some("not found".into()))
    );
    assert_eq!(bench.view("gone").await.task.failures, 1);
    assert_eq!(bench.result("meant").await["status"], 404);
    assert!(bench.failure("inside").await.0.contains("http.allow"));
    assert_eq!(up.heard().await.len(), 2);
    worker.stop(Pace::Drain).await;
}
