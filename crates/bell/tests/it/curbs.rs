//! Breakers, limits, resources and budgets, as people meet them.

use serde_json::{Value, json};

use crate::bench::Bench;

fn states(bench: &Bench) -> Vec<String> {
    let list = bench.json(&["task", "list"]);
    let tasks = list["tasks"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| task["state"].as_str().unwrap().to_owned())
        .collect()
}

fn row<'a>(list: &'a Value, key: &str) -> &'a Value {
    &list[key][0]
}

// proves: SPEC 5.7, DESIGN 8
#[test]
fn a_breaker_opens_and_is_reset() {
    let bench = Bench::new();
    let plan =
        "tasks: { a: { run: 'false', breaker: pay }, b: { run: 'true', after: [{ task: a, when: failure }] },
        c: { run: 'true', breaker: pay, after: [{ task: a, when: failure }] } }";
    bench.write("plan.yaml", plan);
    bench.write("bell.toml", "");
    bench.json(&["submit", "plan.yaml"]);
    bench.json(&["breaker", "set", "key:pay", "--failures", "1", "--timeout", "1h"]);
    let lease = &bench.json(&["task", "claim", "--worker", "w"])["leases"][0];
    let (task, token) = (lease["task"].as_str().unwrap(), lease["token"].as_str().unwrap());
    bench.json(&["task", "fail", task, "--token", token, "--error", "refused"]);
    let list = bench.json(&["breaker", "list"]);
    assert_eq!(
        (&row(&list, "breakers")["state"], &row(&list, "breakers")["name"]),
        (&json!("open"), &json!("key:pay"))
    );
    let leases = bench.json(&["task", "claim", "--worker", "w", "--max", "9"]);
    assert_eq!(
        leases["leases"].as_array().unwrap().len(),
        1,
        "b goes on, c is held"
    );
    let why = bench.json(&["task", "why", "c"]);
    assert_eq!(why["held_back"][0], "breaker key:pay is open: 1 failed in a row");
    bench.json(&["breaker", "reset", "key:pay"]);
    let leases = bench.json(&["task", "claim", "--worker", "w", "--max", "9"]);
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1);
    let events = bench.bell(&["events", "--json"]).out;
    assert!(
        events.contains("breaker.opened") && events.contains("breaker.closed"),
        "{events}"
    );
    assert_eq!(bench.problem(&["breaker", "reset", "key:ghost"]).1, 2);
    assert_eq!(bench.problem(&["breaker", "set", "pay"]).1, 2);
    assert_eq!(
        bench
            .problem(&["breaker", "set", "key:pay", "--threshold", "3"])
            .1,
        2
    );
}

#[test]
fn a_limit_bounds_what_runs_at_once() {
    let bench = Bench::new();
    for i in 0..4 {
        bench.json(&["task", "add", "x", "--id", &format!("t{i}"), "--kind", "build"]);
    }
    bench.json(&["limit", "set", "kind:build", "--concurrency", "2"]);
    let leases = bench.json(&["task", "claim", "--worker", "w", "--max", "9"]);
    assert_eq!(leases["leases"].as_array().unwrap().len(), 2);
    let list = bench.json(&["limit", "list"]);
    assert_eq!(
        (&row(&list, "limits")["held"], &row(&list, "limits")["open"]),
        (&json!(2), &json!(false))
    );
    let why = bench.json(&["task", "why", "t3"]);
    assert_eq!(why["held_back"][0], "limit kind:build is used up: 2 under way");
    bench.json(&["limit", "remove", "kind:build"]);
    let leases = bench.json(&["task", "claim", "--worker", "w", "--max", "9"]);
    assert_eq!(leases["leases"].as_array().unwrap().len(), 2);
    assert_eq!(
        bench.problem(&["limit", "set", "key:x", "--concurrency", "2"]).1,
        2
    );
}

// proves: DESIGN 4
#[test]
fn a_run_offers_resources_or_says_what_is_missing() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks: { a: { run: 'true', resources: { gpu: 1, memory: 1GiB } } }",
    );
    let run = bench.bell(&["run", "plan.yaml", "--offer", "gpu=1"]);
    assert_eq!(run.exit, 3);
    assert!(
        run.out.contains("nobody here offers gpu=1, memory=1073741824"),
        "{}",
        run.err
    );
    let run = bench.bell(&["run", "plan.yaml", "--offer", "gpu=1", "--offer", "memory=2GiB"]);
    assert_eq!(run.exit, 0, "{}", run.err);
    assert_eq!(states(&bench), ["completed"]);
}

// proves: DESIGN 8
#[test]
fn an_attempt_over_its_budget_is_ended_and_asks() {
    let bench = Bench::new();
    let script = "echo '{\"tokens\": 500}' > $BELL_USAGE; [ -e more ] || sleep 60";
    let plan = json!({ "tasks": {
        "spend": { "run": script, "budget": { "tokens": 400 } },
        "next": { "run": "true", "after": ["spend"] },
    } });
    bench.write("plan.json", &plan.to_string());
    let run = bench.bell(&["run", "plan.json"]);
    assert_eq!(run.exit, 3, "{}", run.err);
    let spend = bench.json(&["task", "show", "spend"]);
    assert_eq!(
        (&spend["state"], &spend["reason"]),
        (&json!("awaiting"), &json!("budget"))
    );
    bench.write("more", "");
    let raise = "{\"raise\": {\"tokens\": 1000}}";
    bench.json(&["breakpoint", "resolve", "spend", "--answer", raise]);
    let run = bench.bell(&["run", "plan.json"]);
    assert_eq!(run.exit, 0, "{}", run.err);
    assert_eq!(states(&bench), ["completed", "completed"]);
}

#[test]
fn budgets_are_set_spent_and_raised() {
    let bench = Bench::new();
    bench.json(&[
        "budget",
        "set",
        "project",
        "--tokens",
        "1k",
        "--soft",
        "tokens=900",
    ]);
    let plan = json!({ "tasks": {
        "a": { "prompt": "x", "budget": { "tokens": "800" } },
        "b": { "prompt": "x", "budget": { "tokens": "800" } },
    } });
    bench.write("plan.json", &plan.to_string());
    bench.json(&["submit", "plan.json"]);
    let lease = &bench.json(&["task", "claim", "--worker", "w", "--max", "5"])["leases"];
    assert_eq!(lease.as_array().unwrap().len(), 1, "800 of 1000 are reserved");
    let (task, token) = (
        lease[0]["task"].as_str().unwrap(),
        lease[0]["token"].as_str().unwrap(),
    );
    bench.json(&[
        "task",
        "complete",
        task,
        "--token",
        token,
        "--usage",
        "{\"tokens\": 700}",
    ]);
    let list = bench.json(&["budget", "list"]);
    assert_eq!(row(&list, "budgets")["spent"]["tokens"], 700.0);
    let leases = bench.json(&["task", "claim", "--worker", "w"]);
    assert_eq!(leases["leases"], json!([]));
    assert_eq!(bench.json(&["breakpoint", "list"])["count"], 1);
    bench.json(&["budget", "set", "project", "--tokens", "2k"]);
    let leases = bench.json(&["task", "claim", "--worker", "w"]);
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1);
    assert_eq!(
        bench
            .problem(&["budget", "set", "project", "--soft", "euros=3"])
            .1,
        2
    );
}

// proves: DESIGN 8
#[test]
fn a_task_of_which_nothing_is_known_is_granted_an_amount() {
    let bench = Bench::new();
    bench.json(&["task", "add", "t", "--id", "t"]);
    bench.json(&["budget", "set", "project", "--tokens", "100"]);
    let claim = || bench.json(&["task", "claim", "--worker", "w"])["leases"].clone();
    assert_eq!(claim(), json!([]));
    let told = bench.bell(&["queue", "problems", "--json"]);
    assert!(told.out.contains("does not let it begin"), "{told:?}");
    bench.json(&[
        "breakpoint",
        "resolve",
        "t",
        "--answer",
        r#"{"raise": {"tokens": 200}}"#,
    ]);
    assert_eq!(claim(), json!([]), "it is more than the project has");
    bench.json(&["budget", "set", "project", "--tokens", "1000"]);
    assert_eq!(claim().as_array().unwrap().len(), 1);
}

// proves: DESIGN 4
#[test]
fn a_rate_is_told_as_it_was_set_and_when_the_next_may_begin() {
    let bench = Bench::new();
    for id in ["a", "b"] {
        bench.json(&["task", "add", "x", "--id", id, "--kind", "build"]);
    }
    bench.json(&["limit", "set", "kind:build", "--rate", "1/60s"]);
    let leases = bench.json(&["task", "claim", "--worker", "w", "--max", "9"]);
    assert_eq!(leases["leases"].as_array().unwrap().len(), 1);
    let list = bench.bell(&["limit", "list"]).out;
    assert!(list.contains(" 1/1m "), "{list}");
    let why = bench.json(&["task", "why", "b"]);
    let held = why["held_back"][0].as_str().unwrap();
    let told = "limit kind:build is used up: 1/1m, and the next may begin at 20";
    assert!(held.starts_with(told), "{held}");
    assert_eq!(why["held_back"].as_array().unwrap().len(), 1, "{why}");
    assert_eq!(
        bench.problem(&["limit", "set", "kind:build", "--concurrency", "0"]),
        ("invalid-argument".to_owned(), 2)
    );
}
