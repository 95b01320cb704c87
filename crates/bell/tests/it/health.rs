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
        (&stale["tasks"][0]["task"], &stale["tasks"][0]["became"]),
        (&json!(first), &json!(null))
    );
    let back = bench.json(&["queue", "stale", "--older", "1ms", "--release"]);
    assert_eq!(back["tasks"][0]["became"], "ready");
    let shown = bench.json(&["task", "show", &first]);
    assert_eq!(
        (&shown["state"], &shown["lease"]),
        (&json!("ready"), &json!(null))
    );
    let late = bench.problem(&["task", "complete", &first, "--token", &token]);
    assert_eq!(late.0, "lease-lost", "who had it is fenced off");

    bench.json(&["task", "claim", "--worker", "w"]);
    let ended = bench.json(&["queue", "stale", "--older", "1ms", "--cancel"]);
    assert_eq!(ended["tasks"][0]["became"], "cancelled");
    assert_eq!(bench.bell(&["queue", "stale", "--cancel", "--release"]).exit, 2);
}
