//! `bell analyze --planned`: files that are not written yet.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Bench, Said};
use crate::schedules::end;
use crate::serve::Served;

/// A list with a file and its draft in each task.
fn list(files: &[(&str, &str)]) -> String {
    let task = |(file, code): &(&str, &str)| json!({ "title": format!("Write {file}"), "files_to_generate": [file], "code": code });
    Value::from(files.iter().map(task).collect::<Vec<_>>()).to_string()
}

fn report(bench: &Bench, files: &[(&str, &str)]) -> Value {
    bench.write("tasks.json", &list(files));
    bench.json(&["analyze", "--planned", "tasks.json"])
}

fn widths(report: &Value) -> Vec<usize> {
    let batches = report["batches"].as_array().unwrap();
    batches
        .iter()
        .map(|batch| batch.as_array().unwrap().len())
        .collect()
}

const FLASK: &[(&str, &str)] = &[
    (
        "app.py",
        "from flask import Flask\nimport config\nfrom routes import api\nfrom extensions import db\n",
    ),
    ("config.py", "import os\nDEBUG = True\n"),
    (
        "extensions.py",
        "from flask_sqlalchemy import SQLAlchemy\nimport config\n",
    ),
    ("models.py", "from extensions import db\n"),
    ("services.py", "from models import User\n"),
    (
        "routes.py",
        "from flask import Blueprint\nfrom services import register\n",
    ),
    ("posts.py", "from models import User\nimport os\n"),
];

// proves: SPEC 5.1
#[test]
fn the_order_of_work_follows_from_the_drafts() {
    let bench = Bench::new();
    for (files, expected, longest) in [
        (
            &[("a.py", ""), ("b.py", "import a"), ("c.py", "from b import x")][..],
            &[1, 1, 1][..],
            3,
        ),
        (
            &[("a.py", ""), ("b.py", "import os"), ("c.py", "import sys")],
            &[3],
            1,
        ),
        (
            &[
                ("a.py", ""),
                ("b.py", "import a"),
                ("c.py", "import a"),
                ("d.py", "import b\nimport c"),
            ],
            &[1, 2, 1],
            3,
        ),
        (
            &[
                ("src/a.ts", "import React from 'react'\nimport './b'"),
                ("src/b.ts", "const c = require('./c')"),
                ("src/c.js", "import('../d.jsx')"),
                ("d.jsx", ""),
            ],
            &[1, 1, 1, 1],
            4,
        ),
        (
            &[
                ("main.py", "import left\nimport right"),
                ("left.py", "import deep"),
                ("deep.py", ""),
                ("right.py", ""),
            ],
            &[2, 1, 1],
            3,
        ),
    ] {
        let report = report(&bench, files);
        assert_eq!(widths(&report), expected, "{files:?}");
        assert_eq!(report["statistics"]["critical_path_length"], longest, "{files:?}");
        assert_eq!(report["statistics"]["total_files"], files.len());
        let widest = expected.iter().max().unwrap();
        assert_eq!(report["statistics"]["max_parallelism"], *widest);
    }
    assert!(
        !bench.path().join(".bellwether").exists(),
        "looking leaves nothing behind"
    );
}

// proves: SPEC 5.1
#[test]
fn statistics_of_what_is_planned() {
    let bench = Bench::new();
    let shared = [
        ("base.py", ""),
        ("a.py", "import base"),
        ("b.py", "import base"),
        ("c.py", "import base\nimport a"),
    ];
    let told = report(&bench, &shared)["statistics"].clone();
    assert_eq!(
        (&told["total_files"], &told["total_dependencies"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(told["avg_dependencies_per_file"], 1.0);
    assert_eq!(
        told["most_required_files"][0],
        json!({ "file": "base.py", "count": 3 })
    );
    assert_eq!(
        told["most_dependent_files"][0],
        json!({ "file": "c.py", "count": 2 })
    );
    assert_eq!(told["critical_path"], json!(["base.py", "a.py", "c.py"]));

    let told = report(&bench, FLASK);
    assert_eq!(told["batches"][0], json!(["config.py"]));
    assert_eq!(widths(&told), [1, 1, 1, 2, 1, 1]);
    let standard = told["externals"].as_array().unwrap().iter();
    assert!(
        standard
            .clone()
            .any(|external| external["name"] == "os" && external["files"] == 2),
        "`os` is no part of `posts`"
    );

    let names: Vec<String> = (0..100).map(|n| format!("m{n}.py")).collect();
    let codes: Vec<String> = (0..100).map(|n| format!("import m{}\n", n / 2 + 50)).collect();
    let many: Vec<(&str, &str)> = names
        .iter()
        .zip(&codes)
        .map(|(name, code)| (&**name, &**code))
        .collect();
    assert_eq!(report(&bench, &many)["statistics"]["total_files"], 100);
}

// proves: SPEC 5.1
#[test]
fn circles_of_drafts_are_told_and_still_have_an_order() {
    let bench = Bench::new();
    for files in [
        &[("a.py", "import b"), ("b.py", "import a")][..],
        &[("a.py", "import b"), ("b.py", "import c"), ("c.py", "import a")],
    ] {
        let report = report(&bench, files);
        assert_eq!(
            report["cycles"][0]["files"].as_array().unwrap().len(),
            files.len()
        );
        assert_eq!(report["cycles"][0]["cuts"].as_array().unwrap().len(), 1);
        assert_eq!(widths(&report), vec![1; files.len()]);
    }
}

const PLANNED: &str = "
tasks:
  - title: User model
    description: Users with roles.
    code: |
      from .config import URL
    files: [app/models.py, tests/test_models.py]
  - title: Views
    files: app/views.py
    code: from . import models, forms
  - { title: Forms, files: [app/forms.py] }
  - { title: Migrate the data }
";

fn over(bench: &Bench) {
    bench.write("app/__init__.py", "");
    bench.write("app/config.py", "");
    bench.write("app/models.py", "from . import views\n");
    bench.write("app/admin.py", "from . import models\n");
    bench.write("tasks.yaml", PLANNED);
}

// proves: SPEC 5.1
#[test]
fn a_list_is_laid_over_a_tree() {
    let bench = Bench::new();
    over(&bench);
    let alone = bench.json(&["analyze", "--planned", "tasks.yaml"]);
    assert_eq!(
        alone["files"],
        json!([
            "app/forms.py",
            "app/models.py",
            "app/views.py",
            "migrate_the_data.py",
            "tests/test_models.py"
        ])
    );
    let report = bench.json(&["analyze", "--planned", "tasks.yaml", "."]);
    let pairs = report["edges"].as_array().unwrap().iter();
    let pairs: Vec<Value> = pairs.map(|edge| json!([edge["from"], edge["to"]])).collect();
    assert_eq!(
        json!(pairs),
        json!([
            ["app/admin.py", "app/models.py"],
            ["app/models.py", "app/config.py"],
            ["app/views.py", "app/forms.py"],
            ["app/views.py", "app/models.py"],
        ])
    );
    assert_eq!(
        report["planned"][0],
        json!({ "title": "User model", "files": ["app/models.py", "tests/test_models.py"] })
    );
    let args = [
        "analyze",
        "--planned",
        "tasks.yaml",
        ".",
        "--affected-by",
        "app/forms.py",
    ];
    let affected = bench.json(&args);
    assert_eq!(
        affected["affected"]["files"],
        json!(["app/forms.py", "app/views.py"]),
        "a file that is not there has dependents, too"
    );
    let drawn = bench.shown(&["analyze", "--planned", "tasks.yaml", ".", "--format", "mermaid"]);
    assert!(drawn.contains("planned") && drawn.contains("forms.py"), "{drawn}");
    insta::assert_snapshot!(bench.shown(&["analyze", "--planned", "tasks.yaml"]), @r"
    exit 0
    tasks.yaml: 5 files (python 5), all to be written by 4 tasks, 2 dependencies, 0.4 for each file
    2 batches, the widest of 4 files; 2 parsed, 0 known from before

    FILE           NEEDED BY
    app/forms.py           1
    app/models.py          1

    FILE          NEEDS
    app/views.py      2

    critical path: 2 files
      app/forms.py
      app/views.py

    not found
      app/models.py:1 .config
    ");
}

#[test]
fn lists_come_in_every_format_and_from_stdin() {
    let bench = Bench::new();
    let piped = |text: &str| -> Value {
        bench.write("piped", text);
        let mut command = bench.command(&["analyze", "--planned", "-", "--json"]);
        command.stdin(std::fs::File::open(bench.path().join("piped")).unwrap());
        let said = Said::of(&mut command);
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
    };
    for text in [
        "- { title: a.ts }",
        "[{ title: a.ts }]",
        "\n[\n  {\"title\": \"a.ts\"}\n]",
        "{\"tasks\": [{\"title\": \"a.ts\"}]}",
        "[[tasks]]\ntitle = \"a.ts\"\n",
    ] {
        assert_eq!(piped(text)["files"], json!(["a.ts"]), "{text}");
    }
}

// proves: SPEC 5.1
#[test]
fn what_is_wrong_with_a_list_is_told_where_it_stands() {
    let bench = Bench::new();
    bench.write(
        "tasks.yaml",
        "- title: a\n  files: [../a.py]\n- title: b\n  file: b.py\n- title: c\n  files: [c.py]\n- title: d\n  files: [./c.py]\n",
    );
    insta::assert_snapshot!(bench.shown(&["analyze", "--planned", "tasks.yaml"]), @r"
    exit 2
    -- stderr
    error[plan-invalid-value]: `files[0]` of task number 1: `../a.py` leads upwards
     --> tasks.yaml:2:11
    2 |   files: [../a.py]
      |           ^
    help: name a file by its path from the top of the tree, such as `app/models.py`

    error[plan-unknown-key]: unknown key `file` in task number 2
     --> tasks.yaml:4:3
    4 |   file: b.py
      |   ^
    help: did you mean `files`?

    error[plan-duplicate]: `c.py` is planned twice, first at 6:11
     --> tasks.yaml:8:11
    8 |   files: [./c.py]
      |           ^
    help: let one task write it, or name another file
    ");
    let said = bench.bell(&["analyze", "--planned", "tasks.yaml", "--json"]);
    let problem: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(problem["faults"].as_array().unwrap().len(), 3, "{problem}");
    assert_eq!(problem["faults"][2]["code"], "plan-duplicate");
    assert_eq!(
        bench.problem(&["analyze", "--planned", "task.yaml"]),
        ("plan-unreadable".into(), 2)
    );
    let shown = bench.shown(&["analyze", "--planned", "-", "--watch"]);
    assert!(
        shown.contains("exit 2") && shown.contains("help: name a file"),
        "{shown}"
    );
    let shown = bench.shown(&["analyze", "--planned", "tasks.yaml", "--submit"]);
    assert!(shown.contains("exit 2") && shown.contains("--plan"), "{shown}");
}

fn submit(bench: &Bench, more: &[&str]) -> Value {
    let args = [
        "analyze",
        "--planned",
        "tasks.json",
        "--plan",
        "write.yaml",
        "--submit",
    ];
    bench.json(&[&args[..], more].concat())
}

// proves: SPEC 5.2
#[test]
fn a_list_is_analysed_and_handed_in_by_one_call() {
    let bench = Bench::new();
    bench.write(
        "write.yaml",
        "run: 'printf \"%s\\n\" \"$BELL_UNIT_TITLE\" >> order'\n",
    );
    for (files, batches, longest) in [
        (&[("a.py", "")][..], 1, 1),
        (&[("a.py", ""), ("b.py", "import a"), ("c.py", "import b")], 3, 3),
        (&[("a.py", ""), ("b.py", ""), ("c.py", "")], 1, 1),
        (&[("a.py", "import b"), ("b.py", "import a")], 2, 2),
    ] {
        bench.write("tasks.json", &list(files));
        let told = submit(&bench, &["--new"]);
        assert_eq!(told["batches"], batches, "{files:?}");
        assert_eq!(told["tasks"], files.len());
        assert_eq!(told["stats"]["critical_path_length"], longest);
        let run = bench.json(&["runs", "show", told["run"].as_str().unwrap()]);
        assert_eq!(run["run"]["total"], files.len(), "{run}");
    }

    bench.write("tasks.json", &list(FLASK));
    let told = submit(&bench, &["--new"]);
    let again = submit(&bench, &[]);
    assert_eq!(
        told["run"], again["run"],
        "handing in again goes on with the same run"
    );
    let tasks = bench.json(&["task", "list", "--run", told["run"].as_str().unwrap()]);
    let tasks = tasks["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), FLASK.len());
    let task = |key: &str| tasks.iter().find(|task| task["key"] == key).unwrap();
    assert_eq!(task("config.py")["state"], "ready");
    assert_eq!(task("app.py")["state"], "blocked", "gated on what it needs");
    assert_eq!(task("config.py")["priority"], 8);
    assert_eq!(task("posts.py")["priority"], 5);

    let plan = bench.json(&["analyze", "--planned", "tasks.json", "--plan", "write.yaml"]);
    bench.write("plan.json", &plan.to_string());
    let shown = bench.shown(&["run", "plan.json"]);
    assert!(shown.contains("exit 0"), "{shown}");
    let order = std::fs::read_to_string(bench.path().join("order")).unwrap();
    assert_eq!(order.lines().count(), FLASK.len());
    assert_eq!(order.lines().next(), Some("Write config.py"));
    assert_eq!(order.lines().last(), Some("Write app.py"));
    let run = bench.json(&["runs", "show", told["run"].as_str().unwrap()]);
    assert_eq!(
        run["run"]["state"], "succeeded",
        "what is written down is what was handed in"
    );
}

// proves: SPEC 5.2
#[test]
fn nothing_to_do_is_handed_in_by_nobody() {
    let bench = Bench::new();
    bench.write("tasks.json", "[]");
    bench.write("write.yaml", "run: 'true'\n");
    std::fs::create_dir(bench.path().join("empty")).unwrap();
    let told = submit(&bench, &[]);
    assert_eq!(
        (&told["batches"], &told["tasks"], &told["run"]),
        (&json!(0), &json!(0), &json!(null))
    );
    let told = bench.json(&["analyze", "empty", "--plan", "write.yaml", "--submit"]);
    assert_eq!((&told["batches"], &told["tasks"]), (&json!(0), &json!(0)));
    assert!(
        !bench.path().join(".bellwether").exists(),
        "no store was made for it"
    );
    insta::assert_snapshot!(bench.shown(&["analyze", "--planned", "tasks.json"]), @r"
    exit 0
    tasks.json: no files
    ");
    insta::assert_snapshot!(bench.shown(&["analyze", "empty", "--plan", "write.yaml", "--submit"]), @r"
    exit 0
    there is nothing to do, and nothing was handed in
    ");
}

// proves: SPEC 5.2
#[test]
fn a_list_is_handed_in_behind_a_server() {
    let bench = Bench::new();
    let served = Served::new(&bench, &[]);
    let far = Bench::new();
    far.write("write.yaml", "prompt: Write these files.\n");
    far.write("tasks.json", &list(&[("a.py", ""), ("b.py", "import a")]));
    let url = format!("http://{}", served.address);
    let told = submit(&far, &["--server", &url]);
    assert_eq!(told["tasks"], 2);
    assert!(!far.path().join(".bellwether").exists());
    let claimed = bench.json(&["task", "claim", "--worker", "ann"]);
    let inputs = &claimed["leases"][0]["inputs"];
    let expected =
        json!({ "unit": "a.py", "files": ["a.py"], "title": "Write a.py", "drafts": { "a.py": "" } });
    assert_eq!(*inputs, expected, "all that somebody far away needs");
    end(served.child);
}

#[test]
fn a_list_that_is_watched_is_told_again_when_it_changes() {
    let bench = Bench::new();
    bench.write("tasks.json", &list(&[("a.py", "")]));
    let mut command = bench.command(&["analyze", "--planned", "tasks.json", "--watch", "--json"]);
    let mut watching = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["statistics"]["total_files"], 1);
    bench.write("next.json", &list(&[("a.py", "import b"), ("b.py", "")]));
    std::fs::rename(bench.path().join("next.json"), bench.path().join("tasks.json")).unwrap();
    assert_eq!(next()["edges"][0]["to"], "b.py");
    bench.write("next.json", "[");
    std::fs::rename(bench.path().join("next.json"), bench.path().join("tasks.json")).unwrap();
    assert_eq!(
        next()["code"],
        "plan-syntax",
        "the watch goes on while the list is broken"
    );
    bench.write("next.json", &list(&[("c.py", "")]));
    std::fs::rename(bench.path().join("next.json"), bench.path().join("tasks.json")).unwrap();
    assert_eq!(next()["files"], json!(["c.py"]));
    watching.kill().unwrap();
    watching.wait().unwrap();
}

/// Bytes that a process has asked the system for.
#[cfg(target_os = "linux")]
fn bytes_read(pid: u32) -> u64 {
    let told = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_quiet_tree_that_is_watched_is_not_read() {
    let bench = Bench::new();
    for n in 0..200 {
        bench.write(&format!("src/m{n}.py"), "import os\n");
    }
    let mut watching = bench.spawn(&["analyze", "src", "--watch", "--json"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    // Two looks and more, once all has settled.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut before = bytes_read(watching.id());
    loop {
        std::thread::sleep(Duration::from_millis(1_500));
        let now = bytes_read(watching.id());
        if now == before {
            break;
        }
        assert!(Instant::now() < deadline, "it goes on reading");
        before = now;
    }
    bench.write("src/m7.py", "import sys\n");
    let report: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        report["statistics"]["total_files"], 200,
        "and it still sees what changes"
    );
    watching.kill().unwrap();
    watching.wait().unwrap();
}
