//! Dead letters, as people meet them.

use serde_json::{Value, json};

use crate::bench::{Bench, lease};

/// Tasks that fail with these messages, each with one that waits for it.
fn broken(messages: &[&str]) -> Bench {
    let bench = Bench::new();
    for (i, message) in messages.iter().enumerate() {
        let (id, then) = (format!("t{i}"), format!("then{i}"));
        bench.json(&["task", "add", "x", "--id", &id, "--kind", "build"]);
        bench.json(&["task", "add", "x", "--id", &then, "--after", &id]);
        let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "w"]));
        bench.json(&["task", "fail", &id, "--token", &token, "--error", message]);
    }
    bench
}

fn groups(bench: &Bench) -> Vec<Value> {
    bench.json(&["dlq", "groups"])["groups"]
        .as_array()
        .unwrap()
        .clone()
}

// proves: SPEC 5.5, DESIGN 8
#[test]
fn failures_with_one_cause_are_one_group() {
    let bench = broken(&[
        "no host db-1 after 3 s",
        "no host db-7 after 30 s",
        "out of memory",
    ]);
    let found = groups(&bench);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["message"], "no host db-<n> after <n> s");
    assert_eq!(
        (&found[0]["count"], &found[0]["fell"], &found[0]["example"]),
        (&json!(2), &json!(2), &json!("t1"))
    );
    let key = found[0]["signature"].as_str().unwrap();
    let listed = bench.json(&["dlq", "list", "--signature", &key[..6]]);
    assert_eq!(listed["count"], 2);
    let history = bench.bell(&["task", "history", "t0", "--json"]).out;
    assert!(
        history.contains("task.escalated") && history.contains(key),
        "{history}"
    );

    let again = bench.json(&["dlq", "requeue", "--signature", key]);
    assert_eq!(again["count"], 2);
    assert_eq!(bench.json(&["task", "show", "then0"])["state"], "blocked");
    assert_eq!(groups(&bench).len(), 1);
    let shown = bench.shown(&["dlq", "groups"]);
    assert!(shown.contains("exhausted: out of memory"), "{shown}");
}

#[test]
fn many_are_chosen_by_filter_and_previewed() {
    let bench = broken(&["a", "b"]);
    let preview = bench.json(&["dlq", "drop", "--kind", "build", "--dry-run"]);
    assert_eq!(
        preview,
        json!({"dry_run": true, "tasks": ["t0", "t1"], "count": 2})
    );
    let shown = bench.bell(&["dlq", "requeue", "--all", "--dry-run"]);
    assert_eq!(shown.out, "would try again 2:\n  t0\n  t1\n");
    assert_eq!(bench.json(&["dlq", "list"])["count"], 2, "nothing has happened");

    for none in [
        ["--kind", "deploy"],
        ["--older-than", "1h"],
        ["--reason", "timeout"],
    ] {
        let answer = bench.json(&[&["dlq", "drop"][..], &none].concat());
        assert_eq!(answer["count"], 0, "{none:?}");
    }
    assert_eq!(bench.problem(&["dlq", "drop", "--reason", "exhausted"]).1, 2);
    let dropped = bench.json(&["dlq", "drop", "--reason", "exhausted", "--yes"]);
    assert_eq!(dropped["count"], 2);
    assert_eq!(dropped["tasks"][0]["state"], "failed");
    assert_eq!(
        (groups(&bench).len(), bench.problem(&["dlq", "show", "t0"]).1),
        (0, 1)
    );
    assert_eq!(bench.problem(&["dlq", "drop", "--reason", "boredom"]).1, 2);
    assert_eq!(bench.problem(&["dlq", "drop"]).1, 2);
}
