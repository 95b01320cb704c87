//! Workers that stay up, and pools that grow and shrink.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::{Bench, Said};
use crate::schedules::{end, events, until};

fn add(bench: &Bench, count: usize, kind: &str, line: &str) {
    for _ in 0..count {
        bench.json(&["task", "add", "t", "--kind", kind, "--run", line]);
    }
}

fn count(bench: &Bench, state: &str) -> u64 {
    bench.json(&["queue", "status"])[state].as_u64().unwrap()
}

fn workers(bench: &Bench) -> Vec<Value> {
    bench.json(&["worker", "list"])["workers"]
        .as_array()
        .unwrap()
        .clone()
}

fn pool(bench: &Bench, name: &str) -> Value {
    let list = bench.json(&["pool", "list"]);
    let pools = list["pools"].as_array().unwrap();
    pools.iter().find(|pool| pool["name"] == name).unwrap().clone()
}

#[test]
fn a_worker_takes_what_it_can_do_and_leaves_the_rest() {
    let bench = Bench::new();
    add(&bench, 3, "build", "true");
    add(&bench, 1, "other", "true");
    bench.json(&[
        "task", "add", "g", "--kind", "build", "--run", "true", "--needs", "gpu",
    ]);
    bench.json(&["task", "add", "p", "--kind", "build", "--prompt", "think"]);
    let worker = bench.spawn(&["worker", "--kind", "build", "--json"]);
    until("the work", || count(&bench, "completed") == 3);
    let list = workers(&bench);
    assert_eq!((list.len(), list[0]["here"].as_bool()), (1, Some(true)));
    assert_eq!(list[0]["pid"], worker.id());
    end(worker);
    assert_eq!((count(&bench, "completed"), count(&bench, "ready")), (3, 3));
    assert_eq!(workers(&bench), [] as [Value; 0]);
}

#[test]
fn a_drained_worker_ends_its_attempts_and_takes_no_more() {
    let bench = Bench::new();
    add(
        &bench,
        2,
        "build",
        "touch begun; until [ -e go ]; do sleep 0.02; done",
    );
    let mut worker = bench.spawn(&["worker", "--jobs", "1"]);
    until("the start", || bench.path().join("begun").exists());
    let name = workers(&bench)[0]["worker"].as_str().unwrap().to_owned();
    assert_eq!(workers(&bench)[0]["leases"], 1);
    let drained = bench.json(&["worker", "drain", &name]);
    assert_eq!(drained["pid"], worker.id());
    bench.write("go", "");
    until("the end", || worker.try_wait().unwrap().is_some());
    assert!(worker.wait().unwrap().success());
    assert_eq!((count(&bench, "completed"), count(&bench, "ready")), (1, 1));
    assert_eq!(
        bench.problem(&["worker", "drain", &name]),
        ("worker-not-found".to_owned(), 2)
    );
}

// proves: DESIGN 7
#[test]
fn a_worker_ends_when_its_store_has_lost_its_place() {
    let bench = Bench::new();
    add(&bench, 1, "build", "true");
    let worker = bench.spawn(&["worker", "--json"]);
    until("the work", || count(&bench, "completed") == 1);
    std::fs::rename(bench.path().join(".bellwether"), bench.path().join("away")).unwrap();
    let ended = worker.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(!ended.status.success() && said.contains("store-gone"), "{said}");
    std::fs::rename(bench.path().join("away"), bench.path().join(".bellwether")).unwrap();
    assert_eq!(bench.json(&["store", "check"])["sound"], true);
}

#[test]
fn a_second_signal_hands_back() {
    let bench = Bench::new();
    add(&bench, 1, "build", "touch begun; sleep 600");
    let mut worker = bench.spawn(&["worker"]);
    until("the start", || bench.path().join("begun").exists());
    let name = workers(&bench)[0]["worker"].as_str().unwrap().to_owned();
    bench.json(&["worker", "drain", &name]);
    // The second one may come before the first is seen; a third hurts nobody.
    until("the end", || {
        let _ = bench.bell(&["worker", "drain", &name]);
        worker.try_wait().unwrap().is_some()
    });
    assert!(worker.wait().unwrap().success());
    assert_eq!(count(&bench, "ready"), 1);
}

// proves: SPEC 5.6
#[test]
fn a_pool_grows_with_its_work_and_shrinks_after_it() {
    let bench = Bench::new();
    add(&bench, 24, "build", "sleep 0.2");
    let set = bench.json(&[
        "pool",
        "set",
        "build",
        "--kinds",
        "build,link",
        "--min",
        "1",
        "--max",
        "4",
        "--up",
        "3",
        "--down",
        "1",
        "--interval",
        "100ms",
    ]);
    assert_eq!((&set["slots"], &set["fixed"]), (&0.into(), &false.into()));
    let worker = bench.spawn(&["worker", "--pool", "build", "--pool", "deploy"]);
    until("growth", || pool(&bench, "build")["slots"] == 4);
    let seen = pool(&bench, "build");
    assert!(
        seen["busy"].as_u64().unwrap() <= 4 && seen["healthy"] == true,
        "{seen}"
    );
    assert_eq!(pool(&bench, "deploy")["slots"], 1);
    until("the work", || count(&bench, "completed") == 24);
    until("rest", || pool(&bench, "build")["slots"] == 1);
    bench.json(&["pool", "set", "build", "--min", "2"]);
    until("the new bound", || pool(&bench, "build")["slots"] == 2);
    end(worker);
    assert_eq!(pool(&bench, "build")["slots"], 0);
    let scaled = events(&bench, "pool.scaled");
    let steps: Vec<(u64, u64)> = scaled
        .iter()
        .filter(|event| event["pool"] == "build")
        .map(|event| (event["from"].as_u64().unwrap(), event["to"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        steps,
        [
            (0, 1),
            (1, 2),
            (2, 3),
            (3, 4),
            (4, 3),
            (3, 2),
            (2, 1),
            (1, 2),
            (2, 0)
        ]
    );
    assert_eq!(events(&bench, "pool.set").len(), 2);
    assert_eq!(
        bench.json(&["dlq", "list"])["count"],
        0,
        "nobody was stopped at work"
    );
}

#[test]
fn a_killed_worker_of_a_pool_is_missed_until_another_comes() {
    let bench = Bench::new();
    add(&bench, 1, "qa", "true");
    let mut worker = bench.spawn(&["worker", "--pool", "qa"]);
    until("the pool", || pool(&bench, "qa")["slots"] == 1);
    worker.kill().unwrap();
    worker.wait().unwrap();
    until("the news", || pool(&bench, "qa")["healthy"] == false);
    let worker = bench.spawn(&["worker", "--pool", "qa"]);
    until("the next", || {
        let pool = pool(&bench, "qa");
        pool["healthy"] == true && pool["slots"] == 1
    });
    end(worker);
    assert_eq!(
        bench.problem(&["worker", "--pool", "qaa"]),
        ("pool-not-found".to_owned(), 2)
    );
    assert_eq!(
        bench.problem(&["pool", "set", "qa", "--min", "9"]),
        ("invalid-argument".to_owned(), 2)
    );
}

/// What a command has said when it was interrupted once, after its attempt had begun.
fn interrupted(bench: &Bench, args: &[&str]) -> Said {
    let begun = bench.path().join("begun");
    let _ = std::fs::remove_file(&begun);
    let mut command = bench.command(args);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the start", || begun.exists());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Said::at_the_end(child.wait_with_output().unwrap())
}

// proves: DESIGN 6
#[test]
fn a_first_signal_says_what_becomes_of_what_is_under_way() {
    let bench = Bench::new();
    bench.write("bell.toml", "[worker]\ndrain = \"1s\"\n");
    bench.write("plan.yaml", "tasks: { a: { run: 'touch begun; sleep 600' } }");
    let told = "ending: 1 attempt under way has up to 1.0s to end; what is left is handed back then, or now with another Ctrl-C\n";
    let run = interrupted(&bench, &["run", "plan.yaml"]);
    assert!(run.exit == 130 && run.err.contains(told), "{run:?}");
    assert_eq!(count(&bench, "ready"), 1, "it was handed back");
    let run = interrupted(&bench, &["run", "plan.yaml", "--json"]);
    assert!(run.exit == 130 && !run.err.contains("ending"), "{run:?}");
    let last = run.out.lines().last().unwrap();
    assert!(last.contains("run.interrupted"), "{last}");
    let worker = interrupted(&bench, &["worker"]);
    assert!(worker.exit == 0 && worker.err.contains(told), "{worker:?}");
    for command in ["run", "worker"] {
        let help = bench.bell(&[command, "--help"]).out;
        assert!(help.contains("worker.drain"), "{help}");
    }
}

#[test]
fn a_run_that_another_process_works_on_is_joined_in_clear_words() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "tasks: { a: { run: 'touch begun; until [ -e go ]; do sleep 0.02; done' } }",
    );
    let mut run = bench.spawn(&["run", "plan.yaml"]);
    until("the start", || bench.path().join("begun").exists());
    let said = bench.shown(&["submit", "plan.yaml"]);
    assert!(
        said.contains("joins run UUID: another process is working on it\n"),
        "{said}"
    );
    bench.write("go", "");
    assert!(run.wait().unwrap().success());
}

/// The guard ends what runs before the lease is over. Who wakes up in between must not take that for the task's failure.
// proves: DESIGN 8, DESIGN 15
#[test]
fn a_pause_near_the_end_of_a_lease_fails_nothing() {
    let bench = Bench::new();
    bench.write("bell.toml", "[worker]\nlease = \"2s\"\nheartbeat = \"500ms\"\n");
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  a: { run: sleep 4 }\n  b: { run: \"true\", after: [a] }\n",
    );
    let mut run = bench.spawn(&["run", "plan.yaml"]);
    let pid = Pid::from_child(&run);
    until("the task runs", || {
        bench.path().join(".bellwether").exists() && count(&bench, "running") == 1
    });
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_600));
    kill_process(pid, Signal::CONT).unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(count(&bench, "completed"), 2);
}

/// It may be what kills its workers: the call that finds it for the third time says so, and leaves it.
// proves: DESIGN 3
#[test]
fn what_kills_its_worker_is_not_tried_for_ever() {
    let bench = Bench::new();
    bench.write(
        "plan.yaml",
        "name: p\ntasks:\n  k: { run: \"kill -9 $PPID; sleep 5\" }\n",
    );
    let mut exits = Vec::new();
    for _ in 0..4 {
        let mut run = bench.spawn(&["run", "plan.yaml"]);
        exits.push(run.wait().unwrap().code());
    }
    assert_eq!(exits, [None, None, None, Some(1)]);
    let said = bench.bell(&["dlq", "list"]);
    assert!(said.out.contains("lost with its worker too often"), "{said:?}");
}

/// What has ended is held back while its task is suspended; that must not hold the worker.
// proves: DESIGN 3, DESIGN 8
#[test]
fn an_attempt_that_ends_while_its_task_is_suspended_keeps_no_worker() {
    let bench = Bench::new();
    bench.write("bell.toml", "[worker]\ndrain = \"1s\"\n");
    bench.write(
        "plan.yaml",
        "name: p\ntasks: { a: { run: 'if [ -e go ]; then exit 0; fi; echo $$ > new; mv new pid; sleep 600' } }",
    );
    bench.json(&["submit", "plan.yaml"]);
    let worker = bench.spawn(&["worker"]);
    until("the start", || bench.path().join("pid").exists());
    let pid = std::fs::read_to_string(bench.path().join("pid")).unwrap();
    bench.json(&["task", "suspend", "a"]);
    let status = format!("/proc/{}/status", pid.trim());
    until("the stop", || {
        std::fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tT"))
    });
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    end(worker);
    assert_eq!(count(&bench, "ready"), 1, "as when its worker dies");
    bench.write("go", "");
    let worker = bench.spawn(&["worker"]);
    until("the work", || count(&bench, "completed") == 1);
    end(worker);
}

/// The worker that these arguments make loses the folder of its attempts to a file, between the one task and the other.
fn costs_no_try(worker: &[&str], first: &str, second: &str) {
    let bench = Bench::new();
    bench.write("first.yaml", &format!("name: first\ntasks: {{ a: {first} }}"));
    bench.write("second.yaml", &format!("name: second\ntasks: {{ b: {second} }}"));
    bench.json(&["submit", "first.yaml"]);
    let worker = bench.spawn(&[&["worker"], worker].concat());
    until("the first", || count(&bench, "completed") == 1);
    let (attempts, away) = (
        bench.path().join(".bellwether/attempts"),
        bench.path().join("away"),
    );
    std::fs::rename(&attempts, &away).unwrap();
    bench.write(".bellwether/attempts", "somebody's file");
    bench.json(&["submit", "second.yaml"]);
    let entered = |state: &str| {
        let history = bench.json(&["task", "history", "b"]).to_string();
        history.contains(state)
    };
    until("the task is handed back", || entered("released"));
    std::fs::remove_file(&attempts).unwrap();
    std::fs::rename(&away, &attempts).unwrap();
    until("the second", || count(&bench, "completed") == 2);
    assert!(!entered("failed"));
    end(worker);
}

// proves: DESIGN 8
#[test]
fn a_worker_that_cannot_write_files_costs_tasks_no_try() {
    costs_no_try(&[], "{ run: 'true' }", "{ run: 'test -s $BELL_INPUT' }");
}

// proves: DESIGN 8
#[test]
fn a_prompt_that_cannot_be_written_costs_a_task_no_try() {
    let worker = ["--agent", "reader", "--", "grep", "-q", "so", "{prompt_file}"];
    costs_no_try(&worker, "{ prompt: do so }", "{ prompt: do it so }");
}
