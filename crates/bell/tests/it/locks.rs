//! Locks: who has them, who waits, and taking one away.

use serde_json::json;

use crate::bench::{Bench, lease};
use crate::schedules::{end, until};

#[test]
fn holders_and_waiters_are_told() {
    let bench = Bench::new();
    for id in ["first", "second", "third"] {
        bench.json(&["task", "add", id, "--id", id, "--lock", "db"]);
    }
    bench.json(&["task", "claim", "--worker", "me", "--max", "3"]);
    let list = bench.json(&["lock", "list"]);
    let lock = &list["locks"][0];
    assert_eq!(
        (
            &lock["name"],
            &lock["holder"],
            &lock["worker"],
            &lock["waiting"],
            &lock["waiters"]
        ),
        (
            &json!("db"),
            &json!("first"),
            &json!("me"),
            &json!(2),
            &json!(["second", "third"])
        )
    );
    assert!(lock["since"].is_string() && lock["expires_at"].is_string());
    insta::assert_snapshot!(bench.shown(&["lock", "list"]), @r"
    exit 0
    MODE       HOLDER  WORKER  FOR  NAME  WAITING  FIRST
    exclusive  first   me SPAN  db          2  second
    ");
}

#[test]
fn a_lock_is_taken_from_a_holder_that_nobody_can_reach() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a", "--lock", "path:src"]);
    bench.json(&["task", "add", "b", "--id", "b", "--lock", "path:src/auth"]);
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "gone"]));
    assert_eq!(
        bench.problem(&["lock", "break", "path:srcs", "--reason", "x"]),
        ("lock-not-held".to_owned(), 2)
    );
    assert_eq!(bench.problem(&["lock", "break", "path:src"]).1, 2, "why?");
    insta::assert_snapshot!(bench.shown(&["lock", "break", "path:src/", "--reason", "gone home"]), @r"
    exit 0
    a has lost path:src, which is free when it has stopped, TIME (in SPAN) at the latest
    -- stderr
    hint: if you know that it has stopped, --now does not wait
    ");
    // The holder is fenced, and nobody has the lock before its lease has ended.
    assert_eq!(
        bench.problem(&["task", "complete", "a", "--token", &token]),
        ("lease-lost".to_owned(), 1)
    );
    assert_eq!(
        bench.json(&["task", "claim", "--worker", "me", "--max", "2"])["leases"],
        json!([])
    );
    let broken = bench.json(&["lock", "break", "path:src", "--now", "--reason", "asked her"]);
    assert_eq!(broken["holders"], json!([{"task": "a", "free_at": null}]));
    bench.json(&["task", "cancel", "a"]);
    assert_eq!(lease(&bench.json(&["task", "claim", "--worker", "me"])).0, "b");
    let events = bench.json(&["events", "--type", "lock.broken"]);
    assert_eq!(
        (&events["count"], &events["events"][1]["data"]),
        (
            &json!(2),
            &json!({"lock": "path:src", "why": "asked her", "at_once": true})
        )
    );
}

#[test]
fn a_worker_whose_lock_is_broken_stops_and_lets_the_next_one_in() {
    let bench = Bench::new();
    let hold = "echo >> begun; [ -e again ] && exit; touch again; trap 'sleep 0.2; touch ended; exit' TERM; \
                while :; do sleep 0.05; done";
    bench.json(&["task", "add", "a", "--id", "a", "--lock", "db", "--run", hold]);
    let worker = bench.spawn(&["worker", "--jobs", "2"]);
    until("the start", || bench.path().join("again").exists());
    // Two holders at a time would be seen by this one.
    bench.json(&[
        "task",
        "add",
        "b",
        "--id",
        "b",
        "--lock",
        "db",
        "--priority",
        "critical",
        "--run",
        "test -e ended",
    ]);
    bench.json(&["lock", "break", "db", "--reason", "it hangs"]);
    until("both ends", || bench.json(&["queue", "status"])["completed"] == 2);
    end(worker);
    let attempts = bench.json(&["task", "show", "a"])["attempts"].clone();
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[1]["outcome"]),
        (&json!("released"), &json!("completed"))
    );
}
