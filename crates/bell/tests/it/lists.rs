//! Lists, counts and checks over many tasks.

use serde_json::json;

use crate::bench::{Bench, lease};

fn chain(bench: &Bench) {
    bench.json(&[
        "task",
        "add",
        "a",
        "--id",
        "a",
        "--run",
        "true",
        "--priority",
        "high",
    ]);
    bench.json(&["task", "add", "b", "--id", "b", "--after", "a"]);
    bench.json(&["task", "add", "c", "--id", "c", "--after", "a"]);
    bench.json(&[
        "task",
        "add",
        "d",
        "--id",
        "d",
        "--after",
        "b",
        "--after",
        "c:finished",
    ]);
}

// proves: SPEC 1.10
#[test]
fn tasks_are_listed_in_pages() {
    let bench = Bench::new();
    chain(&bench);
    let first = bench.json(&["task", "list", "--limit", "3"]);
    assert_eq!((&first["count"], first["cursor"].is_string()), (&json!(3), true));
    let cursor = first["cursor"].as_str().unwrap().to_owned();
    let second = bench.json(&["task", "list", "--limit", "3", "--cursor", &cursor]);
    assert_eq!(second["tasks"][0]["id"], "d");
    assert_eq!(second["cursor"], json!(null));
    let full = bench.json(&["task", "list", "--limit", "4"]);
    assert_eq!((&full["count"], &full["cursor"]), (&json!(4), &json!(null)));
    assert_eq!(bench.bell(&["task", "list", "--limit", "4"]).err, "");
    let part = bench.bell(&["task", "list", "--limit", "3"]).err;
    let more = format!("there is more: --cursor {cursor}");
    assert!(part.contains(&more), "{part}");
    assert_eq!(
        second["tasks"][0]["after"],
        json!([{"task": "b", "when": "success"}, {"task": "c", "when": "finished"}])
    );
    assert_eq!(bench.json(&["task", "list", "--state", "ready"])["count"], 1);
    assert_eq!(bench.json(&["task", "list", "--kind", "command"])["count"], 1);
    assert_eq!(
        bench.json(&["task", "list", "--source", "agent_planner"])["count"],
        0
    );
    insta::assert_snapshot!(bench.shown(&["task", "list"]), @r"
    exit 0
    STATE      ID  NAME  KIND     SCORE  AGE
    ○ ready    a   a     command   43.9 SPAN
    ◌ blocked  b   b     agent     36.5 SPAN
    ◌ blocked  c   c     agent     36.5 SPAN
    ◌ blocked  d   d     agent     37.5 SPAN
    ");
}

// proves: SPEC 1.3, SPEC 1.10
#[test]
fn the_queue_is_counted_by_state() {
    let bench = Bench::new();
    chain(&bench);
    let status = bench.json(&["queue", "status"]);
    assert_eq!(
        (&status["total_tasks"], &status["ready"], &status["blocked"]),
        (&json!(4), &json!(1), &json!(3))
    );
    assert_eq!((&status["max_depth"], &status["failed"]), (&json!(2), &json!(0)));
    insta::assert_snapshot!(bench.shown(&["queue", "status"]), @r"
    exit 0
    ◌ blocked            3
    ○ ready              1
    total                4

    mean score      37.85
    longest chain   2
    oldest waiting  TIME (SPAN)
    newest          TIME (SPAN)
    ");
}

// proves: SPEC 1.3
#[test]
fn an_order_has_no_empty_batch() {
    let bench = Bench::new();
    chain(&bench);
    let plan = bench.json(&["queue", "plan", "d", "a", "c", "b"]);
    assert_eq!(
        plan,
        json!({"batches": [["a"], ["b", "c"], ["d"]], "total_batches": 3, "max_parallelism": 2})
    );
    let part = bench.json(&["queue", "plan", "d", "c"]);
    assert_eq!(part["batches"], json!([["c"], ["d"]]));
    let ends = bench.json(&["queue", "plan", "d", "a"]);
    assert_eq!(ends["batches"], json!([["a"], ["d"]]));
    assert_eq!(
        bench.json(&["queue", "plan"]),
        json!({"batches": [], "total_batches": 0, "max_parallelism": 0})
    );
}

// proves: SPEC 1.3
#[test]
fn an_order_keeps_what_was_left_out_in_between() {
    let bench = Bench::new();
    // The numbers of tasks are no order: what stands between has the highest one.
    let plan = "name: p\ntasks: { a: { run: x }, c: { run: x, after: b }, b: { run: x, after: a } }";
    bench.write("plan.yaml", plan);
    bench.json(&["submit", "plan.yaml"]);
    let order = bench.json(&["queue", "plan", "c", "a"]);
    assert_eq!(order["total_batches"], 2, "{order}");

    // Longer than a page.
    let step = |n: usize| format!("  t{n}: {{ run: x, after: [t{}] }}\n", n - 1);
    let steps: String = (1..1_500).map(step).collect();
    bench.write(
        "long.yaml",
        &format!("name: long\ntasks:\n  t0: {{ run: x }}\n{steps}"),
    );
    bench.json(&["submit", "long.yaml"]);
    let order = bench.json(&["queue", "plan", "t1499", "t0", "t700"]);
    assert_eq!(order["total_batches"], 3, "{order}");
    assert_eq!(order["max_parallelism"], 1, "{order}");
}

// proves: DESIGN 2
#[test]
fn events_are_chosen_by_type() {
    let bench = Bench::new();
    chain(&bench);
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "w"]));
    bench.json(&["task", "complete", "a", "--token", &token]);
    let of = |pattern: &str| bench.json(&["events", "--type", pattern])["count"].clone();
    assert_eq!(
        (of("task.ready"), of("task:ready"), of("task_*")),
        (json!(2), json!(2), json!(8))
    );
    let all = bench.json(&["events", "--limit", "2", "--after", "1"]);
    assert_eq!(
        (&all["events"][0]["number"], &all["cursor"]),
        (&json!(2), &json!("3"))
    );
    assert_eq!(
        bench.problem(&["events", "--type", "task.redy"]).0,
        "invalid-argument"
    );
    insta::assert_snapshot!(bench.shown(&["events", "--type", "task.ready"]), @r"
    exit 0
         7  CLOCK  task.ready        b
         8  CLOCK  task.ready        c
    ");
}

#[test]
fn an_untouched_log_is_proven() {
    let bench = Bench::new();
    chain(&bench);
    let verdict = bench.json(&["audit", "verify"]);
    assert_eq!(
        (&verdict["intact"], &verdict["projects"][0]["proven_to"]),
        (&json!(true), &json!(4))
    );
    assert_eq!(bench.json(&["store", "check"])["sound"], true);
}

// proves: DESIGN 10
#[test]
fn a_log_that_was_tampered_with_is_found_out() {
    let verify = |sql: &str| {
        let bench = Bench::new();
        chain(&bench);
        let file = rusqlite::Connection::open(bench.path().join(".bellwether/bell.db")).unwrap();
        assert_eq!(file.execute(sql, []).unwrap(), 1);
        bench.shown(&["audit", "verify"])
    };
    let second = "(SELECT n FROM event ORDER BY n LIMIT 1 OFFSET 1)";
    insta::assert_snapshot!(verify(&format!("UPDATE event SET actor = 'user:eve' WHERE n = {second}")), @r"
    exit 1
    ✗ broken  default: event 2 is not what was written; proven up to event 1
    ");
    for junk in ["kind = 999", "data = '{junk'", "digest = x'00'"] {
        assert_eq!(
            verify(&format!("UPDATE event SET {junk} WHERE n = {second}")),
            "exit 1\n✗ broken  default: event 2 cannot be read; proven up to event 1\n",
            "{junk}"
        );
    }
    insta::assert_snapshot!(verify(&format!("DELETE FROM event WHERE n = {second}")), @r"
    exit 1
    ✗ broken  default: event 2 is missing or stands elsewhere; proven up to event 1
    ");
    insta::assert_snapshot!(verify("DELETE FROM event WHERE n = (SELECT max(n) FROM event)"), @r"
    exit 1
    ✗ broken  default: the log ends with event 3, but 4 were written; proven up to event 3
    ");
}

#[test]
fn a_doctor_says_what_is_wrong() {
    let bench = Bench::new();
    let said = bench.bell(&["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&report["healthy"], said.exit), (&json!(false), 1));
    bench.json(&["task", "add", "a"]);
    let report = bench.json(&["doctor"]);
    let store = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["check"] == "store")
        .unwrap()
        .clone();
    assert_eq!(store["status"], "ok");
}
