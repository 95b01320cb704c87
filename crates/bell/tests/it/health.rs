//! Work that is stuck, as people meet it.

use serde_json::json;

use crate::bench::{Bench, lease};

// proves: SPEC 2.3
#[test]
fn stale_work_is_handed_back_or_cancelled() {
    let bench = Bench::new();
    for id in ["a", "b"] {
        bench.json(&["task", "add", "x", "--id", id, "--priority", "high"]);
    }
    let (first, token) = lease(&bench.json(&["task", "claim", "--worker", "w"]));
    assert_eq!(bench.json(&["queue", "stale", "--older", "1h"])["count"], 0);
    let stale = bench.json(&["queue", "stale", "--older", "1ms"]);
    assert_eq!(
        (&stale["tasks"], &stale["attempts"][0]["became"]),
        (&json!([first]), &json!(null))
    );
    let back = bench.json(&["queue", "stale", "--older", "1ms", "--release"]);
    assert_eq!(back["attempts"][0]["became"], "ready");
    let shown = bench.json(&["task", "show", &first]);
    assert_eq!(
        (&shown["state"], &shown["lease"]),
        (&json!("ready"), &json!(null))
    );
    let late = bench.problem(&["task", "complete", &first, "--token", &token]);
    assert_eq!(late.0, "lease-lost", "who had it is fenced off");

    bench.json(&["task", "claim", "--worker", "w"]);
    let ended = bench.json(&["queue", "stale", "--older", "1ms", "--cancel"]);
    assert_eq!(ended["attempts"][0]["became"], "cancelled");
    assert_eq!(bench.bell(&["queue", "stale", "--cancel", "--release"]).exit, 2);
}

// proves: DESIGN 6
#[test]
fn what_is_stuck_is_told_with_its_cure() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks: { holder: { prompt: x, priority: 10, locks: [db] }, waiter: { prompt: x, priority: 1, locks: [db] },
            ask: { breakpoint: may it go? },
            bad: { prompt: x, priority: 9, breaker: pay }, after: { prompt: x, after: [bad], on_upstream_failure: block } }",
    );
    bench.json(&["submit", "plan.yaml"]);
    let asks = bench.bell(&["queue", "problems", "--json"]);
    assert!(
        asks.out.contains("needs_answer") && asks.out.contains("\"count\":1"),
        "{asks:?}"
    );
    bench.json(&["breaker", "set", "key:pay", "--failures", "1", "--timeout", "1h"]);
    let claimed = bench.json(&["task", "claim", "--worker", "w", "--max", "2"]);
    let token = |at: usize| claimed["leases"][at]["token"].as_str().unwrap().to_owned();
    let bad = token(1);
    bench.json(&[
        "task",
        "fail",
        "bad",
        "--token",
        &bad,
        "--error",
        "refused",
        "--no-retry",
    ]);
    bench.json(&["task", "claim", "--worker", "w", "--max", "9"]);
    bench.json(&["task", "suspend", "holder"]);
    let said = bench.bell(&["queue", "problems", "--json"]);
    assert_eq!(said.exit, 1);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let kinds: Vec<&str> = told["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["problem"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["lock_held", "breaker_open", "needs_answer", "waits_for_retry"],
        "{told}"
    );
    let doctor = bench.bell(&["doctor"]).out;
    assert!(doctor.contains("4 problems"), "{doctor}");

    let other = ["--project", "other"];
    bench.json(&[&["task", "add", "x", "--id", "late"][..], &other].concat());
    bench.json(&[&["task", "claim", "--worker", "w", "--ttl", "1ms"][..], &other].concat());
    let said = bench.bell(&[&["queue", "problems", "--json"][..], &other].concat());
    assert!(said.out.contains("lease_expired"), "{said:?}");
}

// proves: DESIGN 6
#[test]
fn what_nobody_could_take_is_told_at_once() {
    let bench = Bench::new();
    bench.json(&["task", "add", "x", "--id", "t", "--needs", "zzz"]);
    let told = bench.bell(&["queue", "problems", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let problem = &told["problems"][0];
    assert_eq!(
        (&problem["problem"], &problem["tasks"]),
        (&json!("nobody_takes_it"), &json!(["t"]))
    );
    let since = problem["since"].as_str().unwrap();
    assert!(since.ends_with('Z') && since.contains('T'), "{since}");
    bench.json(&["agent", "register", "ada", "--capability", "zzz"]);
    assert_eq!(bench.json(&["queue", "problems"])["count"], 0);
}

// proves: SPEC 4.1
#[test]
fn a_deadlock_is_told_with_its_circle_and_a_way_out() {
    let bench = Bench::new();
    bench.json(&["task", "add", "parent", "--id", "parent", "--lock", "path:src"]);
    bench.json(&["task", "claim", "--worker", "w"]);
    // The parent's program waits for the report, which waits for a build that needs what the parent holds.
    bench.json(&["task", "add", "build", "--id", "build", "--lock", "path:src/api"]);
    bench.json(&[
        "task", "add", "report", "--id", "report", "--after", "build", "--parent", "parent",
    ]);
    assert_eq!(
        bench.json(&["task", "claim", "--worker", "v"])["leases"],
        json!([])
    );
    let said = bench.bell(&["queue", "problems", "--json"]);
    assert_eq!(said.exit, 1);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["problems"][0]["problem"], "deadlock", "{told}");
    let cause = told["problems"][0]["cause"].as_str().unwrap();
    for step in [
        "parent waits for its subtask report",
        "report waits for the end of build",
        "build waits for the lock path:src of parent",
    ] {
        assert!(cause.contains(step), "{cause}");
    }
    bench.json(&["lock", "break", "path:src", "--now", "--reason", "deadlock"]);
    bench.json(&["task", "cancel", "parent"]);
    assert_eq!(lease(&bench.json(&["task", "claim", "--worker", "v"])).0, "build");
    assert_eq!(bench.bell(&["queue", "problems"]).exit, 0);
}
