//! Locks and limits: who runs beside whom, and who is woken when (DESIGN 4).

use domain::code::Code;
use domain::event::Kind;
use domain::store::{Claim, Command, Leased};
use domain::task::lock::Mode;
use domain::task::record::Wait;
use domain::task::state::{Reason, State};

use super::lab::{Lab, SECOND, TTL};
use super::new::{New, task};
use super::words::{code, completion, failure, ids};

/// What can run together, in order of the line.
async fn together(lab: &Lab) -> (Vec<String>, Vec<Leased>) {
    let leased = lab.claim_up_to(100).await;
    (ids(&leased), leased)
}

pub async fn exclusive_locks_exclude(lab: Lab) {
    lab.add(&["a", "b", "c"].map(|name| task(name).lock("db"))).await;
    let a = lab.begin("a").await;
    assert!(lab.next().await.is_none());
    assert_eq!(
        lab.view("b").await.task.wait,
        Wait::Parked("db".into()),
        "out of the line"
    );
    assert_eq!(lab.state("b").await, State::Ready);
    lab.complete(&a).await;
    let b = lab.begin("b").await;
    assert!(lab.next().await.is_none());
    lab.fail(&b).await;
    lab.done("c").await;
}

pub async fn shared_locks_share(lab: Lab) {
    lab.add(&[
        task("r1").share("db"),
        task("r2").share("db"),
        task("w").lock("db"),
        task("r3").share("db"),
    ])
    .await;
    let (names, readers) = together(&lab).await;
    assert_eq!(names, ["r1", "r2", "r3"]);
    for reader in &readers {
        assert!(lab.next().await.is_none());
        lab.complete(reader).await;
    }
    let writer = lab.begin("w").await;
    lab.add(&[task("r4").share("db")]).await;
    assert!(lab.next().await.is_none());
    lab.complete(&writer).await;
    lab.done("r4").await;
}

// proves: DESIGN 4
pub async fn paths_exclude_what_is_above_and_below(lab: Lab) {
    for (held, free, taken) in [
        (
            "path:src",
            &["path:docs", "path:srcs"][..],
            &["path:src", "path:src/auth", "path:."][..],
        ),
        (
            "path:src/auth",
            &["path:src/authors", "path:src/a"],
            &["path:src", "path:src/auth/x"],
        ),
        ("path:.", &["db"], &["path:anything", "path:."]),
    ] {
        let holder = lab.fresh().to_string();
        lab.add(&[task(&holder).lock(held)]).await;
        let holder = lab.begin(&holder).await;
        let mut expected = Vec::new();
        for (names, runs) in [(free, true), (taken, false)] {
            for name in names {
                let id = format!("{}-{name}", lab.fresh());
                lab.add(&[task(&id).lock(name)]).await;
                expected.extend(runs.then_some(id));
            }
        }
        let (names, leased) = together(&lab).await;
        assert_eq!(names, expected, "beside {held}");
        for leased in &leased {
            lab.complete(leased).await;
        }
        lab.complete(&holder).await;
        assert_eq!(lab.drain().await.len(), taken.len());
    }
}

pub async fn all_or_none(lab: Lab) {
    lab.add(&[
        task("a").lock("x"),
        task("both").lock("x").lock("y"),
        task("b").lock("y").priority(2),
    ])
    .await;
    let (names, leased) = together(&lab).await;
    assert_eq!(names, ["a", "b"], "what waits for x does not hold y");
    lab.complete(&leased[0]).await;
    assert!(lab.next().await.is_none());
    assert_eq!(lab.view("both").await.task.wait, Wait::Parked("y".into()));
    lab.complete(&leased[1]).await;
    lab.done("both").await;
}

fn two() -> [New; 2] {
    [task("a").lock("db"), task("b").lock("db")]
}

pub async fn a_cancelled_attempt_holds_until_it_confirms(lab: Lab) {
    lab.add(&two()).await;
    let leased = lab.begin("a").await;
    lab.cancel("a").await;
    assert_eq!(lab.state("a").await, State::Cancelled);
    assert!(lab.next().await.is_none(), "its process may still be writing");
    assert_eq!(lab.release(&leased).await.state, State::Cancelled);
    lab.done("b").await;
    assert_eq!(lab.state("a").await, State::Cancelled);
}

pub async fn a_cancelled_attempt_holds_until_its_lease_ends(lab: Lab) {
    lab.add(&two()).await;
    lab.begin("a").await;
    lab.cancel("a").await;
    lab.pass(TTL - SECOND);
    lab.tick().await;
    assert!(lab.next().await.is_none());
    lab.pass(SECOND);
    lab.tick().await;
    lab.done("b").await;
    assert_eq!(lab.state("a").await, State::Cancelled);
    assert_eq!(lab.view("a").await.task.lost, 0);
}

pub async fn a_suspended_attempt_holds(lab: Lab) {
    lab.add(&two()).await;
    let leased = lab.begin("a").await;
    lab.suspend("a").await;
    assert!(lab.next().await.is_none());
    lab.resume("a").await;
    lab.complete(&leased).await;
    lab.done("b").await;
}

/// The one that was woken does not take its turn, in every way there is.
pub async fn a_waiter_that_leaves_wakes_the_next(lab: Lab) {
    for way in ["cancel", "suspend", "overtaken", "lost"] {
        let name = |suffix: &str| format!("{way}-{suffix}");
        let (holder, woken, next) = (name("holder"), name("woken"), name("next"));
        lab.add(&[&holder, &woken, &next].map(|name| task(name).lock("db")))
            .await;
        let leased = lab.begin(&holder).await;
        assert!(lab.next().await.is_none());
        lab.complete(&leased).await;
        assert_eq!(
            lab.view(&woken).await.task.wait,
            Wait::Baton("db".into()),
            "{way}: one is woken"
        );
        assert!(matches!(lab.view(&next).await.task.wait, Wait::Parked(_)));
        match way {
            "cancel" => drop(lab.cancel(&woken).await),
            "suspend" => drop(lab.suspend(&woken).await),
            "overtaken" => {
                // Somebody else takes the lock first: the woken one goes back under it.
                let first = name("first");
                lab.add(&[task(&first).lock("db").priority(10)]).await;
                let first = lab.begin(&first).await;
                assert!(lab.next().await.is_none());
                lab.complete(&first).await;
                lab.done(&woken).await;
            }
            _ => {
                lab.begin(&woken).await;
                lab.pass(TTL);
                lab.tick().await;
                lab.done(&woken).await;
            }
        }
        lab.done(&next).await;
    }
}

pub async fn limits_count(lab: Lab) {
    let mut tasks: Vec<_> = (0..5).map(|i| task(&format!("a{i}")).limit("api", 2)).collect();
    tasks.push(task("other").limit("mail", 2));
    lab.add(&tasks).await;
    let (names, leased) = together(&lab).await;
    assert_eq!(names, ["a0", "other", "a1"], "keys take turns");
    lab.complete(&leased[1]).await;
    lab.complete(&leased[0]).await;
    assert_eq!(together(&lab).await.0, ["a2"]);
    lab.complete(&leased[2]).await;
    assert_eq!(together(&lab).await.0, ["a3"]);
    assert!(lab.next().await.is_none());
}

pub async fn waiters_go_by_their_place(lab: Lab) {
    let urgent = |name: &str, priority| task(name).lock("db").priority(priority);
    lab.add(&[
        urgent("holder", 10),
        urgent("low", 2),
        urgent("high", 8),
        urgent("normal", 5),
    ])
    .await;
    let leased = lab.begin("holder").await;
    assert!(lab.next().await.is_none());
    lab.complete(&leased).await;
    for name in ["high", "normal", "low"] {
        lab.done(name).await;
    }
}

/// Overlapping locks, limits, classes and workers: whatever the order, nobody waits for ever and nobody overlaps.
// proves: DESIGN 4
pub async fn everybody_gets_through(lab: Lab) {
    let names = ["path:.", "path:a", "path:a/b", "path:a/c", "path:d", "db"];
    let tasks: Vec<New> = (0..120)
        .map(|i| {
            let new = task(&format!("t{i}")).kind(["x", "y", "z"][i % 3]);
            let first = names[i % names.len()];
            let second = names[(i / names.len()) % names.len()];
            let new = if i % 2 == 0 {
                new.lock(first)
            } else {
                new.share(first)
            };
            let new = if first == second { new } else { new.share(second) };
            if i % 4 == 0 { new.limit("few", 2) } else { new }
        })
        .collect();
    lab.add(&tasks).await;
    let mut running: Vec<Leased> = Vec::new();
    let mut done = 0;
    while done < tasks.len() {
        let wish = Claim {
            max: 1 + done % 3,
            ..lab.wish()
        };
        running.extend(lab.claim(wish).await);
        assert!(!running.is_empty(), "{done} are done, the rest waits for nothing");
        assert_apart(&lab).await;
        let leased = running.remove(done * 7 % running.len());
        match done % 5 {
            0 => drop(lab.fail(&leased).await),
            _ => drop(lab.complete(&leased).await),
        }
        done += 1;
    }
    assert!(lab.store.locks(&lab.project).await.unwrap().is_empty());
}

/// No two tasks hold locks that conflict.
async fn assert_apart(lab: &Lab) {
    let held = lab.store.locks(&lab.project).await.unwrap();
    let lock = |name: &str, mode| domain::task::lock::Lock {
        name: name.to_owned(),
        mode,
    };
    for (i, one) in held.iter().enumerate() {
        for other in held[..i].iter().filter(|other| other.holder != one.holder) {
            let clash = lock(&one.name, one.mode).conflicts(&lock(&other.name, other.mode));
            assert!(!clash, "{one:?} beside {other:?}");
        }
    }
}

fn breaking(at_once: bool) -> Command {
    Command::BreakLock {
        name: "db".to_owned(),
        why: "it hangs".to_owned(),
        at_once,
    }
}

/// The holder is fenced at once, and the lock waits until it has stopped.
// proves: DESIGN 4, DESIGN 6
pub async fn a_broken_lock_waits_for_its_holder_to_stop(lab: Lab) {
    lab.add(&two()).await;
    let leased = lab.begin("a").await;
    let reply = lab.try_do("a", breaking(false)).await.unwrap();
    assert!(reply.expires_at.is_some(), "free by then at the latest");
    for command in [
        Command::Start { at: None },
        Command::Renew {
            ttl: Some(TTL),
            progress: None,
        },
        completion(),
        failure("it broke"),
    ] {
        assert_eq!(code(lab.try_held(&leased, command).await), Code::LeaseLost);
    }
    assert!(lab.next().await.is_none(), "its process may still be writing");
    let forged = lab.view("a").await.task.token().unwrap();
    let forged = Leased {
        token: forged,
        ..leased.clone()
    };
    assert_eq!(code(lab.try_held(&forged, completion()).await), Code::LeaseLost);
    // Again changes nothing.
    lab.try_do("a", breaking(false)).await.unwrap();

    lab.release(&leased).await;
    let row = lab.view("a").await.task;
    assert_eq!((row.state, row.reason), (State::Ready, Some(Reason::LockBroken)));
    assert_eq!((row.failures, row.lost), (0, 0));
    lab.done("a").await;
    lab.done("b").await;
    let broken = lab.log().await.into_iter();
    let broken: Vec<_> = broken
        .filter(|seen| seen.event.fact.kind == Kind::LockBroken)
        .collect();
    assert_eq!(broken.len(), 2);
    assert_eq!(
        broken[0].event.fact.data.as_ref().unwrap().get(),
        r#"{"at_once":false,"lock":"db","why":"it hangs"}"#
    );
}

pub async fn a_broken_lock_is_free_when_its_lease_ends(lab: Lab) {
    lab.add(&two()).await;
    for round in 0..4 {
        lab.begin("a").await;
        lab.try_do("a", breaking(false)).await.unwrap();
        lab.pass(TTL - SECOND);
        lab.tick().await;
        assert!(lab.next().await.is_none());
        lab.pass(SECOND);
        lab.tick().await;
        assert_eq!(
            lab.view("a").await.task.lost,
            0,
            "round {round}: nobody is to blame"
        );
    }
    lab.done("a").await;
    lab.done("b").await;
}

pub async fn a_lock_may_be_broken_at_once(lab: Lab) {
    lab.add(&[
        task("a").lock("db").share("x"),
        task("b").lock("db").lock("x").priority(10),
    ])
    .await;
    lab.add(&[task("c").limit("k", 1)]).await;
    let b = lab.begin("b").await;
    lab.suspend("b").await;
    assert_eq!(lab.claim_up_to(9).await.len(), 1, "c");
    lab.try_do("b", breaking(true)).await.unwrap();
    assert_eq!(code(lab.try_held(&b, completion()).await), Code::LeaseLost);
    assert_eq!(code(lab.try_held(&b, Command::Release).await), Code::LeaseLost);
    lab.done("b").await;
    lab.done("a").await;

    let refused = lab.try_do("c", breaking(true)).await;
    assert_eq!(code(refused), Code::LockNotHeld);
    assert_eq!(code(lab.try_do("a", breaking(false)).await), Code::LockNotHeld);
}

pub async fn held_names_are_listed(lab: Lab) {
    lab.add(&[
        task("a").lock("x").share("y"),
        task("b").lock("x"),
        task("c").lock("x"),
        task("d").limit("k", 1),
    ])
    .await;
    together(&lab).await;
    let held = lab.store.locks(&lab.project).await.unwrap();
    let told: Vec<_> = held
        .iter()
        .map(|held| {
            (
                held.name.as_str(),
                held.mode,
                held.holder.to_string(),
                held.waiting,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("limit:k", Mode::Shared, "d".to_owned(), 0),
            ("x", Mode::Exclusive, "a".to_owned(), 2),
            ("y", Mode::Shared, "a".to_owned(), 0)
        ]
    );
}
