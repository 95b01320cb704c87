//! Plans from beginning to end.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::{Bench, Said, redact};
use crate::schedules::until;

/// The lines of `bell run --json`, and its exit status.
fn run(bench: &Bench, args: &[&str]) -> (Vec<Value>, i32) {
    let said = bench.bell(&[&["run", "plan.yaml", "--json"], args].concat());
    let lines = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (lines, said.exit)
}

/// What a run that stays has said at its end, when `meanwhile` was done beside it.
fn beside(bench: &Bench, meanwhile: impl FnOnce()) -> Said {
    let mut command = bench.command(&["run", "plan.yaml", "--wait"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    meanwhile();
    Said::at_the_end(child.wait_with_output().unwrap())
}

// proves: DESIGN 6
#[test]
fn a_run_ends_with_its_counts() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  a: { run: 'echo hello; echo again' }\n  b: { run: 'true', after: [a] }\n  c: { run: 'true', after: [{ task: a, when: failure }] }\n",
    );
    let (lines, exit) = run(&bench, &[]);
    let last = lines.last().unwrap();
    assert_eq!(exit, 0, "{lines:?}");
    assert_eq!(
        (&last["type"], &last["counts"]["completed"]),
        (&json!("run.finished"), &json!(2))
    );
    assert_eq!(last["counts"]["cancelled"], 1);
    assert!(last["seconds"].is_number());
    let ends = lines.iter().filter(|line| line["type"] == "run.finished").count();
    assert_eq!(ends, 1);

    assert_eq!(bench.bell(&["task", "logs", "a"]).out, "hello\nagain\n");
    assert_eq!(bench.json(&["task", "logs", "a"])["output"], "hello\nagain\n");
    assert_eq!(bench.problem(&["task", "logs", "c"]).0, "invalid-argument");
    let runs = bench.json(&["runs", "list"]);
    assert_eq!(
        (&runs["count"], &runs["runs"][0]["skipped"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(bench.json(&["runs", "show", "p"])["count"], 3);
}

#[test]
fn a_failure_is_told_with_the_way_on() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  a: { run: 'echo boom >&2; exit 3' }\n  b: { run: 'true', after: [a] }\n",
    );
    insta::assert_snapshot!(bench.shown(&["run", "plan.yaml"]), @r"
    exit 1
    ✗ failed  p in SPAN: 1 failed, 1 cancelled
      ✗ failed  a: exit status 3: boom
          bell task logs UUID
    -- stderr
    created a store in DIR/.bellwether
    new run UUID: 2 tasks
    CLOCK ✗ a SPAN  failed: exit status 3: boom
    CLOCK ⊘ b  cancelled (upstream_failed)
    hint: `bell run plan.yaml` tries again what failed; what is done stays done
    ");
    insta::assert_snapshot!(bench.shown(&["runs", "show", "p"]), @r"
    exit 0
    ✗ failed  p
    id         UUID
    tasks      1 failed, 1 cancelled
    submitted  TIME (SPAN)
    finished   TIME (SPAN)

    STATE        ID                                    NAME  KIND     SCORE  AGE
    ✗ failed     UUID  a     command   34.0 SPAN
    ⊘ cancelled  UUID  b     command   35.0 SPAN
    -- stderr
    hint: `bell task list --run UUID --state failed` shows what failed
    ");
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  a: { run: 'true' }\n  b: { run: 'true', after: [a] }\n",
    );
    insta::assert_snapshot!(bench.shown(&["run", "plan.yaml"]).lines().next().unwrap(), @"exit 0");
}

#[test]
fn a_run_that_waits_for_somebody_says_for_whom() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  a: { agent: reviewer, prompt: Review }\n",
    );
    insta::assert_snapshot!(bench.shown(&["run", "plan.yaml"]), @r"
    exit 3
    ? waits  p in SPAN: 1 ready
      ○ ready  a: the agent reviewer has to take it
          bell task claim --worker reviewer, or bell worker --agent reviewer -- PROGRAM
    -- stderr
    created a store in DIR/.bellwether
    new run UUID: 1 task
    hint: `bell run plan.yaml` goes on
    ");
    let (lines, exit) = run(&bench, &[]);
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], exit), (&json!("run.waiting"), 3));
    assert_eq!(last["waiting"][0]["name"], "a");

    let ended = bench.json(&["runs", "cancel", "p"]);
    assert_eq!(ended["cancelled"].as_array().unwrap().len(), 1);
    assert_eq!(bench.json(&["runs", "show", "p"])["run"]["state"], "cancelled");
}

#[test]
fn a_submitted_plan_is_worked_by_claims() {
    let bench = Bench::new();
    bench.write("plan.yaml", "name: p\ntasks:\n  a: { prompt: Do it }\n");
    let submitted = bench.json(&["submit", "plan.yaml"]);
    assert_eq!(
        (&submitted["plan"], &submitted["total"]),
        (&json!("p"), &json!(1))
    );
    let (id, token) = crate::bench::lease(&bench.json(&["task", "claim", "--worker", "me"]));
    bench.json(&["task", "complete", &id, "--token", &token]);
    assert_eq!(bench.json(&["runs", "show", "p"])["run"]["state"], "succeeded");
}

#[test]
fn a_person_lets_a_run_go_on_or_stops_it() {
    let plan = "name: p\ntasks:\n  ok: { breakpoint: ship it? }\n  ship: { run: 'echo $BELL_RESULT_OK > shipped', after: [ok] }\n";
    let bench = Bench::new();
    bench.write("plan.yaml", plan);
    assert_eq!(run(&bench, &[]).1, 3);
    let list = bench.json(&["breakpoint", "list"]);
    assert_eq!(
        (&list["count"], &list["breakpoints"][0]["asks"]),
        (&json!(1), &json!("ship it?"))
    );
    let answer = bench.json(&["breakpoint", "resolve", "ok", "--answer", "\"yes\""]);
    assert_eq!(answer["unblocked"].as_array().unwrap().len(), 1);
    assert_eq!(run(&bench, &[]).1, 0);
    assert_eq!(
        std::fs::read_to_string(bench.path().join("shipped")).unwrap(),
        "yes\n"
    );
    let again = bench.problem(&["breakpoint", "resolve", "ok"]);
    assert_eq!(again, ("invalid-transition".to_owned(), 1));

    let bench = Bench::new();
    bench.write("plan.yaml", plan);
    assert_eq!(run(&bench, &[]).1, 3);
    bench.json(&[
        "breakpoint",
        "resolve",
        "ok",
        "--reject",
        "--answer",
        "\"not today\"",
    ]);
    assert_eq!(
        run(
            &bench,
            &[
                "--resume",
                bench.json(&["runs", "list"])["runs"][0]["id"].as_str().unwrap()
            ]
        )
        .1,
        3
    );
    // Trying again asks again.
    assert_eq!(bench.json(&["task", "show", "ok"])["state"], "awaiting");
    assert_eq!(bench.json(&["task", "show", "ship"])["state"], "blocked");
}

#[test]
fn a_measurement_tells_its_rows() {
    let bench = Bench::new();
    let report = bench.json(&[
        "bench",
        "enqueue_single",
        "--quick",
        "--samples",
        "5",
        "--store",
        "memory:",
    ]);
    let rows = report["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["value"].as_f64().is_some_and(|value| value > 0.0)),
        "{report}"
    );
    assert!(
        !bench.path().join(".bellwether").exists(),
        "nothing of the user's is touched"
    );
}

// proves: DESIGN 10
#[test]
fn a_breakpoint_has_an_owner_and_a_default() {
    let bench = Bench::new();
    let write = |deadline: &str| {
        let ask = "breakpoint: { ask: 'ship it?', owner: ann, default: { answer: { go: true } } }";
        let ship = "ship: { run: 'grep -q go $BELL_INPUT', after: ask }";
        let plan = format!("tasks: {{ ask: {{ {ask}, deadline: {deadline} }}, {ship} }}");
        bench.write("plan.yaml", &plan);
    };
    write("1h");
    bench.json(&["submit", "plan.yaml"]);
    assert_eq!(bench.json(&["breakpoint", "list", "--owner", "bob"])["count"], 0);
    let list = bench.json(&["breakpoint", "list", "--owner", "ann"]);
    assert_eq!(list["breakpoints"][0]["asks"], "ship it?");
    let asked = bench.json(&["breakpoint", "show", "ask"]);
    assert_eq!(asked["default"]["answer"]["go"], true);
    assert_eq!(
        bench.problem(&["breakpoint", "show", "ship"]).0,
        "invalid-transition"
    );
    write("1s");
    let run = bench.bell(&["run", "plan.yaml", "--wait"]);
    assert_eq!(run.exit, 0, "{}", run.err);
    let ask = bench.json(&["task", "show", "ask"]);
    assert_eq!(
        (&ask["state"], &ask["reason"]),
        (&"completed".into(), &"timeout".into())
    );
    let wrong = "tasks: { ask: { breakpoint: { ask: x, default: perhaps } } }";
    bench.write("wrong.yaml", wrong);
    assert_eq!(bench.problem(&["plan", "check", "wrong.yaml"]).1, 2);
}

// proves: SPEC 3.6
#[test]
fn calls_and_waits_are_mined_as_plans_say_them() {
    let bench = Bench::new();
    bench.write("there", "");
    bench.json(&["task", "add", "whatever makes the store"]);
    for n in 0..3 {
        let text = format!(
            "name: job-{n}\ntasks:\n  see: {{ wait: {{ file: there, stable: 1ms }} }}\n  come: {{ wait: {{ signal: go, earlier: true }}, after: [see] }}\n  own-{}: {{ run: \"true\", after: [come] }}\n",
            ["a", "b", "c"][n]
        );
        bench.write("plan.yaml", &text);
        bench.json(&["task", "signal", "go"]);
        assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 0);
    }
    let said = bench.bell(&["runs", "mine", "--limit", "1"]);
    assert!(
        said.out.contains(r#"wait: {"file":"there","stable":"1ms"}"#),
        "{said:?}"
    );
    bench.write("mined.yaml", &said.out);
    assert_eq!(bench.bell(&["run", "mined.yaml"]).exit, 0, "{said:?}");
}

// proves: SPEC 3.6, DESIGN 6
#[test]
fn plans_are_mined_from_what_went_well() {
    let bench = Bench::new();
    for (n, more) in [
        "  paint: { run: \"true\" }",
        "",
        "  sweep: { run: \"true\", after: [test-1] }",
    ]
    .iter()
    .enumerate()
    {
        let text = format!(
            "name: job-{n}\ntasks:\n  build-{n}: {{ run: \"echo {n}\", kind: make }}\n  test-1: {{ run: \"true\", after: [build-{n}] }}\n{more}\n"
        );
        bench.write("plan.yaml", &text);
        assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 0);
    }
    bench.write(
        "bad.yaml",
        "name: bad\ntasks: { build: { run: \"false\", kind: make } }",
    );
    assert_eq!(bench.bell(&["run", "bad.yaml"]).exit, 1);
    let mined = bench.json(&["runs", "mine"]);
    assert_eq!(
        (&mined["count"], &mined["runs"], &mined["cut"]),
        (&json!(1), &json!(3), &json!(false))
    );
    let first = &mined["proposals"][0];
    assert_eq!(
        (&first["support"], &first["name"]),
        (&json!(3), &json!("mined-build-to-test"))
    );
    assert_eq!(first["plans"], json!(["job-0", "job-1", "job-2"]));
    let steps: Vec<_> = first["steps"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&steps[0]["varies"], &steps[1]["after"]),
        (&json!(true), &json!(["build"]))
    );
    let said = bench.bell(&["runs", "mine", "--limit", "1"]);
    bench.write("mined.yaml", &said.out);
    assert_eq!(bench.bell(&["plan", "check", "mined.yaml"]).exit, 0, "{said:?}");
    assert_eq!(bench.bell(&["run", "mined.yaml"]).exit, 0);
    assert_eq!(bench.json(&["runs", "mine", "--support", "9"])["count"], 0);
    assert_eq!(bench.problem(&["runs", "mine", "--support", "1"]).1, 2);
}

// proves: DESIGN 6
#[test]
fn a_plan_without_a_name_is_known_again_by_whatever_path() {
    let bench = Bench::new();
    bench.write("plan.yaml", "tasks: { a: { run: 'true' }, b: { run: 'false' } }");
    bench.write("sub/other.yaml", "tasks: { c: { run: 'true' } }");
    assert_eq!(bench.bell(&["run", "plan.yaml"]).exit, 1);
    for spelled in ["./plan.yaml", "sub/../plan.yaml"] {
        let again = bench.bell(&["run", spelled]);
        assert!(again.err.contains("continues run"), "{spelled}: {again:?}");
    }
    assert_eq!(bench.json(&["runs", "list"])["count"], 1);
}

// proves: DESIGN 6
#[test]
fn a_failed_run_is_cancelled_and_the_next_begins_anew() {
    let bench = Bench::new();
    bench.write("plan.yaml", "name: p\ntasks: { a: { run: 'false' } }");
    assert_eq!(run(&bench, &[]).1, 1);
    bench.json(&["runs", "cancel", "p"]);
    assert_eq!(bench.json(&["runs", "list"])["runs"][0]["state"], "cancelled");
    bench.json(&["runs", "cancel", "p"]);
    bench.write("plan.yaml", "name: p\ntasks: { a: { run: 'true' } }");
    assert_eq!(run(&bench, &[]).1, 0);
    assert_eq!(bench.json(&["runs", "list"])["count"], 2);
    assert_eq!(bench.problem(&["runs", "cancel", "p"]).0, "invalid-transition");
}

// proves: DESIGN 6
#[test]
fn a_plan_without_tasks_has_succeeded() {
    let bench = Bench::new();
    bench.write("plan.yaml", "name: p\ntasks: {}");
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.out.contains("no tasks"), "{said:?}");
    assert_eq!(bench.json(&["runs", "list"])["runs"][0]["state"], "succeeded");
    bench.json(&["audit", "verify"]);
    bench.json(&["store", "check"]);
}

// proves: DESIGN 6
#[test]
fn a_breakpoint_that_answers_itself_is_waited_for() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { a: { breakpoint: { ask: 'go?', default: accept }, deadline: 300ms }, b: { run: 'true', after: [a] } }",
    );
    let (lines, exit) = run(&bench, &[]);
    assert_eq!(exit, 0, "{lines:?}");
}

// proves: DESIGN 3
#[test]
fn what_a_user_cancelled_is_not_tried_again_and_that_is_told() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { a: { prompt: x }, b: { run: 'true' } }",
    );
    bench.json(&["submit", "plan.yaml"]);
    bench.json(&["task", "cancel", "a"]);
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(said.err.contains("--new"), "{said:?}");
    let refused = bench.bell(&["task", "retry", "a"]);
    assert!(refused.err.contains("was cancelled and stays so"), "{refused:?}");
}

// proves: DESIGN 6
#[test]
fn a_failure_without_an_error_is_told_with_its_reason() {
    let bench = Bench::new();
    bench.write("plan.yaml", "name: p\ntasks: { a: { agent: ann, prompt: x } }");
    let claim = ["task", "claim", "--worker", "ann", "--ttl", "1ms", "--json"];
    let run = beside(&bench, || {
        for _ in 0..3 {
            until("a claim", || bench.bell(&claim).out.contains("token"));
        }
    });
    let lost = "lost with its worker too often\n";
    assert_eq!(run.exit, 1, "{run:?}");
    assert!(
        run.out
            .contains(&format!("  ✗ failed  a: {lost}      bell task logs ")),
        "{run:?}"
    );
    assert!(run.err.contains(&format!("  failed: {lost}")), "{run:?}");
    let why = bench.bell(&["task", "why", "a"]).out;
    assert!(why.contains(&format!("  has failed (lost): {lost}")), "{why}");
    let shown = bench.bell(&["task", "show", "a"]);
    assert!(
        shown.out.contains(lost) && shown.err.contains("task logs a"),
        "{shown:?}"
    );
}

// proves: DESIGN 6, DESIGN 10
#[test]
fn a_question_is_told_from_the_beginning_and_one_without_an_answer_has_no_logs() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { a: { breakpoint: { ask: 'go?', default: reject }, deadline: 300ms } }",
    );
    insta::assert_snapshot!(bench.shown(&["run", "plan.yaml"]), @r"
    exit 1
    ✗ failed  p in SPAN: 1 failed
      ✗ failed  a: nobody answered in time
    -- stderr
    created a store in DIR/.bellwether
    new run UUID: 1 task
    CLOCK ? a  awaiting (breakpoint)
    CLOCK ✗ a  failed: nobody answered in time
    hint: `bell run plan.yaml` tries again what failed; what is done stays done
    ");
    insta::assert_snapshot!(bench.shown(&["task", "why", "a"]), @r"
    exit 0
    ✗ failed  a  UUID
      has failed (timeout): nobody answered in time
    ");
    let shown = bench.bell(&["task", "show", "a"]);
    assert!(
        shown.out.contains("nobody answered in time") && shown.err.is_empty(),
        "{shown:?}"
    );
}

// proves: DESIGN 6
#[test]
fn a_run_that_goes_on_tells_what_waits_already() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { a: { breakpoint: go? }, b: { prompt: x }, c: { run: 'exit 1' } }",
    );
    assert_eq!(run(&bench, &[]).1, 3);
    bench.json(&["task", "suspend", "b"]);
    insta::assert_snapshot!(bench.shown(&["run", "plan.yaml"]).split("-- stderr\n").last().unwrap(), @r"
    continues run UUID: 1 tried again
    CLOCK ? a  awaiting (breakpoint)
    CLOCK ‖ b  suspended: `bell task resume UUID` lets it go on
    CLOCK ✗ c SPAN  failed: exit status 1
    hint: `bell run plan.yaml` goes on
    ");
    // What asks once more because of the submission is told once.
    bench.json(&["breakpoint", "resolve", "a", "--reject"]);
    let said = bench.bell(&["run", "plan.yaml"]);
    assert_eq!(said.err.matches("awaiting").count(), 1, "{said:?}");
}

// proves: DESIGN 6
#[test]
fn a_quiet_run_tells_only_what_went_wrong() {
    let bench = Bench::new();
    bench.write("plan.yaml", "name: p\ntasks: { a: { run: 'true' } }");
    let said = bench.bell(&["run", "plan.yaml", "-q"]);
    assert_eq!((said.out.as_str(), said.err.as_str(), said.exit), ("", "", 0));
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { a: { run: 'true' }, b: { run: 'echo boom >&2; exit 3' } }",
    );
    insta::assert_snapshot!(bench.shown(&["run", "plan.yaml", "--quiet"]), @r"
    exit 1
    ✗ failed  p in SPAN: 1 completed, 1 failed
      ✗ failed  b: exit status 3: boom
          bell task logs UUID
    ");
    assert_eq!(
        bench.bell(&["run", "plan.yaml", "-q"]).err,
        "",
        "also when it goes on"
    );
    // Data is what was asked for.
    assert!(run(&bench, &["-q"]).0.len() > 1);
    bench.write("plan.yaml", "name: p\nname: q");
    assert!(
        bench
            .bell(&["run", "plan.yaml", "-q"])
            .err
            .contains("error[plan-")
    );
}

// proves: DESIGN 6
#[test]
fn a_run_says_how_a_suspended_task_goes_on() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { a: { run: 'touch begun; until [ -e go ]; do sleep 0.02; done' } }",
    );
    let run = beside(&bench, || {
        until("the start", || bench.path().join("begun").exists());
        bench.json(&["task", "suspend", "a"]);
        bench.write("go", "");
        bench.json(&["task", "resume", "a"]);
    });
    assert_eq!(run.exit, 0, "{run:?}");
    let told = redact(&run.err, &bench.path());
    let line = "CLOCK ‖ a  suspended: `bell task resume UUID` lets it go on\n";
    assert!(told.contains(line), "{told}");
}

/// Nobody's name and nobody's path: each is a plan of its own, and the same text is the same plan.
// proves: DESIGN 6
#[test]
fn plans_that_are_piped_in_do_not_meet() {
    let bench = Bench::new();
    let pipe = |text: &str| {
        let line = format!("printf '%s' '{text}' | \"$0\" run -");
        let mut command = std::process::Command::new("sh");
        let bell = bench.command(&[]);
        command
            .args(["-c", &line])
            .arg(bell.get_program())
            .current_dir(bench.path());
        for (name, value) in bell.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Said::of(&mut command)
    };
    let fails = "tasks: {one: {run: \"test -e good\"}}";
    assert_eq!(pipe(fails).exit, 1);
    assert_eq!(pipe("tasks: {two: {run: \"true\"}}").exit, 0);
    bench.write("good", "");
    let said = pipe(fails);
    assert_eq!(said.exit, 0, "{said:?}");
    let runs = bench.json(&["runs", "list"]);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
    assert_eq!(bench.json(&["queue", "status"])["completed"], 2);
}
