//! The six tools of the task queue service (SPEC 1.11).

use serde_json::{Value, json};

use super::client::Client;
use crate::bench::Bench;

fn all(bench: &Bench) -> Client {
    Client::start(bench, &["--tools", "all"])
}

// proves: SPEC 1.11
#[test]
fn a_task_is_enqueued_with_everything_said_of_it() {
    let bench = Bench::new();
    let mut client = all(&bench);
    let first = client.does(
        "task_enqueue",
        json!({ "description": "collect", "source": "human" }),
    );
    let first = first["task_id"].clone();
    let queued = client.does(
        "task_enqueue",
        json!({
            "description": "build the parser", "source": "agent_planner", "agent_type": "implementer",
            "base_priority": 9, "prerequisites": [first], "parent_task_id": first,
            "deadline": "2096-05-01T12:00:00Z", "estimated_duration_seconds": 90,
            "session_id": "s1", "input_data": { "file": "a.py" },
        }),
    );
    let shown = client.does("task_get", json!({ "task_id": queued["task_id"] }));
    assert_eq!(
        shown,
        bench.json(&["task", "show", queued["task_id"].as_str().unwrap()])
    );
    for (told, of) in [
        ("status", "state"),
        ("calculated_priority", "score"),
        ("dependency_depth", "depth"),
        ("submitted_at", "submitted_at"),
    ] {
        assert_eq!(queued[told], shown[of], "{told}");
    }
    assert_eq!(
        (&queued["status"], &queued["dependency_depth"]),
        (&json!("blocked"), &json!(1))
    );
    assert_eq!(
        (&shown["kind"], &shown["priority"], &shown["source"]),
        (&json!("implementer"), &json!(9), &json!("agent_planner"))
    );
    assert_eq!(shown["deadline"], "2096-05-01T12:00:00.000Z");
    assert_eq!(shown["after"][0]["task"], first);

    let listed = |client: &mut Client, arguments: Value| {
        let listed = client.does("task_list", arguments);
        listed["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut client, json!({})), ["collect", "build the parser"]);
    assert_eq!(listed(&mut client, json!({ "status": "ready" })), ["collect"]);
    assert_eq!(
        listed(&mut client, json!({ "source": "agent_planner" })),
        ["build the parser"]
    );
    assert_eq!(
        listed(&mut client, json!({ "agent_type": "implementer" })),
        ["build the parser"]
    );
    let page = client.does("task_list", json!({ "limit": 1 }));
    assert_eq!(
        listed(&mut client, json!({ "limit": 1, "cursor": page["cursor"] })),
        ["build the parser"]
    );

    let plan = client.does(
        "task_execution_plan",
        json!({ "task_ids": [queued["task_id"], first] }),
    );
    assert_eq!(
        plan,
        json!({ "batches": [[first], [queued["task_id"]]], "total_batches": 2, "max_parallelism": 1 })
    );
    assert_eq!(
        client.does("task_queue_status", json!({})),
        bench.json(&["queue", "status"])
    );
    let cancelled = client.does("task_cancel", json!({ "task_id": first }));
    assert_eq!(
        cancelled,
        json!({ "cancelled_task_id": first, "cascaded_task_ids": [queued["task_id"]], "total_cancelled": 2 })
    );
}

// proves: SPEC 1.11
#[test]
fn errors_have_the_six_names() {
    let bench = Bench::new();
    let mut client = all(&bench);
    for (tool, arguments, name) in [
        ("task_get", json!({ "task_id": "zzz" }), "NotFoundError"),
        ("task_enqueue", json!({ "source": "human" }), "ValidationError"),
        (
            "task_enqueue",
            json!({ "description": "x", "source": "robot" }),
            "ValidationError",
        ),
        (
            "task_enqueue",
            json!({ "description": "x", "source": "human", "base_priority": 11 }),
            "ValidationError",
        ),
        (
            "task_enqueue",
            json!({ "description": "x", "source": "human", "deadline": "2h" }),
            "ValidationError",
        ),
        (
            "task_enqueue",
            json!({ "description": "x", "source": "human", "prerequisites": ["zzz"] }),
            "NotFoundError",
        ),
        ("task_list", json!({ "limit": 501 }), "ValidationError"),
        ("task_nothing", json!({}), "UnknownTool"),
    ] {
        let error = client.call(tool, arguments.clone()).unwrap_err();
        assert_eq!(error["error"], name, "{tool} {arguments}: {error}");
        assert_eq!(error["message"], error["detail"]);
    }
    let task =
        client.does("task_enqueue", json!({ "description": "x", "source": "human" }))["task_id"].clone();
    let claimed = client.does("task_claim", json!({}));
    assert_eq!(claimed["leases"].as_array().unwrap().len(), 1);
    client.does("task_complete", json!({ "task": task }));
    let error = client
        .call("task_cancel", json!({ "task_id": task }))
        .unwrap_err();
    assert_eq!(error["error"], "TaskQueueError");
    assert_eq!(
        bench.json(&["queue", "status"])["total_tasks"],
        1,
        "what was refused was not written"
    );
}
