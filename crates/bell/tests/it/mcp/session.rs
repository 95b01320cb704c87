//! What a session holds, and for how long.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Client;
use crate::bench::Bench;

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_server_introduces_itself_in_every_version() {
    let bench = Bench::new();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut command = bench.command(&["mcp", "--tools", "core"]);
        let mut client = Client::of(&mut command, version);
        assert_eq!(client.hello["protocolVersion"], version);
        assert_eq!(client.hello["serverInfo"]["name"], "bellwether");
        assert_eq!(client.tools().len(), 10);
        assert_eq!(client.close(), 0);
    }
}

/// The newest version knows no handshake: each request says what it needs.
#[test]
fn the_newest_version_needs_no_handshake() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut client = Client::start(&bench, &["--tools", "core"]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "new", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = client.ask("server/discover", json!({ "_meta": meta })).unwrap();
    assert!(
        found["supportedVersions"]
            .as_array()
            .unwrap()
            .contains(&json!("2026-07-28")),
        "{found}"
    );
    let call = json!({ "name": "task_claim", "arguments": {}, "_meta": meta });
    let answer = client.ask("tools/call", call).unwrap();
    assert_eq!(answer["structuredContent"]["leases"][0]["task"], "a");
}

// proves: DESIGN 9
#[test]
fn an_agent_that_thinks_loses_nothing() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut ann = Client::start(&bench, &["--tools", "core", "--ttl", "3s"]);
    let claimed = ann.does("task_claim", json!({}));
    let end = |bench: &Bench| {
        bench.json(&["task", "show", "a"])["lease"]["expires_at"]
            .as_str()
            .map(str::to_owned)
    };
    let first = claimed["leases"][0]["expires_at"].as_str().unwrap().to_owned();
    // Three lease times without a call: each end that is seen is later than the one before.
    let mut last = first.clone();
    for _ in 0..3 {
        last = until("the lease is renewed", || end(&bench).filter(|end| *end > last));
    }
    assert_eq!(
        bench.json(&["task", "claim", "--worker", "bob"]),
        json!({ "leases": [] })
    );
    ann.does("task_complete", json!({ "task": "a" }));
    assert_eq!(
        bench.json(&["task", "show", "a"])["attempts"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

// proves: DESIGN 9
#[test]
fn a_session_that_dies_loses_its_leases_after_their_time() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    for clean in [true, false] {
        let mut ann = Client::start(&bench, &["--tools", "core", "--ttl", "1s"]);
        let claimed = ann.does("task_claim", json!({}));
        if clean {
            assert_eq!(ann.close(), 0);
        } else {
            ann.kill();
        }
        let lost = until("the lease ends", || {
            let shown = bench.json(&["task", "show", "a"]);
            let last = shown["attempts"].as_array()?.last()?.clone();
            (shown["state"] == "ready").then_some(last)
        });
        assert_eq!(lost["outcome"], "lost");
        let end = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
        assert!(
            end(&lost, "finished_at") >= end(&claimed["leases"][0], "expires_at"),
            "not before its time"
        );
    }
}

// proves: DESIGN 9
#[test]
fn another_session_needs_the_token() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut ann = Client::start(&bench, &["--tools", "core"]);
    let claimed = ann.does("task_claim", json!({}));
    let token = claimed["leases"][0]["token"].clone();
    ann.kill();
    let mut again = Client::start(&bench, &["--tools", "core"]);
    assert_eq!(
        again.refused("task_complete", json!({ "task": "a" })),
        "token-needed"
    );
    assert_eq!(
        again.does("task_start", json!({ "task": "a", "token": token }))["state"],
        "running"
    );
    assert_eq!(again.does("task_why", json!({}))["held"], json!(["a"]));
    again.does("task_complete", json!({ "task": "a" }));
}

#[test]
fn an_agent_is_told_when_its_work_is_over() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut ann = Client::start(&bench, &["--tools", "core", "--ttl", "1s"]);
    ann.does("task_claim", json!({}));
    bench.json(&["task", "cancel", "a"]);
    let note = until("the note", || {
        let answer = ann
            .ask("tools/call", json!({ "name": "task_why", "arguments": {} }))
            .unwrap();
        answer["content"][1]["text"].as_str().map(str::to_owned)
    });
    assert!(note.contains("stop working on task a"), "{note}");
    assert_eq!(
        ann.refused("task_complete", json!({ "task": "a" })),
        "token-needed"
    );
}

#[test]
fn a_cancelled_attempt_frees_its_locks_once_its_agent_knows() {
    let bench = Bench::new();
    for id in ["a", "b"] {
        bench.json(&["task", "add", id, "--id", id, "--lock", "db"]);
    }
    let mut ann = Client::start(&bench, &["--tools", "core"]);
    ann.does("task_claim", json!({}));
    bench.json(&["task", "cancel", "a"]);
    assert_eq!(
        ann.does("task_claim", json!({})),
        json!({ "leases": [] }),
        "the lock is still held"
    );
    assert_eq!(ann.refused("task_complete", json!({ "task": "a" })), "lease-lost");
    assert_eq!(ann.does("task_claim", json!({}))["leases"][0]["task"], "b");
}

#[test]
fn a_claim_may_wait_for_work() {
    let bench = Bench::new();
    let mut ann = Client::start(&bench, &["--tools", "core"]);
    let call = json!({ "name": "task_claim", "arguments": { "wait": 50 }, "_meta": { "progressToken": 7 } });
    let id = ann.send("tools/call", call);
    let told = ann.read();
    assert_eq!(told["method"], "notifications/progress");
    assert_eq!(
        (&told["params"]["progressToken"], &told["params"]["total"]),
        (&json!(7), &json!(50.0))
    );
    bench.json(&["task", "add", "a", "--id", "a"]);
    let answer = ann.wait(id).unwrap();
    assert_eq!(answer["structuredContent"]["leases"][0]["task"], "a");
}

#[test]
fn a_cancelled_claim_takes_nothing() {
    let bench = Bench::new();
    let mut ann = Client::start(&bench, &["--tools", "core"]);
    let call = json!({ "name": "task_claim", "arguments": { "wait": 50 }, "_meta": { "progressToken": 1 } });
    let id = ann.send("tools/call", call);
    assert_eq!(ann.read()["method"], "notifications/progress");
    ann.say(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id },
    }));
    // The session has read the cancellation when it answers what came after.
    ann.ask("ping", json!({})).unwrap();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let holder = || bench.json(&["task", "show", "a"])["lease"].clone();
    assert_eq!(holder(), Value::Null);
    assert_eq!(ann.does("task_claim", json!({}))["leases"][0]["task"], "a");
}

#[test]
fn who_may_only_look_changes_nothing() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut ann = Client::start(&bench, &["--tools", "core", "--read-only"]);
    assert_eq!(ann.refused("task_claim", json!({})), "forbidden");
    assert_eq!(ann.does("task_why", json!({ "task": "a" }))["state"], "ready");
}
