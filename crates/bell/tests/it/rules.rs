//! Rules, signals and waits from the shell, with real processes.

use std::path::Path;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::schedules::until;

const QA: &str = r#"
rules:
  qa:
    on: task.completed
    if: task.kind == "dev"
    submit: { with: { PART: task.env.PART }, tasks: { qa: { kind: qa, run: 'echo "$PART $BELL_RULE" > qa.txt' } } }
"#;

#[test]
fn rules_are_added_shown_and_removed() {
    let bench = Bench::new();
    bench.write("rules.yaml", QA);
    assert_eq!(
        bench.json(&["rule", "add", "--file", "rules.yaml"])["added"],
        json!(["qa"])
    );
    assert_eq!(
        bench.json(&["rule", "add", "--file", "rules.yaml"])["unchanged"],
        json!(["qa"])
    );
    let page = [
        "rule",
        "add",
        "page",
        "--on",
        "task.escalated",
        "--webhook",
        "https://example.org/hook",
    ];
    assert_eq!(bench.json(&page)["added"], json!(["page"]));
    let other = [
        "rule",
        "add",
        "page",
        "--on",
        "run.finished",
        "--pause",
        "kind=dev",
    ];
    assert_eq!(bench.problem(&other), ("rule-exists".to_owned(), 2));
    assert_eq!(
        bench.json(&[&other[..], &["--replace"]].concat())["replaced"],
        json!(["page"])
    );
    let list = bench.json(&["rule", "list"]);
    let shown: Vec<&Value> = list["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["does"])
        .collect();
    assert_eq!(shown, ["pause", "submit"]);
    assert_eq!(bench.json(&["rule", "show", "page"])["pause"], "kind=dev");
    assert!(bench.shown(&["rule", "list"]).contains("task.kind == \"dev\""));
    assert_eq!(bench.json(&["rule", "remove", "page"])["dropped"], 0);
    assert_eq!(
        bench.problem(&["rule", "show", "page"]),
        ("rule-not-found".to_owned(), 2)
    );
    assert_eq!(bench.json(&["rule", "letters", "list"])["count"], 0);
    assert_eq!(bench.problem(&["rule", "letters", "drop", "qa"]).1, 2);
}

#[test]
fn what_is_wrong_with_rules_is_told_at_its_place() {
    let bench = Bench::new();
    bench.write(
        "rules.yaml",
        "rules:\n  a: { on: task.compelted, pause: all }\n  b: { on: task.failed, if: task.knd == 1, pause: all }\n  c: { on: task.failed, submit: { tasks: { t: { rnu: x } } } }\n  d: { on: task.failed, pause: all, resume: all }\n",
    );
    insta::assert_snapshot!(bench.shown(&["rule", "add", "--file", "rules.yaml"]), @r"
    exit 2
    -- stderr
    error[plan-invalid-value]: `rules.a.on`: no event is called `task.compelted`
     --> rules.yaml:2:12
    2 |   a: { on: task.compelted, pause: all }
      |            ^
    help: did you mean `task.completed`?

    error[plan-invalid-value]: `rules.b.if`: the condition at column 1: `task` has no `knd`
     --> rules.yaml:3:29
    3 |   b: { on: task.failed, if: task.knd == 1, pause: all }
      |                             ^
    help: did you mean `task.kind`?

    error[plan-unknown-key]: unknown key `rnu` in task `t`
     --> rules.yaml:4:49
    4 |   c: { on: task.failed, submit: { tasks: { t: { rnu: x } } } }
      |                                                 ^
    help: did you mean `run`?

    error[plan-invalid-value]: `rules.d`: does several things: pause, resume
     --> rules.yaml:5:6
    5 |   d: { on: task.failed, pause: all, resume: all }
      |      ^
    help: make a rule of each
    ");
    for args in [
        &["rule", "add", "x", "--on", "task.failed"][..],
        &[
            "rule",
            "add",
            "x",
            "--on",
            "task.failed",
            "--pause",
            "all",
            "--kind",
            "dev",
        ],
        &[
            "rule",
            "add",
            "x",
            "--on",
            "task.failed",
            "--webhook",
            "example.org",
        ],
        &[
            "rule",
            "add",
            "x",
            "--on",
            "task.failed",
            "--if",
            "task.kind =",
            "--pause",
            "all",
        ],
        &["rule", "add", "x", "--pause", "all"],
    ] {
        assert_eq!(
            bench.problem(args),
            ("invalid-argument".to_owned(), 2),
            "{args:?}"
        );
    }
}

// proves: SPEC 5.2, SPEC 5.5, DESIGN 8
#[test]
fn a_run_ends_when_rules_have_done_what_they_do() {
    let bench = Bench::new();
    bench.write("rules.yaml", QA);
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { dev: { kind: dev, run: 'true', env: { PART: 'a b; c' } } }\n",
    );
    bench.json(&["rule", "add", "--file", "rules.yaml"]);
    let said = bench.bell(&["run", "plan.yaml", "--json"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let last: Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["counts"]["completed"], 2, "{last}");
    assert_eq!(
        std::fs::read_to_string(bench.path().join("qa.txt")).unwrap(),
        "a b; c qa\n"
    );
    assert_eq!(bench.json(&["rule", "show", "qa"])["fired"], 1);
}

fn copy(from: &Path, bench: &Bench, into: &str) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{into}{}", path.file_name().unwrap().to_string_lossy());
        match path.is_dir() {
            true => copy(&path, bench, &format!("{name}/")),
            false => bench.write(&name, &std::fs::read_to_string(&path).unwrap()),
        }
    }
}

// proves: SPEC 5.2, SPEC 5.3
#[test]
fn the_pipeline_mends_itself_and_fixes_go_before_new_work() {
    let bench = Bench::new();
    copy(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pipeline")),
        &bench,
        "",
    );
    bench.json(&["submit", "backlog.yaml"]);
    bench.json(&["rule", "add", "--file", "rules.yaml"]);
    let said = bench.bell(&["run", "plan.yaml", "--json", "--jobs", "1"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let events: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.last().unwrap()["counts"]["completed"], 9 + 4 + 3 + 1);
    let failed = events
        .iter()
        .filter(|event| event["type"] == "task.failed")
        .count();
    assert_eq!(failed, 4, "every fix was for a test that had really failed");
    // A fix is ready: nothing new is begun before it.
    let mut ready = Vec::new();
    for event in &events {
        let (kind, task) = (event["type"].as_str().unwrap(), &event["task"]);
        let fix = event["key"].is_null() && event["data"]["state"] == "ready";
        match kind {
            "task.submitted" if fix && event["actor"].as_str().unwrap().starts_with("rule:fix@") => {
                ready.push(task.clone());
            }
            "task.running" if ready.contains(task) => ready.retain(|fix| fix != task),
            "task.running" => assert_eq!(ready, Vec::<Value>::new(), "{event}"),
            _ => {}
        }
    }
    let shown = bench.json(&["task", "show", "idea-two"]);
    assert_eq!(shown["priority"], 8);
    assert_eq!(
        std::fs::read_dir(bench.path().join("deployed")).unwrap().count(),
        4
    );
}

// proves: DESIGN 5, DESIGN 8
#[test]
fn a_signal_lets_a_run_go_on() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  w: { wait: { signal: go } }\n  n: { run: 'echo \"$BELL_RESULT_W\" > n.txt', after: [w] }\n",
    );
    let mut run = bench.spawn(&["run", "plan.yaml", "--json"]);
    until("the store", || {
        bench.bell(&["task", "show", "w", "--json"]).exit == 0
    });
    until("the wait", || {
        bench.json(&["task", "show", "w"])["state"] == "running"
    });
    let sent = bench.json(&["task", "signal", "go", "--payload", r#"{"by":"ann"}"#]);
    assert_eq!(sent["count"], 1);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let told = std::fs::read_to_string(bench.path().join("n.txt")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["payload"]["by"], "ann");
}
