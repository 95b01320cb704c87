//! Every "no" has a code, a cure and the right exit status.

use crate::bench::Bench;

#[test]
fn people_get_a_code_and_a_cure() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "build"]);
    insta::assert_snapshot!(bench.shown(&["task", "show", "biuld"]), @r"
    exit 2
    -- stderr
    error[task-not-found]: project default has no task `biuld`
    help: did you mean `build`? `bell task list` shows all
    ");
    insta::assert_snapshot!(bench.shown(&["task", "complete", "build", "--token", "1.2.0000000000000003"]), @r"
    exit 1
    -- stderr
    error[lease-lost]: the lease on task build has ended
    help: stop the work; the task may already be with another worker
    ");
    insta::assert_snapshot!(bench.shown(&["task", "lits"]), @r"
    exit 2
    -- stderr
    error: unrecognized subcommand 'lits'

      tip: a similar subcommand exists: 'list'

    Usage: bell task [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(bench.shown(&["task", "add", "x", "--priority", "hihg"]), @r"
    exit 2
    -- stderr
    error: invalid value 'hihg' for '--priority <PRIORITY>': `hihg` is no priority; did you mean `high`? known are low, normal, medium, high, fix, critical

    For more information, try '--help'.
    ");
}

#[test]
fn programs_get_one_document() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let said = bench.bell(&["task", "show", "b", "--json"]);
    insta::assert_snapshot!(said.out, @r#"{"type":"urn:bellwether:problem:task-not-found","code":"task-not-found","title":"There is no such task","detail":"project default has no task `b`","status":404,"help":"did you mean `a`? `bell task list` shows all"}"#);
    assert_eq!((said.err.as_str(), said.exit), ("", 2));
    let said = bench.bell(&["task", "add", "", "--json"]);
    insta::assert_snapshot!(said.out, @r#"{"type":"urn:bellwether:problem:invalid-argument","code":"invalid-argument","title":"An argument cannot be used","detail":"invalid value '' for '<NAME>': it must not be empty","status":400,"help":"`bell COMMAND --help` shows its options"}"#);
    assert_eq!(
        bench.problem(&["task", "shwo", "b"]),
        ("invalid-argument".to_owned(), 2)
    );
    assert_eq!(
        bench.problem(&["task", "add", "b", "--after", "none"]),
        ("prerequisite-not-found".to_owned(), 2)
    );
    assert_eq!(
        bench.problem(&["task", "add", "b", "--id", "a"]),
        ("task-exists".to_owned(), 2)
    );
    assert_eq!(
        bench
            .problem(&["task", "add", "b", "--id", "b", "--after", "b"])
            .1,
        2
    );
    assert_eq!(
        bench.problem(&["runs", "show", "none"]),
        ("run-not-found".to_owned(), 2)
    );
    assert_eq!(
        bench.problem(&["dlq", "show", "a"]),
        ("invalid-transition".to_owned(), 1)
    );
}

// proves: SPEC 2.1, DESIGN 3
#[test]
fn refused_moves_change_nothing() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    bench.json(&["task", "cancel", "a"]);
    assert_eq!(
        bench.json(&["task", "cancel", "a"])["cancelled"],
        serde_json::json!([])
    );
    assert_eq!(
        bench.problem(&["task", "suspend", "a"]),
        ("invalid-transition".to_owned(), 1)
    );
    assert_eq!(
        bench.problem(&["task", "retry", "a"]),
        ("invalid-transition".to_owned(), 1)
    );
    assert_eq!(bench.json(&["task", "history", "a"])["count"], 2);
}

// proves: DESIGN 6
#[test]
fn what_cannot_be_answered_or_tried_again_is_told_why() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    insta::assert_snapshot!(bench.shown(&["breakpoint", "resolve", "a"]), @r"
    exit 1
    -- stderr
    error[invalid-transition]: task a is no breakpoint; it is ready
    help: `bell breakpoint list` shows what waits for a person
    ");
    let (id, token) = crate::bench::lease(&bench.json(&["task", "claim", "--worker", "me"]));
    bench.json(&["task", "complete", &id, "--token", &token]);
    insta::assert_snapshot!(bench.shown(&["task", "retry", "a"]), @r"
    exit 1
    -- stderr
    error[invalid-transition]: task a has completed and is not tried again
    help: add it anew, or begin a new run of its plan with `bell run PLAN --new`
    ");

    bench.write(
        "plan.yaml",
        "name: p\ntasks: { one: { breakpoint: first }, two: { breakpoint: then, after: one } }",
    );
    bench.json(&["submit", "plan.yaml"]);
    let early = bench.bell(&["breakpoint", "resolve", "two"]).err;
    assert!(early.contains("does not ask yet; it is blocked"), "{early}");
    bench.json(&["breakpoint", "resolve", "one"]);
    let late = bench.bell(&["breakpoint", "resolve", "one"]).err;
    assert!(late.contains("asks no more; it is completed"), "{late}");
}

// proves: DESIGN 6
#[test]
fn a_no_without_a_cure_of_its_own_has_the_one_of_its_code() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let file = bench.path().join(".bellwether/bell.db");
    let store = rusqlite::Connection::open(&file).unwrap();
    store.pragma_update(None, "user_version", 999).unwrap();
    drop(store);
    insta::assert_snapshot!(bench.shown(&["task", "list"]), @r"
    exit 4
    -- stderr
    error[store-newer]: DIR/.bellwether/bell.db has schema 999, this binary knows 1
    help: Use the newer binary. This one changed nothing.
    ");
    let said = bench.bell(&["task", "list", "--json"]);
    let problem: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(problem["help"], "Use the newer binary. This one changed nothing.");

    // The file of this one is a folder.
    bench.write("sub/.bellwether/bell.db/x", "");
    let said = bench.bell(&["task", "list", "--store", "sqlite:sub/.bellwether/bell.db"]);
    assert!(said.exit != 0 && said.err.contains("\nhelp: "), "{said:?}");
}

// proves: DESIGN 6
#[test]
fn every_code_is_explained() {
    let bench = Bench::new();
    insta::assert_snapshot!(bench.shown(&["explain", "error[lease-lost]"]), @r"
    exit 0
    lease-lost  The lease is no longer yours
    cause        It expired, was handed back or taken away, and the task may already be with another worker.
    cure         Stop working on it. Renew in time: a lease tells when it expires, and progress renews it.
    exit status  1
    ");
    insta::assert_snapshot!(bench.shown(&["explain", "lease-lst"]), @r"
    exit 2
    -- stderr
    error[invalid-argument]: there is no error code `lease-lst`
    help: did you mean `lease-lost`?
    ");
    let all = bench.json(&["explain"]);
    assert!(all["count"].as_u64().unwrap() > 30);
}

#[test]
fn what_was_typed_wrong_is_answered_with_what_is_right() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    for (args, told) in [
        (
            &["task", "list", "--state", "foo"][..],
            "no such state; known are pending,",
        ),
        (
            &["task", "list", "--state", "skipped"],
            "in the state cancelled, with the reason not_needed",
        ),
        (&["events", "--after", "-1"], "write the number of an event"),
        (
            &["task", "add", "b", "--priority", "11"],
            "low, normal, medium, high, fix or critical",
        ),
        (
            &["task", "add", "b", "--after", "a:never"],
            "`never` is no condition: write success, failure or finished",
        ),
        (&["dlq", "requeue"], "--signature, --older-than, --run or --all"),
        (
            &["limit", "set", "project", "--concurrency", "0"],
            "lets nothing begin",
        ),
    ] {
        let said = bench.bell(args);
        assert!(said.exit == 2 && said.err.contains(told), "{args:?}: {said:?}");
    }
    let help = bench.bell(&["task", "add", "--help"]).out;
    let words: Vec<&str> = help.split_whitespace().collect();
    let known = "low, normal or medium, high, fix, critical";
    assert!(words.join(" ").contains(known), "{help}");
}
