//! What became of tasks and their tries.

use serde_json::json;

use crate::bench::{Bench, lease};

fn fail(bench: &Bench, id: &str) -> serde_json::Value {
    let (claimed, token) = lease(&bench.json(&["task", "claim", "--worker", "w"]));
    assert_eq!(claimed, id);
    bench.json(&["task", "fail", id, "--token", &token, "--error", "boom"])
}

// proves: SPEC 5.4
#[test]
fn tries_and_their_delays_are_told() {
    let bench = Bench::new();
    let empty = bench.bell(&["queue", "stats"]);
    assert_eq!(empty.exit, 4, "no store yet");
    bench.json(&[
        "task", "add", "a", "--id", "a", "--retry", "task", "--kind", "build",
    ]);
    bench.json(&[
        "task",
        "add",
        "b",
        "--id",
        "b",
        "--kind",
        "ship",
        "--priority",
        "low",
    ]);
    assert_eq!(fail(&bench, "a")["state"], "retrying");
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "w"]));
    bench.json(&["task", "complete", "b", "--token", &token]);

    let attempts = bench.json(&["task", "show", "a"])["attempts"].clone();
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[0]["retry_delay_ms"]),
        (&json!("failed"), &json!(60_000))
    );
    assert!(attempts[0]["retry_at"].is_string());
    assert!(bench.bell(&["task", "show", "a"]).out.contains("1m"));

    bench.json(&["task", "cancel", "a"]);
    bench.json(&["task", "add", "c", "--id", "c", "--kind", "ship"]);
    assert_eq!(fail(&bench, "c")["state"], "failed");
    let stats = bench.json(&["queue", "stats"]);
    let build = &stats["kinds"]["build"];
    assert_eq!(
        (
            &build["attempts"],
            &build["attempts_failed"],
            &build["retries"],
            &build["cancelled"]
        ),
        (&json!(1), &json!(1), &json!(1), &json!(1))
    );
    assert_eq!(build["delays"]["mean"], 60.0);
    assert_eq!(
        (&build["success_rate"], &stats["kinds"]["ship"]["success_rate"]),
        (&json!(null), &json!(50.0))
    );
    assert_eq!(
        (
            &stats["total"]["submitted"],
            &stats["total"]["dead_letters"],
            &stats["cut"]
        ),
        (&json!(3), &json!(1), &json!(false))
    );
    let shown = bench.bell(&["queue", "stats", "--since", "1h"]).out;
    assert!(shown.contains("50 %") && shown.contains("total"), "{shown}");
}
