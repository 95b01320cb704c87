//! A memory store on the real clock, and workers at work on it.

use std::sync::Arc;

use domain::plan::{self, Format};
use engine::clock::SystemClock;
use engine::engine::Engine;
use engine::home::Home;
use engine::submit;
use engine::worker::{self, Activity, Options, Pace};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) struct Worker {
    pace: watch::Sender<Pace>,
    pub(crate) activity: watch::Receiver<Activity>,
    task: JoinHandle<domain::store::Result<()>>,
}

impl Worker {
    pub(crate) async fn stop(self, pace: Pace) {
        self.pace.send_replace(pace);
        self.task.await.unwrap().unwrap();
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine {
            store: store::open("memory:", store::Options::default()).unwrap(),
            project: Default::default(),
            clock: Arc::new(SystemClock),
            home: Home::new(folder.path().join("home")),
            actor: "user:test".into(),
        };
        Bench { engine, folder }
    }

    /// Submits tasks written as a plan has them.
    pub(crate) async fn submit(&self, tasks: &str) {
        let text = format!("name: w\ntasks:\n{tasks}");
        let plan = plan::read(text.as_bytes(), Format::Yaml, "w.yaml").unwrap();
        let options = submit::Options {
            into: submit::Into::New,
            profile: None,
            joins: |_, _| false,
        };
        let file = self.folder.path().join("w.yaml");
        submit::submit(&self.engine, &plan, &file, &options)
            .await
            .unwrap();
    }

    pub(crate) fn worker(&self, options: Options) -> Worker {
        let (pace, paced) = watch::channel(Pace::Work);
        let (doing, activity) = watch::channel(Activity::default());
        let task = tokio::spawn(worker::work(self.engine.clone(), options, paced, doing));
        Worker { pace, activity, task }
    }
}
