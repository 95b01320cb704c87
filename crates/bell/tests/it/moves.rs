//! `bell store copy`, as people meet it.

use serde_json::json;

use crate::bench::Bench;

// proves: DESIGN 7
#[test]
fn a_queue_moves_and_its_old_store_says_where_to() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks: { a: 'true', b: { run: 'exit 1', after: a }, c: { prompt: x, after: a } }",
    );
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 3);
    bench.json(&["task", "add", "x", "--id", "web-1", "--project", "web"]);
    let copied = bench.json(&["store", "copy", ".bellwether/bell.db", "new/bell.db"]);
    assert_eq!(copied["projects"].as_array().unwrap().len(), 2);
    let before = bench.json(&["audit", "verify"]);
    let with = |args: &[&'static str]| [args, &["--store", "new/bell.db"]].concat();
    assert_eq!(
        bench.json(&with(&["audit", "verify"]))["events"],
        before["events"]
    );
    assert_eq!(bench.json(&with(&["store", "check"]))["sound"], json!(true));
    assert_eq!(
        bench.json(&with(&["task", "show", "web-1", "--project", "web"]))["state"],
        "ready"
    );
    let (code, exit) = bench.problem(&["task", "add", "late"]);
    assert_eq!((code.as_str(), exit), ("project-moved", 1));
    assert_eq!(bench.json(&["task", "list"])["count"], 3, "it can still be read");
    let lease = &bench.json(&with(&["task", "claim", "--worker", "w"]))["leases"][0];
    let (task, token) = (lease["task"].as_str().unwrap(), lease["token"].as_str().unwrap());
    bench.json(&[
        "task",
        "complete",
        task,
        "--token",
        token,
        "--store",
        "new/bell.db",
    ]);
    let refused = bench.problem(&["store", "copy", ".bellwether/bell.db", "new/bell.db", "--abort"]);
    assert_eq!(refused.0, "project-moved");
    let again = bench.json(&["store", "copy", ".bellwether/bell.db", "new/bell.db"]);
    assert_eq!(again["projects"], copied["projects"], "done is done");
    assert_eq!(
        bench.problem(&["store", "copy", "new/bell.db", "new/bell.db"]).1,
        2
    );
}

// proves: DESIGN 6
#[test]
fn a_store_is_brought_to_the_version_of_the_program_when_asked() {
    let bench = Bench::new();
    let missing = bench.problem(&["store", "migrate"]);
    assert_eq!((missing.0.as_str(), missing.1), ("store-not-found", 4));
    bench.json(&["task", "add", "x"]);
    assert!(bench.json(&["store", "migrate"])["schema"].as_u64().unwrap() > 0);
}
