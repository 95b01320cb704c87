//! Graphs beyond what one transaction settles: nobody is held up, nobody is forgotten.

use domain::limits::{PAGE_MAX, SETTLE_EDGES};
use domain::store::{Admission, AdmitLimits, Children, Command, NewEdge, On};
use domain::task::record::{Join, Outcome};
use domain::task::spec::When;
use domain::task::state::{Reason, State};

use super::lab::{Lab, SECOND};
use super::new::{New, task};
use super::words::{completion, held};

/// Takes two transactions to settle.
const WIDE: usize = SETTLE_EDGES + 500;

/// Takes several, and far more than a stack has room for where making it is cheap enough.
fn depth(lab: &Lab) -> usize {
    match lab.store.info().engine {
        "memory" => 100_000,
        _ => 25_000,
    }
}

// proves: DESIGN 7
pub async fn more_dependents_than_one_transaction_settles(lab: Lab) {
    let mut tasks = vec![task("root")];
    tasks.extend((0..WIDE).map(|i| task(&format!("t{i}")).after("root")));
    lab.add(&tasks).await;
    let root = lab.begin("root").await;
    let reply = lab.complete(&root).await;
    assert_eq!(reply.unblocked.len(), PAGE_MAX);
    assert!(reply.more > 0);
    // Nobody asks, and it goes on all the same.
    let mut moment = 0;
    while lab.counts().await.of(State::Ready) < WIDE as u64 {
        moment = lab.store.changed(moment).await;
    }
    assert_eq!(lab.counts().await.of(State::Blocked), 0);
}

pub async fn a_newcomer_during_settling_is_counted_once(lab: Lab) {
    let mut tasks = vec![task("root"), task("other").priority(2)];
    tasks.extend((0..WIDE).map(|i| task(&format!("t{i}")).after("root").priority(0)));
    lab.add(&tasks).await;
    let root = lab.begin("root").await;
    // Asked for together, they come one after the other, with the settling under way.
    let (completed, admitted) = tokio::join!(
        lab.try_held(&root, completion()),
        lab.store.admit(
            &lab.project,
            lab.admission(&[task("late").after("root").after("other").priority(10)]),
            lab.now()
        )
    );
    completed.unwrap();
    admitted.unwrap();
    lab.catch_up().await;
    assert_eq!(lab.state("late").await, State::Blocked, "`other` is still open");
    assert_eq!(lab.view("late").await.task.open, 1);
    lab.done("other").await;
    lab.done("late").await;
}

/// `d0 -> d1 -> …`, with edges by index, so that making the batch is not quadratic.
fn deep(lab: &Lab) -> Admission {
    let tasks: Vec<New> = (0..depth(lab)).map(|i| task(&format!("d{i}"))).collect();
    let mut admission = lab.admission(&tasks);
    for (new, on) in admission.tasks.iter_mut().skip(1).zip(0..) {
        new.after.push(NewEdge {
            on: On::Batch(on),
            when: When::Success,
        });
    }
    admission
}

pub async fn a_deep_chain_fails_without_recursion(lab: Lab) {
    lab.admit(deep(&lab)).await.unwrap();
    let below = depth(&lab) - 1;
    let last = format!("d{below}");
    assert_eq!(lab.view(&last).await.task.depth as usize, below);
    let leased = lab.begin("d0").await;
    let reply = lab.fail(&leased).await;
    assert!(reply.more > 0);
    lab.catch_up().await;
    assert_eq!(lab.counts().await.of(State::Cancelled), below as u64);
    assert_eq!(lab.reason(&last).await, Some(Reason::UpstreamFailed));
}

pub async fn a_deep_chain_is_cancelled_and_revived(lab: Lab) {
    lab.admit(deep(&lab)).await.unwrap();
    let below = depth(&lab) - 1;
    let leased = lab.begin("d0").await;
    lab.fail(&leased).await;
    // At once, with the failure still on its way down.
    lab.retry("d0").await;
    assert_eq!(lab.counts().await.of(State::Blocked), below as u64);
    lab.pass(SECOND);
    lab.cancel("d0").await;
    lab.catch_up().await;
    assert_eq!(lab.counts().await.of(State::Cancelled), below as u64 + 1);
    assert_eq!(
        lab.reason(&format!("d{below}")).await,
        Some(Reason::UpstreamCancelled)
    );
}

pub async fn a_wide_join(lab: Lab) {
    const CHILDREN: usize = 3_000;
    lab.add(&[task("p")]).await;
    let parent = lab.begin("p").await;
    let children: Vec<New> = (0..CHILDREN).map(|i| task(&format!("c{i}"))).collect();
    let command = Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: Some(Children {
            admission: Box::new(Admission {
                limits: AdmitLimits {
                    prerequisites: 50,
                    children: CHILDREN as u32,
                },
                ..lab.admission(&children)
            }),
            join: Some(Join::Complete),
        }),
    };
    lab.try_held(&parent, command).await.unwrap();
    let mut done = 0;
    loop {
        let leased = lab.claim_up_to(1_000).await;
        if leased.is_empty() {
            break;
        }
        done += leased.len();
        let requests = leased.iter().map(|leased| held(leased, completion())).collect();
        for reply in lab.try_all(requests).await {
            reply.unwrap();
        }
    }
    assert_eq!(done, CHILDREN);
    assert_eq!(lab.state("p").await, State::Completed);
}
