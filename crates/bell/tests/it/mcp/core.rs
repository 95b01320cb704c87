//! The tools of an agent that works.

use serde_json::{Value, json};

use super::client::Client;
use crate::bench::Bench;

fn agent(bench: &Bench) -> Client {
    Client::start(bench, &["--tools", "core", "--agent", "ann"])
}

fn state(bench: &Bench, task: &str) -> String {
    bench.json(&["task", "show", task])["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn id(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

// proves: DESIGN 9
#[test]
fn a_task_walks_from_add_to_complete() {
    let bench = Bench::new();
    let mut ann = agent(&bench);
    let added = ann.does(
        "task_add",
        json!({ "prompt": "Fix the parser\nand its tests", "needs": ["python"], "priority": "high",
                "locks": ["path:src"], "inputs": { "file": "a.py" } }),
    );
    let task = id(&added["task"]);
    let shown = bench.json(&["task", "show", &task]);
    assert_eq!(shown["name"], "Fix the parser");
    assert_eq!(
        (&shown["priority"], &shown["source"]),
        (&json!(8), &json!("agent_implementation"))
    );
    assert_eq!(shown["needs"], json!(["python"]));

    assert_eq!(ann.does("task_claim", json!({})), json!({ "leases": [] }));
    let claimed = ann.does("task_claim", json!({ "capabilities": ["python"] }));
    let lease = &claimed["leases"][0];
    assert_eq!(lease["task"], json!(task));
    assert_eq!(lease["prompt"], "Fix the parser\nand its tests");
    assert_eq!(lease["inputs"], json!({ "file": "a.py" }));
    assert_eq!(bench.json(&["task", "show", &task])["lease"]["worker"], "ann");

    ann.does(
        "task_progress",
        json!({ "task": task, "progress": { "percent": 40 } }),
    );
    assert_eq!(
        bench.json(&["task", "show", &task])["progress"],
        json!({ "percent": 40 })
    );

    let next = ann.does("task_add", json!({ "prompt": "release it", "after": [task] }));
    let done = ann.does(
        "task_complete",
        json!({ "task": task, "result": { "ok": true }, "usage": { "tokens": 9 } }),
    );
    assert_eq!(done, json!({ "task": task, "unblocked": [next["task"]] }));
    let shown = bench.json(&["task", "show", &task]);
    assert_eq!(
        (&shown["state"], &shown["result"]),
        (&json!("completed"), &json!({ "ok": true }))
    );
    assert_eq!(shown["attempts"][0]["usage"], json!({ "tokens": 9 }));

    let claimed = ann.does("task_claim", json!({}));
    assert_eq!(
        claimed["leases"][0]["results"],
        json!({ task: { "state": "completed", "result": { "ok": true } } })
    );
    assert_eq!(ann.close(), 0);
}

#[test]
fn failing_goes_by_the_policy_of_the_task() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a", "--retry", "3"]);
    bench.json(&["task", "add", "b", "--id", "b", "--after", "a"]);
    let mut ann = agent(&bench);
    ann.does("task_claim", json!({}));
    let failed = ann.does("task_fail", json!({ "task": "a", "error": "the disk is full" }));
    assert_eq!(failed["state"], "retrying");
    assert!(failed["retry_at"].is_string());
    bench.json(&["task", "retry", "a"]);
    ann.does("task_claim", json!({}));
    let failed = ann.does("task_fail", json!({ "task": "a", "error": "no", "retry": false }));
    assert_eq!(
        (&failed["state"], &failed["cancelled"]),
        (&json!("failed"), &json!(["b"]))
    );
    assert_eq!(bench.json(&["task", "show", "a"])["error"], "no");
}

#[test]
fn a_released_task_is_free_and_cost_no_try() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut ann = agent(&bench);
    ann.does("task_claim", json!({}));
    assert_eq!(ann.does("task_release", json!({ "task": "a" }))["state"], "ready");
    let claimed = ann.does("task_claim", json!({ "task": "a", "ttl": "1h" }));
    assert_eq!(claimed["leases"][0]["attempt"], 2);
    assert_eq!(
        bench.json(&["task", "show", "a"])["attempts"][0]["outcome"],
        "released"
    );
}

#[test]
fn commands_are_left_to_workers() {
    let bench = Bench::new();
    bench.json(&["task", "add", "build", "--id", "build", "--run", "make"]);
    let mut ann = agent(&bench);
    assert_eq!(ann.does("task_claim", json!({})), json!({ "leases": [] }));
    assert_eq!(
        ann.refused("task_claim", json!({ "task": "build" })),
        "invalid-transition"
    );
}

// proves: DESIGN 4
#[test]
fn a_split_task_waits_for_its_parts_and_goes_on() {
    let bench = Bench::new();
    bench.json(&["task", "add", "big", "--id", "big"]);
    let mut ann = agent(&bench);
    ann.does("task_claim", json!({}));
    let parts = json!([
        { "prompt": "first half", "key": "one" },
        { "prompt": "second half", "after": ["one"] },
    ]);
    let split = ann.does("task_subtasks", json!({ "task": "big", "subtasks": parts }));
    assert_eq!(split["state"], "blocked");
    let why = ann.does("task_why", json!({ "task": "big" }));
    assert_eq!(why["reason"], "joining");
    for expected in ["first half", "second half"] {
        let claimed = ann.does("task_claim", json!({ "max": 5 }));
        assert_eq!(claimed["leases"].as_array().unwrap().len(), 1, "{claimed}");
        assert_eq!(claimed["leases"][0]["prompt"], expected);
        ann.does(
            "task_complete",
            json!({ "task": claimed["leases"][0]["task"], "result": expected }),
        );
    }
    let again = ann.does("task_claim", json!({}));
    assert_eq!(again["leases"][0]["task"], "big");
    assert_eq!(again["leases"][0]["results"].as_object().unwrap().len(), 2);
    assert_eq!(
        again["leases"][0]["results"]["one"],
        json!({ "state": "completed", "result": "first half" })
    );
    ann.does("task_complete", json!({ "task": "big" }));
    assert_eq!(state(&bench, "big"), "completed");
}

#[test]
fn a_split_task_may_end_with_its_parts() {
    let bench = Bench::new();
    bench.json(&["task", "add", "big", "--id", "big"]);
    let mut ann = agent(&bench);
    ann.does("task_claim", json!({}));
    let parts = json!([{ "prompt": "all of it" }]);
    ann.does(
        "task_subtasks",
        json!({ "task": "big", "subtasks": parts, "then": "complete" }),
    );
    let claimed = ann.does("task_claim", json!({}));
    ann.does("task_complete", json!({ "task": claimed["leases"][0]["task"] }));
    assert_eq!(state(&bench, "big"), "completed");
}

#[test]
fn agents_submit_no_more_than_they_may() {
    let bench = Bench::new();
    bench.json(&["task", "add", "big", "--id", "big"]);
    let mut ann = agent(&bench);
    ann.does("task_claim", json!({}));
    let many: Vec<Value> = (0..51)
        .map(|n| json!({ "prompt": format!("part {n}") }))
        .collect();
    assert_eq!(
        ann.call("task_subtasks", json!({ "task": "big", "subtasks": many }))
            .unwrap_err()["code"],
        "limit-exceeded"
    );
    assert_eq!(state(&bench, "big"), "running", "nothing was written");
    assert_eq!(
        ann.refused("task_subtasks", json!({ "task": "big", "subtasks": [] })),
        "invalid-argument"
    );
}

// proves: DESIGN 9
#[test]
fn a_question_frees_the_agent_and_its_answer_comes_back() {
    let bench = Bench::new();
    bench.json(&["task", "add", "ship", "--id", "ship"]);
    let mut ann = agent(&bench);
    ann.does("task_claim", json!({}));
    let asked = ann.does(
        "task_ask",
        json!({ "question": "Ship on a Friday?", "task": "ship", "owner": "bob" }),
    );
    assert_eq!(asked["state"], "blocked");
    let question = id(&asked["question"]);
    let inbox = bench.json(&["breakpoint", "list"]);
    assert_eq!(inbox["breakpoints"][0]["asks"], "Ship on a Friday?");
    assert_eq!(inbox["breakpoints"][0]["owner"], "bob");
    assert_eq!(ann.does("task_claim", json!({})), json!({ "leases": [] }));
    bench.json(&["breakpoint", "resolve", &question, "--answer", r#"{"go":false}"#]);
    let claimed = ann.does("task_claim", json!({}));
    assert_eq!(claimed["leases"][0]["task"], "ship");
    assert_eq!(
        claimed["leases"][0]["results"][&question]["result"],
        json!({ "go": false })
    );
}

#[test]
fn a_question_may_stand_by_itself_and_have_a_default() {
    let bench = Bench::new();
    let mut ann = agent(&bench);
    let asked = ann.does(
        "task_ask",
        json!({ "question": "Tabs?", "within": "1ms", "default": "spaces" }),
    );
    let question = id(&asked["question"]);
    let answered = || {
        let why = ann.does("task_why", json!({ "task": question }));
        (why["state"] == "completed").then(|| why["result"].clone())
    };
    assert_eq!(
        std::iter::repeat_with(answered).find_map(|result| result),
        Some(json!("spaces"))
    );
    assert_eq!(
        agent(&bench).refused("task_ask", json!({ "question": "?", "default": 1 })),
        "invalid-argument"
    );
}

#[test]
fn why_tells_of_one_task_or_of_all() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    bench.json(&["task", "add", "b", "--id", "b", "--after", "a"]);
    let mut ann = agent(&bench);
    let why = ann.does("task_why", json!({ "task": "b" }));
    assert_eq!(
        (&why["state"], &why["waits_for"][0]["task"]),
        (&json!("blocked"), &json!("a"))
    );
    ann.does("task_claim", json!({}));
    let all = ann.does("task_why", json!({}));
    assert_eq!(all["held"], json!(["a"]));
    assert_eq!(
        (&all["queue"]["running"], &all["queue"]["blocked"]),
        (&json!(1), &json!(1))
    );
}

// proves: DESIGN 9
#[test]
fn every_no_is_an_object_and_the_transport_stays_up() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut ann = agent(&bench);
    for (tool, arguments, code) in [
        ("task_complete", json!({ "task": "zzz" }), "task-not-found"),
        ("task_complete", json!({ "task": "a" }), "token-needed"),
        (
            "task_complete",
            json!({ "task": "a", "token": "1.1.1" }),
            "lease-lost",
        ),
        (
            "task_complete",
            json!({ "task": "a", "token": "x" }),
            "invalid-argument",
        ),
        ("task_complete", json!({}), "invalid-argument"),
        ("task_claim", json!({ "max": 0 }), "invalid-argument"),
        ("task_claim", json!({ "capability": ["x"] }), "invalid-argument"),
        ("task_claim", json!({ "agent": "a b" }), "invalid-argument"),
        ("task_add", json!({ "prompt": " " }), "invalid-argument"),
        (
            "task_add",
            json!({ "prompt": "x", "after": ["zzz"] }),
            "prerequisite-not-found",
        ),
        (
            "task_add",
            json!({ "prompt": "x", "priority": 11 }),
            "invalid-argument",
        ),
        (
            "task_add",
            json!({ "prompt": "x", "inputs": "y".repeat(40_000) }),
            "limit-exceeded",
        ),
        ("task_ad", json!({}), "tool-not-found"),
        ("orchestration_get_health", json!({}), "tool-not-found"),
    ] {
        let error = ann.call(tool, arguments.clone()).unwrap_err();
        assert_eq!(error["code"], code, "{tool} {arguments}: {error}");
        assert!(error["detail"].is_string() && error["title"].is_string());
    }
    assert_eq!(
        bench.json(&["queue", "status"])["total_tasks"],
        1,
        "nothing was written"
    );
    assert!(ann.ask("no/such/method", json!({})).is_err());
    ann.say(&json!("no request at all"));
    assert_eq!(ann.does("task_claim", json!({}))["leases"][0]["task"], "a");
}

#[test]
fn a_repeated_call_answers_as_the_first() {
    let bench = Bench::new();
    let mut ann = agent(&bench);
    let add = json!({ "prompt": "once", "idempotency_key": "k" });
    assert_eq!(ann.does("task_add", add.clone()), ann.does("task_add", add));
    let claimed = ann.does("task_claim", json!({}));
    let (task, token) = (&claimed["leases"][0]["task"], &claimed["leases"][0]["token"]);
    let complete = json!({ "task": task, "token": token, "result": 1, "idempotency_key": "c" });
    assert_eq!(
        ann.does("task_complete", complete.clone()),
        ann.does("task_complete", complete)
    );
    assert_eq!(bench.json(&["queue", "status"])["total_tasks"], 1);
}
