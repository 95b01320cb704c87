//! Plans run from beginning to end, with real commands, over a real store file.

mod results;
mod subtasks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::code::Code;
use domain::id::Project;
use domain::plan::{self, Format, Plan};
use domain::run::RunState;
use domain::store::{Command, Filter, Request, Target, View};
use domain::task::score::Profile;
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use engine::clock::SystemClock;
use engine::engine::Engine;
use engine::execute::handler::Handlers;
use engine::expect::Expected;
use engine::follow::Follower;
use engine::home::Home;
use engine::runner::{self, Ended, How};
use engine::submit::{self, Into};
use engine::worker::{self, Pace};
use tokio::sync::watch;

/// A store, a folder, and a plan file in it.
struct Bundle {
    engine: Engine,
    folder: tempfile::TempDir,
    pace: watch::Sender<Pace>,
    handlers: Handlers,
}

impl Bundle {
    fn new() -> Bundle {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine {
            store: store::open(
                &format!("sqlite:{}/.bellwether/bell.db", folder.path().display()),
                store::Options {
                    create: true,
                    ..Default::default()
                },
            )
            .unwrap(),
            project: Project::default(),
            clock: Arc::new(SystemClock),
            home: Home::new(folder.path().join(".bellwether")),
            actor: "user:test".into(),
        };
        Bundle {
            engine,
            folder,
            pace: watch::channel(Pace::Work).0,
            handlers: Handlers::default(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("plan.yaml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, into: Into) -> runner::Options {
        runner::Options {
            agents: Vec::new(),
            submit: submit::Options {
                into,
                profile: None,
                joins: |_, _| false,
            },
            worker: worker::Options {
                jobs: 4,
                grace: Duration::from_millis(300),
                drain: Duration::from_secs(1),
                handlers: self.handlers.clone(),
                ..worker::Options::default()
            },
            wait: false,
            refresh: Duration::from_millis(5),
        }
    }

    async fn run(&self, text: &str) -> Ended {
        self.run_into(text, Into::Newest).await
    }

    async fn run_into(&self, text: &str, into: Into) -> Ended {
        let plan = read(text);
        let pace = self.pace.subscribe();
        runner::run(
            &self.engine,
            &plan,
            &self.file(),
            self.options(into),
            pace,
            &mut |_| {},
        )
        .await
        .unwrap()
    }

    async fn task(&self, key: &str) -> View {
        let key = domain::id::Key::new(key).unwrap();
        let id = self
            .engine
            .store
            .by_key(&self.engine.project, &key)
            .await
            .unwrap()
            .unwrap();
        self.engine
            .store
            .views(&self.engine.project, &[id])
            .await
            .unwrap()
            .pop()
            .unwrap()
            .unwrap()
    }

    async fn states(&self, ended: &Ended) -> Vec<(String, State)> {
        let filter = Filter {
            run: Some(ended.run.id),
            ..Filter::default()
        };
        let views = self
            .engine
            .store
            .list(&self.engine.project, filter, Default::default(), 100)
            .await
            .unwrap();
        views
            .into_iter()
            .map(|view| (view.body.key.unwrap().to_string(), view.task.state))
            .collect()
    }

    async fn command(&self, key: &str, command: Command) -> domain::store::Result<domain::store::Reply> {
        let target = Target::Id(self.task(key).await.task.id);
        let request = Request {
            target,
            command,
            actor: "user:test".into(),
            idempotency_key: None,
        };
        let now = self.engine.now();
        self.engine
            .store
            .change(&self.engine.project, vec![request], now)
            .await
            .unwrap()
            .pop()
            .unwrap()
    }

    /// Waits until a file exists, as a sign that a command has come so far.
    async fn sees(&self, name: &str) {
        let path = self.path(name);
        let look = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), look)
            .await
            .unwrap_or_else(|_| panic!("{name} never came"));
    }
}

fn read(text: &str) -> Plan {
    plan::read(text.as_bytes(), Format::Yaml, "plan.yaml").unwrap_or_else(|faults| panic!("{faults}"))
}

fn finished(ended: &Ended) -> RunState {
    match &ended.how {
        How::Finished(state) => *state,
        other => panic!("the run did not finish: {other:?}"),
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

// proves: SPEC 2.2
#[tokio::test]
async fn failed_tries_are_repeated_and_then_the_rest_falls() {
    let bundle = Bundle::new();
    let ended = bundle
        .run(
            r#"
tasks:
  flaky: { run: "test $BELL_ATTEMPT -ge 2", retry: { attempts: 3, initial: 10ms } }
  broken: { run: "echo giving up; exit 3", retry: { attempts: 2, initial: 10ms } }
  never: { run: "true", after: [broken] }
  alert: { run: "true", after: [{ task: broken, when: failure }] }
  unneeded: { run: "true", after: [{ task: flaky, when: failure }] }
  always: { run: "true", after: [{ task: never, when: finished }] }
"#,
        )
        .await;
    assert_eq!(finished(&ended), RunState::Failed);
    let flaky = bundle.task("flaky").await;
    assert_eq!((flaky.task.state, flaky.task.attempts), (State::Completed, 2));
    let broken = bundle.task("broken").await;
    assert_eq!(
        (broken.task.state, broken.task.reason),
        (State::Failed, Some(Reason::Exhausted))
    );
    assert!(broken.task.dead_letter);
    let error = broken.outcome.unwrap().error.unwrap();
    assert_eq!(
        (error.message.as_str(), error.exit),
        ("exit status 3: giving up", Some(3))
    );
    let never = bundle.task("never").await.task;
    assert_eq!(
        (never.state, never.reason),
        (State::Cancelled, Some(Reason::UpstreamFailed))
    );
    assert_eq!(bundle.task("unneeded").await.task.reason, Some(Reason::NotNeeded));
    assert_eq!(bundle.task("alert").await.task.state, State::Completed);
    assert_eq!(bundle.task("always").await.task.state, State::Completed);
}

// proves: DESIGN 6
#[tokio::test]
async fn running_again_continues_and_redoes_only_what_changed() {
    let bundle = Bundle::new();
    let plan = |how: &str, third: &str| {
        format!(
            r#"
name: again
tasks:
  one: {{ run: "echo one >> log"{how} }}
  two: {{ run: "echo two >> log; test -e fixed", after: [one] }}
  three: {{ run: "echo {third} >> log", after: [two] }}
"#
        )
    };
    let first = bundle.run(&plan("", "three")).await;
    assert_eq!(finished(&first), RunState::Failed);
    let first = bundle
        .run(&plan(", priority: high, locks: [a], retry: 2", "three"))
        .await;
    assert_eq!(finished(&first), RunState::Failed);
    assert_eq!(
        lines(&bundle.path("log")),
        ["one", "two", "two"],
        "what is done is not done again when only its schedule has changed"
    );
    std::fs::write(bundle.path("fixed"), "").unwrap();
    let second = bundle.run(&plan(", timeout: 5m", "drei")).await;
    assert_eq!(finished(&second), RunState::Succeeded);
    assert_eq!(second.run.id, first.run.id, "a failed run goes on");
    assert_eq!(lines(&bundle.path("log")), ["one", "two", "two", "two", "drei"]);
    let third = bundle.run(&plan("", "drei")).await;
    assert_ne!(
        third.run.id, first.run.id,
        "a finished run is not done again; a new one starts"
    );
    assert_eq!(
        bundle.engine.store.check(&bundle.engine.project).await.unwrap(),
        Vec::<String>::new()
    );
}

/// Another process has emptied the store under a run, and perhaps begun anew.
#[tokio::test]
async fn a_run_that_is_gone_says_that_its_store_is() {
    let bundle = Bundle::new();
    let plan = read("tasks: { a: { run: 'true' } }");
    let (file, options) = (bundle.file(), bundle.options(Into::New).submit);
    let submitted = submit::submit(&bundle.engine, &plan, &file, &options);
    let submitted = submitted.await.unwrap();
    let expected = Expected::soon(&bundle.engine, &plan, "plan").await.unwrap();
    let start = Default::default();
    let another = Bundle::new();
    let emptied = Engine {
        store: another.engine.store.clone(),
        ..bundle.engine.clone()
    };
    let followed = Follower::new(&emptied, &submitted, start, &plan, &expected, 1).await;
    let refusal = followed.unwrap().snapshot().await.unwrap_err();
    assert_eq!(refusal.code, Code::StoreGone);
    let gone = format!("run {} is not in the store any more", submitted.run);
    assert_eq!(refusal.detail, gone);
}

#[tokio::test]
async fn a_plan_that_is_submitted_once_knows_its_critical_path() {
    let bundle = Bundle::new();
    let text = "tasks: { long: { run: 'true', estimate: 9m }, short: { run: 'true', estimate: 3m } }";
    let (plan, file) = (read(text), bundle.file());
    for (key, profile, share) in [
        ("a", Some(Profile::CriticalPath), Some(333)),
        ("b", Some(Profile::Classic), None),
        ("c", None, None),
    ] {
        let once = submit::Once {
            run: engine::ids::run(),
            key: key.to_owned(),
            profile,
        };
        for _ in 0..2 {
            let submitted = submit::submit_keyed(&bundle.engine, &plan, &file, once.clone());
            submitted.await.unwrap();
        }
        assert_eq!(bundle.task("short").await.task.path_share, share, "{key}");
    }
    let store = &bundle.engine.store;
    assert_eq!(
        store.runs(&bundle.engine.project, None, 9).await.unwrap().len(),
        3
    );
}

#[tokio::test]
async fn tasks_that_share_a_lock_never_overlap() {
    let bundle = Bundle::new();
    let mut text = String::from("tasks:\n");
    for i in 0..12 {
        let lock = ["path:src", "path:src/a", "path:src/b"][i % 3];
        text += &format!(
            "  t{i}: {{ run: \"mkdir busy{0} && sleep 0.01 && rmdir busy{0}\", locks: [\"{lock}\"], concurrency: {{ key: all, limit: 3 }} }}\n",
            if lock == "path:src" { "" } else { &lock[8..] }.replace('/', "")
        );
    }
    let ended = bundle.run(&text).await;
    assert_eq!(
        finished(&ended),
        RunState::Succeeded,
        "{:?}",
        bundle.states(&ended).await
    );
    assert_eq!(
        bundle.engine.store.check(&bundle.engine.project).await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group() {
    let bundle = Bundle::new();
    let ended = bundle
        .run("tasks: { slow: { run: 'sleep 60 & sleep 60', timeout: 200ms } }")
        .await;
    assert_eq!(finished(&ended), RunState::Failed);
    let slow = bundle.task("slow").await;
    assert_eq!(slow.task.reason, Some(Reason::Timeout));
    assert_eq!(
        slow.outcome.unwrap().error.unwrap().class.as_deref(),
        Some("timeout")
    );
}

// proves: SPEC 2.2
#[tokio::test]
async fn a_running_task_is_suspended_resumed_and_cancelled_from_outside() {
    let bundle = Arc::new(Bundle::new());
    let other = Arc::clone(&bundle);
    let run = tokio::spawn(async move {
        other
            .run(
                r#"
tasks:
  long: { run: "touch begun; while ! test -e go; do sleep 0.02; done; touch on; sleep 60", locks: [l] }
  next: { run: "touch next", locks: [l] }
  after: { run: "true", after: [long] }
"#,
            )
            .await
    });
    bundle.sees("begun").await;
    let reply = bundle.command("long", Command::Suspend).await.unwrap();
    assert_eq!(reply.state, State::Suspended);
    assert_eq!(
        bundle.command("long", Command::Suspend).await.unwrap().state,
        State::Suspended
    );
    bundle.command("long", Command::Resume).await.unwrap();
    std::fs::write(bundle.path("go"), "").unwrap();
    bundle.sees("on").await;
    let reply = bundle
        .command(
            "long",
            Command::Cancel {
                reason: Reason::Cancelled,
            },
        )
        .await
        .unwrap();
    assert_eq!(reply.cancelled.len(), 2, "the task itself and what waited for it");
    // The lock is free only once the worker has ended the process.
    bundle.sees("next").await;
    let ended = run.await.unwrap();
    assert_eq!(finished(&ended), RunState::Failed);
    assert_eq!(
        bundle.task("after").await.task.reason,
        Some(Reason::UpstreamCancelled)
    );
}

// proves: SPEC 5.8
#[tokio::test]
async fn cached_results_spare_the_work() {
    let bundle = Bundle::new();
    std::fs::write(bundle.path("in.txt"), "1").unwrap();
    let text = "tasks: { a: { run: 'echo x >> log; echo 5 > $BELL_RESULT', cache: { files: ['in.txt'] } } }";
    bundle.run(text).await;
    let again = bundle.run_into(text, Into::New).await;
    assert_eq!(finished(&again), RunState::Succeeded);
    assert_eq!(lines(&bundle.path("log")).len(), 1);
    let task = bundle.task("a").await;
    assert_eq!(task.task.reason, Some(Reason::Cached));
    assert_eq!(task.outcome.unwrap().result, Some(Json::parse("5").unwrap()));
    std::fs::write(bundle.path("in.txt"), "2").unwrap();
    bundle.run_into(text, Into::New).await;
    assert_eq!(lines(&bundle.path("log")).len(), 2);
}

// proves: DESIGN 8
#[tokio::test]
async fn handlers_run_in_this_process() {
    let mut bundle = Bundle::new();
    bundle.handlers = Handlers::default()
        .with("double", |job| async move {
            let inputs = job.spec.inputs.clone().unwrap();
            let number: i64 = serde_json::from_str(inputs.get()).unwrap();
            Ok(Some(Json::of(&(number * 2))))
        })
        .with("panics", |_| async move { panic!("no") });
    let ended = bundle
        .run("tasks: { a: { handler: double, inputs: 21 }, b: { handler: panics } }")
        .await;
    assert_eq!(finished(&ended), RunState::Failed);
    assert_eq!(
        bundle.task("a").await.outcome.unwrap().result,
        Some(Json::parse("42").unwrap())
    );
    let error = bundle.task("b").await.outcome.unwrap().error.unwrap();
    assert!(error.message.contains("panicked"), "{}", error.message);
}

// proves: SPEC 2.2, DESIGN 8
#[tokio::test]
async fn a_drain_hands_leases_back_and_the_next_run_goes_on() {
    let bundle = Arc::new(Bundle::new());
    let text = "tasks: { a: { run: 'touch begun; test -e go || sleep 60' } }";
    let other = Arc::clone(&bundle);
    let run = tokio::spawn(async move { other.run(text).await });
    bundle.sees("begun").await;
    bundle.pace.send_replace(Pace::Stop);
    let ended = run.await.unwrap();
    assert!(matches!(ended.how, How::Interrupted), "{:?}", ended.how);
    let task = bundle.task("a").await.task;
    assert_eq!(
        (task.state, task.reason, task.failures),
        (State::Ready, Some(Reason::Released), 0)
    );
    std::fs::write(bundle.path("go"), "").unwrap();
    bundle.pace.send_replace(Pace::Work);
    let again = bundle.run(text).await;
    assert_eq!(finished(&again), RunState::Succeeded);
    assert_eq!(again.run.id, ended.run.id);
}

// proves: SPEC 4.1
#[tokio::test]
async fn a_run_that_waits_for_others_says_so() {
    let bundle = Bundle::new();
    let ended = bundle
        .run("tasks: { a: { agent: reviewer, prompt: 'look' }, b: { run: 'true', after: [a] }, c: { breakpoint: ok } }")
        .await;
    let How::Stuck(waiting) = &ended.how else {
        panic!("{:?}", ended.how)
    };
    let mut cures: Vec<_> = waiting
        .iter()
        .map(|w| (w.name.as_str(), w.cure.as_str()))
        .collect();
    cures.sort_unstable();
    let cure = "bell task claim --worker reviewer, or bell worker --agent reviewer -- PROGRAM";
    assert_eq!(cures[0], ("a", cure));
    assert!(cures[1].1.starts_with("bell breakpoint resolve "));
}

#[tokio::test]
async fn a_command_that_cannot_start_fails_with_its_reason() {
    let bundle = Bundle::new();
    let ended = bundle
        .run("tasks: { a: { run: [no-such-program], retry: operation } }")
        .await;
    assert_eq!(finished(&ended), RunState::Failed);
    let task = bundle.task("a").await;
    assert_eq!(
        (task.task.reason, task.task.attempts),
        (Some(Reason::NotRetryable), 1)
    );
    assert!(
        task.outcome
            .unwrap()
            .error
            .unwrap()
            .message
            .contains("no-such-program")
    );
}

#[tokio::test]
async fn plans_that_this_version_would_not_keep_are_refused() {
    let bundle = Bundle::new();
    let plan = read("tasks: { a: { run: 'true', gate: { min_score: 0.7 } } }");
    let options = submit::Options {
        into: Into::New,
        profile: None,
        joins: |_, _| false,
    };
    let refusal = submit::submit(&bundle.engine, &plan, &bundle.file(), &options)
        .await
        .unwrap_err();
    assert_eq!(refusal.code, Code::PlanUnsupported);
    assert!(
        bundle
            .engine
            .store
            .runs(&bundle.engine.project, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn processes_that_submit_one_plan_at_once_share_its_run() {
    let bundle = Arc::new(Bundle::new());
    let runs = (0..8).map(|_| {
        let bundle = Arc::clone(&bundle);
        tokio::spawn(async move {
            bundle
                .run("{ name: shared, tasks: { a: { run: 'echo x >> log; sleep 0.2' } } }")
                .await
        })
    });
    let mut ids = std::collections::BTreeSet::new();
    for run in runs.collect::<Vec<_>>() {
        let ended = run.await.unwrap();
        assert_eq!(finished(&ended), RunState::Succeeded);
        ids.insert(ended.run.id);
    }
    assert_eq!((ids.len(), lines(&bundle.path("log")).len()), (1, 1));
}
