//! Requests that come again with their key.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::lab::{Lab, refused, told};

async fn send(lab: &Lab, key: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = lab.request(Method::POST, path).header("Idempotency-Key", key);
    told(request.json(body)).await
}

// proves: DESIGN 13
#[tokio::test]
async fn a_claim_and_its_settling_happen_once() {
    let lab = Lab::new().await;
    lab.ok(
        "/v1/tasks",
        &json!({"tasks": [{"id": "a", "name": "a"}, {"id": "b", "name": "b"}]}),
    )
    .await;
    let claim = json!({"worker": "w"});
    let (status, first) = send(&lab, "c", "/v1/leases", &claim).await;
    assert_eq!(
        (status, &first["leases"][0]["task"]),
        (StatusCode::OK, &json!("a"))
    );
    let again = lab
        .request(Method::POST, "/v1/leases")
        .header("Idempotency-Key", "c");
    let again = again.json(&claim).send().await.unwrap();
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let other = send(&lab, "c", "/v1/leases", &json!({"worker": "w", "max": 2})).await;
    assert_eq!(refused(other), ("idempotency-conflict".to_owned(), 409));
    let elsewhere = send(&lab, "c", "/v1/leases/heartbeat", &claim).await;
    assert_eq!(refused(elsewhere), ("idempotency-conflict".to_owned(), 409));
    let another = lab.request(Method::POST, "/v1/leases?project=other");
    let another = told(another.header("Idempotency-Key", "c").json(&claim)).await;
    assert_eq!(another.1["leases"], json!([]), "each project has its own keys");

    let ends = json!({"ends": [{"complete": {"token": first["leases"][0]["token"], "result": 7}}]});
    let settled = send(&lab, "s", "/v1/leases/settle", &ends).await;
    assert_eq!(settled.1["ends"][0]["state"], "completed");
    assert_eq!(send(&lab, "s", "/v1/leases/settle", &ends).await, settled);
    assert_eq!(lab.see("/v1/queue").await["ready"], 1, "b was never leased");
}

#[tokio::test]
async fn those_who_come_together_get_one_answer() {
    let lab = Lab::new().await;
    let tasks: Vec<Value> = (0..8).map(|n| json!({"name": format!("t{n}")})).collect();
    lab.ok("/v1/tasks", &json!({ "tasks": tasks })).await;
    let claim = json!({"worker": "w"});
    let asked = (0..8).map(|_| send(&lab, "c", "/v1/leases", &claim));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert_eq!(lab.see("/v1/queue").await["ready"], 7);
}

// proves: DESIGN 13
#[tokio::test]
async fn what_is_kept_by_name_is_made_and_changed_once() {
    let lab = Lab::new().await;
    let twice = async |key: &str, path: &str, body: Value| {
        let first = send(&lab, key, path, &body).await;
        assert!(first.0.is_success(), "{path}: {first:?}");
        assert_eq!(send(&lab, key, path, &body).await, first, "{path}");
        first.1
    };
    twice("1", "/v1/agents", json!({"name": "ann"})).await;
    let report = json!({"success": false, "duration": "90s"});
    twice("2", "/v1/agents/ann/report", report.clone()).await;
    assert_eq!(lab.see("/v1/agents/ann").await["record"]["failed"], 1);
    send(&lab, "3", "/v1/agents/ann/report", &report).await;
    assert_eq!(lab.see("/v1/agents/ann").await["record"]["failed"], 2);
    twice("4", "/v1/agents/ann/learn", json!({"capability": "sql"})).await;
    let schedule = json!({"name": "s", "every": "1h", "task": {"name": "x", "prompt": "x"}});
    twice("5", "/v1/schedules", schedule).await;
    let plan = json!({"name": "p", "tasks": {"a": {"run": "true"}}});
    twice("6", "/v1/runs", json!({"plan": plan, "new": true})).await;
    assert_eq!(lab.see("/v1/runs").await["count"], 1);

    // What was refused has changed nothing, and is asked again with the same key.
    let wrong = send(&lab, "7", "/v1/agents/bob/report", &report).await;
    assert_eq!(refused(wrong), ("agent-not-found".to_owned(), 404));
    lab.ok("/v1/agents", &json!({"name": "bob"})).await;
    twice("7", "/v1/agents/bob/report", report).await;
}

#[tokio::test]
async fn what_cannot_be_answered_twice_takes_no_key_and_says_so() {
    let lab = Lab::new().await;
    for (path, body) in [
        ("/v1/tokens", json!({"name": "x", "role": "reader"})),
        ("/v1/stream/ticket", json!({})),
        ("/v1/store", json!({})),
    ] {
        let (status, problem) = send(&lab, "k", path, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {problem}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("takes no `Idempotency-Key`")
        );
    }
    let described = lab.see("/v1/openapi.json").await;
    let takes = |path: &str, method: &str| {
        let parameters = described["paths"][path][method]["parameters"].as_array().unwrap();
        parameters.iter().any(|one| one["name"] == "Idempotency-Key")
    };
    for path in [
        "/v1/tasks",
        "/v1/leases",
        "/v1/leases/settle",
        "/v1/agents",
        "/v1/runs",
    ] {
        assert!(takes(path, "post"), "{path}");
    }
    assert!(takes("/v1/agents/{name}", "delete"));
    for path in [
        "/v1/tokens",
        "/v1/stream/ticket",
        "/v1/store",
        "/v1/plans/check",
        "/v1/queue/order",
    ] {
        assert!(!takes(path, "post"), "{path}");
    }
}
