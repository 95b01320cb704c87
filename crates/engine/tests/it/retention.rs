//! What ended long ago goes by itself.

use std::sync::Arc;
use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::id::{RunId, TaskId, WorkerId};
use domain::prune::{LOOK_AGAIN, RETENTION, Retention};
use domain::store::{Admission, AdmitLimits, Claim, Command, IntoRun, NewTask, Request, Target, Wants};
use domain::task::record::Outcome;
use domain::task::spec::{Spec, Work};
use engine::duties::{self, Duties};
use engine::home::Home;
use uuid::Uuid;

use super::lab::Lab;

const DAY: u64 = 24 * 3_600;

fn node(lab: &Lab) -> Duties {
    let who = WorkerId::new("a").unwrap();
    Duties::new(lab.engine.clone(), who, duties::all())
}

async fn settle(node: &mut Duties) {
    while node.turn().await < Duration::from_millis(100) {}
}

/// A run of one task for each name.
async fn submit(lab: &Lab, run: u128, names: &[&str]) {
    let new = |name: &&str| {
        let id = TaskId::new(name).unwrap();
        NewTask::new(id, None, &Spec::new(name, Work::Prompt("do".into())), lab.now())
    };
    let admission = Admission {
        tasks: names.iter().map(new).collect(),
        run: IntoRun::New {
            id: RunId(Uuid::from_u128(run)),
            plan: "p".into(),
            digest: [1; 32],
            newest: None,
        },
        supersede: Vec::new(),
        limits: AdmitLimits::PLAN,
        actor: "user:test".into(),
        idempotency_key: None,
    };
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    store.admit(project, admission, lab.engine.now()).await.unwrap();
}

async fn complete_all(lab: &Lab) {
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    let claim = Claim {
        worker: WorkerId::new("w").unwrap(),
        wants: Wants::default(),
        max: 100,
        ahead: 0,
        ttl: Duration::from_secs(30),
        start: true,
        seed: 1,
    };
    let leased = store.claim(project, claim, lab.engine.now()).await.unwrap();
    let done = |token| Request {
        target: Target::Holder(token, None),
        command: Command::Complete {
            outcome: Outcome::default(),
            cached: false,
            children: None,
        },
        actor: Arc::from("worker:w"),
        idempotency_key: None,
    };
    let requests = leased.iter().map(|leased| done(leased.token)).collect();
    for reply in store.change(project, requests, lab.engine.now()).await.unwrap() {
        reply.unwrap();
    }
}

async fn left(lab: &Lab) -> Vec<String> {
    let tasks = lab.tasks().await;
    tasks.iter().map(|view| view.task.id.to_string()).collect()
}

// proves: DESIGN 7
#[tokio::test]
async fn what_is_old_goes_by_itself_with_its_output() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = Lab::new();
    lab.engine.home = Home::new(dir.path());
    let mut node = node(&lab);
    submit(&lab, 1, &["old"]).await;
    let old = lab.tasks().await[0].task.seq;
    complete_all(&lab).await;
    lab.pass(DAY);
    submit(&lab, 2, &["young"]).await;
    complete_all(&lab).await;
    let young = lab.tasks().await[1].task.seq;
    let output = |seq, attempt| lab.engine.home.output(&lab.engine.project, seq, attempt);
    for path in [output(old, 1), output(old, 2), output(young, 1)] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path.with_extension("out"), "text").unwrap();
    }
    lab.pass(29 * DAY - 10);
    settle(&mut node).await;
    assert_eq!(left(&lab).await, ["old", "young"]);
    assert_eq!(
        lab.entries(Book::Cursor).await,
        [],
        "nobody has looked into the store"
    );
    lab.pass(70);
    settle(&mut node).await;
    settle(&mut node).await;
    assert_eq!(left(&lab).await, ["young"]);
    assert!(!output(old, 1).with_extension("out").exists() && !output(old, 2).with_extension("out").exists());
    assert!(output(young, 1).with_extension("out").exists());
    let again = lab.entries(Book::Cursor).await;
    assert!(again.iter().any(|entry| &*entry.key == LOOK_AGAIN));
}

// proves: DESIGN 7
#[tokio::test]
async fn a_project_says_how_long_it_keeps_what_has_ended() {
    let lab = Lab::new();
    let mut node = node(&lab);
    submit(&lab, 1, &["a"]).await;
    complete_all(&lab).await;
    submit(&lab, 2, &["b"]).await;
    let keep = |seconds| Edit::put(Entry::new(Book::Setting, RETENTION, &Retention { seconds }));
    lab.edit(keep(None)).await;
    lab.pass(400 * DAY);
    settle(&mut node).await;
    assert_eq!(left(&lab).await, ["a", "b"], "everything is kept");
    lab.edit(keep(Some(3_600))).await;
    lab.pass(61);
    settle(&mut node).await;
    settle(&mut node).await;
    assert_eq!(left(&lab).await, ["b"]);
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    let refused = store.edit(project, vec![keep(Some(1))], "user:test".into(), lab.engine.now());
    assert!(refused.await.is_err());
}
