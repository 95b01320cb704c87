//! What commands leave in their files, and what is left by workers that died.

use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::id::{PoolName, Seq, WorkerId};
use domain::limits;
use domain::pool::{Crew, crew_key};
use domain::store::{Filter, View};
use domain::task::spec::Json;
use domain::task::state::State;
use engine::process::presence::Presence;
use engine::recover::recover;
use engine::worker::{Options, Pace};
use serde_json::Value;

use super::bench::{Bench, Worker};

/// A command under way; the only task of its bench.
struct Command {
    bench: Bench,
    worker: Worker,
}

impl Command {
    async fn start(line: &str) -> Command {
        let bench = Bench::new();
        bench.submit(&format!("  it: {{ run: {line:?} }}\n")).await;
        let worker = bench.worker(Options {
            jobs: 1,
            heartbeat: Duration::from_millis(20),
            ..Options::default()
        });
        Command { bench, worker }
    }

    /// Waits until the task is as wanted; the test hangs, and is ended, if it never is.
    async fn until(&self, wanted: impl Fn(&View) -> bool) -> View {
        let engine = &self.bench.engine;
        let mut seen = 0;
        loop {
            let listed = engine.store.list(&engine.project, Filter::default(), Seq(0), 1);
            if let Some(view) = listed.await.unwrap().pop().filter(&wanted) {
                return view;
            }
            seen = engine.store.changed(seen).await;
        }
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.bench.folder.path().join(name), "").unwrap();
    }

    async fn end(self) -> View {
        let view = self.until(|view| view.task.state.is_terminal()).await;
        self.worker.stop(Pace::Drain).await;
        view
    }
}

/// How a command fails, and as what.
async fn failure(line: &str) -> (String, String) {
    let view = Command::start(line).await.end().await;
    let error = view.outcome.unwrap().error.unwrap();
    (error.message, error.class.unwrap_or_default())
}

#[tokio::test]
async fn what_is_no_plain_file_ends_the_attempt() {
    for (variable, what) in [
        ("BELL_RESULT", "the result"),
        ("BELL_USAGE", "the usage"),
        ("BELL_SUBTASKS", "the subtasks"),
    ] {
        for make in ["mkfifo", "mkdir", "ln -s /dev/zero"] {
            let refused = failure(&format!("{make} \"${variable}\"")).await;
            let message = format!("{what} in ${variable}: there is no plain file");
            assert_eq!(refused, (message, "validation".to_owned()), "{make}");
        }
    }
}

#[tokio::test]
async fn subtasks_have_a_bound() {
    let bytes = limits::SUBTASKS_FILE_BYTES + 1;
    let (message, class) = failure(&format!("truncate -s {bytes} \"$BELL_SUBTASKS\"")).await;
    assert_eq!(
        message,
        "the subtasks in $BELL_SUBTASKS have 67108865 bytes, the limit is 67108864"
    );
    assert_eq!(class, "validation");
}

#[tokio::test]
async fn only_one_line_says_how_a_parent_joins() {
    let line = r#"echo '{"key": "x", "run": "true"}
{"join": "continue"}
{"join": "complete"}' > "$BELL_SUBTASKS""#;
    let (message, class) = failure(line).await;
    assert_eq!(message, "line 3 of the subtasks: `join` stands twice");
    assert_eq!(class, "validation");
}

#[tokio::test]
async fn a_result_over_its_bound_is_refused() {
    let bytes = limits::RESULT_FILE_BYTES + 1;
    let (message, _) = failure(&format!("truncate -s {bytes} \"$BELL_RESULT\"")).await;
    assert_eq!(
        message,
        "the result in $BELL_RESULT has 16777217 bytes, the limit is 16777216"
    );
}

#[tokio::test]
async fn a_link_to_a_plain_file_and_empty_files_will_do() {
    let link = r#"echo 7 > seven; ln -s "$PWD/seven" "$BELL_RESULT""#;
    let empty = r#": > "$BELL_USAGE"; : > "$BELL_SUBTASKS""#;
    let view = Command::start(&format!("{link}; {empty}")).await.end().await;
    let outcome = view.outcome.unwrap();
    assert_eq!(outcome.result, Some(Json::parse("7").unwrap()));
    assert_eq!(outcome.usage, None);
}

#[tokio::test]
async fn a_failed_command_has_told_what_it_used() {
    let line = r#"echo '{"tokens": 3}' > "$BELL_USAGE"; echo no luck; exit 3"#;
    let outcome = Command::start(line).await.end().await.outcome.unwrap();
    assert_eq!(outcome.error.unwrap().message, "exit status 3: no luck");
    assert_eq!(outcome.usage, Some(Json::parse(r#"{"tokens": 3}"#).unwrap()));
}

#[tokio::test]
async fn progress_comes_with_the_heartbeat_and_a_pipe_says_nothing() {
    let told = r#"echo 40 > "$BELL_PROGRESS"; until [ -e go ]; do sleep 0.02; done"#;
    let pipe = r#"rm "$BELL_PROGRESS"; mkfifo "$BELL_PROGRESS""#;
    let command = Command::start(&format!("{told}; {pipe}; sleep 0.1")).await;
    let says = |view: &View| view.task.lease.as_ref()?.progress.clone();
    let percent = Some(Json::parse("40").unwrap());
    command.until(|view| says(view) == percent).await;
    command.touch("go");
    assert_eq!(command.end().await.task.state, State::Completed);
}

// More pools than fit on a page.
#[tokio::test]
async fn a_dead_worker_is_taken_off_its_pool_wherever_that_stands() {
    let bench = Bench::new();
    let engine = &bench.engine;
    let put = |pool: &str, worker: &str| {
        let (pool, worker) = (PoolName::new(pool).unwrap(), WorkerId::new(worker).unwrap());
        let key = crew_key(&pool, &worker);
        let crew = Crew {
            worker,
            slots: 1,
            ups: 0,
            downs: 0,
        };
        Edit::put(Entry::new(Book::Pool, &key, &crew))
    };
    let others = (0..limits::PAGE_MAX).map(|n| put("a", &format!("w{n}")));
    let edits: Vec<Edit> = others.chain([put("z", "w-buried")]).collect();
    let (store, project) = (&engine.store, &engine.project);
    let edited = store.edit(project, edits, "user:test".into(), engine.now());
    edited.await.unwrap();
    drop(Presence::enter(&engine.home.workers(), "w-buried", &Value::Null).unwrap());
    assert_eq!(recover(engine).await.unwrap(), 0);
    let asked = ["z@w-buried".into(), "a@w0".into()];
    let left = store.entries_of(project, Book::Pool, &asked).await.unwrap();
    let keys: Vec<&str> = left.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, ["a@w0"]);
}
