//! What is the same for every command: the store that is found, settings, output, exit statuses.

use std::io::Read;

use crate::bench::{Bench, Said};

#[test]
fn bare_bell_is_a_friendly_start() {
    let bench = Bench::new();
    insta::assert_snapshot!(bench.shown(&[]), @r#"
    exit 0
    Run graphs of tasks, by agents and ordinary workers, and keep every step

    First steps:
      bell run plan.yaml                run a plan to its end
      bell plan check plan.yaml         see what a plan will do
      bell task add "write the docs"    add work that anybody can claim
      bell task claim --worker me       take the next task
      bell queue status                 see where everything stands

    Commands: run, submit, runs, plan, analyze, task, queue, events, dlq, agent, team, route, worker, pool, schedule, rule, lock, limit, breaker, budget, breakpoint, serve, token, mcp, prime, bench, audit, store, doctor, explain, config, completions
    `bell COMMAND --help` explains one, with examples.
    "#);
}

// proves: DESIGN 6
#[test]
fn only_some_commands_make_a_store() {
    let bench = Bench::new();
    insta::assert_snapshot!(bench.shown(&["task", "list"]), @r"
    exit 4
    -- stderr
    error[store-not-found]: neither DIR nor a folder above it has a .bellwether folder
    help: `bell task add NAME` or `bell run PLAN` makes one here; --store URL names another
    ");
    assert_eq!(
        bench.problem(&["queue", "status"]),
        ("store-not-found".to_owned(), 4)
    );
    assert!(!bench.path().join(".bellwether").exists());
    insta::assert_snapshot!(bench.shown(&["task", "add", "a", "--id", "a"]), @r"
    exit 0
    ○ ready  a  a
    -- stderr
    created a store in DIR/.bellwether
    hint: `bell task claim --worker NAME` takes the first in line
    ");
    let ignored = std::fs::read_to_string(bench.path().join(".bellwether/.gitignore")).unwrap();
    assert_eq!(ignored, "*\n");
}

#[test]
fn a_store_is_found_from_below() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let deep = bench.path().join("x/y");
    std::fs::create_dir_all(&deep).unwrap();
    let output = bench
        .command(&["task", "show", "a", "--json"])
        .current_dir(&deep)
        .output()
        .unwrap();
    assert!(output.status.success());
}

#[test]
fn a_named_store_wins_over_the_one_that_is_found() {
    let bench = Bench::new();
    bench.json(&["task", "add", "near", "--id", "near"]);
    let other = "sqlite:other/bell.db";
    bench.json(&["task", "add", "far", "--id", "far", "--store", other]);
    assert_eq!(
        bench.problem(&["task", "show", "near", "--store", other]),
        ("task-not-found".to_owned(), 2)
    );
    let by_variable = bench
        .command(&["task", "show", "far"])
        .env("BELLWETHER_STORE", other)
        .output()
        .unwrap();
    assert!(by_variable.status.success());
    assert_eq!(bench.problem(&["task", "list", "--store", "sqlite:none.db"]).1, 4);
    assert_eq!(
        bench.problem(&["task", "list", "--store", "mysql:x"]),
        ("store-url".to_owned(), 2)
    );
}

// proves: DESIGN 2
#[test]
fn projects_are_apart() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a", "--project", "web"]);
    assert_eq!(bench.json(&["task", "list"])["count"], 0);
    assert_eq!(bench.json(&["task", "list", "--project", "web"])["count"], 1);
}

#[test]
fn settings_tell_where_they_come_from() {
    let bench = Bench::new();
    bench.write("bell.toml", "project = \"web\"\n[run]\njobs = 3\n");
    insta::assert_snapshot!(bench.shown(&["config", "show", "--color", "never"]), @r"
    exit 0
    SETTING           VALUE       FROM
    claim.ttl SPAN         default
    color             never       --color
    durability        full        default
    hints             true        default
    http.allow        –           default
    log               warn        default
    project           web         DIR/bell.toml
    run.jobs          3           DIR/bell.toml
    server            –           default
    store             –           default
    token             –           default
    trace.endpoint    –           default
    trace.service     bellwether  default
    worker.drain SPAN         default
    worker.heartbeat SPAN         default
    worker.lease SPAN         default
    worker.timeout SPAN          default

    store in force: sqlite:DIR/.bellwether/bell.db
    ");
    bench.write("bell.toml", "projct = \"web\"\n");
    insta::assert_snapshot!(bench.shown(&["config", "show"]), @r"
    exit 2
    -- stderr
    error[config-invalid]: DIR/bell.toml: there is no option `projct`
    help: did you mean `project`?
    ");
    let explained = bench.bell(&["explain", "config-invalid"]);
    assert_eq!(explained.exit, 0, "{explained:?}");
}

#[test]
fn colour_comes_only_where_it_is_wanted() {
    let bench = Bench::new();
    assert!(!bench.bell(&["explain", "waiting"]).out.contains('\u{1b}'));
    assert!(
        bench
            .bell(&["explain", "waiting", "--color", "always"])
            .out
            .contains('\u{1b}')
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bench = Bench::new();
    let mut child = bench.spawn(&["config", "defaults"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn followed_events_arrive_as_lines() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a"]);
    let mut child = bench.spawn(&["events", "--follow", "--after", "0", "--json"]);
    let mut out = child.stdout.take().unwrap();
    let mut line = Vec::new();
    let mut next = move || {
        line.clear();
        let mut byte = [0];
        while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        serde_json::from_slice::<serde_json::Value>(&line).unwrap()
    };
    assert_eq!(next()["type"], "task.submitted");
    bench.json(&["task", "cancel", "a"]);
    assert_eq!(next()["type"], "task.cancelled");
    child.kill().unwrap();
    child.wait().unwrap();
}

// proves: DESIGN 6
#[test]
fn a_store_that_was_named_is_not_made_without_a_word() {
    let bench = Bench::new();
    let far = "sqlite:deep/er/bell.db";
    insta::assert_snapshot!(bench.shown(&["task", "add", "a", "--id", "a", "--store", far]), @r"
    exit 0
    ○ ready  a  a
    -- stderr
    created the store sqlite:DIR/deep/er/bell.db
    hint: `bell task claim --worker NAME` takes the first in line
    ");
    let add = |id: &str, url: &str| {
        let mut command = bench.command(&["task", "add", id, "--id", id]);
        Said::of(command.env("BELLWETHER_STORE", url)).err
    };
    assert!(!add("b", far).contains("created"), "it is there");
    assert!(add("c", "sqlite:other.db").contains("created the store sqlite:"));
}

// proves: DESIGN 6
#[test]
fn quiet_leaves_the_answer_alone() {
    let bench = Bench::new();
    insta::assert_snapshot!(bench.shown(&["task", "add", "a", "--id", "a", "-q"]), @r"
    exit 0
    ○ ready  a  a
    ");
    insta::assert_snapshot!(bench.shown(&["-q", "task", "show", "b"]), @r"
    exit 2
    -- stderr
    error[task-not-found]: project default has no task `b`
    help: did you mean `a`? `bell task list` shows all
    ");
}

// proves: DESIGN 6
#[test]
fn what_is_refused_makes_no_store() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks: { a: { run: 'true', gate: { min_score: 0.7 } } }",
    );
    for command in ["run", "submit"] {
        assert_eq!(bench.problem(&[command, "plan.yaml"]).0, "plan-unsupported");
    }
    assert!(!bench.path().join(".bellwether").exists());
}

#[test]
fn help_is_a_word_too() {
    let bench = Bench::new();
    for (asked, same) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "run"], &["run", "--help"]),
        (&["help", "task", "add"], &["task", "add", "--help"]),
    ] {
        let (asked, same) = (bench.bell(asked), bench.bell(same));
        assert_eq!((asked.exit, &asked.out), (0, &same.out));
    }
    assert_eq!(bench.problem(&["help", "rnu"]).1, 2);
}
