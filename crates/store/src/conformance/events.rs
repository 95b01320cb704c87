//! The log: gapless, chained, and enough to tell every story.

use std::collections::BTreeMap;

use domain::event::Kind;
use domain::id::EventNo;
use domain::store::{Command, Seen};
use domain::task::spec::When;
use domain::task::state::{Reason, State};

use super::lab::{Lab, SECOND, TTL};
use super::new::{chain, steady, task};
use super::words::{failure, id};

/// A little of everything.
async fn a_day(lab: &Lab) {
    lab.submit("p", &chain(&["a", "b", "c"])).await;
    lab.add(&[
        task("x").key("ex").retry(steady(2)),
        task("y").when("x", When::Failure),
    ])
    .await;
    lab.done("a").await;
    lab.begin("b").await;
    lab.pass(TTL);
    lab.tick().await;
    lab.suspend("b").await;
    lab.resume("b").await;
    lab.done("b").await;
    let mut next = lab.next().await;
    while let Some(leased) = next {
        lab.fail(&leased).await;
        lab.pass(SECOND);
        lab.tick().await;
        next = lab.next().await;
    }
}

// proves: SPEC 2.1
pub async fn every_move_is_an_event(lab: Lab) {
    a_day(&lab).await;
    assert_eq!(
        lab.story("b").await,
        [
            "submitted",
            "ready",
            "running",
            "ready",
            "suspended",
            "ready",
            "running",
            "completed"
        ]
    );
    assert_eq!(
        lab.story("x").await,
        [
            "submitted",
            "running",
            "retrying",
            "ready",
            "running",
            "failed",
            "escalated"
        ]
    );
    for view in lab.all().await {
        let seen = lab.store.history(&lab.project, &view.task.id, 100).await.unwrap();
        let mut state = None;
        for fact in seen.iter().map(|seen| &seen.event.fact) {
            match (fact.kind, state) {
                (Kind::TaskSubmitted, None) => {
                    let data: serde_json::Value =
                        serde_json::from_str(fact.data.as_ref().unwrap().get()).unwrap();
                    state = State::parse(data["state"].as_str().unwrap());
                    assert_eq!(data["id"], view.task.id.to_string());
                }
                (Kind::TaskEntered(to), Some(from)) => {
                    assert!(from.may_become(to), "{from} -> {to}");
                    state = Some(to);
                }
                (Kind::TaskEscalated, Some(State::Failed)) => assert!(view.task.dead_letter),
                other => panic!("unexpected: {other:?}"),
            }
        }
        assert_eq!(state, Some(view.task.state), "the events lead to the row");
    }
}

// proves: DESIGN 7
pub async fn numbers_have_no_gaps(lab: Lab) {
    a_day(&lab).await;
    let log = lab.log().await;
    assert!(log.iter().zip(1..).all(|(seen, no)| seen.event.no == EventNo(no)));
    let head = lab.store.chain(&lab.project).await.unwrap();
    assert_eq!(head.last, log.last().unwrap().event.no);
    assert_eq!(
        lab.store.status(&lab.project).await.unwrap().last_event,
        head.last
    );
    let page = lab.store.events(&lab.project, EventNo(3), 2).await.unwrap();
    assert_eq!(page, log[3..5]);
    assert!(
        lab.store
            .events(&lab.project, head.last, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

// proves: SPEC 2.1
pub async fn a_history_is_a_thread_of_the_log(lab: Lab) {
    a_day(&lab).await;
    let mut threads: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
    for seen in lab.log().await {
        if let Some(task) = seen.task.clone() {
            threads.entry(task).or_default().push(seen);
        }
    }
    assert_eq!(threads.len(), 5);
    for (task, thread) in threads {
        let history = lab.store.history(&lab.project, &task, 100).await.unwrap();
        assert_eq!(history, thread);
        let newest = lab.store.history(&lab.project, &task, 2).await.unwrap();
        assert_eq!(newest, thread[thread.len() - 2..]);
    }
    assert!(lab.store.history(&lab.project, &id("ghost"), 9).await.is_err());
}

pub async fn refusals_leave_no_trace(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    lab.complete(&leased).await;
    let before = (lab.log().await, lab.all().await);
    assert!(lab.try_held(&leased, failure("late")).await.is_err());
    assert!(lab.try_do("a", Command::Suspend).await.is_err());
    assert!(lab.try_add(&[task("b").after("ghost")]).await.is_err());
    assert!(lab.next().await.is_none());
    assert_eq!(lab.tick().await.moved, 0);
    assert_eq!((lab.log().await, lab.all().await), before);
}

pub async fn events_name_what_they_are_about(lab: Lab) {
    let run = lab.submit("p", &[task("a").key("build")]).await;
    let leased = lab.begin("a").await;
    lab.pass(SECOND);
    lab.try_held(&leased, failure("no luck")).await.unwrap();
    let log = lab.log().await;
    let kinds: Vec<_> = log.iter().map(|seen| seen.event.fact.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "run.submitted",
            "task.submitted",
            "task.running",
            "task.failed",
            "task.escalated",
            "run.finished"
        ]
    );
    assert!(log.iter().all(|seen| seen.run == Some(run)));
    let failed = &log[3];
    assert_eq!(failed.task, Some(id("a")));
    assert_eq!(failed.key.as_ref().unwrap().as_str(), "build");
    let fact = &failed.event.fact;
    assert_eq!((fact.at, &*fact.actor), (lab.now().wall, "worker:w"));
    assert_eq!(fact.reason, Some(Reason::Exhausted));
    assert!(fact.data.as_ref().unwrap().get().contains("no luck"));
    assert_eq!(&*log[1].event.fact.actor, "user:ann");
    assert_eq!((&log[4].task, log[5].task.as_ref()), (&Some(id("a")), None));
}
