//! `bell store check --replay`: rows beside what the log of events makes of them.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::{Bench, lease};
use crate::schedules::{end, until};

fn add(bench: &Bench, id: &str, more: &[&str]) {
    bench.json(&[&["task", "add", id, "--id", id, "--kind", id], more].concat());
}

/// Takes the one task of a kind; its token.
fn claim(bench: &Bench, id: &str) -> String {
    let (task, token) = lease(&bench.json(&["task", "claim", "--worker", "w", "--kind", id]));
    assert_eq!(task, id);
    token
}

fn fail(bench: &Bench, id: &str, more: &[&str]) {
    let token = claim(bench, id);
    let fail = ["task", "fail", id, "--token", &token, "--error", "it broke"];
    bench.json(&[&fail, more].concat());
}

fn complete(bench: &Bench, id: &str) {
    let token = claim(bench, id);
    bench.json(&["task", "complete", id, "--token", &token]);
}

#[track_caller]
fn agreed(bench: &Bench) -> Value {
    let report = bench.json(&["store", "check", "--replay"]);
    let replay = report["projects"][0]["replay"].clone();
    assert_eq!(
        (&report["sound"], &replay["agrees"], &replay["differences"]),
        (&json!(true), &json!(true), &json!([])),
        "{report}"
    );
    replay
}

// proves: DESIGN 7
#[test]
fn rows_are_as_the_log_says() {
    let bench = Bench::new();
    // A retry, a cascade and its way back, a subtask.
    add(&bench, "first", &["--retry", "task"]);
    add(&bench, "second", &["--after", "first"]);
    fail(&bench, "first", &[]);
    agreed(&bench);
    bench.json(&["task", "retry", "first"]);
    fail(&bench, "first", &["--no-retry"]);
    assert_eq!(bench.json(&["task", "show", "second"])["state"], "cancelled");
    agreed(&bench);
    bench.json(&["task", "retry", "first"]);
    let token = claim(&bench, "first");
    add(&bench, "part", &["--parent", "first"]);
    agreed(&bench);
    bench.json(&["task", "complete", "first", "--token", &token]);
    complete(&bench, "part");
    // What people stop.
    for id in ["idle", "woken", "away"] {
        add(&bench, id, &[]);
    }
    let held = claim(&bench, "woken");
    for id in ["idle", "woken"] {
        bench.json(&["task", "suspend", id]);
    }
    agreed(&bench);
    bench.json(&["task", "resume", "woken"]);
    bench.json(&["task", "cancel", "away"]);
    bench.json(&["task", "release", "woken", "--token", &held]);
    // A run in which a person answers.
    bench.write(
        "plan.yaml",
        "tasks: { ask: { breakpoint: 'ok?' }, go: { run: 'true', after: ask } }",
    );
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 3);
    agreed(&bench);
    bench.json(&["breakpoint", "resolve", "ask", "--answer", "true"]);
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 0);
    let whole = agreed(&bench);
    assert_eq!(
        (&whole["tasks"], &whole["runs"], &whole["partial"]),
        (&json!(8), &json!(1), &json!(0))
    );
    // The beginning goes.
    bench.json(&["store", "prune", "--older", "1ms", "--yes"]);
    let rest = agreed(&bench);
    assert!(rest["begins_with"].as_u64().unwrap() > 20, "{rest}");
    assert!(rest["partial"].as_u64().unwrap() + rest["silent"].as_u64().unwrap() > 0);
    complete(&bench, "woken");
    add(&bench, "later", &[]);
    agreed(&bench);
}

/// Everything that somebody changes behind the store's back is told by its name.
// proves: DESIGN 7
#[test]
fn what_was_changed_by_hand_is_found() {
    let bench = Bench::new();
    bench.write("plan.yaml", "tasks: { only: 'true' }");
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 0);
    for id in ["ready", "held", "done", "gone", "other"] {
        add(&bench, id, &[]);
    }
    claim(&bench, "held");
    complete(&bench, "done");
    agreed(&bench);
    let file = rusqlite::Connection::open(bench.path().join(".bellwether/bell.db")).unwrap();
    for sql in [
        "UPDATE task SET state = 8 WHERE id = 'ready'",
        "UPDATE lease SET worker = 'eve'",
        "UPDATE task SET finished_at = 7, attempts = 5 WHERE id = 'done'",
        "UPDATE task SET open = 1 WHERE id = 'other'",
        "DELETE FROM task WHERE id = 'gone'",
        "UPDATE project SET dead_letters = 3",
        "UPDATE run SET state = 2",
    ] {
        assert_eq!(file.execute(sql, []).unwrap(), 1, "{sql}");
    }
    drop(file);
    let said = bench.bell(&["store", "check", "--replay", "--json"]);
    assert_eq!(said.exit, 1, "{said:?}");
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let replay = &report["projects"][0]["replay"];
    let differences = replay["differences"].as_array().unwrap();
    assert_eq!(replay["count"], differences.len());
    let told = |of: &str, field: &str| {
        let mut found = differences
            .iter()
            .filter(|difference| difference["of"].as_str().unwrap().starts_with(of))
            .filter(|difference| difference["field"] == field);
        let first = found.next().unwrap_or_else(|| panic!("{of}, {field}: {report}"));
        let text = |name: &str| first[name].as_str().unwrap().to_owned();
        (text("log"), text("stored"))
    };
    for (of, field, log, stored) in [
        ("task ready", "state", "ready", "completed"),
        ("task held", "worker", "w", "eve"),
        ("task done", "attempts", "1", "5"),
        ("task other", "open prerequisites", "0", "1"),
        ("task gone", "row", "ready", "nothing"),
        ("the project", "dead letters", "0", "3"),
        ("run ", "state", "succeeded", "failed"),
    ] {
        let expected = (log.to_owned(), stored.to_owned());
        assert_eq!(told(of, field), expected, "{of}, {field}");
    }
    assert!(told("task done", "finished").1.starts_with("1970-01-01"));
    let shown = bench.bell(&["store", "check", "--replay"]).out;
    let line = "    task ready: state: the log says ready, stored is completed\n";
    assert!(
        shown.contains("✗ not as the log says") && shown.contains(line),
        "{shown}"
    );
}

// proves: DESIGN 7
#[test]
fn others_may_work_meanwhile() {
    const TASKS: usize = 60;
    let bench = Bench::new();
    let mut plan = String::from("tasks:\n");
    for n in 0..TASKS {
        plan += &match n {
            0..6 => format!("  t{n}: 'true'\n"),
            _ => format!("  t{n}: {{ run: 'true', after: [t{}, t{}] }}\n", n - 6, n - 5),
        };
    }
    bench.write("plan.yaml", &plan);
    bench.json(&["submit", "plan.yaml"]);
    let mut command = bench.command(&["worker"]);
    let worker = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the end", || {
        agreed(&bench);
        bench.json(&["queue", "status"])["completed"] == TASKS
    });
    end(worker);
    let replay = agreed(&bench);
    assert_eq!((&replay["tasks"], &replay["moving"]), (&json!(TASKS), &json!(0)));
}
