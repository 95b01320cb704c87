//! The contract of stores over the wire: a worker far away, and what is not believed.

use std::sync::Arc;

use client::{Link, Remote, Secret};
use desk::token::{Role, create};
use domain::code::Code;
use domain::id::{Project, Seq, TaskId, WorkerId};
use domain::store::{Claim, Command, Filter, Request, Store, Target, Wants};
use domain::task::state::{Reason, State};
use engine::engine::Engine;
use engine::home::Home;
use engine::worker::{self, Activity, Pace};
use serde_json::json;
use tokio::sync::watch;

use crate::lab::Lab;

async fn remote(lab: &Lab, role: Option<Role>) -> Arc<Remote> {
    let token = match role {
        None => None,
        Some(role) => {
            let asked = json!({"name": format!("{}-1", role.as_str()), "role": role});
            let made = create(&lab.engine, serde_json::from_value(asked).unwrap()).await;
            Some(Secret::new(made.unwrap().secret))
        }
    };
    let link = Link::new(&lab.url(""), token).unwrap();
    Arc::new(Remote::open(link, &Project::default()).await.unwrap())
}

fn claim(name: &str) -> Claim {
    Claim {
        worker: WorkerId::new(name).unwrap(),
        wants: Wants::default(),
        max: 1,
        ahead: 0,
        ttl: std::time::Duration::from_secs(60),
        start: true,
        seed: engine::ids::seed(),
    }
}

#[tokio::test]
async fn a_worker_far_away_does_a_plan_and_hears_of_new_work() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().unwrap();
    let far = Engine {
        store: remote(&lab, None).await,
        home: Home::new(folder.path()),
        ..lab.engine.clone()
    };
    let (pace, paced) = watch::channel(Pace::Work);
    let (activity, _) = watch::channel(Activity::default());
    let name = engine::ids::worker();
    let options = worker::Options {
        store_url: lab.url(""),
        ..worker::Options::default()
    };
    let works = tokio::spawn(worker::work_as(name, far, options, paced, activity));
    let tasks: Vec<_> = (0..20)
        .map(|n| json!({"key": format!("a{n}"), "run": "true"}))
        .collect();
    lab.ok("/v1/tasks", &json!({ "tasks": tasks })).await;
    let plan = json!({"name": "p", "tasks": {
        "one": {"run": "true"},
        "two": {"run": "exit 3", "after": ["one"]},
        "three": {"run": "true", "after": [{"task": "two", "when": "failure"}]},
    }});
    lab.ok("/v1/runs", &json!({ "plan": plan })).await;
    let done = |status: &serde_json::Value| status["completed"] == 22 && status["failed"] == 1;
    let mut moment = 0;
    loop {
        let changed = lab.engine.store.changed(moment);
        if done(&lab.see("/v1/queue").await) {
            break;
        }
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), changed).await;
        moment = waited.unwrap_or_else(|_| panic!("nothing more happens"));
    }
    pace.send_replace(Pace::Drain);
    works.await.unwrap().unwrap();
    assert_eq!(
        lab.engine.store.check(&lab.engine.project).await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn what_is_shown_from_afar_is_what_is_there() {
    let lab = Lab::new().await;
    lab.ok(
        "/v1/tasks",
        &json!({"tasks": [{"id": "a", "name": "a"}, {"id": "b", "name": "b", "after": ["a"]}]}),
    )
    .await;
    let far = remote(&lab, None).await;
    let (near, project) = (&lab.engine.store, &lab.engine.project);
    let all = || Filter::default();
    assert_eq!(
        far.list(project, all(), Seq(0), 10).await.unwrap(),
        near.list(project, all(), Seq(0), 10).await.unwrap()
    );
    let first = domain::id::EventNo(0);
    assert_eq!(
        far.events(project, first, 10).await.unwrap(),
        near.events(project, first, 10).await.unwrap()
    );
    assert_eq!(
        far.status(project).await.unwrap(),
        near.status(project).await.unwrap()
    );
    assert_eq!(
        far.chain(project).await.unwrap(),
        near.chain(project).await.unwrap()
    );
    let a = TaskId::new("a").unwrap();
    assert_eq!(
        far.neighbours(project, &a, 10).await.unwrap(),
        near.neighbours(project, &a, 10).await.unwrap()
    );
    let refused = far.close(project, None).await.unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
}

#[tokio::test]
async fn a_worker_ends_its_own_leases_and_learns_no_others() {
    let lab = Lab::new().await;
    lab.ok(
        "/v1/tasks",
        &json!({"tasks": [{"id": "a", "name": "a"}, {"id": "b", "name": "b"}]}),
    )
    .await;
    let (far, now) = (remote(&lab, Some(Role::Worker)).await, lab.engine.now());
    let project = &lab.engine.project;
    let mine = far.claim(project, claim("mine"), now).await.unwrap().remove(0);
    let theirs = lab
        .engine
        .store
        .claim(project, claim("theirs"), now)
        .await
        .unwrap()
        .remove(0);
    let held = far.leased(project, None).await.unwrap();
    let token = |name: &str| {
        held.iter()
            .find(|held| held.worker.as_str() == name)
            .unwrap()
            .token
    };
    assert_eq!(token("mine"), mine.token);
    assert_ne!(token("theirs"), theirs.token);
    let views = far
        .views(project, std::slice::from_ref(&theirs.task.id))
        .await
        .unwrap();
    assert_ne!(views[0].as_ref().unwrap().task.token(), Some(theirs.token));

    let ask = |target, command| {
        let request = Request {
            target,
            command,
            actor: "user:somebody-else".into(),
            idempotency_key: None,
        };
        far.change(project, vec![request], now)
    };
    let refused = ask(Target::Holder(token("theirs"), None), Command::Release)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(refused.unwrap_err().code, Code::LeaseLost);
    let cancel = Command::Cancel {
        reason: Reason::Cancelled,
    };
    let refused = ask(Target::Id(theirs.task.id), cancel).await;
    assert_eq!(refused.unwrap_err().code, Code::Forbidden);
    let released = ask(Target::Holder(mine.token, None), Command::Release)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(released.unwrap().state, State::Ready);
    let last = lab.engine.store.history(project, &mine.task.id, 1).await.unwrap();
    assert_eq!(&*last[0].event.fact.actor, "user:worker-1");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_plainly() {
    let link = Link::new("http://127.0.0.1:9", None).unwrap();
    let refused = Remote::open(link, &Project::default()).await.unwrap_err();
    assert_eq!(refused.code, Code::ServerUnreachable);
    let lab = Lab::new().await;
    drop(remote(&lab, Some(Role::Reader)).await);
    let link = Link::new(&lab.url(""), None).unwrap();
    let refused = Remote::open(link, &Project::default()).await.unwrap_err();
    assert_eq!(refused.code, Code::Unauthorized);
}
