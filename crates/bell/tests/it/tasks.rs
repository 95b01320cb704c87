//! One task as people see it.

use serde_json::json;

use crate::bench::Bench;

#[test]
fn a_task_is_shown_whole() {
    let bench = Bench::new();
    let add = [
        "task",
        "add",
        "review the diff",
        "--id",
        "review",
        "--needs",
        "python",
        "--needs",
        "review",
        "--priority",
        "high",
        "--estimate",
        "3m",
        "--input",
        r#"{"pr": 7}"#,
        "--lock",
        "path:src",
    ];
    bench.json(&add);
    insta::assert_snapshot!(bench.shown(&["task", "show", "review"]), @r#"
    exit 0
    ○ ready  review the diff
    id         review
    kind       agent
    work       “review the diff”
    priority   8 (score 41.5)
    source     human
    needs      python, review
    locks      path:src
    inputs     {"pr": 7}
    submitted  TIME (SPAN)
    "#);
    insta::assert_snapshot!(bench.shown(&["task", "why", "review"]), @r"
    exit 0
    ○ ready  review the diff  review
      is first in line
      lock path:src: free
      score 41.5 = base 24 + depth 0 + urgency 12.5 + blocking 0 + source 5
      can be taken by any worker that offers python, review
    ");
    insta::assert_snapshot!(bench.shown(&["task", "history", "review"]), @r"
    exit 0
    TIME                      EVENT           DETAIL  ACTOR
    TIME  task.submitted          user:ann
    ");
}

#[test]
fn a_blocked_task_says_what_it_waits_for() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    bench.json(&[
        "task",
        "add",
        "b",
        "--id",
        "b",
        "--after",
        "a",
        "--after",
        "a:success",
    ]);
    insta::assert_snapshot!(bench.shown(&["task", "why", "b"]), @r"
    exit 0
    ◌ blocked  b  b
      waits for 1 of its prerequisites:
        ○ ready  a, waited for: success
      score 35 = base 15 + depth 2.5 + urgency 12.5 + blocking 0 + source 5
      can be taken by any worker
    ");
    let why = bench.json(&["task", "why", "b"]);
    assert_eq!(why["waits_for"].as_array().unwrap().len(), 1);
    assert_eq!(why["score"]["score"], 35.0);
}

#[test]
fn a_task_can_be_stopped_and_let_go_on() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    insta::assert_snapshot!(bench.shown(&["task", "suspend", "a"]), @r"
    exit 0
    ‖ suspended  a
    -- stderr
    hint: `bell task resume a` lets it go on
    ");
    assert_eq!(bench.json(&["task", "suspend", "a"])["state"], "suspended");
    assert_eq!(
        bench.json(&["task", "claim", "--worker", "w"]),
        json!({"leases": []})
    );
    assert_eq!(bench.json(&["task", "resume", "a"])["state"], "ready");
}

// proves: SPEC 1.3
#[test]
fn a_cancel_names_everything_that_goes_with_it() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    bench.json(&["task", "add", "b", "--id", "b", "--after", "a"]);
    assert_eq!(
        bench.json(&["task", "cancel", "a"]),
        json!({"cancelled": ["a", "b"]})
    );
}

// proves: SPEC 1.1
#[test]
fn subtasks_and_times_are_kept() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    bench.json(&[
        "task",
        "add",
        "b",
        "--id",
        "b",
        "--parent",
        "a",
        "--run-at",
        "1h",
        "--deadline",
        "2020-01-01T00:00:00Z",
    ]);
    let listed = bench.json(&["task", "list", "--parent", "a"]);
    assert_eq!(
        (&listed["count"], &listed["tasks"][0]["state"]),
        (&json!(1), &json!("pending"))
    );
    assert_eq!(listed["tasks"][0]["deadline"], "2020-01-01T00:00:00.000Z");
    // A deadline that has passed counts full.
    assert_eq!(bench.json(&["task", "why", "b"])["score"]["urgency"], 25.0);
}

#[test]
fn a_task_is_given_to_an_agent_and_back() {
    let bench = Bench::new();
    bench.json(&["task", "add", "x", "--id", "a"]);
    bench.json(&["task", "assign", "a", "--agent", "ann"]);
    assert_eq!(bench.json(&["task", "show", "a"])["agent"], "ann");
    let none = bench.json(&["task", "claim", "--worker", "bob"]);
    assert_eq!(none["leases"].as_array().unwrap().len(), 0);
    bench.json(&["task", "assign", "a", "--anybody"]);
    let leases = bench.json(&["task", "claim", "--worker", "bob"]);
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1);
    let held = bench.problem(&["task", "assign", "a", "--agent", "ann"]);
    assert_eq!(held.0, "invalid-transition");
}
