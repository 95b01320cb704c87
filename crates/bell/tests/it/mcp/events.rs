//! Subscriptions and plans handed in as objects (SPEC 3.6).

use serde_json::{Value, json};

use super::client::Client;
use crate::bench::Bench;

fn told(client: &mut Client, pattern: &str) -> Vec<String> {
    let answer = client.does(
        "subscribe_to_events",
        json!({ "agent_id": "ann", "event_pattern": pattern }),
    );
    let events = answer["events"].as_array().unwrap();
    assert_eq!(answer["count"], events.len());
    events
        .iter()
        .map(|event| {
            format!(
                "{} {}",
                event["type"].as_str().unwrap(),
                event["task"].as_str().unwrap_or("-")
            )
        })
        .collect()
}

// proves: SPEC 3.6
#[test]
fn each_event_is_told_once_also_to_a_later_session() {
    let bench = Bench::new();
    bench.json(&["task", "add", "before", "--id", "before"]);
    let mut client = Client::start(&bench, &["--tools", "all"]);
    assert_eq!(
        told(&mut client, "task_created"),
        [""; 0],
        "what was before is not told"
    );
    assert_eq!(told(&mut client, "task_created:b*"), [""; 0]);
    for id in ["a", "b"] {
        bench.json(&["task", "add", id, "--id", id]);
    }
    assert_eq!(
        told(&mut client, "task_created"),
        ["task.submitted a", "task.submitted b"]
    );
    client.kill();
    let mut again = Client::start(&bench, &["--tools", "all"]);
    assert_eq!(told(&mut again, "task_created"), [""; 0]);
    assert_eq!(told(&mut again, "task_created:b*"), ["task.submitted b"]);
    let id = json!({ "subscription_id": "agent:ann/task_created" });
    assert_eq!(
        again.does("unsubscribe_from_events", id.clone())["unsubscribed"],
        true
    );
    assert_eq!(again.does("unsubscribe_from_events", id)["unsubscribed"], false);
    bench.json(&["task", "add", "c", "--id", "c"]);
    assert_eq!(
        told(&mut again, "task_created"),
        [""; 0],
        "a new subscription begins now"
    );
    let wrong = json!({ "agent_id": "ann", "event_pattern": "task.complted" });
    assert_eq!(again.refused("subscribe_to_events", wrong), "invalid-argument");
}

// proves: SPEC 3.6
#[test]
fn a_plan_may_be_handed_in_as_an_object() {
    let bench = Bench::new();
    let mut client = Client::start(&bench, &["--tools", "all"]);
    let spec = json!({ "name": "report", "tasks": {
        "collect": { "prompt": "collect" },
        "write": { "prompt": "write", "after": ["collect"] },
        "check": { "prompt": "check", "after": ["collect"] },
    } });
    let begun = client.does("execute_workflow", json!({ "workflow_spec": spec }));
    let (run, collect) = (begun["execution_id"].clone(), begun["tasks"]["collect"].clone());
    let status = client.does("get_execution_status", json!({ "task_id": run }));
    assert_eq!(
        (&status["status"], &status["counts"]["blocked"]),
        (&json!("active"), &json!(2))
    );
    let insights = client.does("get_orchestration_insights", json!({}));
    let crowded = insights["bottlenecks"].as_array().unwrap();
    assert!(
        crowded
            .iter()
            .any(|one| one["subject"] == collect && one["kind"] == "waited_for"),
        "{insights}"
    );
    for _ in 0..3 {
        let lease = client.does("task_claim", json!({}))["leases"][0].clone();
        client.does("task_complete", json!({ "task": lease["task"] }));
    }
    let status = client.does("get_execution_status", json!({ "task_id": run }));
    assert_eq!(status["status"], "succeeded");
    assert_eq!(
        client.does("get_execution_status", json!({ "task_id": collect }))["status"],
        "completed"
    );
    let patterns = client.does("get_orchestration_insights", json!({}))["patterns"].clone();
    assert_eq!(
        (&patterns[0]["completed"], &patterns[0]["success_rate"]),
        (&json!(3), &json!(1.0))
    );

    let before = bench.json(&["queue", "status"])["total_tasks"].clone();
    for (tasks, code) in [
        (json!({ "a": { "run": "rm -rf /" } }), "forbidden"),
        (
            json!({ "a": { "prompt": "x", "after": ["a"] } }),
            "plan-self-edge",
        ),
        (json!({ "a": { "promt": "x" } }), "plan-unknown-key"),
        (Value::Null, "plan-invalid-value"),
    ] {
        let error = client
            .call("execute_workflow", json!({ "workflow_spec": { "tasks": tasks } }))
            .unwrap_err();
        assert_eq!(error["code"], code, "{tasks}: {error}");
    }
    assert_eq!(bench.json(&["queue", "status"])["total_tasks"], before);
}
