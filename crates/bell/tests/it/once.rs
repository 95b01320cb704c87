//! Calls that are repeated with the key of the first.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::{Bench, Said};
use crate::schedules::end;
use crate::serve::Served;

const PLAN: &str = "name: p\ntasks: { a: { prompt: one }, b: { prompt: two, after: a } }";

fn submit(bench: &Bench, key: &str, args: &[&str]) -> Value {
    bench.json(&[&["submit", "plan.yaml", "--idempotency-key", key], args].concat())
}

fn runs(bench: &Bench) -> usize {
    bench.json(&["runs", "list"])["runs"].as_array().unwrap().len()
}

// proves: DESIGN 6
#[test]
fn a_plan_is_submitted_once_for_each_key() {
    let bench = Bench::new();
    bench.write("plan.yaml", PLAN);
    let first = submit(&bench, "k", &[]);
    bench.json(&["task", "claim", "--worker", "me"]);
    let again = submit(&bench, "k", &[]);
    assert_eq!((&again["id"], &again["total"]), (&first["id"], &json!(2)));
    assert_eq!(again["counts"]["running"], 1, "nothing of it was begun anew");
    insta::assert_snapshot!(bench.shown(&["submit", "plan.yaml", "--idempotency-key", "k"]), @r"
    exit 0
    already submitted: run UUID
    -- stderr
    hint: `bell runs show UUID` tells how it stands
    ");

    bench.write("plan.yaml", &PLAN.replace("two", "three"));
    insta::assert_snapshot!(bench.shown(&["submit", "plan.yaml", "--idempotency-key", "k"]), @r"
    exit 1
    -- stderr
    error[idempotency-conflict]: the idempotency key `k` was used for run UUID, which is of another plan
    help: use a fresh key for what is another submission
    ");
    assert_eq!(runs(&bench), 1);
    let other = submit(&bench, "other", &[]);
    assert_ne!(other["id"], first["id"]);
    assert_eq!(runs(&bench), 2);
    bench.json(&["task", "add", "x", "--idempotency-key", "taken"]);
    let taken = bench.problem(&["submit", "plan.yaml", "--idempotency-key", "taken"]);
    assert_eq!(taken, ("idempotency-conflict".to_owned(), 1));
}

// proves: DESIGN 6
#[test]
fn who_submits_at_once_with_one_key_gets_one_run() {
    let bench = Bench::new();
    bench.write("plan.yaml", PLAN);
    bench.json(&["task", "add", "whatever makes the store"]);
    let submit = |_| {
        let mut command = bench.command(&["submit", "plan.yaml", "--idempotency-key", "k", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(submit).collect();
    let mut ids: Vec<String> = Vec::new();
    for child in children {
        let said = Said::at_the_end(child.wait_with_output().unwrap());
        assert_eq!(said.exit, 0, "{said:?}");
        let run: Value = serde_json::from_str(&said.out).unwrap();
        ids.push(run["id"].to_string());
    }
    ids.dedup();
    assert_eq!((ids.len(), runs(&bench)), (1, 1), "{ids:?}");
    assert_eq!(bench.json(&["queue", "status"])["total_tasks"], 3);
}

// proves: DESIGN 6
#[test]
fn a_key_means_the_same_behind_a_server() {
    let bench = Bench::new();
    bench.write("plan.yaml", PLAN);
    let served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    let first = submit(&bench, "k", &["--server", &url]);
    assert_eq!(submit(&bench, "k", &["--server", &url])["id"], first["id"]);
    assert_eq!(submit(&bench, "k", &[])["id"], first["id"]);
    assert_eq!(runs(&bench), 1);
    end(served.child);
}

#[test]
fn a_question_is_answered_once_for_each_key() {
    let bench = Bench::new();
    bench.write("plan.yaml", "name: p\ntasks: { ok: { breakpoint: ship it? } }");
    bench.json(&["submit", "plan.yaml"]);
    let resolve = ["breakpoint", "resolve", "ok", "--idempotency-key", "k"];
    let first = bench.json(&resolve);
    assert_eq!(bench.json(&resolve), first);
    let other = bench.problem(&[&resolve[..], &["--reject"]].concat());
    assert_eq!(other.0, "idempotency-conflict");
    assert_eq!(bench.problem(&resolve[..3]).0, "invalid-transition");
}
