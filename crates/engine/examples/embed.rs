//! The engine inside another program: a plan whose tasks are functions of that program.
//!
//! `cargo run -p engine --example embed`

use std::path::Path;
use std::sync::Arc;

use domain::code::Refusal;
use domain::id::Project;
use domain::plan::{self, Format};
use domain::task::record::Failure;
use domain::task::spec::Json;
use engine::clock::SystemClock;
use engine::engine::Engine;
use engine::execute::Job;
use engine::execute::handler::Handlers;
use engine::home::Home;
use engine::runner::{self, Update};
use engine::submit::{self, Into};
use engine::worker::{self, Pace};

const PLAN: &str = "
name: embedded
tasks:
  fetch: { handler: fetch, inputs: { pages: 3 } }
  count: { handler: count, after: [fetch], retry: operation }
";

/// Its result is handed to the tasks that wait for it.
async fn fetch(job: Job) -> Result<Option<Json>, Failure> {
    let inputs = job.spec.inputs.as_ref().map_or("{}", Json::get);
    let inputs: serde_json::Value = serde_json::from_str(inputs).map_err(|e| Failure::new(e.to_string()))?;
    let pages: Vec<String> = (1..=inputs["pages"].as_u64().unwrap_or(1))
        .map(|page| format!("page {page}"))
        .collect();
    Ok(Some(Json::of(&pages)))
}

async fn count(job: Job) -> Result<Option<Json>, Failure> {
    let fetched = job
        .results
        .first()
        .and_then(|upstream| upstream.outcome.as_ref()?.result.as_ref());
    let pages: Vec<String> = fetched
        .and_then(|json| serde_json::from_str(json.get()).ok())
        .unwrap_or_default();
    Ok(Some(Json::of(&pages.len())))
}

#[tokio::main]
async fn main() -> Result<(), Refusal> {
    let folder = std::env::temp_dir().join(format!("bellwether-embed-{}", std::process::id()));
    let engine = Engine {
        store: store::open("memory:", store::Options::default())?,
        project: Project::default(),
        clock: Arc::new(SystemClock),
        home: Home::new(&folder),
        actor: "user:embed".into(),
    };
    let plan = plan::read(PLAN.as_bytes(), Format::Yaml, "embedded plan")?;
    let options = runner::Options {
        agents: Vec::new(),
        submit: submit::Options {
            into: Into::New,
            profile: None,
            joins: |_, _| false,
        },
        worker: worker::Options {
            handlers: Handlers::default().with("fetch", fetch).with("count", count),
            ..worker::Options::default()
        },
        wait: false,
        refresh: std::time::Duration::from_millis(20),
    };
    // Dropping the sender, or sending another pace, would end the run early.
    let (_pace, receiver) = tokio::sync::watch::channel(Pace::Work);
    let mut tell = |update: Update<'_>| {
        if let Update::Events(events, _) = update {
            for seen in events {
                let key = seen.key.as_ref().map_or("run", |key| key.as_str());
                println!("{:>4} {:<16} {key}", seen.event.no.0, seen.event.fact.kind);
            }
        }
    };
    let ended = runner::run(
        &engine,
        &plan,
        Path::new("/embedded"),
        options,
        receiver,
        &mut tell,
    )
    .await?;
    println!("{:?} in {:?}", ended.how, ended.took);
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}
