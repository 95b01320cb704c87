//! Who does the periodic duties, and schedules that fire once.

use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::event::Kind;
use domain::id::WorkerId;
use domain::schedule::{CatchUp, Overlap, Schedule, Timing, Work};
use domain::store::{Command, Request, Target};
use domain::task::spec::{self, Spec};
use domain::task::state::Reason;
use domain::time::Timestamp;
use engine::duties::{self, Duties};

use super::lab::{Lab, START};

fn node(lab: &Lab, name: &str) -> Duties {
    Duties::new(lab.engine.clone(), WorkerId::new(name).unwrap(), duties::all())
}

fn spec(line: &str) -> Work {
    Work::Task(Box::new(Spec::new("nightly", spec::Work::Shell(line.into()))))
}

fn every(seconds: u64) -> Schedule {
    let when = Timing::every(Duration::from_secs(seconds), START).unwrap();
    Schedule::new(when, spec("true"), START)
}

async fn put(lab: &Lab, schedule: &Schedule) {
    let entry = Entry::new(Book::Schedule, "nightly", schedule).due(schedule.next);
    lab.edit(Edit::put(entry)).await;
}

async fn stored(lab: &Lab) -> Schedule {
    lab.entries(Book::Schedule).await.pop().unwrap().read().unwrap()
}

/// Goes round until nothing is due.
async fn settle(node: &mut Duties) {
    while node.turn().await < Duration::from_millis(100) {}
}

async fn fired(lab: &Lab) -> Vec<i64> {
    let events = lab.events(Kind::ScheduleFired).await;
    let at = |event: &serde_json::Value| {
        let at = Timestamp::parse(event["at"].as_str().unwrap(), START).unwrap();
        (at.0 - START.0) / 1_000
    };
    events.iter().map(at).collect()
}

// proves: DESIGN 7
#[tokio::test]
async fn nothing_is_written_while_nothing_is_due() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    for _ in 0..20 {
        node.turn().await;
        lab.pass(1);
    }
    put(&lab, &every(3_600)).await;
    let before = lab.engine.store.changed(0).await;
    for _ in 0..60 {
        node.turn().await;
        lab.pass(1);
    }
    assert!(node.lead().is_none());
    assert_eq!(lab.entries(Book::Leader).await, []);
    let after = tokio::time::timeout(Duration::from_millis(20), lab.engine.store.changed(before)).await;
    assert!(after.is_err(), "an idle process has written");
}

#[tokio::test]
async fn a_schedule_fires_on_time_and_names_its_task() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    put(&lab, &every(60)).await;
    settle(&mut node).await;
    lab.pass(59);
    settle(&mut node).await;
    assert!(node.lead().is_some(), "who will have to fire leads in time");
    assert_eq!(lab.tasks().await.len(), 0);
    lab.pass(1);
    settle(&mut node).await;
    settle(&mut node).await;
    let tasks = lab.tasks().await;
    assert_eq!(tasks.len(), 1);
    let events = lab.events(Kind::ScheduleFired).await;
    assert_eq!(events[0]["task"], tasks[0].task.id.to_string());
    assert_eq!(events[0]["schedule"], "nightly");
    let schedule = stored(&lab).await;
    assert_eq!(
        (schedule.fired, schedule.next),
        (1, Some(Timestamp(START.0 + 120_000)))
    );
}

// proves: DESIGN 7, DESIGN 8
#[tokio::test]
async fn another_takes_over_from_a_leader_that_died() {
    let lab = Lab::new();
    let (mut a, mut b) = (node(&lab, "a"), node(&lab, "b"));
    put(
        &lab,
        &Schedule {
            catch_up: CatchUp::All,
            ..every(1)
        },
    )
    .await;
    for _ in 0..5 {
        lab.pass(1);
        settle(&mut a).await;
        settle(&mut b).await;
    }
    assert!(a.lead().is_some() && b.lead().is_none());
    // From here on `a` is silent.
    let mut waited = 0;
    while b.lead().is_none() {
        lab.pass(1);
        settle(&mut b).await;
        waited += 1;
        assert!(waited <= 14, "the lead is not taken over");
    }
    assert!(a.lead().is_none(), "a leader stops by its own clock first");
    assert!(b.lead().unwrap().term > 1);
    let times: Vec<i64> = (1..=5 + waited).collect();
    assert_eq!(fired(&lab).await, times);
    assert_eq!(lab.tasks().await.len(), times.len());
    // And when the dead one was only asleep, it does nothing beside.
    settle(&mut a).await;
    assert_eq!(fired(&lab).await, times);
}

#[tokio::test]
async fn who_ends_in_good_order_hands_the_lead_back() {
    let lab = Lab::new();
    let (mut a, mut b) = (node(&lab, "a"), node(&lab, "b"));
    put(&lab, &every(5)).await;
    a.turn().await;
    assert!(a.lead().is_some());
    a.resign().await;
    b.turn().await;
    assert!(b.lead().is_some());
}

// proves: DESIGN 15
#[tokio::test]
async fn a_time_is_never_fired_twice() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    let before = every(60);
    put(&lab, &before).await;
    lab.pass(60);
    settle(&mut node).await;
    // The leader died after the admission: the entry is as it was.
    put(&lab, &before).await;
    settle(&mut node).await;
    assert_eq!(lab.tasks().await.len(), 1);
    assert_eq!(stored(&lab).await.fired, 1);
    // And somebody has edited the work before the next one looked.
    let edited = Schedule {
        work: spec("false"),
        ..before
    };
    put(&lab, &edited).await;
    settle(&mut node).await;
    assert_eq!(lab.tasks().await.len(), 1);
    assert_eq!(stored(&lab).await.next, Some(Timestamp(START.0 + 120_000)));
}

#[tokio::test]
async fn an_absence_is_told_and_made_up_for() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    put(&lab, &every(3_600)).await;
    lab.pass(3 * 3_600 + 1_000);
    settle(&mut node).await;
    assert_eq!(fired(&lab).await, [3 * 3_600]);
    let missed = lab.events(Kind::ScheduleMissed).await;
    assert_eq!(missed.len(), 1);
    assert_eq!(
        (missed[0]["count"].as_u64(), missed[0]["why"].as_str()),
        (Some(2), Some("absent"))
    );
}

#[tokio::test]
async fn a_time_is_passed_over_while_the_last_one_runs() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    put(
        &lab,
        &Schedule {
            overlap: Overlap::Skip,
            ..every(60)
        },
    )
    .await;
    for _ in 0..3 {
        lab.pass(60);
        settle(&mut node).await;
    }
    assert_eq!(fired(&lab).await, [60]);
    let missed = lab.events(Kind::ScheduleMissed).await;
    assert_eq!(missed.len(), 2);
    assert_eq!(missed[0]["why"], "overlap");
    let cancel = Request {
        target: Target::Id(lab.tasks().await[0].task.id.clone()),
        command: Command::Cancel {
            reason: Reason::Cancelled,
        },
        actor: "user:test".into(),
        idempotency_key: None,
    };
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    store
        .change(project, vec![cancel], lab.engine.now())
        .await
        .unwrap()[0]
        .as_ref()
        .unwrap();
    lab.pass(60);
    settle(&mut node).await;
    assert_eq!(fired(&lab).await, [60, 240]);
}

#[tokio::test]
async fn a_plan_becomes_a_run_each_time() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    let plan = |text: &str| Work::Plan {
        file: "/srv/plan.yaml".into(),
        text: text.into(),
    };
    let work = plan("name: nightly\ntasks:\n  a: { run: 'true' }\n  b: { run: 'true', after: [a] }\n");
    let before = Schedule { work, ..every(60) };
    put(&lab, &before).await;
    for _ in 0..2 {
        lab.pass(60);
        settle(&mut node).await;
    }
    put(&lab, &before).await;
    settle(&mut node).await;
    let (store, project) = (&lab.engine.store, &lab.engine.project);
    let runs = store.runs(project, Some("nightly"), 10).await.unwrap();
    assert_eq!((runs.len(), lab.tasks().await.len()), (2, 4));
    let events = lab.events(Kind::ScheduleFired).await;
    assert_eq!(events[0]["run"], runs[1].id.to_string());
}

#[tokio::test]
async fn work_that_is_refused_does_not_hold_up_the_rest() {
    let lab = Lab::new();
    let mut node = node(&lab, "a");
    let work = Work::Plan {
        file: "plan.yaml".into(),
        text: "tasks: { a: { rnu: x } }".into(),
    };
    put(&lab, &Schedule { work, ..every(60) }).await;
    let beside = Entry::new(Book::Schedule, "other", &every(60)).due(every(60).next);
    lab.edit(Edit::put(beside)).await;
    let unreadable = Entry::new(Book::Schedule, "broken", &7).due(Some(START));
    lab.edit(Edit::put(unreadable)).await;
    lab.pass(60);
    node.turn().await;
    let missed = lab.events(Kind::ScheduleMissed).await;
    assert_eq!(missed[0]["why"], "refused");
    assert!(missed[0]["detail"].as_str().unwrap().contains("rnu"));
    assert_eq!(lab.tasks().await.len(), 1);
    let wait = node.turn().await;
    assert!(
        wait >= Duration::from_millis(900),
        "an entry that cannot be read keeps nobody busy: {wait:?}"
    );
    assert_eq!(lab.now(), START.after(Duration::from_secs(60)));
}
