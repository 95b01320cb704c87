//! Workers that are far away.

use std::time::{Duration, Instant};

use domain::task::state::State;
use engine::worker::Pace;
use reqwest::StatusCode;
use serde_json::json;

use crate::lab::{Lab, refused};

#[tokio::test]
async fn a_waiting_worker_gets_new_work_at_once() {
    let lab = Lab::new().await;
    let ask = json!({"worker": "w", "wait": "20s"});
    let claim = lab.ok("/v1/leases", &ask);
    let add = async {
        // Whichever comes first: work that waits, or somebody who waits for it.
        lab.ok("/v1/tasks", &json!({"id": "a", "name": "a"})).await;
        Instant::now()
    };
    let (leases, added) = tokio::join!(claim, add);
    assert_eq!(leases["leases"][0]["task"], "a");
    assert!(added.elapsed() < Duration::from_secs(5));
    let none = lab.ok("/v1/leases", &json!({"worker": "w", "wait": 0})).await;
    assert_eq!(none["leases"], json!([]));
}

#[tokio::test]
async fn one_heartbeat_keeps_many_leases_and_tells_what_is_wished() {
    let lab = Lab::new().await;
    let tasks: Vec<_> = (0..3)
        .map(|n| json!({"id": format!("t{n}"), "name": "n"}))
        .collect();
    lab.ok("/v1/tasks", &json!({ "tasks": tasks })).await;
    let leases = lab
        .ok("/v1/leases", &json!({"worker": "w", "max": 3, "ttl": "60s"}))
        .await;
    let tokens: Vec<_> = leases["leases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lease| lease["token"].clone())
        .collect();
    lab.ok("/v1/tasks/t1/suspend", &json!({})).await;
    lab.ok("/v1/tasks/t2/cancel", &json!({})).await;
    let beats: Vec<_> = tokens
        .iter()
        .map(|token| json!({"token": token, "progress": {"n": 1}}))
        .collect();
    let told = lab.ok("/v1/leases/heartbeat", &json!({ "leases": beats })).await;
    let wishes: Vec<_> = told["leases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|beat| beat["wish"].clone())
        .collect();
    assert_eq!(wishes, ["go_on", "suspend", "cancel"]);
    assert_eq!(lab.see("/v1/tasks/t0").await["progress"]["n"], 1);

    let ends = json!({"ends": [
        {"complete": {"token": tokens[0], "result": 7}},
        {"release": {"token": tokens[2]}},
        {"fail": {"token": "1.1.0000000000000001", "error": "x"}},
    ]});
    let settled = lab.ok("/v1/leases/settle", &ends).await;
    assert_eq!(settled["ends"][0]["state"], "completed");
    assert_eq!(settled["ends"][2]["problem"]["code"], "lease-lost");
    assert_eq!(lab.see("/v1/tasks/t0").await["result"], 7);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_comes_back_by_itself() {
    let lab = Lab::new().await;
    lab.ok("/v1/tasks", &json!({"id": "a", "name": "a"})).await;
    lab.ok("/v1/leases", &json!({"worker": "dead", "ttl": "200ms"}))
        .await;
    let again = lab.ok("/v1/leases", &json!({"worker": "w", "wait": "20s"})).await;
    assert_eq!(again["leases"][0]["attempt"], 2);
}

#[tokio::test]
async fn a_server_that_is_told_to_leave_ends_in_good_order() {
    let lab = Lab::new().await;
    lab.ok("/v1/tasks", &json!({"id": "a", "name": "a"})).await;
    lab.pace.send_replace(Pace::Drain);
    lab.served.await.unwrap().unwrap();
    assert_eq!(
        lab.engine
            .store
            .status(&lab.engine.project)
            .await
            .unwrap()
            .counts
            .total(),
        1
    );
}

// proves: DESIGN 13
#[tokio::test]
async fn while_attempts_are_under_way_a_server_that_leaves_still_answers() {
    let lab = Lab::new().await;
    let tasks = json!({"tasks": [{"id": "a", "name": "a"}, {"id": "b", "name": "b"}]});
    lab.ok("/v1/tasks", &tasks).await;
    let leases = lab.ok("/v1/leases", &json!({"worker": "w"})).await;
    let token = leases["leases"][0]["token"].clone();
    lab.pace.send_replace(Pace::Drain);
    while lab.get("/readyz").await.0 != StatusCode::SERVICE_UNAVAILABLE {
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.get("/livez").await.0, StatusCode::OK);
    let more = lab.post("/v1/leases", &json!({"worker": "w"})).await;
    assert_eq!(refused(more), ("server-leaving".to_owned(), 503));
    let beats = json!({"leases": [{"token": token}]});
    let told = lab.ok("/v1/leases/heartbeat", &beats).await;
    assert_eq!(told["leases"][0]["wish"], "go_on");
    lab.ok("/v1/tasks/a/complete", &json!({"token": token})).await;
    // With the last attempt the server goes, long before its time is over.
    lab.served.await.unwrap().unwrap();
    let counts = lab.engine.store.status(&lab.engine.project).await.unwrap().counts;
    assert_eq!((counts.of(State::Completed), counts.of(State::Ready)), (1, 1));
}
