//! Servers and connections that go away in the middle.

use std::sync::Arc;
use std::time::Duration;

use domain::code::Code;
use domain::id::Project;
use rig::postgres::{Server, sql_at};
use store::conformance::Lab;
use store::conformance::new::task;
use store::driver::Driver;
use store::local::Local;
use store::postgres::{Options, PgDriver};
use tokio::runtime::Runtime;

use super::{Space, lab, open, options};
use crate::load::under_load;

/// A store that keeps what it acknowledges.
fn durable(url: &str) -> Lab {
    let options = Options {
        durability: domain::store::Durability::Full,
        ..options()
    };
    Lab::new(Arc::new(
        Local::open(PgDriver::open(url, &options).unwrap()).unwrap(),
    ))
}

#[test]
fn sessions_that_are_ended_lose_nothing() {
    let server = Server::start(&[]).unwrap();
    let url = server.url();
    under_load(
        || durable(&url),
        |wait| {
            for _ in 0..20 {
                wait(10);
                let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                       WHERE application_name = 'bellwether'";
                server.sql(end).unwrap();
            }
        },
    );
}

#[test]
fn a_server_that_crashes_loses_nothing() {
    let mut server = Server::start(&[]).unwrap();
    let url = server.url();
    under_load(
        || durable(&url),
        |wait| {
            for _ in 0..3 {
                wait(50);
                server.kill();
                server.run().unwrap();
            }
        },
    );
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let mut server = Server::start(&[]).unwrap();
    let options = Options {
        patience: Duration::from_millis(300),
        ..options()
    };
    let driver = PgDriver::open(&server.url(), &options).unwrap();
    let store = Local::open(driver).unwrap();
    Runtime::new().unwrap().block_on(async {
        let lab = Lab::new(Arc::new(store));
        lab.add(&[task("a")]).await;
        server.stop();
        let refused = lab.try_add(&[task("b")]).await.unwrap_err();
        assert_eq!(refused.code, Code::StoreUnavailable);
        let refused = lab.store.status(&lab.project).await.unwrap_err();
        assert_eq!(refused.code, Code::StoreUnavailable);
        server.run().unwrap();
        lab.add(&[task("b")]).await;
        lab.assert_sound().await;
    });
}

#[test]
fn a_head_that_another_holds_is_waited_for() {
    let space = Space::shared();
    let schema = space.url.rsplit_once("schema=").unwrap().1.to_owned();
    Runtime::new().unwrap().block_on(async {
        let lab = Lab::new(open(&space.url));
        lab.add(&[task("a")]).await;
        let url = rig::postgres::shared();
        let holder = std::thread::spawn(move || {
            let hold = format!(
                "BEGIN; SELECT 1 FROM {schema}.project FOR UPDATE; \
                 SELECT pg_sleep(1.5)"
            );
            sql_at(&url, &hold)
        });
        std::thread::sleep(Duration::from_millis(300));
        let began = std::time::Instant::now();
        lab.add(&[task("b")]).await;
        assert!(
            began.elapsed() > Duration::from_millis(500),
            "it waited for its turn"
        );
        holder.join().unwrap().unwrap();
        lab.assert_sound().await;
    });
}

#[test]
fn tables_that_are_dropped_are_missed_politely() {
    let space = Space::shared();
    Runtime::new().unwrap().block_on(async {
        let lab = lab(&space.url);
        lab.add(&[task("a")]).await;
        rig::postgres::sweep(&space.url);
        let refused = lab.try_add(&[task("b")]).await.unwrap_err();
        assert_eq!(refused.code, Code::StoreNotFound, "{refused}");
    });
}

#[test]
fn a_text_that_the_server_cannot_keep_is_refused_alone() {
    let space = Space::shared();
    Runtime::new().unwrap().block_on(async {
        let lab = lab(&space.url);
        let mut wrong = lab.admission(&[task("a")]);
        wrong.actor = "user:\0".into();
        let b = [task("b")];
        let (wrong, right) = tokio::join!(lab.admit(wrong), lab.try_add(&b));
        assert_eq!(wrong.unwrap_err().code, Code::InvalidArgument);
        right.unwrap();
        lab.assert_sound().await;
    });
}

/// Behind a pooler each transaction may have another session, and nothing can be listened to.
#[test]
fn without_sessions_of_its_own_a_store_polls() {
    let space = Space::shared();
    let pooled = format!("{}&poll=1", space.url);
    Runtime::new().unwrap().block_on(async {
        let (one, other) = (lab(&space.url), lab(&pooled));
        other.add(&[task("a")]).await;
        let moment = other.store.changed(0).await;
        one.add(&[task("b")]).await;
        other.store.changed(moment).await;
        assert_eq!(other.claim_up_to(9).await.len(), 2);
        other.assert_sound().await;
    });
}

/// Whoever waits notices a commit of a process that was gone before it could tell of it.
#[test]
fn a_commit_is_noticed_though_its_process_has_ended() {
    let space = Space::shared();
    Runtime::new().unwrap().block_on(async {
        let other = lab(&space.url);
        other.add(&[task("a")]).await;
        for (project, killed) in [("orderly", false), ("killed", true)] {
            let quiet = Duration::from_millis(2_500);
            let mut moment = other.store.changed(0).await;
            while let Ok(later) = tokio::time::timeout(quiet, other.store.changed(moment)).await {
                moment = later;
            }
            let url = space.url.clone();
            // Without a store around it, nothing is told beside the commits.
            let commit = move || {
                let mut driver = PgDriver::open(&url, &options()).unwrap();
                let project = Project::new(project).unwrap();
                driver
                    .write(&mut |tx| tx.project(&project, true).map(drop))
                    .unwrap();
                if killed {
                    std::mem::forget(driver);
                }
            };
            std::thread::spawn(commit).join().unwrap();
            other.store.changed(moment).await;
        }
    });
}

#[test]
fn checks_name_what_is_wrong() {
    let space = Space::shared();
    let schema = space.url.rsplit_once("schema=").unwrap().1;
    let sql = |text: &str| {
        sql_at(&space.url, &format!("SET search_path = {schema}; {text}")).unwrap();
    };
    Runtime::new().unwrap().block_on(async {
        let lab = lab(&space.url);
        let run = lab.submit("p", &[task("a"), task("b").after("a")]).await;
        lab.assert_sound().await;
        let counts = format!("run {run} counts 7 ready tasks, and has 1");
        for (spoil, mend, finding) in [
            (
                "UPDATE ready SET seq = 9",
                "UPDATE ready SET seq = 1",
                "task number 9, which does not exist, stands in the line where it should not",
            ),
            (
                "UPDATE ready SET seq = 9",
                "UPDATE ready SET seq = 1",
                "task a is missing at its place in the line",
            ),
            (
                "UPDATE aside SET state = 0",
                "UPDATE aside SET state = 1",
                "task b is missing at its place in the list of blocked tasks",
            ),
            (
                "UPDATE aside SET state = 0",
                "UPDATE aside SET state = 1",
                "task b stands in the list of pending tasks where it should not",
            ),
            (
                "UPDATE task SET left_state = 4 WHERE seq = 1",
                "UPDATE task SET left_state = NULL",
                "task a is ready and left running",
            ),
            (
                "UPDATE task SET dependents = 0",
                "UPDATE task SET dependents = 2 - seq",
                "task a counts 0 dependents, and has 1",
            ),
            (
                "UPDATE task SET open = 0 WHERE seq = 2",
                "UPDATE task SET open = seq - 1",
                "task b counts 0 open prerequisites, and has 1",
            ),
            ("UPDATE run SET ready = 7", "UPDATE run SET ready = 1", &counts),
        ] {
            sql(spoil);
            let found = lab.store.check(&lab.project).await.unwrap();
            assert!(found.iter().any(|line| line == finding), "{finding}: {found:?}");
            sql(mend);
            lab.assert_sound().await;
        }
    });
}
