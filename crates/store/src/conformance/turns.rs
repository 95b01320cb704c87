//! Keys take turns, and who is overtaken for too long gets what it needs.

use std::collections::BTreeMap;

use domain::book::Book;
use domain::curb::turn::Passed;
use domain::store::{Claim, Command, Leased, Wants};
use domain::task::record::Wait;

use super::lab::{HOUR, Lab, SECOND, TTL};
use super::new::{New, task};
use super::words::{id, ids};

fn many(key: &str, count: usize, limit: u32) -> Vec<New> {
    let new = |i| task(&format!("{key}{i}")).limit(key, limit);
    (0..count).map(new).collect()
}

/// Claims one after the other, some time between two of them.
async fn served(lab: &Lab, count: usize) -> (Vec<String>, Vec<Leased>) {
    let (mut names, mut all) = (Vec::new(), Vec::new());
    for _ in 0..count {
        lab.pass(SECOND / 10);
        let Some(leased) = lab.next().await else { break };
        names.push(leased.task.id.to_string());
        all.push(leased);
    }
    (names, all)
}

/// A key with few tasks is served as often as one with a crowd before it.
// proves: DESIGN 4
pub async fn keys_take_turns(lab: Lab) {
    lab.add(&many("crowd", 300, 50)).await;
    lab.pass(SECOND);
    lab.add(&many("few", 3, 50)).await;
    lab.add(&[task("plain")]).await;
    let (names, _) = served(&lab, 9).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "crowd0", "few0", "plain", "crowd1", "few1", "crowd2", "few2", "crowd3", "crowd4"
        ]
    );
    let parked = lab.all().await;
    let parked = parked.iter().filter(|view| view.task.parked_under().is_some());
    assert_eq!(parked.count(), 300 - 5 - 1, "one of a key stands in line");
}

/// A key whose slots are taken costs the others nothing: no claim passes its tasks.
pub async fn a_full_key_holds_up_nobody(lab: Lab) {
    lab.add(&many("crowd", 300, 1)).await;
    lab.add(&many("few", 2, 1)).await;
    let first = lab.claim_up_to(100).await;
    assert_eq!(ids(&first), ["crowd0", "few0"]);
    assert!(lab.next().await.is_none());
    lab.complete(&first[0]).await;
    lab.complete(&first[1]).await;
    let (names, _) = served(&lab, 3).await;
    assert_eq!(names, ["crowd1", "few1"]);
}

/// The one in line goes away, in every way there is: the next of its key takes its place.
pub async fn a_turn_is_passed_on(lab: Lab) {
    lab.add(&many("key", 6, 9)).await;
    assert!(matches!(lab.view("key0").await.task.wait, Wait::Turn(..)));
    assert!(matches!(lab.view("key1").await.task.wait, Wait::Parked(_)));
    lab.cancel("key0").await;
    assert!(matches!(lab.view("key1").await.task.wait, Wait::Turn(..)));
    lab.suspend("key1").await;
    assert!(matches!(lab.view("key2").await.task.wait, Wait::Turn(..)));
    lab.resume("key1").await;
    assert!(matches!(lab.view("key1").await.task.wait, Wait::Parked(_)));
    lab.begin("key2").await;
    lab.pass(TTL);
    lab.tick().await;
    let mut rest = lab.drain().await;
    rest.sort_unstable();
    assert_eq!(rest, ["key1", "key2", "key3", "key4", "key5"]);
}

/// Claims and completes whatever is in line.
async fn all_done(lab: &Lab) -> Vec<String> {
    let leased = lab.claim_up_to(100).await;
    for leased in &leased {
        lab.complete(leased).await;
    }
    let mut names = ids(&leased);
    names.sort_unstable();
    names
}

/// So many of a key begin in a time, and no other key waits for it.
// proves: DESIGN 4, DESIGN 8
pub async fn a_key_has_a_rate(lab: Lab) {
    let of = |key: &str, count| -> Vec<New> {
        let new = |i| task(&format!("{key}{i}")).rate(key, 2, 10);
        (0..count).map(new).collect()
    };
    lab.add(&of("crowd", 40)).await;
    lab.add(&of("few", 3)).await;
    assert_eq!(all_done(&lab).await, ["crowd0", "crowd1", "few0", "few1"]);
    lab.pass(4 * SECOND);
    lab.tick().await;
    assert!(lab.next().await.is_none());
    lab.pass(SECOND);
    lab.tick().await;
    assert_eq!(all_done(&lab).await, ["crowd2", "few2"]);
    lab.pass(HOUR);
    lab.tick().await;
    let saved = all_done(&lab).await;
    assert_eq!(
        saved,
        ["crowd3", "crowd4"],
        "no more than one time's worth is saved"
    );
    for _ in 5..40 {
        lab.pass(5 * SECOND);
        lab.tick().await;
        assert_eq!(all_done(&lab).await.len(), 1);
    }
    // A key that nobody asks for is forgotten.
    lab.pass(HOUR);
    lab.tick().await;
    let kept = lab
        .store
        .entries(&lab.project, Book::Gauge, "", 10)
        .await
        .unwrap();
    assert!(
        kept.iter().all(|entry| !entry.key.starts_with("lane:")),
        "{kept:?}"
    );
}

fn both() -> New {
    task("both").lock("x").lock("y").kind("rare")
}

/// Two locks that are held in turns, and a task that wants both; with those who want one of them and come later.
async fn overlap(lab: &Lab, both: New) -> Vec<Leased> {
    let small = |name: &str, i: usize| task(&format!("{name}{i}")).lock(name).priority(2);
    lab.add(&[small("x", 0), small("y", 0)]).await;
    let running = lab.claim_up_to(2).await;
    lab.add(&[both]).await;
    for i in 1..20 {
        lab.add(&[small("x", i), small("y", i)]).await;
    }
    assert!(lab.next().await.is_none());
    running
}

/// The same, after it was passed over so often that its locks are kept for it. Returns who still has one of them.
async fn overtaken(lab: &Lab, both: New) -> Vec<Leased> {
    let mut running = overlap(lab, both).await;
    for _ in 0..10 {
        lab.complete(&running.remove(0)).await;
        running.extend(others(lab).await);
    }
    assert_eq!((running.len(), kept(lab).await), (1, vec!["both".to_owned()]));
    running
}

/// The tasks that have their locks reserved.
async fn kept(lab: &Lab) -> Vec<String> {
    let keys = [Passed::KEY.into()];
    let found = lab.store.entries_of(&lab.project, Book::Gauge, &keys);
    let Some(entry) = found.await.unwrap().pop() else {
        return Vec::new();
    };
    let passed: Passed = entry.read().unwrap();
    let all = lab.all().await;
    let reserving = passed.reserving();
    let views = reserving.filter_map(|seq| all.iter().find(|view| view.task.seq == seq));
    views.map(|view| view.task.id.to_string()).collect()
}

/// Claims everything but the task that wants both.
async fn others(lab: &Lab) -> Vec<Leased> {
    let kinds = vec![lab.view("x0").await.class.kind];
    let wants = Wants {
        kinds,
        ..Wants::default()
    };
    let claim = Claim {
        max: 9,
        wants,
        ..lab.wish()
    };
    lab.claim(claim).await
}

/// Each lock is free now and then, but never both: the task is passed over ten times, and then they are kept for it.
// proves: DESIGN 4
pub async fn who_is_overtaken_reserves(lab: Lab) {
    let mut running = overlap(&lab, both()).await;
    for round in 1..=10 {
        lab.complete(&running.remove(0)).await;
        let begun = lab.claim_up_to(9).await;
        assert_eq!(
            begun.len(),
            usize::from(round < 10),
            "round {round}: {:?}",
            ids(&begun)
        );
        running.extend(begun);
    }
    let held = lab.store.locks(&lab.project).await.unwrap();
    assert_eq!(held.len(), 1, "what is kept for a task is not held: {held:?}");
    assert_eq!(held[0].holder, running[0].task.id);
    assert_eq!(kept(&lab).await, ["both"]);
    lab.complete(&running.remove(0)).await;
    let both = lab.begin("both").await;
    assert!(lab.next().await.is_none(), "nobody overlaps with it");
    assert!(kept(&lab).await.is_empty());
    lab.complete(&both).await;
    assert_eq!(lab.drain().await.len(), 20 + 20 - 11);
    assert!(lab.store.locks(&lab.project).await.unwrap().is_empty());
}

/// A reservation holds back those that stand behind its task, and nobody else.
pub async fn who_stands_before_is_not_held_back(lab: Lab) {
    let mut running = overtaken(&lab, both()).await;
    lab.add(&[task("urgent").lock("x").lock("y").priority(10)]).await;
    lab.complete(&running.remove(0)).await;
    let urgent = lab.begin("urgent").await;
    assert!(lab.next().await.is_none());
    lab.complete(&urgent).await;
    lab.done("both").await;
    lab.drain().await;
}

/// Whoever stands before a task has not passed it over.
pub async fn the_order_of_the_line_is_no_overtaking(lab: Lab) {
    let urgent = |name: &str, i: usize| task(&format!("{name}{i}")).lock(name).priority(10);
    lab.add(&[urgent("x", 0), urgent("y", 0)]).await;
    let mut running = lab.claim_up_to(2).await;
    lab.add(&[both()]).await;
    for i in 1..40 {
        lab.add(&[urgent("x", i), urgent("y", i)]).await;
    }
    for _ in 0..40 {
        lab.complete(&running.remove(0)).await;
        running.extend(lab.claim_up_to(9).await);
    }
    assert!(kept(&lab).await.is_empty());
    assert_eq!(running.len(), 2);
}

/// Whatever a task waits for, nobody waits for it longer than ten minutes.
pub async fn a_reservation_has_an_end(lab: Lab) {
    let running = overtaken(&lab, both()).await;
    let renew = Command::Renew {
        ttl: Some(HOUR),
        progress: None,
    };
    lab.try_held(&running[0], renew).await.unwrap();
    lab.pass(599 * SECOND);
    lab.tick().await;
    assert!(others(&lab).await.is_empty());
    lab.pass(SECOND);
    lab.tick().await;
    assert!(kept(&lab).await.is_empty());
    assert_eq!(others(&lab).await.len(), 1, "the lock that is free is given on");
}

/// A task that comes to wait for something else than its locks keeps nobody from them.
pub async fn who_waits_for_a_slot_reserves_nothing(lab: Lab) {
    let mut running = overtaken(&lab, both().limit("k", 1)).await;
    lab.add(&[task("slot").limit("k", 1).priority(10)]).await;
    let slot = lab.begin("slot").await;
    lab.complete(&running.remove(0)).await;
    assert!(kept(&lab).await.is_empty());
    running.extend(others(&lab).await);
    assert_eq!(running.len(), 2);
    lab.complete(&slot).await;
    for leased in &running {
        lab.complete(leased).await;
    }
    assert_eq!(lab.drain().await.len(), 20 + 20 + 1 - 13);
}

/// A reservation that nobody makes use of is given up.
pub async fn an_idle_reservation_is_given_up(lab: Lab) {
    let mut running = overlap(&lab, both()).await;
    for _ in 0..11 {
        lab.complete(&running.remove(0)).await;
        running.extend(others(&lab).await);
    }
    assert!(running.is_empty());
    assert!(matches!(lab.view("both").await.task.wait, Wait::Baton(_)));
    lab.pass(10 * SECOND);
    lab.tick().await;
    assert_eq!(others(&lab).await.len(), 2, "the others go on");
    lab.pass(TTL);
    lab.tick().await;
    lab.drain().await;
    assert!(lab.store.locks(&lab.project).await.unwrap().is_empty());
}

/// A task that goes away leaves no reservation behind.
pub async fn a_reservation_goes_with_its_task(lab: Lab) {
    overtaken(&lab, both()).await;
    lab.cancel("both").await;
    assert_eq!(others(&lab).await.len(), 1, "the lock that is free is given on");
    lab.pass(TTL);
    lab.tick().await;
    lab.drain().await;
    assert!(lab.store.locks(&lab.project).await.unwrap().is_empty());
}

/// Of four units that a worker offers so many are free.
async fn with_free(lab: &Lab, free: u64) -> Option<Leased> {
    let amount = |amount| BTreeMap::from([("gpu".to_owned(), amount)]);
    let wants = Wants {
        free: amount(free),
        offers: amount(4),
        ..Wants::default()
    };
    lab.claim(Claim { wants, ..lab.wish() }).await.pop()
}

/// A worker that is never idle is kept from small tasks until it has room for one that needs all of it.
// proves: DESIGN 4
pub async fn who_needs_much_is_kept_room_for(lab: Lab) {
    let small = |i: usize| task(&format!("s{i}")).takes("gpu", 1).priority(2);
    let all: Vec<New> = (0..40).map(small).collect();
    lab.add(&all).await;
    let mut running = Vec::new();
    for free in [4, 3, 2, 1] {
        running.extend(with_free(&lab, free).await);
    }
    lab.add(&[task("big").takes("gpu", 4)]).await;
    for round in 1..=13 {
        lab.complete(&running.remove(0)).await;
        let begun = with_free(&lab, 4 - running.len() as u64).await;
        assert_eq!(begun.is_some(), round <= 10, "round {round}");
        running.extend(begun);
    }
    // Who does not ask for a minute keeps nothing back.
    lab.pass(2 * TTL);
    lab.tick().await;
    assert_eq!(with_free(&lab, 1).await.unwrap().task.priority.value(), 2);
    for _ in 0..10 {
        with_free(&lab, 1).await;
    }
    assert!(with_free(&lab, 3).await.is_none());
    let big = with_free(&lab, 4).await.unwrap();
    assert_eq!(big.task.id, id("big"));
    lab.complete(&big).await;
    assert!(with_free(&lab, 1).await.is_some(), "the others go on");
}
