//! `bell analyze` on small trees.

use std::process::Command;

use serde_json::json;

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
    bench.write("check.yaml", "- x\n");
    refused(&["analyze", "src", "--plan", "check.yaml"]);
}
