//! Stores under load while somebody disturbs their server.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use store::conformance::Lab;
use store::conformance::new::task;
use store::conformance::words::{completion, held};
use tokio::runtime::Runtime;

/// Admits and completes tasks one batch after the other until it is told to stop; all that was acknowledged.
/// Counts them in `done`.
async fn load(lab: Lab, name: &str, stop: &AtomicBool, done: &AtomicUsize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let tasks: Vec<_> = (0..5).map(|n| task(&format!("{name}-{round}-{n}"))).collect();
        lab.add(&tasks).await;
        acknowledged.extend(tasks.iter().map(|task| task.id.clone()));
        let leased = lab.claim_up_to(5).await;
        let requests = leased.iter().map(|leased| held(leased, completion())).collect();
        for reply in lab.try_all(requests).await {
            reply.unwrap();
        }
        done.fetch_add(leased.len(), Ordering::Relaxed);
    }
    acknowledged
}

/// Two stores under load while `disturb` does its worst, and until work goes on after it, however slow the disk. It is given
/// what waits until so many more tasks are done. Nothing acknowledged is lost, nothing is done twice: an admission that
/// was repeated would be refused, as would a completion.
pub(crate) fn under_load(open: impl Fn() -> Lab, disturb: impl FnOnce(&dyn Fn(usize))) {
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let acknowledged: Vec<String> = thread::scope(|scope| {
        let work = |name: &'static str| {
            // Opened before anything is disturbed: whoever opens a store is told at once that it cannot be reached.
            let (stop, done, lab) = (&stop, &done, open());
            scope.spawn(move || {
                let runtime = Runtime::new().unwrap();
                runtime.block_on(async { load(lab, name, stop, done).await })
            })
        };
        let workers = [work("one"), work("two")];
        let wait = |more: usize| {
            let goal = done.load(Ordering::Relaxed) + more;
            let all_work = || workers.iter().all(|worker| !worker.is_finished());
            while done.load(Ordering::Relaxed) < goal && all_work() {
                thread::sleep(Duration::from_millis(1));
            }
        };
        disturb(&wait);
        wait(50);
        stop.store(true, Ordering::Relaxed);
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    Runtime::new().unwrap().block_on(async {
        let lab = open();
        lab.assert_sound().await;
        let stored: BTreeSet<String> = lab
            .all()
            .await
            .iter()
            .map(|view| view.task.id.to_string())
            .collect();
        assert_eq!(stored, acknowledged.into_iter().collect());
        for view in lab.all().await {
            assert!(view.task.attempts <= 1, "{}", view.task.id);
        }
    });
}
