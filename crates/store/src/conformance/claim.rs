//! Handing out and taking back (SPEC 1.3, DESIGN 3).

use std::time::Duration;

use domain::book::{Book, Edit, Entry};
use domain::code::Code;
use domain::id::{AgentName, Capability, Kind};
use domain::store::{Claim, Command, Leased, Target, Wants};
use domain::task::spec::{Source, Work};
use domain::task::state::{Reason, State};
use domain::time::Timestamp;

use super::lab::{HOUR, Lab, SECOND, TTL};
use super::new::{chain, task};
use super::words::{code, completion, failure, held, id, ids, texts, worker};

// proves: SPEC 1.3, SPEC 1.7
pub async fn the_highest_score_goes_first(lab: Lab) {
    lab.add(&[
        task("low").priority(2),
        task("critical").priority(10),
        task("normal"),
    ])
    .await;
    assert_eq!(ids(&lab.claim_up_to(9).await), ["critical", "normal", "low"]);
}

// proves: SPEC 1.9, SPEC 2.3
pub async fn equal_scores_go_by_time_and_number(lab: Lab) {
    lab.add(&[task("b"), task("a")]).await;
    lab.pass(SECOND);
    lab.add(&[task("0")]).await;
    assert_eq!(ids(&lab.claim_up_to(9).await), ["b", "a", "0"]);
}

// proves: SPEC 1.3
pub async fn an_empty_line_is_an_empty_answer(lab: Lab) {
    assert!(lab.next().await.is_none());
    lab.add(&[task("a")]).await;
    lab.done("a").await;
    assert!(lab.next().await.is_none());
}

pub async fn blocked_tasks_are_not_found(lab: Lab) {
    lab.add(&[task("a"), task("b").after("a").priority(10)]).await;
    assert_eq!(ids(&lab.claim_up_to(9).await), ["a"]);
}

pub async fn a_claim_may_start_or_only_assign(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    let running = lab.begin("a").await;
    assert_eq!(running.task.state, State::Running);
    assert_eq!(running.task.started_at, Some(lab.now().wall));
    assert_eq!(running.body.read_spec().unwrap().name, "a");
    let lease = running.task.lease.clone().unwrap();
    assert_eq!((lease.attempt, lease.worker), (1, worker("w")));
    assert_eq!(lease.expires, lab.now().mono + 30_000);
    assert_eq!(lab.view("a").await.task, running.task);
    let assign = Claim {
        start: false,
        ..lab.wish()
    };
    let assigned = lab.claim(assign).await.remove(0);
    assert_eq!(assigned.task.state, State::Assigned);
    assert_eq!(assigned.task.started_at, None);
    lab.pass(SECOND);
    let reply = lab
        .try_held(&assigned, Command::Start { at: None })
        .await
        .unwrap();
    assert_eq!(reply.state, State::Running);
    assert_eq!(reply.expires_at, Some(lab.now().wall.after(TTL)));
    assert_eq!(lab.view("b").await.task.started_at, Some(lab.now().wall));
    assert_eq!(lab.story("b").await, ["submitted", "assigned", "running"]);
    assert_eq!(lab.story("a").await, ["submitted", "running"]);
}

pub async fn a_start_may_be_told_later(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c")]).await;
    let claim = Claim {
        max: 3,
        start: false,
        ..lab.wish()
    };
    let held = lab.claim(claim).await;
    let claimed = lab.now().wall;
    lab.pass(2 * SECOND);
    let now = lab.now().wall;
    let told = [claimed.0 + 700, claimed.0 - 1, now.0 + 1].map(Timestamp);
    let noted = [told[0], claimed, now];
    for ((leased, at), noted) in held.iter().zip(told).zip(noted) {
        let start = Command::Start { at: Some(at) };
        assert_eq!(lab.try_held(leased, start).await.unwrap().state, State::Running);
        let view = lab.view(&leased.task.id.to_string()).await;
        assert_eq!(view.task.started_at, Some(noted));
        let log = lab.log().await;
        let last = log.iter().find(|seen| seen.event.no == view.task.last_event);
        assert_eq!(last.unwrap().event.fact.at, noted);
    }
    lab.assert_sound().await;
}

pub async fn a_claim_may_hold_some_ahead(lab: Lab) {
    let tasks: Vec<_> = (0..6).map(|i| task(&format!("t{i}"))).collect();
    lab.add(&tasks).await;
    let wish = |max, ahead| Claim {
        max,
        ahead,
        ..lab.wish()
    };
    let states =
        |claimed: &[Leased]| -> Vec<State> { claimed.iter().map(|leased| leased.task.state).collect() };
    let first = lab.claim(wish(2, 2)).await;
    assert_eq!(ids(&first), ["t0", "t1", "t2", "t3"]);
    let (running, assigned) = (State::Running, State::Assigned);
    assert_eq!(states(&first), [running, running, assigned, assigned]);
    let only_ahead = lab.claim(wish(0, 1)).await;
    assert_eq!(
        (ids(&only_ahead), states(&only_ahead)),
        (vec!["t4".to_owned()], vec![assigned])
    );
    lab.try_held(&first[2], Command::Release).await.unwrap();
    lab.try_held(&first[3], completion()).await.unwrap();
    assert_eq!(
        lab.story("t3").await,
        ["submitted", "assigned", "running", "completed"]
    );
    assert_eq!(ids(&lab.claim(wish(9, 9)).await), ["t2", "t5"]);
}

// proves: DESIGN 4
pub async fn nothing_is_held_ahead_that_others_count_on(lab: Lab) {
    let ahead = |lab: &Lab| Claim {
        ahead: 9,
        ..lab.wish()
    };
    lab.add(&[task("a"), task("b"), task("c").lock("door"), task("d")])
        .await;
    let claimed = lab.claim(ahead(&lab)).await;
    assert_eq!(
        ids(&claimed),
        ["a", "b"],
        "nobody waits behind a lock that nobody uses, and none is overtaken"
    );
    for leased in &claimed {
        lab.complete(leased).await;
    }
    let held = lab.claim(ahead(&lab)).await;
    assert_eq!(ids(&held), ["c", "d"]);
    for leased in &held {
        lab.complete(leased).await;
    }
    lab.add(&[task("e"), task("f")]).await;
    let limit = Entry::new(Book::Limit, "project", &serde_json::json!({ "concurrency": 9 }));
    let edited = lab
        .store
        .edit(&lab.project, vec![Edit::put(limit)], "user:ann".into(), lab.now());
    edited.await.unwrap();
    assert_eq!(
        ids(&lab.claim(ahead(&lab)).await),
        ["e"],
        "a limit counts what is leased"
    );
}

pub async fn no_more_than_asked_for(lab: Lab) {
    let tasks: Vec<_> = (0..30).map(|i| task(&format!("t{i}"))).collect();
    lab.add(&tasks).await;
    let first = lab.claim_up_to(7).await;
    let second = lab.claim_up_to(100).await;
    assert_eq!((first.len(), second.len()), (7, 23));
    let tokens: std::collections::HashSet<_> =
        first.iter().chain(&second).map(|leased| leased.token).collect();
    assert_eq!(tokens.len(), 30);
}

// proves: SPEC 1.9
pub async fn deadlines_press(lab: Lab) {
    lab.add(&[
        task("far").deadline(24 * 30 * HOUR),
        task("soon").deadline(HOUR / 2),
        task("past").deadline(Duration::ZERO),
        task("some"),
    ])
    .await;
    lab.pass(SECOND);
    lab.catch_up().await;
    assert_eq!(ids(&lab.claim_up_to(9).await), ["past", "soon", "some", "far"]);
}

// proves: SPEC 1.7, SPEC 1.9
pub async fn people_go_before_agents(lab: Lab) {
    let sources = [
        Source::AgentImplementation,
        Source::AgentPlanner,
        Source::AgentRequirements,
        Source::Human,
    ];
    let tasks: Vec<_> = sources
        .iter()
        .map(|source| task(source.as_str()).source(*source))
        .collect();
    lab.add(&tasks).await;
    let order = ids(&lab.claim_up_to(9).await);
    assert_eq!(
        order,
        [
            "human",
            "agent_requirements",
            "agent_planner",
            "agent_implementation"
        ]
    );
}

fn capabilities(names: &[&str]) -> Vec<Capability> {
    names
        .iter()
        .map(|name| Capability::new(name).expect("a capability"))
        .collect()
}

async fn found(lab: &Lab, wants: Wants) -> Vec<String> {
    let wish = Claim {
        wants,
        max: 100,
        ..lab.wish()
    };
    let leased = lab.claim(wish).await;
    for leased in &leased {
        lab.release(leased).await;
    }
    texts(
        &leased
            .iter()
            .map(|leased| leased.task.id.clone())
            .collect::<Vec<_>>(),
    )
}

pub async fn needs_are_all_needed(lab: Lab) {
    lab.add(&[
        task("both").needs(&["python", "review"]),
        task("one").needs(&["python"]),
        task("none"),
    ])
    .await;
    for (offered, expected) in [
        (&[][..], &["none"][..]),
        (&["python"], &["none", "one"]),
        (&["review"], &["none"]),
        (&["python3", "review"], &["none"]),
        (&["review", "python", "rust"], &["both", "none", "one"]),
    ] {
        let wants = Wants {
            capabilities: capabilities(offered),
            ..Wants::default()
        };
        assert_eq!(found(&lab, wants).await, expected, "{offered:?}");
    }
}

pub async fn a_pinned_task_waits_for_its_agent(lab: Lab) {
    lab.add(&[task("pinned").agent("ada"), task("free")]).await;
    let by = |name: &str| Wants {
        agent: Some(AgentName::new(name).unwrap()),
        ..Wants::default()
    };
    assert_eq!(found(&lab, Wants::default()).await, ["free"]);
    assert_eq!(found(&lab, by("bob")).await, ["free"]);
    assert_eq!(found(&lab, by("ada")).await, ["free", "pinned"]);
}

pub async fn kinds_and_executors_are_chosen(lab: Lab) {
    lab.add(&[
        task("shell").work(Work::Shell("true".into())),
        task("fn").work(Work::Handler("resize".into())),
        task("data").kind("data"),
    ])
    .await;
    let kinds = |kinds: &[&str]| Wants {
        kinds: kinds.iter().map(|kind| Kind::new(kind).unwrap()).collect(),
        ..Wants::default()
    };
    let works = |works: &[&'static str], handlers: &[&str]| Wants {
        works: works.to_vec(),
        handlers: handlers.iter().map(|name| (*name).to_owned()).collect(),
        ..Wants::default()
    };
    assert_eq!(found(&lab, kinds(&["data", "other"])).await, ["data"]);
    assert_eq!(found(&lab, works(&["command"], &[])).await, ["shell"]);
    assert_eq!(found(&lab, works(&["handler"], &["other"])).await, [""; 0]);
    assert_eq!(found(&lab, works(&["handler"], &["resize"])).await, ["fn"]);
    assert_eq!(found(&lab, Wants::default()).await, ["data", "shell"]);
}

pub async fn a_claim_of_a_run_takes_nothing_else(lab: Lab) {
    lab.add(&[task("loose").priority(10)]).await;
    let one = lab.submit("one", &[task("a")]).await;
    let two = lab.submit("two", &[task("b").priority(10)]).await;
    let of = |run| Wants {
        run: Some(run),
        ..Wants::default()
    };
    assert_eq!(found(&lab, of(one)).await, ["a"]);
    assert_eq!(found(&lab, of(two)).await, ["b"]);
    let unknown = Claim {
        wants: of(domain::id::RunId(uuid::Uuid::from_u128(77))),
        ..lab.wish()
    };
    let answer = lab.store.claim(&lab.project, unknown, lab.now()).await;
    assert_eq!(code(answer), Code::RunNotFound);
}

// proves: SPEC 3.2
pub async fn a_task_is_claimed_by_name(lab: Lab) {
    lab.add(&[
        task("first").priority(10),
        task("wanted").lock("db"),
        task("next").lock("db"),
        task("later").after("wanted"),
        task("pinned").agent("ada"),
    ])
    .await;
    let claim = |name: &str| Claim {
        wants: Wants {
            task: Some(id(name)),
            ..Wants::default()
        },
        max: 9,
        ..lab.wish()
    };
    let taken = lab.claim(claim("wanted")).await;
    assert_eq!(ids(&taken), ["wanted"]);
    let before = lab.log().await.len();
    for (name, expected) in [
        ("wanted", Code::InvalidTransition),
        ("next", Code::Waiting),
        ("later", Code::InvalidTransition),
        ("pinned", Code::InvalidTransition),
        ("nothing", Code::TaskNotFound),
    ] {
        let answer = lab.store.claim(&lab.project, claim(name), lab.now()).await;
        assert_eq!(code(answer), expected, "{name}");
    }
    assert_eq!(lab.log().await.len(), before);
    lab.complete(&taken[0]).await;
    assert_eq!(ids(&lab.claim(claim("next")).await), ["next"]);
    assert_eq!(ids(&lab.claim_up_to(9).await), ["first", "later"]);
}

// proves: DESIGN 7, DESIGN 15
pub async fn a_stale_token_opens_nothing(lab: Lab) {
    lab.add(&[task("a"), task("b").after("a")]).await;
    let stale = lab.begin("a").await;
    lab.pass(TTL);
    lab.tick().await;
    let fresh = lab.begin("a").await;
    assert!(fresh.token.fence > stale.token.fence);
    for command in [
        Command::Start { at: None },
        Command::Renew {
            ttl: None,
            progress: None,
        },
        completion(),
        failure("late"),
        Command::Release,
    ] {
        assert_eq!(code(lab.try_held(&stale, command).await), Code::LeaseLost);
    }
    let mut forged = fresh.clone();
    forged.token.secret ^= 1;
    assert_eq!(code(lab.try_held(&forged, completion()).await), Code::LeaseLost);
    assert_eq!(lab.view("a").await.task, fresh.task);
    lab.complete(&fresh).await;
    assert_eq!(code(lab.try_held(&fresh, failure("late")).await), Code::LeaseLost);
    assert_eq!(lab.states(&["a", "b"]).await, [State::Completed, State::Ready]);
}

pub async fn an_expired_lease_is_refused_at_once(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    lab.pass(TTL);
    assert_eq!(code(lab.try_held(&leased, completion()).await), Code::LeaseLost);
    assert_eq!(lab.state("a").await, State::Running);
    lab.tick().await;
    assert_eq!(lab.state("a").await, State::Ready);
    assert_eq!(lab.reason("a").await, Some(Reason::Lost));
    let row = lab.view("a").await.task;
    assert_eq!((row.attempts, row.lost), (1, 1));
    assert_eq!(lab.begin("a").await.task.lease.unwrap().attempt, 2);
}

pub async fn renewing_keeps_the_lease(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    for _ in 0..5 {
        lab.pass(TTL - SECOND);
        let renew = Command::Renew {
            ttl: None,
            progress: None,
        };
        let reply = lab.try_held(&leased, renew).await.unwrap();
        assert_eq!(reply.expires_at, Some(lab.now().wall.after(TTL)));
        assert_eq!(lab.tick().await.moved, 0);
    }
    let longer = Command::Renew {
        ttl: Some(HOUR),
        progress: None,
    };
    lab.try_held(&leased, longer).await.unwrap();
    lab.pass(HOUR - SECOND);
    lab.tick().await;
    lab.complete(&leased).await;
}

pub async fn a_token_fits_its_task_only(lab: Lab) {
    lab.add(&[task("a"), task("b")]).await;
    let leased = lab.begin("a").await;
    let mut request = held(&leased, completion());
    request.target = Target::Holder(leased.token, Some(id("b")));
    assert_eq!(
        code(lab.try_all(vec![request.clone()]).await.remove(0)),
        Code::InvalidArgument
    );
    request.target = Target::Holder(leased.token, Some(id("a")));
    assert!(lab.try_all(vec![request]).await.remove(0).is_ok());
    let without = lab.try_do("b", completion()).await;
    assert_eq!(code(without), Code::InvalidArgument);
}

// proves: SPEC 2.3
pub async fn releasing_costs_no_attempt(lab: Lab) {
    lab.add(&[task("a")]).await;
    for _ in 0..5 {
        let leased = lab.begin("a").await;
        assert_eq!(lab.release(&leased).await.state, State::Ready);
        assert_eq!(code(lab.try_held(&leased, completion()).await), Code::LeaseLost);
    }
    let row = lab.view("a").await.task;
    assert_eq!((row.failures, row.lost, row.lease), (0, 0, None));
    assert_eq!(row.reason, Some(Reason::Released));
    let leased = lab.begin("a").await;
    assert_eq!(lab.fail(&leased).await.state, State::Failed);
}

pub async fn a_dead_worker_loses_what_it_had_and_nothing_else(lab: Lab) {
    lab.add(&[task("a"), task("b"), task("c")]).await;
    let by = |name: &str| Claim {
        worker: worker(name),
        ..lab.wish()
    };
    lab.claim(by("dead")).await;
    lab.claim(by("alive")).await;
    lab.claim(by("dead")).await;
    let lost = lab
        .store
        .lose(&lab.project, &worker("dead"), lab.now())
        .await
        .unwrap();
    assert_eq!(texts(&lost), ["a", "c"]);
    assert_eq!(
        lab.states(&["a", "b", "c"]).await,
        [State::Ready, State::Running, State::Ready]
    );
    let again = lab
        .store
        .lose(&lab.project, &worker("dead"), lab.now())
        .await
        .unwrap();
    assert!(again.is_empty());
}

// proves: DESIGN 3
pub async fn the_third_lost_lease_is_the_last(lab: Lab) {
    lab.add(&chain(&["a", "b"])).await;
    for _ in 0..2 {
        lab.begin("a").await;
        lab.pass(TTL);
        lab.tick().await;
        assert_eq!(lab.state("a").await, State::Ready);
    }
    lab.begin("a").await;
    lab.pass(TTL);
    lab.tick().await;
    let row = lab.view("a").await.task;
    assert_eq!((row.state, row.reason), (State::Failed, Some(Reason::Lost)));
    assert!(row.dead_letter && row.lease.is_none());
    assert_eq!(lab.reason("b").await, Some(Reason::UpstreamFailed));
    assert_eq!(lab.store.status(&lab.project).await.unwrap().dead_letters, 1);
    lab.retry("a").await;
    lab.begin("a").await;
    lab.pass(TTL);
    lab.tick().await;
    assert_eq!(lab.state("a").await, State::Ready, "a retry gives a fresh budget");
}
