//! Several stores on one project, as processes would have. A case is given what opens one more of them.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use store::conformance::Lab;
use store::conformance::new::{New, task};
use store::conformance::words::{completion, held};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

fn names(count: usize, of: &str) -> Vec<String> {
    (0..count).map(|n| format!("{of}-{n}")).collect()
}

fn tasks(count: usize, of: &str) -> Vec<New> {
    names(count, of).iter().map(|name| task(name)).collect()
}

/// Takes what it can get until nothing is left, `batch` at a time; what it has completed.
async fn work(lab: Lab, batch: usize) -> Vec<String> {
    let mut done = Vec::new();
    loop {
        let leased = lab.claim_up_to(batch).await;
        if leased.is_empty() {
            return done;
        }
        let requests = leased.iter().map(|leased| held(leased, completion())).collect();
        for reply in lab.try_all(requests).await {
            done.push(reply.unwrap().task.to_string());
        }
    }
}

async fn drained_by(labs: &[Lab], batch: usize) -> (Vec<String>, Duration) {
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for lab in labs {
        workers.spawn(work(lab.clone(), batch));
    }
    let done = workers.join_all().await.concat();
    (done, began.elapsed())
}

pub(crate) fn each_task_is_done_once_by_eight_stores(open: impl Fn() -> Lab) {
    Runtime::new().unwrap().block_on(async {
        let labs: Vec<Lab> = (0..8).map(|_| open()).collect();
        labs[0].add(&tasks(2_000, "a")).await;
        let (done, _) = drained_by(&labs, 10).await;
        assert_eq!(done.len(), 2_000);
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>().len(), 2_000);
        labs[7].assert_sound().await;
    });
}

pub(crate) fn a_crowd_is_not_much_slower_than_one(open: impl Fn() -> Lab) {
    Runtime::new().unwrap().block_on(async {
        let labs: Vec<Lab> = (0..8).map(|_| open()).collect();
        labs[0].add(&tasks(2_000, "one")).await;
        let (done, alone) = drained_by(&labs[..1], 20).await;
        assert_eq!(done.len(), 2_000);
        labs[0].add(&tasks(2_000, "crowd")).await;
        let (done, together) = drained_by(&labs, 20).await;
        assert_eq!(done.len(), 2_000);
        println!("one store: {alone:?}, eight: {together:?}");
        assert!(
            together < alone * 4 + Duration::from_secs(1),
            "one store took {alone:?}, eight took {together:?}"
        );
    });
}

pub(crate) fn projects_do_not_disturb_each_other(open: impl Fn() -> Lab) {
    Runtime::new().unwrap().block_on(async {
        let lab = open();
        let labs = ["a", "b", "c"].map(|project| lab.beside(project));
        let mut workers = JoinSet::new();
        for lab in labs.clone() {
            workers.spawn(async move {
                lab.add(&tasks(100, "x")).await;
                work(lab, 7).await.len()
            });
        }
        assert_eq!(workers.join_all().await, [100, 100, 100]);
        for lab in labs {
            lab.assert_sound().await;
        }
        assert_eq!(lab.store.projects().await.unwrap().len(), 3);
    });
}

pub(crate) fn a_commit_of_another_store_is_noticed_soon(open: impl Fn() -> Lab) {
    Runtime::new().unwrap().block_on(async {
        let (one, other) = (open(), open());
        // The first subscription counts as a commit; it is there once that was told.
        let mut moment = other.store.changed(1).await;
        // Whoever misses what is told looks a second later, and a busy machine may stand still for as long: but not each
        // time.
        let mut waits = Vec::new();
        for name in names(10, "x") {
            one.add(&[task(&name)]).await;
            let committed = Instant::now();
            moment = other.store.changed(moment).await;
            waits.push(committed.elapsed());
        }
        waits.sort();
        assert!(waits[5] < Duration::from_millis(500), "{waits:?}");
    });
}

/// The same cases for each server.
macro_rules! cases {
    () => {
        $crate::crowd::cases!(
            each_task_is_done_once_by_eight_stores
            a_crowd_is_not_much_slower_than_one
            projects_do_not_disturb_each_other
            a_commit_of_another_store_is_noticed_soon
        );
    };
    ($($case:ident)*) => {$(
        #[test]
        fn $case() {
            let space = super::Space::shared();
            $crate::crowd::$case(|| super::lab(&space.url));
        }
    )*};
}
pub(crate) use cases;
