use analyze::Tree;
use analyze::plan::{Options, Priorities, plan};
use analyze::units::{Size, Units};
use domain::plan::{Format, read};
use serde_json::{Value, json};

use crate::{folder, tree, write};

fn planned(tree: &Tree, size: Size, template: &Value, priorities: Priorities, only: Option<&[u32]>) -> Value {
    let units = Units::new(tree, size);
    let options = Options {
        name: "p",
        template: template.as_object().unwrap(),
        priorities,
        only,
    };
    let plan = plan(tree, &units, &options).unwrap();
    read(plan.to_string().as_bytes(), Format::Json, "plan").unwrap();
    plan
}

fn small() -> Tree {
    tree(&[
        ("core.py", ""),
        ("a/__init__.py", "import core\n"),
        ("a/x.py", "from . import y\n"),
        ("a/y.py", "def f():\n    from . import x\n"),
        ("b/z.py", "import a.x\n"),
    ])
}

// proves: SPEC 5.1, DESIGN 11
#[test]
fn each_file_is_a_task_after_what_it_needs() {
    let template = json!({ "run": ["check"], "cache": {}, "env": { "A": "1" }, "locks": ["db"] });
    let plan = planned(&small(), Size::File, &template, Priorities::CriticalPath, None);
    let tasks = plan["tasks"].as_object().unwrap();
    assert_eq!(tasks.len(), 5);
    let x = &tasks["a/x.py"];
    assert_eq!(x["after"], json!(["a/y.py"]));
    assert_eq!(x["locks"], json!(["db", "path:a/x.py", "knot:a/x.py"]));
    assert_eq!(tasks["a/y.py"]["locks"][2], "knot:a/x.py");
    assert_eq!(x["env"]["BELL_UNIT"], "a/x.py");
    assert_eq!(x["env"]["A"], "1");
    assert_eq!(x["cache"]["files"], json!(["a/x.py"]));
    assert_eq!(x["priority"], "high");
    assert!(tasks["core.py"].get("after").is_none());
    assert!(tasks["core.py"].get("priority").is_none());
}

#[test]
fn packages_and_components_are_tasks_too() {
    let plan = planned(
        &small(),
        Size::Package,
        &json!({ "run": "x" }),
        Priorities::Template,
        None,
    );
    let names: Vec<_> = plan["tasks"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, [".", "a", "b"]);
    assert_eq!(plan["tasks"]["a"]["after"], json!(["."]));
    assert_eq!(plan["tasks"]["b"]["after"], json!(["a"]));

    let plan = planned(
        &small(),
        Size::Component,
        &json!({ "run": "x" }),
        Priorities::Keywords,
        None,
    );
    let tasks = plan["tasks"].as_object().unwrap();
    assert_eq!(
        tasks.keys().collect::<Vec<_>>(),
        ["a/__init__.py", "a/x.py", "b/z.py", "core.py"]
    );
    assert_eq!(tasks["a/x.py"]["env"]["BELL_UNIT_FILES"], "a/x.py\na/y.py");
    assert_eq!(tasks["core.py"]["priority"], 10);
    assert_eq!(tasks["b/z.py"]["priority"], 5);
}

#[test]
fn a_unit_s_digest_changes_with_everything_it_needs() {
    let temp = folder(&[
        ("a.py", ""),
        ("b.py", "import a"),
        ("c.py", "import b"),
        ("d.py", ""),
    ]);
    let digests = || {
        let tree = crate::read(temp.path(), &mut analyze::cache::Cache::none());
        Units::new(&tree, Size::File).digests(&tree)
    };
    let before = digests();
    write(temp.path(), "b.py", "import a  # changed");
    let after = digests();
    let changed: Vec<bool> = before.iter().zip(&after).map(|(a, b)| a != b).collect();
    assert_eq!(changed, [false, true, true, false]);
}

#[test]
fn only_what_is_affected_is_planned() {
    let tree = small();
    let only = tree.affected(&[tree.file("a/x.py").unwrap()]);
    let plan = planned(
        &tree,
        Size::File,
        &json!({ "run": "x" }),
        Priorities::Template,
        Some(&only),
    );
    let tasks = plan["tasks"].as_object().unwrap();
    assert_eq!(tasks.keys().collect::<Vec<_>>(), ["a/x.py", "a/y.py", "b/z.py"]);
    assert_eq!(tasks["b/z.py"]["after"], json!(["a/x.py"]));
}
