//! `on_exhausted: replan`: a planner finds another way when the last try has failed.

use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::schedules::{end, until};

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The kinds of a task's events.
fn history(bench: &Bench, task: &str) -> Vec<String> {
    let page = bench.json(&["task", "history", task]);
    let events = page["events"].as_array().unwrap().iter();
    events
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

const PLAN: &str = r#"name: heal
planner: { run: sh plan.sh }
tasks:
  build: { run: "echo no room >&2; exit 3", on_exhausted: replan }
  ship: { run: "cp $BELL_INPUT shipped.json", after: [build] }
  alert: { run: touch alerted, after: [{ task: build, when: failure }] }
"#;

/// The first answer of the planner is none that could be used.
// proves: DESIGN 5
#[test]
fn a_plan_mends_itself() {
    let bench = Bench::new();
    bench.write("plan.yaml", PLAN);
    bench.write(
        "plan.sh",
        r#"cp "$BELL_INPUT" seen.json
if mkdir once 2>/dev/null; then
  echo '{"tasks": {"clean": {"rum": "x"}}}' > "$BELL_RESULT"
else
  echo '{"tasks": {"clean": {"run": "touch clean"},
    "again": {"run": "test -e clean && echo 7 > $BELL_RESULT", "after": ["clean"]}}}' > "$BELL_RESULT"
fi
"#,
    );
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let seen = read(&bench.path().join("seen.json"));
    assert_eq!(seen["inputs"]["failed"]["key"], "build");
    assert_eq!(seen["inputs"]["failed"]["error"], "exit status 3: no room");
    assert_eq!(seen["inputs"]["dependents"][0]["key"], "ship");
    assert_eq!(seen["attempt"], 2);
    let before = seen["error"].as_str().unwrap();
    assert!(before.contains("did you mean `run`?"), "{before}");
    let shipped = read(&bench.path().join("shipped.json"));
    assert_eq!(
        shipped["results"]["build"]["result"],
        json!({ "again": 7, "clean": null })
    );
    assert!(!bench.path().join("alerted").exists());

    let build = bench.json(&["task", "show", "build"]);
    assert_eq!(
        (&build["state"], &build["attempts"][0]["outcome"]),
        (&json!("completed"), &json!("failed"))
    );
    assert_eq!(
        history(&bench, "build"),
        [
            "task.submitted",
            "task.running",
            "task.blocked",
            "task.replanned",
            "task.completed"
        ]
    );
    let planner = bench.json(&["task", "show", "build/planner"]);
    let refused = planner["attempts"][0]["error"].as_str().unwrap();
    assert!(refused.contains("did you mean `run`?"), "{refused}");
    assert_eq!(bench.json(&["task", "show", "build/again"])["result"], 7);
    assert_eq!(bench.json(&["dlq", "list"])["count"], 0);
}

fn worker(bench: &Bench) -> Child {
    let mut command = bench.command(&["worker"]);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

/// The process that plans is killed; the next one goes on, and the fragment is there once.
// proves: DESIGN 5, DESIGN 15
#[test]
fn a_planner_that_dies_is_asked_again() {
    let bench = Bench::new();
    bench.write("plan.yaml", PLAN);
    bench.write(
        "plan.sh",
        r#"echo '{"tasks": {"again": {"run": "echo once >> done"}}}' > "$BELL_RESULT"
if mkdir once 2>/dev/null; then sleep 100; fi
"#,
    );
    bench.json(&["submit", "plan.yaml"]);
    let mut first = worker(&bench);
    until("the planner", || bench.path().join("once").exists());
    let why = bench.bell(&["task", "why", "build"]).out;
    assert!(
        why.contains("has failed for good") && why.contains("build/planner"),
        "{why}"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let second = worker(&bench);
    until("the end", || bench.path().join("shipped.json").exists());
    until("rest", || bench.json(&["queue", "status"])["running"] == 0);
    end(second);
    assert_eq!(
        std::fs::read_to_string(bench.path().join("done")).unwrap(),
        "once\n"
    );
    let planner = bench.json(&["task", "show", "build/planner"]);
    let outcomes: Vec<&Value> = planner["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["outcome"])
        .collect();
    assert_eq!(outcomes, ["lost", "completed"]);
    assert_eq!(bench.json(&["queue", "status"])["completed"], 4);
}

/// Without a planner in the plan it is for any agent that can plan; a flock of shells will do.
// proves: DESIGN 5
#[test]
fn an_agent_plans_from_a_shell() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: ask\ntasks: { draft: { run: 'false', on_exhausted: replan }, print: { run: 'true', after: [draft] } }\n",
    );
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 3, "{said:?}");
    assert!(said.out.contains("draft/planner"), "{said:?}");
    let claimed = bench.json(&["task", "claim", "--worker", "w", "--capability", "planning"]);
    let lease = &claimed["leases"][0];
    assert!(lease["prompt"].as_str().unwrap().contains("fragment"), "{lease}");
    assert_eq!(lease["inputs"]["failed"]["key"], "draft");
    let (id, token) = (lease["task"].as_str().unwrap(), lease["token"].as_str().unwrap());
    let complete = ["task", "complete", id, "--token", token, "--result"];
    let with = |fragment| [&complete[..], &[fragment]].concat();
    let refused = bench.problem(&with(r#"{"tasks": {"x": {"run": "touch oops"}}}"#));
    assert_eq!(refused, ("plan-fragment".to_owned(), 2));
    bench.json(&with(
        r#"{"tasks": {"ask": {"prompt": "write it"}, "sign": {"breakpoint": "Is it good?", "after": ["ask"]}}}"#,
    ));
    let claimed = bench.json(&["task", "claim", "--worker", "w"]);
    let lease = &claimed["leases"][0];
    assert_eq!(lease["prompt"], "write it");
    let (id, token) = (lease["task"].as_str().unwrap(), lease["token"].as_str().unwrap());
    bench.json(&["task", "complete", id, "--token", token]);
    bench.json(&["breakpoint", "resolve", "draft/sign", "--answer", "true"]);
    assert_eq!(bench.json(&["task", "show", "draft"])["state"], "completed");
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(!bench.path().join("oops").exists());
}
