//! The command line as tools.

use serde_json::{Value, json};

use super::client::Client;
use crate::bench::Bench;

fn names(client: &mut Client) -> Vec<String> {
    let tools = client.tools();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

// proves: DESIGN 9
#[test]
fn commands_are_tools_and_answer_with_their_json() {
    let bench = Bench::new();
    let mut client = Client::start(&bench, &["--tools", "all", "--agent", "ann"]);
    let added = client.does(
        "bell_task_add",
        json!({ "name": "-x", "id": "a", "needs": ["python"], "priority": 8, "input": { "n": 1 } }),
    );
    assert_eq!(
        (&added["id"], &added["name"], &added["priority"]),
        (&json!("a"), &json!("-x"), &json!(8))
    );
    assert_eq!(
        client.does("bell_task_show", json!({ "id": "a" })),
        bench.json(&["task", "show", "a"])
    );
    assert_eq!(
        client.does("bell_queue_status", json!({})),
        bench.json(&["queue", "status"])
    );
    client.does("bell_task_suspend", json!({ "id": "a" }));
    assert_eq!(bench.json(&["task", "show", "a"])["state"], "suspended");
    let events = client.does("bell_events", json!({ "limit": 2 }));
    assert!(
        events["events"]
            .as_array()
            .is_some_and(|events| events.len() == 2),
        "{events}"
    );
    let stopped = bench.json(&["task", "history", "a"]);
    assert!(stopped.to_string().contains("agent:ann"), "{stopped}");
    let problems = client.does("bell_queue_problems", json!({}));
    assert_eq!(
        problems["count"].as_u64().unwrap() > 0,
        problems["exit"] == 1,
        "{problems}"
    );
    bench.write("p.yaml", "tasks:\n  a: { run: x }\n");
    let path = bench.path().join("p.yaml");
    let checked = client.does("bell_plan_check", json!({ "plan": path }));
    assert_eq!(checked, bench.json(&["plan", "check", path.to_str().unwrap()]));
}

#[test]
fn what_is_wrong_is_an_error_like_any_other() {
    let bench = Bench::new();
    let mut client = Client::start(&bench, &["--tools", "all"]);
    for (tool, arguments, code) in [
        ("bell_task_show", json!({ "id": "zzz" }), "task-not-found"),
        ("bell_task_show", json!({}), "invalid-argument"),
        ("bell_task_show", json!({ "idd": "x" }), "invalid-argument"),
        ("bell_task_list", json!({ "state": ["redy"] }), "invalid-argument"),
        (
            "bell_task_add",
            json!({ "name": "x", "input": "-" }),
            "invalid-argument",
        ),
        ("bell_nothing", json!({}), "tool-not-found"),
    ] {
        assert_eq!(
            client.call(tool, arguments.clone()).unwrap_err()["code"],
            code,
            "{tool} {arguments}"
        );
    }
}

// proves: DESIGN 10
#[test]
fn no_tool_lets_an_agent_choose_a_command() {
    let bench = Bench::new();
    let mut client = Client::start(&bench, &["--tools", "all"]);
    for tool in client.tools() {
        let takes = &tool["inputSchema"]["properties"];
        assert_eq!(takes["run"], Value::Null, "{tool}");
        assert_eq!(takes["follow"], Value::Null, "{tool}");
    }
    let all = names(&mut client);
    for never in [
        "bell_run",
        "bell_worker_run",
        "bell_mcp",
        "bell_store_copy",
        "bell_submit",
    ] {
        assert!(!all.iter().any(|name| name == never), "{never}");
    }
    assert_eq!(
        client.refused("bell_task_add", json!({ "name": "x", "run": "rm -rf /" })),
        "invalid-argument"
    );
    let mut allowed = Client::start(&bench, &["--tools", "all", "--allow-commands"]);
    assert!(names(&mut allowed).contains(&"bell_submit".to_owned()));
    assert_eq!(
        allowed.does("bell_task_add", json!({ "name": "x", "run": "true" }))["kind"],
        "command"
    );
}

#[test]
fn long_lists_come_in_pages() {
    let bench = Bench::new();
    let mut client = Client::start(&bench, &["--tools", "all"]);
    let first = client.ask("tools/list", json!({})).unwrap();
    assert_eq!(first["tools"].as_array().unwrap().len(), 50);
    assert!(first["nextCursor"].is_string());
    let mut all = names(&mut client);
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert!(count > 60 && all.len() == count, "{count}");
    assert_eq!(
        client.ask("tools/list", json!({ "cursor": "x" })).unwrap_err()["code"],
        -32602
    );
}

#[test]
fn who_may_only_look_steers_nothing() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut client = Client::start(&bench, &["--tools", "all", "--read-only"]);
    assert_eq!(
        client.does("bell_task_show", json!({ "id": "a" }))["state"],
        "ready"
    );
    assert_eq!(
        client.refused("bell_task_cancel", json!({ "id": "a" })),
        "forbidden"
    );
}
