//! What holds ready work back: breakers, limits, resources, budgets (DESIGN 4, 8; SPEC 5.7).

use domain::book::{Book, Edit, Entry};
use domain::code::Code;
use domain::event::Kind;
use domain::store::{Claim, Command, Leased, Result, Wants};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use serde_json::{Value, json};

use super::lab::{Lab, SECOND, TTL};
use super::new::{New, steady, task};
use super::words::{code, ids, with_result};

async fn try_set(lab: &Lab, book: Book, key: &str, value: Value) -> Result<()> {
    let edit = Edit::put(Entry::new(book, key, &value));
    lab.store
        .edit(&lab.project, vec![edit], "user:ann".into(), lab.now())
        .await
}

async fn set(lab: &Lab, book: Book, key: &str, value: Value) {
    try_set(lab, book, key, value).await.unwrap();
}

async fn remove(lab: &Lab, book: Book, key: &str) {
    let edit = Edit::remove(book, key);
    let edited = lab
        .store
        .edit(&lab.project, vec![edit], "user:ann".into(), lab.now());
    edited.await.unwrap();
}

async fn gauge(lab: &Lab, key: &str) -> Value {
    let keys = [key.into()];
    let found = lab
        .store
        .entries_of(&lab.project, Book::Gauge, &keys)
        .await
        .unwrap();
    found.first().map_or(Value::Null, |entry| entry.read().unwrap())
}

async fn told(lab: &Lab, kind: Kind) -> usize {
    let log = lab.log().await;
    log.iter().filter(|seen| seen.event.fact.kind == kind).count()
}

fn many(count: usize, make: impl Fn(New) -> New) -> Vec<New> {
    (0..count).map(|i| make(task(&format!("t{i:03}")))).collect()
}

async fn use_tokens(lab: &Lab, leased: &Leased, tokens: u32) {
    let command = Command::Complete {
        outcome: Outcome {
            usage: Some(Json::of(&json!({ "tokens": tokens }))),
            ..Outcome::default()
        },
        cached: false,
        children: None,
    };
    lab.try_held(leased, command).await.unwrap();
}

// proves: SPEC 5.7, DESIGN 8
pub async fn a_breaker_holds_tasks_and_lets_probes_through(lab: Lab) {
    lab.add(&many(20, |task| task.breaker("payments").retry(steady(9))))
        .await;
    lab.add(&[task("beside")]).await;
    for leased in lab.claim_up_to(5).await {
        lab.fail(&leased).await;
    }
    assert_eq!(told(&lab, Kind::BreakerOpened).await, 1);
    assert_eq!(gauge(&lab, "breaker:key:payments").await["state"], "open");
    lab.pass(2 * SECOND);
    lab.catch_up().await;
    assert_eq!(lab.done("beside").await, [""; 0], "others go on");
    assert!(lab.next().await.is_none());
    let attempts = lab.view("t010").await.task.attempts;
    assert_eq!(attempts, 0, "no attempt is spent");
    lab.pass(30 * SECOND);
    lab.catch_up().await;
    assert_eq!(told(&lab, Kind::BreakerHalfOpened).await, 1);
    let probes = lab.claim_up_to(100).await;
    assert_eq!(probes.len(), 3, "as many as it needs successes");
    assert_eq!(lab.claim_up_to(100).await.len(), 0);
    lab.release(&probes[0]).await;
    assert_eq!(
        lab.claim_up_to(100).await.len(),
        1,
        "one that told nothing is given again"
    );
    let probes = lab.store.leased(&lab.project, None).await.unwrap();
    for probe in &probes {
        let request = domain::store::Request {
            target: domain::store::Target::Holder(probe.token, None),
            command: with_result(None),
            actor: "worker:w".into(),
            idempotency_key: None,
        };
        lab.try_all(vec![request]).await.remove(0).unwrap();
    }
    assert_eq!(told(&lab, Kind::BreakerClosed).await, 1);
    assert!(lab.claim_up_to(100).await.len() > 10, "everybody goes on");
}

pub async fn breakers_follow_what_they_are_for(lab: Lab) {
    let count = json!({ "failures": 2 });
    set(&lab, Book::Breaker, "kind:build", count.clone()).await;
    set(&lab, Book::Breaker, "agent:ann", count).await;
    let agent = |lab: &Lab| Claim {
        max: 10,
        wants: Wants {
            agent: Some("ann".parse().unwrap()),
            ..Wants::default()
        },
        ..lab.wish()
    };
    lab.add(&many(4, |task| task.kind("build"))).await;
    lab.add(&[task("pinned").agent("ann"), task("other").kind("test")])
        .await;
    for leased in lab.claim_up_to(2).await {
        lab.fail(&leased).await;
    }
    assert_eq!(ids(&lab.claim(agent(&lab)).await), ["pinned", "other"]);
    set(&lab, Book::Breaker, "kind:test", json!({ "identical": 2 })).await;
    lab.add(&["x", "y", "z"].map(|name| task(name).kind("test")))
        .await;
    for name in ["x", "y"] {
        let leased = lab.begin(name).await;
        lab.try_held(&leased, with_result(Some("{\"same\":1}")))
            .await
            .unwrap();
    }
    assert!(lab.next().await.is_none(), "runaway success opens it too");
}

// proves: DESIGN 8, DESIGN 9
pub async fn what_holds_an_agent_back_holds_for_all_that_it_takes(lab: Lab) {
    let ann = json!({ "capabilities": [], "capacity": 9, "registered_at": 0, "seen_at": 0 });
    set(&lab, Book::Agent, "ann", ann).await;
    set(&lab, Book::Limit, "agent:ann", json!({ "concurrency": 2 })).await;
    set(
        &lab,
        Book::Budget,
        "agent:ann",
        json!({ "hard": { "tokens": 100.0 } }),
    )
    .await;
    let take = || {
        lab.claim(Claim {
            wants: of_ann(),
            max: 9,
            ..lab.wish()
        })
    };
    let spare = |task: New| task.tokens(10.0).retry(steady(9));
    lab.add(&many(6, spare)).await;
    // However an attempt ends, its place is free again, and what it has reserved.
    for round in 0..4 {
        let held = take().await;
        assert_eq!(held.len(), 2, "round {round}");
        assert_eq!(gauge(&lab, "limit:agent:ann").await["held"], 2);
        assert_eq!(gauge(&lab, "budget:agent:ann").await["reserved"]["tokens"], 20.0);
        match round {
            0 => drop((lab.fail(&held[0]).await, lab.release(&held[1]).await)),
            1 => lab.pass(TTL + SECOND),
            _ => {
                use_tokens(&lab, &held[0], 1).await;
                lab.release(&held[1]).await;
            }
        }
        lab.pass(2 * SECOND);
        lab.catch_up().await;
        assert_eq!(gauge(&lab, "limit:agent:ann").await["held"], 0, "round {round}");
        let account = gauge(&lab, "budget:agent:ann").await;
        assert_eq!(
            account["reserved"]["tokens"].as_f64().unwrap_or(0.0),
            0.0,
            "round {round}"
        );
    }
    // What is left does not suffice for her: it stays in line for others.
    set(
        &lab,
        Book::Budget,
        "agent:ann",
        json!({ "hard": { "tokens": 11.0 } }),
    )
    .await;
    assert!(take().await.is_empty());
    assert_eq!(lab.claim_up_to(9).await.len(), 4);
}

fn of_ann() -> Wants {
    Wants {
        agent: Some("ann".parse().unwrap()),
        ..Wants::default()
    }
}

pub async fn a_breaker_is_closed_by_hand(lab: Lab) {
    lab.add(&many(10, |task| task.breaker("b"))).await;
    for leased in lab.claim_up_to(5).await {
        lab.fail(&leased).await;
    }
    assert!(lab.next().await.is_none());
    remove(&lab, Book::Gauge, "breaker:key:b").await;
    let leased = lab.claim_up_to(100).await;
    assert_eq!(leased.len(), 5);
    lab.fail(&leased[0]).await;
    assert_eq!(told(&lab, Kind::BreakerOpened).await, 1, "the window is empty");
}

// proves: DESIGN 4
pub async fn so_many_at_once(lab: Lab) {
    lab.add(&many(6, |task| task.kind("build"))).await;
    lab.add(
        &many(3, |task| task.kind("test"))
            .into_iter()
            .map(|mut task| {
                task.id.insert(0, 'x');
                task
            })
            .collect::<Vec<_>>(),
    )
    .await;
    let before = lab.begin("t000").await;
    set(&lab, Book::Limit, "kind:build", json!({ "concurrency": 2 })).await;
    let leased = lab.claim_up_to(100).await;
    assert_eq!(
        ids(&leased),
        ["t001", "xt000", "xt001", "xt002"],
        "the one under way counts"
    );
    assert!(lab.next().await.is_none());
    lab.complete(&before).await;
    let next = lab.begin("t002").await;
    assert!(lab.next().await.is_none());
    lab.fail(&next).await;
    lab.pass(TTL);
    lab.catch_up().await;
    assert_eq!(
        gauge(&lab, "limit:kind:build").await["held"],
        0,
        "lost leases are given back"
    );
    set(&lab, Book::Limit, "project", json!({ "concurrency": 1 })).await;
    assert_eq!(lab.claim_up_to(100).await.len(), 1);
    remove(&lab, Book::Limit, "project").await;
    remove(&lab, Book::Limit, "kind:build").await;
    assert!(lab.claim_up_to(100).await.len() > 3);
}

pub async fn so_many_in_a_time(lab: Lab) {
    set(
        &lab,
        Book::Limit,
        "project",
        json!({ "rate": { "count": 3, "per": 60_000 } }),
    )
    .await;
    lab.add(&many(10, |task| task)).await;
    assert_eq!(lab.claim_up_to(100).await.len(), 3);
    assert_eq!(lab.claim_up_to(100).await.len(), 0);
    lab.pass(19 * SECOND);
    assert_eq!(lab.claim_up_to(100).await.len(), 0);
    lab.pass(SECOND);
    assert!(lab.tick().await.moved > 0, "claimers are woken");
    assert_eq!(lab.claim_up_to(100).await.len(), 1);
}

// proves: DESIGN 4
pub async fn resources_are_not_given_twice(lab: Lab) {
    lab.add(&[
        task("a").takes("gpu", 1),
        task("b").takes("gpu", 2),
        task("c").takes("gpu", 1).takes("memory", 4),
        task("d"),
        task("e").takes("gpu", 1),
    ])
    .await;
    let offer = |lab: &Lab, amounts: &[(&str, u64)]| Claim {
        max: 10,
        wants: Wants {
            free: amounts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            ..Wants::default()
        },
        ..lab.wish()
    };
    assert_eq!(ids(&lab.claim_up_to(10).await), ["d"], "nothing is offered");
    let leased = lab.claim(offer(&lab, &[("gpu", 2)])).await;
    assert_eq!(ids(&leased), ["a", "e"], "never more than there is");
    let leased = lab.claim(offer(&lab, &[("gpu", 4), ("memory", 4)])).await;
    assert_eq!(ids(&leased), ["b", "c"]);
}

// proves: DESIGN 8
pub async fn what_an_attempt_may_use_is_reserved(lab: Lab) {
    set(
        &lab,
        Book::Budget,
        "project",
        json!({ "hard": { "tokens": 100 } }),
    )
    .await;
    lab.add(&["a", "b", "c"].map(|name| task(name).tokens(60.0)))
        .await;
    let a = lab.begin("a").await;
    assert!(lab.next().await.is_none(), "60 of 100 are reserved");
    assert_eq!(lab.state("b").await, State::Ready, "b may fit when a is done");
    assert_eq!(gauge(&lab, "budget:project").await["reserved"]["tokens"], 60.0);
    use_tokens(&lab, &a, 10).await;
    let b = lab.begin("b").await;
    let account = gauge(&lab, "budget:project").await;
    assert_eq!(
        (&account["spent"]["tokens"], &account["reserved"]["tokens"]),
        (&json!(10.0), &json!(60.0))
    );
    lab.pass(TTL);
    lab.catch_up().await;
    let account = gauge(&lab, "budget:project").await;
    assert_eq!(
        account["reserved"].get("tokens"),
        None,
        "a lost attempt gives back what it held"
    );
    let b2 = lab.next().await.unwrap();
    assert_ne!(b2.token, b.token);
    use_tokens(&lab, &b2, 60).await;
    assert!(lab.next().await.is_none());
    assert_eq!(
        lab.reason("c").await,
        Some(Reason::Budget),
        "30 are left, 60 may be needed"
    );
}

pub async fn a_used_up_budget_asks_once(lab: Lab) {
    set(
        &lab,
        Book::Budget,
        "kind:agent",
        json!({ "hard": { "tokens": 10 } }),
    )
    .await;
    lab.add(&many(20, |task| task.tokens(10.0))).await;
    let first = lab.begin("t000").await;
    use_tokens(&lab, &first, 10).await;
    assert_eq!(lab.claim_up_to(100).await.len(), 0);
    assert_eq!(told(&lab, Kind::BudgetExhausted).await, 1);
    let asking = async |lab: &Lab| {
        let mut found = Vec::new();
        for i in 0..20 {
            let name = format!("t{i:03}");
            if lab.state(&name).await == State::Awaiting {
                found.push(name);
            }
        }
        found
    };
    assert_eq!(asking(&lab).await, ["t001"], "one stands in the inbox");
    lab.cancel("t001").await;
    assert_eq!(lab.claim_up_to(100).await.len(), 0);
    assert_eq!(asking(&lab).await, ["t002"], "then another");
    set(
        &lab,
        Book::Budget,
        "kind:agent",
        json!({ "hard": { "tokens": 40 } }),
    )
    .await;
    assert_eq!(asking(&lab).await, [""; 0]);
    let mut begun = Vec::new();
    while let Some(next) = lab.next().await {
        begun.push(next);
    }
    assert_eq!(begun.len(), 3, "three times ten are left");
    assert_eq!(lab.state("t002").await, State::Running, "who asked goes first");
}

pub async fn a_soft_limit_asks_somebody(lab: Lab) {
    let run = lab.submit("p", &many(4, |task| task.tokens(5.0))).await;
    set(
        &lab,
        Book::Budget,
        &format!("run:{run}"),
        json!({ "soft": { "tokens": 5 } }),
    )
    .await;
    lab.add(&[task("beside")]).await;
    let first = lab.begin("t000").await;
    use_tokens(&lab, &first, 5).await;
    assert_eq!(told(&lab, Kind::BudgetWarned).await, 1);
    assert_eq!(ids(&lab.claim_up_to(100).await), ["beside"]);
    assert_eq!(lab.reason("t001").await, Some(Reason::Budget));
    let accept = Command::Resolve {
        accept: true,
        outcome: Outcome::default(),
    };
    assert_eq!(lab.try_do("t001", accept).await.unwrap().state, State::Ready);
    assert_eq!(lab.next().await.unwrap().task.id.to_string(), "t001");
    assert!(lab.next().await.is_some(), "the others need not ask again");
}

pub async fn an_attempt_that_goes_over_its_cap_waits(lab: Lab) {
    lab.add(&[task("a").tokens(100.0), task("b").after("a")]).await;
    let a = lab.begin("a").await;
    let over = Command::Fail {
        failure: Failure {
            class: Some("budget".to_owned()),
            ..Failure::new("120 of 100 tokens")
        },
        usage: Some(Json::of(&json!({ "tokens": 120 }))),
        timed_out: false,
        no_retry: false,
    };
    lab.try_held(&a, over).await.unwrap();
    let view = lab.view("a").await;
    assert_eq!(
        (view.task.state, view.task.reason),
        (State::Awaiting, Some(Reason::Budget))
    );
    assert_eq!(
        (view.task.failures, view.task.dead_letter),
        (0, false),
        "never mistaken for a failure"
    );
    assert_eq!(lab.state("b").await, State::Blocked);
    let resolve = |accept: bool, answer: Option<Value>| Command::Resolve {
        accept,
        outcome: Outcome {
            result: answer.map(|answer| Json::of(&answer)),
            ..Outcome::default()
        },
    };
    lab.try_do("a", resolve(true, None)).await.unwrap();
    assert!(lab.next().await.is_none());
    assert_eq!(lab.state("a").await, State::Awaiting, "nothing was raised");
    let raise = json!({ "raise": { "tokens": 50 } });
    lab.try_do("a", resolve(true, Some(raise))).await.unwrap();
    let a = lab.begin("a").await;
    assert_eq!(gauge(&lab, "task:1").await["reserved"]["tokens"], 30.0);
    lab.release(&a).await;
    lab.begin("a").await;
    lab.cancel("a").await;
    assert_eq!(lab.reason("b").await, Some(Reason::UpstreamCancelled));
}

pub async fn settings_that_make_no_sense_are_refused(lab: Lab) {
    for (book, key, value) in [
        (Book::Breaker, "kind:x", json!({ "threshold": 2 })),
        (Book::Breaker, "kind:x", json!({ "treshold": 0.5 })),
        (Book::Breaker, "x", json!({})),
        (Book::Limit, "kind:x", json!({ "concurrency": -1 })),
        (Book::Budget, "project", json!({ "hard": { "euros": 3 } })),
    ] {
        let refused = try_set(&lab, book, key, value.clone()).await;
        assert_eq!(code(refused), Code::InvalidArgument, "{value}");
    }
    assert_eq!(
        lab.store
            .entries(&lab.project, Book::Breaker, "", 9)
            .await
            .unwrap(),
        []
    );
}
