//! Registered agents: what their work teaches, and what becomes of it when they leave.

use std::time::Duration;

use domain::agent::route::Strategy;
use domain::agent::{Agent, Profile};
use domain::book::{Book, Entry};
use domain::code::Code;
use domain::event::Kind;
use domain::id::{AgentName, Capability, WorkerId};
use domain::store::{
    Admission, AdmitLimits, Claim, Command, IntoRun, Leased, NewTask, Request, Target, Wants,
};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::{Json, Spec, Work};
use engine::agents::router::{self, Router};
use engine::agents::{self, learn, registry};
use serde_json::json;

use super::lab::Lab;

/// Longer than any test lets pass with work in hand.
const LEASE: Duration = Duration::from_secs(3_600);

pub(crate) fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

pub(crate) fn cap(text: &str) -> Capability {
    Capability::new(text).unwrap()
}

pub(crate) async fn add(lab: &Lab, ids: impl IntoIterator<Item = String>, change: impl Fn(&mut Spec)) {
    add_under(lab, None, ids, change).await;
}

pub(crate) async fn add_under(
    lab: &Lab,
    parent: Option<&str>,
    ids: impl IntoIterator<Item = String>,
    change: impl Fn(&mut Spec),
) {
    let now = lab.now();
    let task = |id: String| {
        let mut spec = Spec::new(&id, Work::Prompt("do it".into()));
        change(&mut spec);
        let mut task = NewTask::new(id.parse().unwrap(), None, &spec, now);
        task.parent = parent.map(|parent| parent.parse().unwrap());
        task
    };
    let admission = Admission {
        tasks: ids.into_iter().map(task).collect(),
        run: IntoRun::None,
        supersede: Vec::new(),
        limits: AdmitLimits::PLAN,
        actor: "user:test".into(),
        idempotency_key: None,
    };
    let engine = &lab.engine;
    engine
        .store
        .admit(&engine.project, admission, engine.now())
        .await
        .unwrap();
}

pub(crate) async fn take(lab: &Lab, agent: &str, max: usize) -> Vec<Leased> {
    take_with(lab, agent, &[], max).await
}

/// Takes tasks under a name, offering more than is known of it.
pub(crate) async fn take_with(lab: &Lab, agent: &str, offers: &[&str], max: usize) -> Vec<Leased> {
    let claim = Claim {
        worker: WorkerId::new(agent).unwrap(),
        wants: Wants {
            agent: Some(name(agent)),
            capabilities: offers.iter().map(|offer| cap(offer)).collect(),
            ..Wants::default()
        },
        max,
        ahead: 0,
        ttl: LEASE,
        start: true,
        seed: 7,
    };
    let engine = &lab.engine;
    engine
        .store
        .claim(&engine.project, claim, engine.now())
        .await
        .unwrap()
}

pub(crate) async fn end(lab: &Lab, leased: &Leased, command: Command) {
    let request = Request {
        target: Target::Holder(leased.token, None),
        command,
        actor: "worker:w".into(),
        idempotency_key: None,
    };
    let engine = &lab.engine;
    let replies = engine.store.change(&engine.project, vec![request], engine.now());
    replies.await.unwrap().remove(0).unwrap();
}

pub(crate) fn completed(usage: Option<serde_json::Value>) -> Command {
    Command::Complete {
        outcome: Outcome {
            usage: usage.map(|usage| Json::of(&usage)),
            ..Outcome::default()
        },
        cached: false,
        children: None,
    }
}

pub(crate) fn failed() -> Command {
    Command::Fail {
        failure: Failure::new("it broke"),
        usage: None,
        timed_out: false,
        no_retry: false,
    }
}

async fn register(lab: &Lab, agent: &str, capacity: u32) {
    let profile = Profile {
        capacity,
        ..Profile::default()
    };
    registry::register(&lab.engine, &name(agent), profile)
        .await
        .unwrap();
}

async fn show(lab: &Lab, agent: &str) -> Agent {
    agents::existing(&lab.engine, &name(agent)).await.unwrap().1
}

async fn habits(lab: &Lab) -> Vec<Entry> {
    lab.entries(Book::Habit).await
}

// proves: SPEC 2.5, SPEC 3.3, SPEC 3.6, DESIGN 9
#[tokio::test]
async fn records_follow_the_work() {
    let lab = Lab::new();
    register(&lab, "ann", 9).await;
    add(&lab, (0..6).map(|i| format!("t{i}")), |spec| {
        spec.needs = Vec::new();
    })
    .await;
    let held = take(&lab, "ann", 6).await;
    lab.pass(1);
    end(&lab, &held[0], completed(Some(json!({ "quality": 0.5 })))).await;
    lab.pass(2);
    end(&lab, &held[1], completed(None)).await;
    end(&lab, &held[2], failed()).await;
    end(&lab, &held[3], Command::Release).await;
    lab.pass(LEASE.as_secs() + 1);
    let engine = &lab.engine;
    engine.store.tick(&engine.project, engine.now()).await.unwrap();
    assert!(learn::catch_up(engine, 9).await.unwrap());
    let record = show(&lab, "ann").await.record;
    assert_eq!((record.sum.completed, record.sum.failed, record.lost), (2, 1, 2));
    assert_eq!(record.latency.known(), Some(2_000.0));
    assert_eq!(record.quality.known(), Some(0.5));
    let kinds = learn::practices(engine).await.unwrap();
    let practice = kinds.values().next().unwrap();
    assert_eq!(
        (practice.duration(0.0), practice.duration(1.0)),
        (Some(1_000), Some(3_000))
    );
    let report = registry::Report {
        success: true,
        duration_ms: 500.0,
        quality: None,
    };
    registry::report(engine, &name("ann"), &report).await.unwrap();
    learn::catch_up(engine, 9).await.unwrap();
    assert_eq!(show(&lab, "ann").await.record.sum.completed, 3);
}

// proves: DESIGN 9
#[tokio::test]
async fn a_log_is_learned_once_in_pieces_of_any_size() {
    let lab = Lab::new();
    register(&lab, "ann", 400).await;
    register(&lab, "bob", 400).await;
    for round in 0..4 {
        add(&lab, (0..300).map(|i| format!("r{round}-{i}")), |_| ()).await;
        let (ann, bob) = (take(&lab, "ann", 200).await, take(&lab, "bob", 100).await);
        lab.pass(round + 1);
        if round == 2 {
            // Begun before this, ended after.
            learn::catch_up(&lab.engine, 1).await.unwrap();
        }
        for (i, leased) in ann.iter().chain(&bob).enumerate() {
            end(&lab, leased, if i % 3 == 0 { failed() } else { completed(None) }).await;
            if i % 50 == 0 {
                lab.pass(2);
                learn::catch_up(&lab.engine, 1).await.unwrap();
            }
        }
        lab.pass(3 * 24 * 3_600);
    }
    registry::deregister(&lab.engine, &name("bob")).await.unwrap();
    let readers = (0..4).map(|_| {
        let engine = lab.engine.clone();
        tokio::spawn(async move { learn::catch_up(&engine, 99).await.unwrap() })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    let learned = habits(&lab).await;
    let record = show(&lab, "ann").await.record;
    assert_eq!(record.sum.completed + record.sum.failed, 800);
    assert_eq!(learned.len(), 2, "ann and one kind: bob has left");
    learn::forget(&lab.engine).await.unwrap();
    assert_eq!(habits(&lab).await, []);
    learn::catch_up(&lab.engine, 99).await.unwrap();
    assert_eq!(habits(&lab).await, learned);
}

#[tokio::test]
async fn who_is_silent_for_a_day_is_stale() {
    let lab = Lab::new();
    register(&lab, "ann", 1).await;
    add(&lab, ["t".to_owned()], |_| ()).await;
    lab.pass(23 * 3_600);
    assert!(!show(&lab, "ann").await.is_stale(lab.engine.now()));
    lab.pass(3_600);
    assert!(show(&lab, "ann").await.is_stale(lab.engine.now()));
    take(&lab, "ann", 1).await;
    assert!(
        !show(&lab, "ann").await.is_stale(lab.engine.now()),
        "it holds a lease"
    );
    registry::heartbeat(&lab.engine, &name("ann")).await.unwrap();
    registry::deregister(&lab.engine, &name("ann")).await.unwrap();
    assert_eq!(lab.tasks().await[0].class.agent, None);
}

fn capable(capabilities: &[&str], capacity: u32) -> Profile {
    Profile {
        capabilities: capabilities.iter().map(|cap| cap.parse().unwrap()).collect(),
        capacity,
        ..Profile::default()
    }
}

// proves: SPEC 3.4, SPEC 2.6, DESIGN 9
#[tokio::test]
async fn a_task_is_routed_and_the_decision_kept() {
    let lab = Lab::new();
    let engine = &lab.engine;
    for (agent, capabilities) in [("ann", &["python"][..]), ("bob", &["python", "sql"])] {
        let profile = capable(capabilities, 1);
        registry::register(engine, &name(agent), profile).await.unwrap();
    }
    add(&lab, ["both".to_owned()], |spec| {
        spec.needs = vec!["python".parse().unwrap(), "sql".parse().unwrap()];
    })
    .await;
    add(&lab, ["one".to_owned(), "two".to_owned()], |spec| {
        spec.needs = vec!["python".parse().unwrap()];
    })
    .await;
    let tasks = lab.tasks().await;
    let mut router = Router::open(engine).await.unwrap();
    let mut chosen = Vec::new();
    for view in &tasks[..2] {
        let decision = router.decide(view, Strategy::Quality, &[]).unwrap();
        router.assign(engine, &view.task.id, &decision).await.unwrap();
        chosen.push(decision.selected.to_string());
    }
    assert_eq!(chosen, ["bob", "ann"]);
    let full = router.decide(&tasks[2], Strategy::Quality, &[]).unwrap_err();
    assert_eq!(full.code, Code::NoAvailableAgent);
    let events = lab.events(Kind::TaskRouted).await;
    assert_eq!(
        (&events[0]["selected"], &events[0]["capable"]),
        (&json!("bob"), &json!(1))
    );
    learn::catch_up(engine, 9).await.unwrap();
    assert_eq!(router::statistics(engine).await.unwrap().decided, 2);
    assert!(take(&lab, "eve", 9).await.is_empty());
    assert_eq!(take(&lab, "bob", 9).await.len(), 1);
}

// proves: SPEC 3.4, DESIGN 9
#[tokio::test]
async fn waiting_work_moves_to_who_has_room() {
    let lab = Lab::new();
    let engine = &lab.engine;
    registry::register(engine, &name("ann"), capable(&["python"], 4))
        .await
        .unwrap();
    add(&lab, (0..4).map(|i| format!("t{i}")), |spec| {
        spec.needs = vec!["python".parse().unwrap()];
    })
    .await;
    let mut router = Router::open(engine).await.unwrap();
    for view in lab.tasks().await {
        let decision = router.decide(&view, Strategy::Quality, &[]).unwrap();
        router.assign(engine, &view.task.id, &decision).await.unwrap();
    }
    assert_eq!(take(&lab, "ann", 1).await.len(), 1);
    assert_eq!(
        router::rebalance(engine, Strategy::Quality).await.unwrap(),
        router::Balanced::default()
    );
    registry::register(engine, &name("bob"), capable(&["python"], 4))
        .await
        .unwrap();
    let balanced = router::rebalance(engine, Strategy::Quality).await.unwrap();
    let to: Vec<_> = balanced
        .moved
        .iter()
        .map(|(task, _, to)| (task.to_string(), to.to_string()))
        .collect();
    assert_eq!(to, [("t3".to_owned(), "bob".to_owned())]);
    assert_eq!(balanced.left, None);
    let agents = agents::all(engine).await.unwrap();
    let loads: Vec<_> = agents
        .iter()
        .map(|agent| (agent.load.active, agent.load.queued))
        .collect();
    assert_eq!(loads, [(1, 2), (0, 1)]);
    registry::register(engine, &name("eve"), capable(&[], 4))
        .await
        .unwrap();
    let balanced = router::rebalance(engine, Strategy::Quality).await.unwrap();
    assert_eq!(balanced.moved.len(), 1, "eve can do nothing, bob takes one more");
    assert!(balanced.left.is_none());
}
