//! Whatever has happened, the rows are what the log makes of them.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use domain::replay::{Log, Met};
use store::conformance::Lab;

pub(super) async fn assert_agrees(lab: &Lab) {
    let mut log = Log::after(lab.beginning().await.after.last);
    lab.log().await.iter().for_each(|seen| log.follow(seen));
    let views = lab.all().await;
    for view in &views {
        match log.meet(view) {
            Met::Compared(found) | Met::Silent(found) => assert_eq!(found, [], "{:#?}", view.task),
            Met::Later => panic!("behind the end of the log: {:#?}", view.task),
        }
    }
    // Ends here are never so wide that they are settled in pieces.
    for view in &views {
        assert!(!log.waits_otherwise(view), "{:#?}", view.task);
    }
    assert_eq!(log.lost(log.last()), (Vec::new(), None));
    let status = lab.store.status(&lab.project).await.unwrap();
    assert_eq!(log.totals(&status), []);
    for (no, id) in log.runs() {
        match lab.store.run(&lab.project, id).await.unwrap() {
            Some(run) => assert_eq!(log.compare_run(&run), []),
            None => assert_eq!(log.lost_run(no), None),
        }
    }
}
