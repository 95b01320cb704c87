//! Programs that work tasks from a shell: claim, work, complete.

use serde_json::json;

use crate::bench::{Bench, lease};

// proves: DESIGN 4, DESIGN 6
#[test]
fn a_task_walks_from_add_to_complete() {
    let bench = Bench::new();
    let added = bench.json(&["task", "add", "build", "--id", "build", "--run", "make"]);
    assert_eq!(added["state"], "ready");
    bench.json(&["task", "add", "review it", "--id", "review", "--after", "build"]);

    let claimed = bench.json(&["task", "claim", "--worker", "me"]);
    assert_eq!(claimed["leases"].as_array().unwrap().len(), 1);
    assert_eq!(claimed["leases"][0]["run"], "make");
    assert_eq!(claimed["leases"][0]["attempt"], 1);
    let (id, token) = lease(&claimed);
    assert_eq!(id, "build");

    let progress = bench.json(&[
        "task",
        "progress",
        "build",
        "--token",
        &token,
        "--progress",
        r#"{"percent":40}"#,
    ]);
    assert_eq!(progress["state"], "running");
    assert_eq!(
        bench.json(&["task", "show", "build"])["progress"],
        json!({"percent": 40})
    );

    let done = bench.json(&[
        "task",
        "complete",
        "build",
        "--token",
        &token,
        "--result",
        r#"{"ok":true}"#,
    ]);
    assert_eq!(done, json!({"task": "build", "unblocked": ["review"]}));

    let shown = bench.json(&["task", "show", "build"]);
    assert_eq!(shown["state"], "completed");
    assert_eq!(shown["result"], json!({"ok": true}));
    assert_eq!(shown["lease"], json!(null));
    assert_eq!(shown["dependents"], json!(["review"]));
    assert_eq!(shown["attempts"][0]["outcome"], "completed");
    assert_eq!(shown["attempts"][0]["worker"], "me");

    let claimed = bench.json(&["task", "claim", "--worker", "me"]);
    assert_eq!(claimed["leases"][0]["prompt"], "review it");
    assert_eq!(
        bench.json(&["task", "claim", "--worker", "me"]),
        json!({"leases": []})
    );
}

// proves: SPEC 5.4
#[test]
fn a_failure_cancels_what_waits_and_lands_in_the_dead_letters() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    bench.json(&["task", "add", "b", "--id", "b", "--after", "a"]);
    bench.json(&["task", "add", "alert", "--id", "alert", "--after", "a:failure"]);
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "me"]));
    let failed = bench.json(&["task", "fail", "a", "--token", &token, "--error", "boom"]);
    assert_eq!(
        failed,
        json!({"task": "a", "state": "failed", "cancelled": ["b"], "retry_at": null})
    );

    let letters = bench.json(&["dlq", "list"]);
    assert_eq!(letters["count"], 1);
    assert_eq!(letters["tasks"][0]["error"], "boom");
    assert_eq!(bench.json(&["task", "show", "alert"])["state"], "ready");

    // Dropping is for good, so where nobody can be asked it has to be said twice.
    assert_eq!(
        bench.problem(&["dlq", "drop", "--all"]),
        ("invalid-argument".to_owned(), 2)
    );
    let again = bench.json(&["dlq", "requeue", "--all"]);
    assert_eq!(again["tasks"][0]["state"], "ready");
    assert_eq!(bench.json(&["task", "show", "b"])["state"], "blocked");
}

// proves: SPEC 2.4
#[test]
fn retries_wait_for_their_time() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a", "--retry", "task"]);
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "me"]));
    let failed = bench.json(&["task", "fail", "a", "--token", &token, "--error", "boom"]);
    assert_eq!(failed["state"], "retrying");
    assert!(failed["retry_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        bench.json(&["task", "claim", "--worker", "me"]),
        json!({"leases": []})
    );
    assert_eq!(bench.json(&["task", "retry", "a"])["state"], "ready");
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "me"]));
    let failed = bench.json(&[
        "task",
        "fail",
        "a",
        "--token",
        &token,
        "--error",
        "boom",
        "--no-retry",
    ]);
    assert_eq!(failed["state"], "failed");
    let attempts = bench.json(&["task", "show", "a"])["attempts"].clone();
    assert_eq!(attempts.as_array().unwrap().len(), 2);
}

#[test]
fn an_expired_lease_goes_to_the_next_claim_and_the_old_token_is_refused() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let claim = ["task", "claim", "--worker", "one", "--ttl", "1s"];
    let (_, old) = lease(&bench.json(&claim));
    let mut taken = json!({"leases": []});
    // The second claim succeeds at the moment the lease runs out, and not before.
    while taken == json!({"leases": []}) {
        taken = bench.json(&["task", "claim", "--worker", "two"]);
    }
    let (_, token) = lease(&taken);
    assert_eq!(taken["leases"][0]["attempt"], 2);
    let (code, exit) = bench.problem(&["task", "complete", "a", "--token", &old]);
    assert_eq!((code.as_str(), exit), ("lease-lost", 1));
    bench.json(&["task", "complete", "a", "--token", &token]);
    let attempts = bench.json(&["task", "show", "a"])["attempts"].clone();
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[1]["outcome"]),
        (&json!("lost"), &json!("completed"))
    );
}

#[test]
fn a_release_costs_no_try_and_no_start_waits_for_start() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let claimed = bench.json(&["task", "claim", "--worker", "me", "--no-start", "--full"]);
    assert_eq!(claimed["leases"][0]["full"]["state"], "assigned");
    let (_, token) = lease(&claimed);
    assert_eq!(
        bench.json(&["task", "start", "a", "--token", &token])["state"],
        "running"
    );
    assert_eq!(
        bench.json(&["task", "release", "a", "--token", &token])["state"],
        "ready"
    );
    let attempts = bench.json(&["task", "show", "a"])["attempts"].clone();
    assert_eq!(attempts[0]["outcome"], "released");
}

#[test]
fn claims_go_by_capability_kind_and_agent() {
    let bench = Bench::new();
    bench.json(&[
        "task", "add", "p", "--id", "p", "--needs", "python", "--needs", "review",
    ]);
    bench.json(&["task", "add", "k", "--id", "k", "--kind", "docs"]);
    bench.json(&["task", "add", "r", "--id", "r", "--agent", "reviewer"]);
    let claim = |args: &[&str]| {
        let claimed = bench.json(&[&["task", "claim"], args].concat());
        claimed["leases"][0]["task"].as_str().map(str::to_owned)
    };
    assert_eq!(
        claim(&["--worker", "w", "--capability", "python", "--kind", "agent"]),
        None
    );
    assert_eq!(claim(&["--worker", "w", "--kind", "docs"]).as_deref(), Some("k"));
    assert_eq!(claim(&["--worker", "w"]), None);
    assert_eq!(claim(&["--worker", "reviewer"]).as_deref(), Some("r"));
    let both = [
        "--worker",
        "w",
        "--capability",
        "review",
        "--capability",
        "python",
    ];
    assert_eq!(claim(&both).as_deref(), Some("p"));
}

#[test]
fn idempotency_keys_make_repeats_harmless() {
    let bench = Bench::new();
    let add = ["task", "add", "a", "--idempotency-key", "k1"];
    let first = bench.json(&add);
    let second = bench.json(&add);
    assert_eq!(first["id"], second["id"]);
    let (code, exit) = bench.problem(&["task", "add", "other", "--idempotency-key", "k1"]);
    assert_eq!((code.as_str(), exit), ("idempotency-conflict", 1));

    let (id, token) = lease(&bench.json(&["task", "claim", "--worker", "me"]));
    let complete = [
        "task",
        "complete",
        &id,
        "--token",
        &token,
        "--idempotency-key",
        "k2",
    ];
    let first = bench.json(&complete);
    assert_eq!(first, bench.json(&complete));
    let (code, _) = bench.problem(&["task", "complete", &id, "--token", &token]);
    assert_eq!(code, "lease-lost");
}

#[test]
fn locks_keep_two_workers_apart() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a", "--lock", "path:src"]);
    bench.json(&["task", "add", "b", "--id", "b", "--lock", "path:src/auth"]);
    let claimed = bench.json(&["task", "claim", "--worker", "me", "--max", "2"]);
    assert_eq!(claimed["leases"].as_array().unwrap().len(), 1);
    let (_, token) = lease(&claimed);
    let locks = bench.json(&["lock", "list"]);
    assert_eq!(locks["count"], 1);
    assert_eq!(locks["locks"][0]["holder"], "a");
    let why = bench.json(&["task", "why", "b"]);
    assert_eq!(why["locks"][0]["holders"], json!(["a"]));
    bench.json(&["task", "complete", "a", "--token", &token]);
    assert_eq!(lease(&bench.json(&["task", "claim", "--worker", "me"])).0, "b");
}
