//! Files that are planned, alone and over a tree.

use analyze::cache::Cache;
use analyze::facts::Language;
use analyze::plan::{Options as Plan, Priorities, plan};
use analyze::units::{Size, Units};
use analyze::{Ground, Options, Tree, look};
use domain::plan::{Format, read_planned};
use serde_json::{Value, json};

use crate::{edges, folder};

/// Files on disk if there are any, and a list over them.
fn over(files: Option<&[(&str, &str)]>, list: &Value) -> Tree {
    let temp = folder(files.unwrap_or_default());
    let known = |name: &str| Language::of(name).is_some();
    let planned = read_planned(list.to_string().as_bytes(), Format::Json, "list", known).unwrap();
    let ground = Ground {
        root: temp.path(),
        there: files.is_some(),
        planned: &planned,
    };
    let options = Options {
        languages: Language::ALL.to_vec(),
        threads: 2,
    };
    look(&ground, &options, &mut Cache::none(), None).unwrap()
}

fn tasks(tree: &Tree, size: Size) -> Value {
    let mut only: Vec<u32> = tree
        .planned
        .iter()
        .flat_map(|task| &task.files)
        .copied()
        .collect();
    only.sort_unstable();
    let template = json!({ "run": "x" });
    let options = Plan {
        name: "p",
        template: template.as_object().unwrap(),
        priorities: Priorities::CriticalPath,
        only: Some(&only),
    };
    plan(tree, &Units::new(tree, size), &options).unwrap()["tasks"].clone()
}

// proves: SPEC 5.1
#[test]
fn every_language_is_resolved_among_drafts() {
    let tree = over(
        None,
        &json!([
            { "title": "x", "files": ["go.mod"], "code": "module example.org/m\n" },
            { "title": "x", "files": ["main.go"], "code": "package main\nimport \"example.org/m/db\"\nvar _ = db.Open\n" },
            { "title": "x", "files": ["db/db.go"], "code": "package db\nfunc Open() {}\n" },
            { "title": "x", "files": ["Cargo.toml"], "code": "[package]\nname = 'm'\n" },
            { "title": "x", "files": ["src/lib.rs"], "code": "mod a;\nmod b;\n" },
            { "title": "x", "files": ["src/a.rs"], "code": "pub struct A;\n" },
            { "title": "x", "files": ["src/b.rs"], "code": "use crate::a::A;\n" },
            { "title": "x", "files": ["tsconfig.json"], "code": "{\"compilerOptions\":{\"paths\":{\"@/*\":[\"./web/*\"]}}}" },
            { "title": "x", "files": ["web/page.tsx"], "code": "import { db } from '@/lib/db'\n" },
            { "title": "x", "files": ["web/lib/db.ts"], "code": "export const db = 1\n" },
            { "title": "x", "files": ["app/views.py"], "code": "from .models import User\nfrom posts import os\nimport os\n" },
            { "title": "x", "files": ["app/models.py"] },
            { "title": "x", "files": ["posts.py"] },
            { "title": "x", "files": ["manage"], "code": "import posts\n" },
            { "title": "x", "files": ["README.md"], "code": "import a thing, and so on" },
        ]),
    );
    assert_eq!(
        edges(&tree),
        [
            "app/views.py -> app/models.py",
            "app/views.py -> posts.py",
            "main.go -> db/db.go",
            "manage -> posts.py",
            "src/b.rs -> src/a.rs",
            "src/lib.rs -> src/a.rs (part)",
            "src/lib.rs -> src/b.rs (part)",
            "web/page.tsx -> web/lib/db.ts",
        ]
    );
    assert!(
        tree.files.iter().all(|file| file.fault.is_none()),
        "{:?}",
        tree.files
    );
}

#[test]
fn a_draft_counts_instead_of_what_is_there() {
    let there = [
        ("a.py", "import b\n"),
        ("b.py", ""),
        ("c.py", "import a\n"),
        ("pkg/__init__.py", ""),
    ];
    let tree = over(
        Some(&there),
        &json!([
            { "title": "x", "files": ["a.py"], "code": "import d\nfrom pkg import e\n" },
            { "title": "x", "files": ["c.py", "d.py", "pkg/e.py"] },
        ]),
    );
    assert_eq!(
        edges(&tree),
        ["a.py -> d.py", "a.py -> pkg/e.py", "c.py -> a.py"],
        "without a draft what is there counts"
    );
}

#[test]
fn files_alone_are_not_resolved_by_what_lies_around_them() {
    let temp = folder(&[("__init__.py", ""), ("b.py", "")]);
    let known = |_: &str| true;
    let list = br#"[{"title": "a.py", "code": "import b\nimport c"}, {"title": "c.py"}]"#;
    let planned = read_planned(list, Format::Json, "list", known).unwrap();
    let ground = Ground {
        root: temp.path(),
        there: false,
        planned: &planned,
    };
    let options = Options {
        languages: Language::ALL.to_vec(),
        threads: 1,
    };
    let tree = look(&ground, &options, &mut Cache::none(), None).unwrap();
    assert_eq!(edges(&tree), ["a.py -> c.py"]);
}

#[test]
fn a_planned_task_is_one_unit_whatever_it_writes() {
    let tree = over(
        None,
        &json!([
            { "title": "Users", "description": "with roles", "files": ["users.py", "test_users.py", "README.md"], "code": "import db\n" },
            { "title": "Storage", "files": ["db.py", "schema.py"], "code": "" },
            { "title": "Reports", "files": ["reports.py"], "code": "import schema\n" },
        ]),
    );
    let tasks = tasks(&tree, Size::File);
    let names: Vec<&String> = tasks.as_object().unwrap().keys().collect();
    assert_eq!(names, ["db.py", "reports.py", "users.py"]);
    let users = &tasks["users.py"];
    assert_eq!(users["after"], json!(["db.py"]));
    assert_eq!(tasks["reports.py"]["after"], json!(["db.py"]));
    assert_eq!(users["summary"], "Users");
    assert_eq!(users["env"]["BELL_UNIT_TITLE"], "Users");
    assert_eq!(users["env"]["BELL_UNIT_DESCRIPTION"], "with roles");
    assert_eq!(
        users["env"]["BELL_UNIT_FILES"],
        "users.py\ntest_users.py\nREADME.md"
    );
    assert_eq!(
        users["inputs"],
        json!({
            "unit": "users.py",
            "files": ["users.py", "test_users.py", "README.md"],
            "title": "Users",
            "description": "with roles",
            "drafts": { "users.py": "import db\n" },
        })
    );
}

#[test]
fn tasks_that_need_each_other_by_different_files_are_one_component() {
    let tree = over(
        None,
        &json!([
            { "title": "A", "files": ["a.py", "b.py"], "code": "import c\n" },
            { "title": "C", "files": ["c.py"], "code": "import b\n" },
        ]),
    );
    let tasks = tasks(&tree, Size::Component);
    let names: Vec<&String> = tasks.as_object().unwrap().keys().collect();
    assert_eq!(names, ["a.py"]);
    assert_eq!(tasks["a.py"]["env"]["BELL_UNIT_TITLE"], "A\nC");
}

#[test]
fn the_order_leads_through_files_that_are_there() {
    let there = [
        ("middle.py", "import low\n"),
        ("low.py", ""),
        ("aside.py", "import other\n"),
        ("other.py", ""),
    ];
    let list = json!([
        { "title": "x", "files": ["high.py"], "code": "import middle\nimport aside\n" },
        { "title": "x", "files": ["low.py"], "code": "" },
        { "title": "x", "files": ["alone.py"], "code": "import other\n" },
    ]);
    let tasks = tasks(&over(Some(&there), &list), Size::File);
    let names: Vec<&String> = tasks.as_object().unwrap().keys().collect();
    assert_eq!(names, ["alone.py", "high.py", "low.py"]);
    assert_eq!(tasks["high.py"]["after"], json!(["low.py"]));
    assert!(tasks["alone.py"].get("after").is_none());
    assert_eq!(tasks["high.py"]["priority"], "high");
    assert!(tasks["alone.py"].get("priority").is_none());
}
