//! What holders and people ask for (SPEC 1.2, 1.3, DESIGN 3).

use domain::code::Code;
use domain::store::{Claim, Command, Target, Wants};
use domain::task::record::Outcome;
use domain::task::spec::{Json, Priority, Stop, Verdict, When, Work};
use domain::task::state::{Reason, State};

use super::lab::{HOUR, Lab, SECOND, TTL};
use super::new::{chain, steady, task};
use super::words::{ask, code, completion, failure, held, id, keyed, refusal, texts};

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

// proves: SPEC 1.3
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

// proves: SPEC 1.2
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

// proves: DESIGN 3
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

// proves: DESIGN 3
pub async fn a_suspended_attempt_keeps_its_lease(lab: Lab) {
    lab.add(&[task("a").retry(steady(3)), task("b")]).await;
    let leased = lab.begin("a").await;
    lab.suspend("a").await;
    assert_eq!(lab.view("a").await.task.token(), Some(leased.token));
    for command in [
        Command::Start { at: None },
        completion(),
        failure("with a try left"),
    ] {
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
        code(lab.try_held(&assigned, Command::Start { at: None }).await),
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

// proves: SPEC 1.2
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

// proves: DESIGN 10
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

// proves: DESIGN 10
pub async fn an_unanswered_breakpoint_answers_itself(lab: Lab) {
    let ask = |name: &str, default: Option<Verdict>| {
        let mut ask = task(name).work(Work::Breakpoint("go on?".into())).deadline(HOUR);
        ask.spec.stop = Some(Stop {
            owner: Some("ann".into()),
            default,
        });
        ask
    };
    let verdict = |accept: bool| {
        let answer = accept.then(|| Json::of(&"as planned"));
        Some(Verdict { accept, answer })
    };
    lab.add(&[
        ask("yes", verdict(true)),
        ask("no", verdict(false)),
        ask("open", None),
        ask("answered", verdict(false)),
        task("after-yes").after("yes"),
        task("after-no").after("no"),
        task("first"),
        ask("late", verdict(true)).after("first"),
    ])
    .await;
    let accept = Command::Resolve {
        accept: true,
        outcome: Outcome::default(),
    };
    lab.try_do("answered", accept).await.unwrap();
    lab.pass(HOUR - SECOND);
    lab.catch_up().await;
    assert_eq!(lab.state("yes").await, State::Awaiting);
    lab.pass(SECOND);
    lab.catch_up().await;
    let all = ["yes", "no", "open", "answered", "after-yes", "after-no"];
    assert_eq!(
        lab.states(&all).await,
        [
            State::Completed,
            State::Failed,
            State::Awaiting,
            State::Completed,
            State::Ready,
            State::Cancelled
        ]
    );
    let yes = lab.view("yes").await;
    assert_eq!(yes.task.reason, Some(Reason::Timeout));
    assert_eq!(yes.outcome.unwrap().result, Some(Json::of(&"as planned")));
    assert_eq!(lab.tick().await.moved, 0);
    lab.done("after-yes").await;
    // Whoever is asked once more has as long as before.
    lab.retry("no").await;
    lab.pass(HOUR - SECOND);
    lab.catch_up().await;
    assert_eq!(lab.state("no").await, State::Awaiting);
    lab.pass(SECOND);
    lab.catch_up().await;
    assert_eq!(lab.state("no").await, State::Failed);
    lab.done("first").await;
    lab.catch_up().await;
    assert_eq!(
        lab.state("late").await,
        State::Completed,
        "its time had passed before it was asked"
    );
}

// proves: DESIGN 9
pub async fn a_task_is_given_to_an_agent(lab: Lab) {
    lab.add(&[
        task("a"),
        task("b").after("a"),
        task("c").run_at(lab.now().wall.after(HOUR)),
    ])
    .await;
    let give = |agent: Option<&str>| Command::Assign {
        agent: agent.map(|name| name.parse().unwrap()),
    };
    for name in ["a", "b", "c"] {
        lab.try_do(name, give(Some("ann"))).await.unwrap();
    }
    assert!(lab.next().await.is_none());
    let ann = |lab: &Lab| Claim {
        wants: Wants {
            agent: Some("ann".parse().unwrap()),
            ..Wants::default()
        },
        ..lab.wish()
    };
    let a = lab.claim(ann(&lab)).await.pop().unwrap();
    assert_eq!(code(lab.try_do("a", give(None)).await), Code::InvalidTransition);
    lab.complete(&a).await;
    assert!(lab.next().await.is_none());
    lab.try_do("b", give(None)).await.unwrap();
    let events = lab.log().await.len();
    lab.try_do("b", give(None)).await.unwrap();
    assert_eq!(lab.log().await.len(), events, "nothing has changed");
    lab.done("b").await;
    assert_eq!(
        code(lab.try_do("b", give(Some("ann"))).await),
        Code::InvalidTransition
    );
    lab.pass(HOUR);
    lab.catch_up().await;
    assert!(lab.next().await.is_none());
    assert_eq!(lab.claim(ann(&lab)).await.len(), 1);
}

pub async fn a_new_priority_is_a_new_place(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c").after("a")]).await;
    let to = |priority| Command::Reprioritize { priority };
    lab.try_do("b", to(Priority::CRITICAL)).await.unwrap();
    let events = lab.log().await.len();
    lab.try_do("b", to(Priority::CRITICAL)).await.unwrap();
    assert_eq!(lab.log().await.len(), events, "nothing has changed");
    assert_eq!(lab.story("b").await.last(), Some(&"reprioritized"));
    lab.try_do("c", to(Priority::LOW)).await.unwrap();
    lab.assert_sound().await;
    lab.done("b").await;
    lab.done("a").await;
    let c = lab.begin("c").await;
    assert_eq!(c.task.priority, Priority::LOW);
    lab.try_do("c", to(Priority::HIGH)).await.unwrap();
    lab.complete(&c).await;
    assert_eq!(
        code(lab.try_do("c", to(Priority::LOW)).await),
        Code::InvalidTransition
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
