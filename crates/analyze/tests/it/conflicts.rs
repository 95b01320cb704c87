use analyze::conflict::{Forecast, Kind, Top, forecast};
use analyze::{Options, analyse};
use domain::plan::{Format, Plan, read};
use serde_json::{Map, Value, json};

use crate::tree;

fn plan(tasks: &Value) -> Plan {
    let text = json!({ "name": "p", "tasks": tasks }).to_string();
    read(text.as_bytes(), Format::Json, "plan").unwrap()
}

fn top() -> Top {
    Top {
        top: "/work".into(),
        plan: "/work".into(),
    }
}

fn told(forecast: &Forecast<'_>) -> Vec<String> {
    let show = |conflict: &analyze::conflict::Conflict<'_>| {
        format!(
            "{:?} {} [{}] {} open {} locked",
            conflict.kind,
            conflict.component,
            conflict.tasks.join(" "),
            conflict.open,
            conflict.locked
        )
    };
    forecast.conflicts.iter().map(show).collect()
}

// proves: DESIGN 11
#[test]
fn tasks_at_one_place_conflict_unless_an_order_keeps_them_apart() {
    let plan = plan(&json!({
        "a": { "run": "x", "inputs": { "files": ["src/a.py"] } },
        "b": { "run": "x", "inputs": { "files_to_generate": ["src/a.py", "src/b.py"] } },
        "c": { "run": "x", "inputs": { "file": "src/a.py" }, "after": ["d"] },
        "d": { "run": "x", "after": ["a"] },
        "says-nothing": { "run": "x" },
        "around": { "run": "x", "cwd": "src", "after": ["b", "c"] },
        "reads": { "run": "x", "cache": { "files": ["src/*.py"] }, "after": ["b", "c"] },
        "elsewhere": { "run": "x", "cwd": "/other" },
    }));
    let forecast = forecast(&plan, &top(), None);
    // `around` works in the folder that `reads` reads; `b` and the line from `a` to `c` share a file.
    assert_eq!(
        told(&forecast),
        [
            "Same src/a.py [a b c around reads] 2 open 0 locked",
            "Same src [around reads] 1 open 0 locked"
        ]
    );
    assert_eq!(forecast.conflicts[0].example, Some(("a", "b")));
    assert_eq!((forecast.tasks, forecast.silent, forecast.open), (8, 3, 3));
    assert!(forecast.whole);
}

// proves: DESIGN 11
#[test]
fn what_a_lock_keeps_apart_is_told_beside_what_nothing_does() {
    let plan = plan(&json!({
        "a": { "run": "x", "locks": ["path:src", "db"] },
        "b": { "run": "x", "locks": ["path:./src//x.py"] },
        "c": { "run": "x", "locks": ["db"] },
        "d": { "run": "x", "inputs": { "path": "src/x.py" } },
        "e": { "run": "x", "locks": [{ "name": "log", "shared": true }] },
        "f": { "run": "x", "locks": [{ "name": "log", "shared": true }] },
    }));
    let forecast = forecast(&plan, &top(), None);
    assert_eq!(
        told(&forecast),
        [
            "Same src/x.py [b d a] 2 open 1 locked",
            "Same db [a c] 0 open 1 locked"
        ]
    );
    assert_eq!((forecast.open, forecast.locked), (2, 2));
}

// proves: DESIGN 11
#[test]
fn a_tree_tells_of_circles_and_of_orders_that_are_missing() {
    let tree = tree(&[
        ("core.py", ""),
        ("a/x.py", "import a.y\nimport core\n"),
        ("a/y.py", "def f():\n    import a.x\n"),
        ("b/z.py", "import core\n"),
    ]);
    let top = Top {
        top: tree.root.clone(),
        plan: tree.root.clone(),
    };
    let locks = |path: &str| json!({ "run": "x", "locks": [format!("path:{path}")] });
    let mut tasks = Map::new();
    for path in ["core.py", "a/x.py", "a/y.py", "b"] {
        tasks.insert(path.to_owned(), locks(path));
    }
    tasks["b"]["after"] = json!(["core.py"]);
    let plan = plan(&Value::Object(tasks));
    let forecast = forecast(&plan, &top, Some(&tree));
    let kinds: Vec<_> = forecast.conflicts.iter().map(|c| (c.kind, c.open)).collect();
    assert_eq!(kinds, [(Kind::Circle, 1), (Kind::Needs, 1)], "{forecast:?}");
    assert_eq!(forecast.conflicts[0].component, "a/x.py");
    assert_eq!(forecast.conflicts[1].component, "core.py");
    assert_eq!(forecast.conflicts[1].example, Some(("core.py", "a/x.py")));
}

/// What `bell analyze --plan` writes leaves nothing open.
#[test]
fn a_plan_made_of_a_tree_keeps_everything_apart() {
    let temp = crate::folder(&[
        ("core.py", ""),
        ("a/x.py", "import a.y\nimport core\n"),
        ("a/y.py", "def f():\n    import a.x\n"),
        ("b/z.py", "import core\n"),
    ]);
    let options = Options {
        languages: vec![analyze::facts::Language::Python],
        threads: 2,
    };
    let tree = analyse(temp.path(), &options, &mut analyze::cache::Cache::none()).unwrap();
    for size in [
        analyze::units::Size::File,
        analyze::units::Size::Package,
        analyze::units::Size::Component,
    ] {
        let units = analyze::units::Units::new(&tree, size);
        let template = json!({ "run": "x", "cache": {} });
        let made = analyze::plan::plan(
            &tree,
            &units,
            &analyze::plan::Options {
                name: "p",
                template: template.as_object().unwrap(),
                priorities: analyze::plan::Priorities::Template,
                only: None,
            },
        )
        .unwrap();
        let plan = plan(&made["tasks"]);
        let top = Top {
            top: tree.root.clone(),
            plan: "/elsewhere".into(),
        };
        let forecast = forecast(&plan, &top, Some(&tree));
        assert_eq!((forecast.open, forecast.silent), (0, 0), "{size:?} {forecast:?}");
    }
}

// proves: DESIGN 11
#[test]
fn ten_thousand_tasks_at_one_place_are_counted() {
    let mut tasks = Map::new();
    for number in 0..10_000 {
        let mut task = json!({ "run": "x", "inputs": { "files": ["one.py", format!("{number}.py")] } });
        // Two halves, one after the other.
        if number >= 5_000 {
            task["after"] = json!(["gate"]);
        }
        tasks.insert(format!("t{number}"), task);
    }
    let first: Vec<String> = (0..5_000).map(|number| format!("t{number}")).collect();
    tasks.insert("gate".into(), json!({ "run": "x", "after": first }));
    let plan = plan(&Value::Object(tasks));
    let forecast = forecast(&plan, &top(), None);
    assert!(forecast.whole);
    assert_eq!(forecast.conflicts.len(), 1);
    assert_eq!(forecast.open, 2 * (5_000 * 4_999 / 2));
}
