//! `bell analyze` on small trees.

use std::io::{BufRead, BufReader};
use std::process::Command;

use serde_json::{Value, json};

use crate::bench::Bench;

fn tree(bench: &Bench) {
    for (path, text) in [
        ("src/app/__init__.py", ""),
        ("src/app/config.py", "import os\n"),
        ("src/app/models.py", "from .config import URL\n"),
        ("src/app/views.py", "from . import models\nimport flask\n"),
    ] {
        bench.write(path, text);
    }
}

// proves: SPEC 5.1, DESIGN 11
#[test]
fn a_tree_is_told_as_data_and_as_pictures() {
    let bench = Bench::new();
    tree(&bench);
    let report = bench.json(&["analyze", "src"]);
    assert_eq!(report["statistics"]["total_files"], 4);
    assert_eq!(
        report["edges"],
        json!([
            { "from": "app/models.py", "to": "app/config.py", "kind": "load", "line": 1 },
            { "from": "app/views.py", "to": "app/models.py", "kind": "load", "line": 1 },
        ])
    );
    assert_eq!(report["batches"][0], json!(["app/__init__.py", "app/config.py"]));
    for (format, part) in [
        ("svg", "<svg"),
        ("dot", "digraph"),
        ("mermaid", "config.py"),
        ("text", "critical path"),
    ] {
        let shown = bench.shown(&["analyze", "src", "--format", format]);
        assert!(shown.contains(part), "{shown}");
    }
    let affected = bench.json(&["analyze", "src", "--affected-by", "src/app/models.py"]);
    assert_eq!(
        affected["affected"]["files"],
        json!(["app/models.py", "app/views.py"])
    );
    assert!(
        !bench.path().join(".bellwether").exists(),
        "looking leaves nothing behind"
    );
}

// proves: DESIGN 11, SPEC 5.3
#[test]
fn a_plan_of_a_tree_runs_and_the_second_look_parses_nothing() {
    let bench = Bench::new();
    tree(&bench);
    bench.write(
        "check.yaml",
        "run: 'printf \"%s\\n\" \"$BELL_UNIT\" >> ../order'\ncache: {}\n",
    );
    let plan = |more: &[&str]| {
        let args = [&["analyze", "src", "--plan", "check.yaml"], more].concat();
        let plan = bench.json(&args);
        bench.write("plan.json", &plan.to_string());
        plan
    };
    assert_eq!(
        plan(&["--priorities", "keywords"])["tasks"]["app/config.py"]["priority"],
        10
    );
    assert!(bench.shown(&["run", "plan.json"]).contains("exit 0"));
    let order = std::fs::read_to_string(bench.path().join("order")).unwrap();
    let at = |name: &str| order.lines().position(|line| line == name).unwrap();
    assert!(at("app/config.py") < at("app/models.py") && at("app/models.py") < at("app/views.py"));

    assert_eq!(bench.json(&["analyze", "src"])["statistics"]["parsed"], 4);
    assert_eq!(bench.json(&["analyze", "src"])["statistics"]["parsed"], 0);

    bench.write("src/app/models.py", "from .config import URL  # changed\n");
    std::fs::remove_file(bench.path().join("order")).unwrap();
    plan(&["--priorities", "keywords"]);
    assert!(bench.shown(&["run", "plan.json", "--new"]).contains("exit 0"));
    let order = std::fs::read_to_string(bench.path().join("order")).unwrap();
    assert_eq!(
        order.lines().collect::<Vec<_>>(),
        ["app/models.py", "app/views.py"]
    );
}

#[test]
fn a_tree_that_is_watched_is_told_again_when_it_changes() {
    let bench = Bench::new();
    tree(&bench);
    let mut watching = bench.spawn(&["analyze", "src", "--watch", "--json"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let parsed = |report: &Value| {
        (
            report["statistics"]["total_files"].clone(),
            report["statistics"]["parsed"].clone(),
        )
    };
    next();
    bench.write("src/app/models.py", "from .views import x\n");
    assert_eq!(
        parsed(&next()),
        (json!(4), json!(1)),
        "only what has changed is parsed"
    );
    std::fs::remove_file(bench.path().join("src/app/views.py")).unwrap();
    let mut left = next();
    while parsed(&left).0 != 3 {
        left = next();
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert!(
        !bench.path().join(".bellwether").exists(),
        "it leaves nothing behind"
    );
}

#[test]
fn changes_are_told_by_git() {
    let bench = Bench::new();
    tree(&bench);
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let done = Command::new("git")
            .current_dir(bench.path())
            .args(identity)
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    bench.write("src/app/views.py", "from . import models\n");
    bench.write("src/app/fresh.py", "from . import views\n");
    let report = bench.json(&["analyze", "src", "--changed-since", "HEAD"]);
    assert_eq!(
        report["affected"]["changed"],
        json!(["app/fresh.py", "app/views.py"])
    );
    let refused = bench.shown(&["analyze", "src", "--changed-since", "nothing"]);
    assert!(
        refused.contains("exit 2") && refused.contains("help: name a commit"),
        "{refused}"
    );
}

// proves: DESIGN 11
#[test]
fn what_needed_a_file_that_is_gone_is_affected() {
    let bench = Bench::new();
    tree(&bench);
    let git = |args: &[&str]| {
        let own = ["-c", "user.name=ann", "-c", "user.email=ann@localhost"];
        let mut command = Command::new("git");
        command.args(own).args(args).current_dir(bench.path());
        assert!(command.output().unwrap().status.success(), "{args:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "src"]);
    git(&["commit", "-qm", "before"]);
    std::fs::remove_file(bench.path().join("src/app/config.py")).unwrap();
    let report = bench.json(&["analyze", "src", "--changed-since", "HEAD"]);
    assert_eq!(report["affected"]["changed"], json!(["app/models.py"]));
    assert_eq!(
        report["affected"]["files"],
        json!(["app/models.py", "app/views.py"])
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_a_cure() {
    let bench = Bench::new();
    tree(&bench);
    let refused = |args: &[&str]| {
        let shown = bench.shown(args);
        assert!(shown.contains("exit 2") && shown.contains("help: "), "{shown}");
        shown
    };
    refused(&["analyze", "nowhere"]);
    assert!(refused(&["analyze", "src", "--affected-by", "app/model.py"]).contains("app/models.py"));
    bench.write("check.yaml", "rum: x\n");
    assert!(refused(&["analyze", "src", "--plan", "check.yaml"]).contains("did you mean `run`?"));
    bench.write("check.yaml", "run: x\nretry: 2\ntimeuot: 5m\n");
    let told = refused(&["analyze", "src", "--plan", "check.yaml"]);
    assert!(
        told.contains("check.yaml:3:1\n") && told.contains("did you mean `timeout`?"),
        "{told}"
    );
    bench.write("check.yaml", "- x\n");
    refused(&["analyze", "src", "--plan", "check.yaml"]);
}

fn forecast(bench: &Bench, args: &[&str]) -> Value {
    let said = bench.bell(&[args, &["--json"]].concat());
    assert_eq!(said.exit, 1, "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

// proves: DESIGN 11
#[test]
fn tasks_of_any_plan_that_would_meet_are_told() {
    let bench = Bench::new();
    tree(&bench);
    bench.write(
        "plan.yaml",
        "tasks:
  a: { run: 'true', inputs: { files: [src/app/config.py] } }
  b: { run: 'true', cwd: src/app }
  c: { run: 'true', locks: ['path:src/app/views.py'], after: [b] }
",
    );
    let shown = bench.shown(&["plan", "conflicts", "plan.yaml"]);
    assert!(
        shown.contains("exit 1") && shown.contains("such as a and b"),
        "{shown}"
    );
    let told = forecast(&bench, &["plan", "conflicts", "plan.yaml"]);
    assert_eq!(told["open"], 1);
    assert_eq!(told["conflicts"][0]["component"], "src/app/config.py");

    // `models.py` needs `config.py`; the source says so and the plan does not.
    bench.write(
        "plan.yaml",
        "tasks:
  a: { run: 'true', locks: ['path:app/config.py'] }
  b: { run: 'true', locks: ['path:app/models.py'] }
",
    );
    let safe = bench.shown(&["plan", "conflicts", "plan.yaml"]);
    assert!(safe.contains("exit 0"), "{safe}");
    let told = forecast(&bench, &["plan", "conflicts", "plan.yaml", "--source", "src"]);
    assert_eq!(told["conflicts"][0]["kind"], "needs");
    assert_eq!(told["conflicts"][0]["tasks"], json!(["a", "b"]));
}
