//! How attempts end, well or badly, and what is tried again (SPEC 1.3, DESIGN 8).

use domain::code::Code;
use domain::store::{Claim, Command};
use domain::task::record::{Failure, Outcome};
use domain::task::retry::Retry;
use domain::task::spec::Json;
use domain::task::state::{Reason, State};

use super::lab::{HOUR, Lab, SECOND};
use super::new::{chain, steady, task};
use super::words::{code, completion, failure, held, id, keyed, texts, with_result};

// proves: SPEC 1.3
pub async fn completing_keeps_the_result(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    lab.pass(SECOND);
    let command = Command::Complete {
        outcome: Outcome {
            result: Some(Json::parse(r#"{"n": 7}"#).unwrap()),
            usage: Some(Json::parse(r#"{"tokens": 12}"#).unwrap()),
            error: None,
        },
        cached: true,
        children: None,
    };
    let reply = lab.try_held(&leased, command).await.unwrap();
    assert_eq!((reply.task, reply.state), (id("a"), State::Completed));
    assert_eq!(reply.reason, Some(Reason::Cached));
    assert!(reply.unblocked.is_empty() && reply.cancelled.is_empty());
    let view = lab.view("a").await;
    assert_eq!(view.task.finished_at, Some(lab.now().wall));
    assert!(view.task.lease.is_none());
    let outcome = view.outcome.unwrap();
    assert_eq!(outcome.result.unwrap().get(), r#"{"n": 7}"#);
    assert_eq!(outcome.usage.unwrap().get(), r#"{"tokens": 12}"#);
}

pub async fn completing_without_starting_starts(lab: Lab) {
    lab.add(&[task("a")]).await;
    let assign = Claim {
        start: false,
        ..lab.wish()
    };
    let leased = lab.claim(assign).await.remove(0);
    lab.complete(&leased).await;
    assert_eq!(
        lab.story("a").await,
        ["submitted", "assigned", "running", "completed"]
    );
    assert!(lab.view("a").await.task.started_at.is_some());
}

pub async fn a_second_completion_is_refused(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    lab.complete(&leased).await;
    for command in [completion(), failure("no")] {
        assert_eq!(code(lab.try_held(&leased, command).await), Code::LeaseLost);
    }
    assert_eq!(lab.state("a").await, State::Completed);
}

pub async fn a_repeated_completion_answers_as_the_first(lab: Lab) {
    lab.add(&chain(&["a", "b"])).await;
    let leased = lab.begin("a").await;
    let request = keyed(held(&leased, with_result(Some("1"))), "k");
    let first = lab.try_all(vec![request.clone()]).await.remove(0).unwrap();
    assert_eq!(texts(&first.unblocked), ["b"]);
    let events = lab.log().await.len();
    lab.pass(HOUR);
    let again = lab.try_all(vec![request.clone(), request]).await;
    assert!(again.into_iter().all(|reply| reply.unwrap() == first));
    assert_eq!(lab.log().await.len(), events);
}

pub async fn failing_keeps_the_message(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    let reply = lab.try_held(&leased, failure("disk on fire")).await.unwrap();
    assert_eq!(
        (reply.state, reply.reason),
        (State::Failed, Some(Reason::Exhausted))
    );
    let view = lab.view("a").await;
    assert_eq!(view.outcome.unwrap().error.unwrap().message, "disk on fire");
    assert!(view.task.dead_letter);
    assert_eq!(view.task.finished_at, Some(lab.now().wall));
    assert_eq!(lab.store.status(&lab.project).await.unwrap().dead_letters, 1);
}

pub async fn a_failure_is_tried_again(lab: Lab) {
    lab.add(&[task("a").retry(steady(3)), task("b").after("a")]).await;
    for _ in 0..2 {
        let leased = lab.begin("a").await;
        let reply = lab.fail(&leased).await;
        assert_eq!(reply.state, State::Retrying);
        assert_eq!(reply.retry_at, Some(lab.now().wall.after(SECOND)));
        assert!(reply.cancelled.is_empty());
        assert!(lab.next().await.is_none());
        lab.pass(SECOND);
        lab.tick().await;
    }
    assert_eq!(lab.broken("a").await, ["b"]);
    let row = lab.view("a").await.task;
    assert_eq!((row.attempts, row.failures), (3, 3));
}

pub async fn hopeless_failures_are_not_tried_again(lab: Lab) {
    let retry = Retry {
        not_on: vec!["quota".to_owned()],
        not_on_exit: vec![64],
        ..steady(3)
    };
    for (name, failure) in [
        (
            "class",
            Failure {
                class: Some("validation".to_owned()),
                ..Failure::new("x")
            },
        ),
        ("text", Failure::new("Permission denied")),
        ("own", Failure::new("over quota")),
        (
            "exit",
            Failure {
                exit: Some(64),
                ..Failure::new("x")
            },
        ),
    ] {
        lab.add(&[task(name).retry(retry.clone())]).await;
        let leased = lab.begin(name).await;
        let command = Command::Fail {
            failure,
            usage: None,
            timed_out: false,
            no_retry: false,
        };
        let reply = lab.try_held(&leased, command).await.unwrap();
        assert_eq!(
            (reply.state, reply.reason),
            (State::Failed, Some(Reason::NotRetryable))
        );
    }
}

pub async fn the_holder_may_forbid_another_try(lab: Lab) {
    lab.add(&[task("a").retry(steady(3)), task("slow").retry(steady(1))])
        .await;
    let fail = |timed_out, no_retry| Command::Fail {
        failure: Failure::new("x"),
        usage: None,
        timed_out,
        no_retry,
    };
    let leased = lab.begin("a").await;
    let reply = lab.try_held(&leased, fail(false, true)).await.unwrap();
    assert_eq!(
        (reply.state, reply.reason),
        (State::Failed, Some(Reason::NotRetryable))
    );
    let leased = lab.begin("slow").await;
    let reply = lab.try_held(&leased, fail(true, false)).await.unwrap();
    assert_eq!(
        (reply.state, reply.reason),
        (State::Failed, Some(Reason::Timeout))
    );
}

// proves: SPEC 5.4
pub async fn a_dropped_letter_stays_failed(lab: Lab) {
    lab.add(&[task("a")]).await;
    assert_eq!(
        code(lab.try_do("a", Command::DropLetter).await),
        Code::InvalidTransition
    );
    lab.broken("a").await;
    for _ in 0..2 {
        let reply = lab.try_do("a", Command::DropLetter).await.unwrap();
        assert_eq!(reply.state, State::Failed);
    }
    assert!(!lab.view("a").await.task.dead_letter);
    assert_eq!(lab.store.status(&lab.project).await.unwrap().dead_letters, 0);
    assert_eq!(
        lab.story("a").await,
        ["submitted", "running", "failed", "escalated", "dropped"]
    );
    lab.retry("a").await;
    lab.done("a").await;
}

// proves: SPEC 5.4
pub async fn retrying_gives_a_fresh_budget(lab: Lab) {
    lab.add(&[task("a").retry(steady(2))]).await;
    let fail_twice = async || {
        let first = lab.begin("a").await;
        assert_eq!(lab.fail(&first).await.state, State::Retrying);
        // Asking for a retry while one is planned means now.
        lab.pass(SECOND);
        lab.tick().await;
        let second = lab.begin("a").await;
        assert_eq!(lab.fail(&second).await.state, State::Failed);
    };
    fail_twice().await;
    assert_eq!(lab.retry("a").await, State::Ready);
    let row = lab.view("a").await.task;
    assert_eq!((row.failures, row.attempts, row.dead_letter), (0, 2, false));
    assert_eq!(row.finished_at, None);
    fail_twice().await;
    lab.retry("a").await;
    lab.done("a").await;
    let done = lab.try_do("a", Command::Retry { at: None }).await;
    assert_eq!(code(done), Code::InvalidTransition);
}
