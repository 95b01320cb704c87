//! Servers and connections that go away in the middle.

use std::time::Duration;

use domain::code::Code;
use rig::redis::{Cluster, Server};
use store::conformance::new::task;
use store::conformance::{Fresh, Lab};
use store::redis::{Options, RedisDriver};
use tokio::runtime::Runtime;

use super::{Space, lab, open, options};
use crate::load::under_load;

#[test]
fn connections_that_are_cut_lose_nothing() {
    let server = Server::durable().unwrap();
    let url = server.url();
    under_load(
        || lab(&url),
        |wait| {
            for _ in 0..60 {
                wait(5);
                server.command(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
            }
        },
    );
}

#[test]
fn a_server_that_is_killed_loses_nothing() {
    let mut server = Server::durable().unwrap();
    let url = server.url();
    under_load(
        || lab(&url),
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
    let mut server = Server::durable().unwrap();
    let options = Options {
        patience: Duration::from_millis(300),
        ..options()
    };
    let driver = RedisDriver::open(&server.url(), &options).unwrap();
    let store = store::local::Local::open(driver).unwrap();
    Runtime::new().unwrap().block_on(async {
        let lab = Lab::new(std::sync::Arc::new(store));
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
fn a_full_server_refuses_and_keeps_no_half() {
    let server = Server::durable().unwrap();
    Runtime::new().unwrap().block_on(async {
        let lab = lab(&server.url());
        lab.add(&[task("before")]).await;
        let before = lab.log().await.len();
        server.command(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
        let many: Vec<_> = (0..2_000).map(|n| task(&format!("t{n}"))).collect();
        let refused = lab.try_add(&many).await.unwrap_err();
        assert_eq!(refused.code, Code::StoreFull);
        let refused = lab
            .store
            .claim(&lab.project, lab.wish(), lab.now())
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::StoreFull);
        lab.assert_sound().await;
        assert_eq!(lab.log().await.len(), before);
        server.command(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
        lab.add(&many).await;
        lab.assert_sound().await;
        assert_eq!(lab.all().await.len(), 2_001);
    });
}

#[test]
fn a_server_that_was_emptied_is_no_new_store() {
    let space = Space::shared();
    Runtime::new().unwrap().block_on(async {
        let (finder, maker) = (lab(&space.url), lab(&space.url));
        maker.add(&[task("a")]).await;
        finder.done("a").await;
        rig::redis::sweep(&space.url);
        for lab in [&maker, &finder] {
            let refused = lab.try_add(&[task("b")]).await.unwrap_err();
            assert_eq!(refused.code, Code::StoreGone, "{refused}");
            assert!(refused.detail.contains(lab.project.as_str()), "{refused}");
        }
        let other = maker.beside("another");
        other.add(&[task("c")]).await;
        // Whoever opens the store anew begins anew; who had it open learns that it is another.
        let anew = lab(&space.url);
        anew.add(&[task("b")]).await;
        for lab in [&maker, &finder] {
            let refused = lab.try_add(&[task("d")]).await.unwrap_err();
            assert_eq!(refused.code, Code::StoreGone, "{refused}");
        }
        anew.assert_sound().await;
    });
}

#[test]
fn checks_name_what_is_wrong() {
    let space = Space::shared();
    let prefix = space.url.rsplit_once("prefix=").unwrap().1;
    Runtime::new().unwrap().block_on(async {
        let lab = lab(&space.url);
        lab.add(&[task("a"), task("b").after("a")]).await;
        lab.assert_sound().await;
        let line = format!("{{bell:{prefix}:{}}}:l:1", lab.project);
        rig::redis::command_at(&space.url, &["DEL", &line]).unwrap();
        let found = lab.store.check(&lab.project).await.unwrap();
        assert_eq!(
            found,
            [
                "task a is missing at its place in the line".to_owned(),
                format!("the size of `{line}` is kept as 0, and is 1"),
            ]
        );
    });
}

mod cluster {
    use super::*;
    use std::sync::OnceLock;

    /// One for all cases of a process.
    fn nodes() -> &'static Cluster {
        static NODES: OnceLock<Cluster> = OnceLock::new();
        NODES.get_or_init(|| Cluster::start().unwrap())
    }

    fn fresh() -> Fresh {
        Fresh {
            store: open(&Space::of(&nodes().url()).url),
            keep: Box::new(()),
        }
    }

    /// Some of each sort; the first asks whichever node its project is on.
    #[test]
    fn cases_pass_on_a_cluster() {
        use store::conformance::*;
        run(admit::projects_are_apart, fresh);
        run(admit::a_refused_batch_leaves_nothing, fresh);
        run(claim::equal_scores_go_by_time_and_number, fresh);
        run(finish::a_failure_is_tried_again, fresh);
        run(graph::a_retry_revives_what_fell, fresh);
        run(locks::everybody_gets_through, fresh);
        run(runs::keys_lead_to_the_newest_run, fresh);
        run(books::entries_are_kept_in_order_of_their_keys, fresh);
        run(cache::the_least_recently_used_goes, fresh);
        run(races::completions_at_once, fresh);
    }

    #[test]
    fn projects_on_several_nodes_are_served_together() {
        Runtime::new().unwrap().block_on(async {
            let lab = Lab::new(fresh().store);
            let labs: Vec<Lab> = (0..12).map(|n| lab.beside(&format!("p{n}"))).collect();
            let added = labs.iter().map(|lab| {
                let lab = lab.clone();
                tokio::spawn(async move { lab.add(&[task("a")]).await })
            });
            for added in added.collect::<Vec<_>>() {
                added.await.unwrap();
            }
            assert_eq!(lab.store.projects().await.unwrap().len(), 12);
            for lab in labs {
                lab.done("a").await;
                lab.assert_sound().await;
            }
        });
    }
}
