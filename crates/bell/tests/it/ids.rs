//! Ids may be shortened as long as they mean one thing.

use serde_json::json;

use crate::bench::{Bench, lease};

fn two(bench: &Bench) {
    bench.json(&["task", "add", "a", "--id", "build-api"]);
    bench.json(&["task", "add", "b", "--id", "build-web", "--after", "build-a"]);
}

// proves: DESIGN 6
#[test]
fn a_unique_beginning_names_a_task() {
    let bench = Bench::new();
    two(&bench);
    let shown = bench.json(&["task", "show", "build-w"]);
    assert_eq!(
        (&shown["id"], &shown["after"]),
        (
            &json!("build-web"),
            &json!([{"task": "build-api", "when": "success"}])
        )
    );
    let (_, token) = lease(&bench.json(&["task", "claim", "--worker", "w"]));
    let done = bench.json(&["task", "complete", "build-a", "--token", &token]);
    assert_eq!(done["task"], "build-api");
    assert_eq!(
        bench.json(&["task", "cancel", "build-w"])["cancelled"],
        json!(["build-web"])
    );
}

#[test]
fn a_beginning_of_several_is_refused_with_their_names() {
    let bench = Bench::new();
    two(&bench);
    insta::assert_snapshot!(bench.shown(&["task", "cancel", "build"]), @r"
    exit 2
    -- stderr
    error[ambiguous-id]: `build` begins the id of more than one task: build-api, build-web
    help: type more of it, or the whole id
    ");
    assert_eq!(
        bench.problem(&["task", "cancel", "build"]),
        ("ambiguous-id".to_owned(), 2)
    );
    // Nothing was done to either.
    assert_eq!(bench.json(&["queue", "status"])["cancelled"], 0);
    // The whole id is one, although it is the beginning of another.
    bench.json(&["task", "add", "c", "--id", "build"]);
    assert_eq!(bench.json(&["task", "show", "build"])["id"], "build");
    // Too short to be meant as one.
    assert_eq!(bench.problem(&["task", "show", "bui"]).0, "task-not-found");
}

#[test]
fn a_run_goes_by_the_beginning_of_its_id() {
    let bench = Bench::new();
    bench.write("p.yaml", "name: p\ntasks: { one: { run: \"true\" } }\n");
    let first = bench.json(&["submit", "p.yaml"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = bench.json(&["submit", "p.yaml", "--new"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    // Both were made within moments, so the times that they begin with are alike at first.
    let differs = first
        .bytes()
        .zip(second.bytes())
        .position(|(a, b)| a != b)
        .unwrap();
    let shown = bench.json(&["runs", "show", &first[..=differs]]);
    assert_eq!(shown["run"]["id"], first.as_str());
    assert_eq!(
        bench.problem(&["runs", "show", &first[..4]]),
        ("ambiguous-id".to_owned(), 2)
    );
    assert_eq!(bench.problem(&["runs", "show", "none"]).0, "run-not-found");
    let resumed = bench.json(&["submit", "p.yaml", "--resume", &first[..=differs]]);
    assert_eq!(resumed["id"], first.as_str());
}
