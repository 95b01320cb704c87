//! Many callers at once.

use std::collections::HashSet;
use std::time::Duration;

use domain::store::{Claim, Leased};
use domain::task::state::State;
use tokio::task::JoinSet;

use super::lab::Lab;
use super::new::{New, task};
use super::words::{completion, held, worker};

fn many(count: usize) -> Vec<New> {
    (0..count).map(|i| task(&format!("t{i}"))).collect()
}

// proves: SPEC 2.3, SPEC 5.4
pub async fn a_task_is_given_once(lab: Lab) {
    lab.add(&many(400)).await;
    let mut claimers = JoinSet::new();
    for claimer in 0..8 {
        let lab = lab.clone();
        claimers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let wish = Claim {
                    worker: worker(&format!("w{claimer}")),
                    max: 1 + claimer % 3,
                    ..lab.wish()
                };
                let leased = lab.claim(wish).await;
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased);
            }
        });
    }
    let all: Vec<Leased> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(all.len(), 400);
    let tasks: HashSet<_> = all.iter().map(|leased| leased.task.id.clone()).collect();
    assert_eq!(tasks.len(), 400);
}

// proves: SPEC 1.9
pub async fn completions_at_once(lab: Lab) {
    let mut tasks = many(50);
    let joined = tasks.iter().fold(task("end"), |end, new| end.after(&new.id));
    tasks.push(joined);
    lab.add(&tasks).await;
    let mut finishers = JoinSet::new();
    for leased in lab.claim_up_to(50).await {
        let lab = lab.clone();
        finishers.spawn(async move { lab.complete(&leased).await.unblocked.len() });
    }
    let unblocked: usize = finishers.join_all().await.into_iter().sum();
    assert_eq!(
        unblocked, 1,
        "two finishers can neither both miss nor both unblock"
    );
    lab.done("end").await;
}

// proves: SPEC 1.9
pub async fn admissions_at_once(lab: Lab) {
    let mut callers = JoinSet::new();
    for caller in 0..100 {
        let lab = lab.clone();
        callers.spawn(async move {
            let name = format!("t{}", caller / 2);
            lab.try_add(&[task(&name)]).await.is_ok()
        });
    }
    let accepted = callers.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(accepted, 50, "an id is given once, whoever asks");
    assert_eq!(lab.counts().await.of(State::Ready), 50);
    let all = lab.all().await;
    let seqs: HashSet<_> = all.iter().map(|view| view.task.seq).collect();
    assert_eq!(seqs.len(), 50);
}

pub async fn one_completion_wins(lab: Lab) {
    lab.add(&[task("a")]).await;
    let leased = lab.begin("a").await;
    let mut finishers = JoinSet::new();
    for _ in 0..16 {
        let (lab, leased) = (lab.clone(), leased.clone());
        finishers.spawn(async move { lab.try_held(&leased, completion()).await.is_ok() });
    }
    let won = finishers.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(won, 1);
}

pub async fn a_change_wakes_who_waits(lab: Lab) {
    let mut moment = lab.store.changed(0).await;
    let waiter = {
        let lab = lab.clone();
        tokio::spawn(async move {
            loop {
                if let Some(leased) = lab.next().await {
                    return leased;
                }
                moment = lab.store.changed(moment).await;
            }
        })
    };
    tokio::task::yield_now().await;
    lab.add(&[task("a")]).await;
    let leased = waiter.await.unwrap();
    lab.complete(&leased).await;
    // Nothing has happened since, so nobody is woken; empty claims are nothing.
    let now = lab.store.changed(0).await;
    assert!(lab.next().await.is_none());
    let woken = tokio::time::timeout(Duration::from_millis(1), lab.store.changed(now)).await;
    assert!(woken.is_err() || lab.store.info().engine != "memory");
}

pub async fn dropped_callers_do_not_matter(lab: Lab) {
    for task in many(20) {
        let lab = lab.clone();
        let caller = tokio::spawn(async move { lab.add(&[task]).await });
        tokio::task::yield_now().await;
        caller.abort();
    }
    lab.add(&[task("last")]).await;
    let stored = lab.counts().await.total();
    let order = lab.drain().await;
    assert_eq!(
        order.len() as u64,
        stored,
        "each is there with all it needs, or not at all"
    );
    let leased = lab.claim_up_to(1).await;
    let requests = leased.iter().map(|leased| held(leased, completion())).collect();
    assert!(lab.try_all(requests).await.is_empty());
}
