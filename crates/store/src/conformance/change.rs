//! What holders and people ask for (SPEC 1.2, 1.3, DESIGN 3).

use domain::code::Code;
use domain::store::{Claim, Command, Request, Target};
use domain::task::record::{Failure, Outcome};
use domain::task::retry::Retry;
use domain::task::spec::{Json, When, Work};
use domain::task::state::{Reason, State};

use super::lab::{
    HOUR, Lab, SECOND, TTL, ask, code, completion, failure, held, id, refusal, texts, with_result,
};
use super::new::{chain, steady, task};

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

fn keyed(request: Request, key: &str) -> Request {
    Request {
        idempotency_key: Some(key.to_owned()),
        ..request
    }
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

pub async fn a_key_is_for_one_request(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    let cancel = |name: &str| {
        let reason = Reason::Cancelled;
        keyed(ask(name, Command::Cancel { reason }), "k")
    };
    let replies = lab.try_all(vec![cancel("a"), cancel("a"), cancel("b")]).await;
    assert!(replies[0].is_ok() && replies[0] == replies[1]);
    assert_eq!(code(replies[2].clone()), Code::IdempotencyConflict);
    assert_eq!(lab.state("b").await, State::Ready);
}

pub async fn an_unknown_task_is_named(lab: Lab) {
    let unknown = |answer| {
        let refusal = refusal(answer);
        assert_eq!(refusal.code, Code::TaskNotFound);
        assert!(refusal.detail.contains("ghost") || refusal.detail.contains("token"));
    };
    let commands = [
        completion(),
        failure("no"),
        Command::Suspend,
        Command::Retry { at: None },
    ];
    for lab in [lab.beside("nothing"), lab] {
        for command in commands.clone() {
            unknown(lab.try_do("ghost", command).await);
        }
        let mut request = ask("ghost", completion());
        request.target = Target::Holder("7.7.0000000000000007".parse().unwrap(), None);
        unknown(lab.try_all(vec![request]).await.remove(0));
        lab.add(&[task("real")]).await;
    }
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
        ["submitted", "running", "failed", "dropped"]
    );
    lab.retry("a").await;
    lab.done("a").await;
}

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

pub async fn cancelling_is_idempotent(lab: Lab) {
    lab.add(&chain(&["a", "b", "c"])).await;
    let reply = {
        let reason = Reason::Cancelled;
        lab.try_do("a", Command::Cancel { reason }).await.unwrap()
    };
    assert_eq!(reply.cancelled[0], id("a"), "itself first");
    assert_eq!(texts(&reply.cancelled), ["a", "b", "c"]);
    let events = lab.log().await.len();
    assert_eq!(lab.cancel("a").await, [""; 0]);
    assert_eq!(lab.cancel("c").await, [""; 0]);
    assert_eq!(lab.log().await.len(), events);
}

pub async fn an_ended_task_is_not_cancelled(lab: Lab) {
    lab.add(&[task("done"), task("failed")]).await;
    lab.done("done").await;
    lab.broken("failed").await;
    for name in ["done", "failed"] {
        let reason = Reason::Cancelled;
        let answer = lab.try_do(name, Command::Cancel { reason }).await;
        assert_eq!(code(answer), Code::InvalidTransition);
    }
    assert_eq!(
        lab.states(&["done", "failed"]).await,
        [State::Completed, State::Failed]
    );
}

pub async fn suspending_is_idempotent(lab: Lab) {
    lab.add(&[task("a")]).await;
    lab.suspend("a").await;
    let events = lab.log().await.len();
    assert_eq!(lab.suspend("a").await, State::Suspended);
    assert!(lab.next().await.is_none());
    assert_eq!(lab.log().await.len(), events);
    assert_eq!(lab.resume("a").await, State::Ready);
    assert_eq!(lab.resume("a").await, State::Ready);
    assert_eq!(lab.log().await.len(), events + 1);
    lab.done("a").await;
    for command in [Command::Suspend, Command::Resume] {
        assert_eq!(code(lab.try_do("a", command).await), Code::InvalidTransition);
    }
}

pub async fn a_suspended_attempt_keeps_its_lease(lab: Lab) {
    lab.add(&[task("a").retry(steady(3)), task("b")]).await;
    let leased = lab.begin("a").await;
    lab.suspend("a").await;
    assert_eq!(lab.view("a").await.task.token(), Some(leased.token));
    for command in [Command::Start, completion(), failure("with a try left")] {
        let answer = lab.try_held(&leased, command).await;
        assert_eq!(code(answer), Code::InvalidTransition, "only a person resumes it");
    }
    lab.pass(TTL - SECOND);
    let renew = Command::Renew {
        ttl: None,
        progress: None,
    };
    let reply = lab.try_held(&leased, renew).await.unwrap();
    assert_eq!(
        reply.state,
        State::Suspended,
        "the holder learns it when it renews"
    );
    lab.pass(TTL - SECOND);
    assert_eq!(lab.resume("a").await, State::Running);
    lab.pass(TTL - SECOND);
    lab.complete(&leased).await;
    // One that was only assigned has nothing to keep.
    let assign = Claim {
        start: false,
        ..lab.wish()
    };
    let assigned = lab.claim(assign).await.remove(0);
    lab.suspend("b").await;
    assert_eq!(lab.view("b").await.task.lease, None);
    assert_eq!(
        code(lab.try_held(&assigned, Command::Start).await),
        Code::LeaseLost
    );
    assert_eq!(lab.resume("b").await, State::Ready);
}

pub async fn a_suspended_task_without_an_attempt_returns_where_it_belongs(lab: Lab) {
    lab.add(&[
        task("ready"),
        task("blocked").after("ready"),
        task("later").run_at(lab.now().wall.after(HOUR)),
        task("asks").work(Work::Breakpoint("sure?".into())),
    ])
    .await;
    for (name, state) in [
        ("blocked", State::Blocked),
        ("later", State::Pending),
        ("asks", State::Awaiting),
    ] {
        assert_eq!(lab.state(name).await, state);
        if state == State::Awaiting {
            // A question is not suspended: it waits for a person anyway.
            assert_eq!(
                code(lab.try_do(name, Command::Suspend).await),
                Code::InvalidTransition
            );
            continue;
        }
        lab.suspend(name).await;
        assert_eq!(lab.view(name).await.task.left, Some(state));
        assert_eq!(lab.resume(name).await, state);
        lab.suspend(name).await;
    }
    lab.done("ready").await;
    lab.pass(HOUR);
    lab.catch_up().await;
    assert_eq!(lab.states(&["blocked", "later"]).await, [State::Suspended; 2]);
    assert_eq!(lab.resume("blocked").await, State::Ready);
    assert_eq!(lab.resume("later").await, State::Ready);
}

pub async fn the_death_of_a_suspended_attempt_is_no_fault(lab: Lab) {
    lab.add(&[task("a")]).await;
    for _ in 0..4 {
        lab.begin("a").await;
        lab.suspend("a").await;
        lab.pass(TTL);
        lab.tick().await;
        let row = lab.view("a").await.task;
        assert_eq!((row.state, row.lost, row.left), (State::Ready, 0, None));
    }
}

pub async fn refusals_name_the_way(lab: Lab) {
    lab.add(&[task("a")]).await;
    lab.done("a").await;
    let refusal = refusal(lab.try_do("a", Command::Suspend).await);
    assert_eq!(refusal.code, Code::InvalidTransition);
    for part in ["a", "completed", "suspended", "nothing"] {
        assert!(refusal.detail.contains(part), "{part} is not in: {refusal}");
    }
}

pub async fn requests_of_one_call_see_each_other(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c").after("a").after("b"), task("d")])
        .await;
    let leased = lab.claim_up_to(3).await;
    let mut requests: Vec<_> = leased.iter().map(|leased| held(leased, completion())).collect();
    requests.push(ask("c", Command::Suspend));
    requests.push(ask("c", Command::Resume));
    let replies = lab.try_all(requests).await;
    let unblocked: Vec<_> = replies
        .iter()
        .map(|reply| texts(&reply.as_ref().unwrap().unblocked))
        .collect();
    assert_eq!(unblocked, [vec![], vec!["c".to_owned()], vec![], vec![], vec![]]);
    assert_eq!(lab.story("c").await, ["submitted", "ready", "suspended", "ready"]);
}

pub async fn a_refused_request_does_not_stop_the_others(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    let first = lab.begin("a").await;
    let second = lab.begin("b").await;
    let replies = lab
        .try_all(vec![
            held(&first, completion()),
            held(&first, completion()),
            ask("ghost", Command::Suspend),
            held(&second, completion()),
        ])
        .await;
    let codes: Vec<_> = replies
        .into_iter()
        .map(|reply| reply.err().map(|refusal| refusal.code))
        .collect();
    assert_eq!(
        codes,
        [None, Some(Code::LeaseLost), Some(Code::TaskNotFound), None]
    );
    assert_eq!(lab.states(&["a", "b"]).await, [State::Completed; 2]);
}

pub async fn breakpoints_are_answered(lab: Lab) {
    let ask = |name: &str| task(name).work(Work::Breakpoint("sure?".into()));
    lab.add(&[
        task("before"),
        ask("yes").after("before"),
        ask("no").after("before"),
        task("ship").after("yes"),
        task("stop").after("no"),
        task("sorry").when("no", When::Failure),
    ])
    .await;
    let resolve = |accept| Command::Resolve {
        accept,
        outcome: Outcome {
            result: Some(Json::of(&accept)),
            ..Outcome::default()
        },
    };
    assert_eq!(
        code(lab.try_do("yes", resolve(true)).await),
        Code::InvalidTransition
    );
    assert_eq!(lab.done("before").await, [""; 0], "a question is not ready work");
    assert_eq!(lab.states(&["yes", "no"]).await, [State::Awaiting; 2]);
    assert_eq!(lab.reason("yes").await, Some(Reason::Breakpoint));
    assert!(lab.next().await.is_none());
    let reply = lab.try_do("yes", resolve(true)).await.unwrap();
    assert_eq!(
        (reply.state, texts(&reply.unblocked)),
        (State::Completed, vec!["ship".to_owned()])
    );
    let reply = lab.try_do("no", resolve(false)).await.unwrap();
    assert_eq!(
        (reply.state, reply.reason),
        (State::Failed, Some(Reason::Rejected))
    );
    assert_eq!(
        lab.states(&["ship", "stop", "sorry"]).await,
        [State::Ready, State::Cancelled, State::Ready]
    );
    assert_eq!(
        lab.view("yes").await.outcome.unwrap().result.unwrap().get(),
        "true"
    );
}

pub async fn progress_is_shown(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    let renew = |progress| Command::Renew { ttl: None, progress };
    let half = Json::parse(r#"{"percent": 50}"#).unwrap();
    lab.try_held(&leased, renew(Some(half.clone()))).await.unwrap();
    lab.try_held(&leased, renew(None)).await.unwrap();
    let lease = lab.view("a").await.task.lease.unwrap();
    assert_eq!(lease.progress, Some(half));
}
