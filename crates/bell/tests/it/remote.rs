//! Workers far away: real processes, with nothing in common but a server.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::Bench;
use crate::schedules::{end, until};
use crate::serve::Served;

/// A folder of its own for what belongs to a machine, as if it were another one.
/// A worker of another machine, whose words are in the file `MACHINE.err`.
fn worker(bench: &Bench, machine: &str, url: &str, args: &[&str]) -> Child {
    let mut command = bench.command(&[&["worker", "--server", url], args].concat());
    let said = std::fs::File::create(bench.path().join(format!("{machine}.err"))).unwrap();
    command
        .env("XDG_STATE_HOME", bench.path().join(machine))
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .unwrap()
}

fn task(bench: &Bench, id: &str) -> Value {
    bench.json(&["task", "show", id])
}

fn state(bench: &Bench, id: &str) -> String {
    task(bench, id)["state"].as_str().unwrap().to_owned()
}

fn output(bench: &Bench, url: &str, id: &str) -> String {
    let logs = bench.json(&["task", "logs", id, "--server", url]);
    logs["output"].as_str().unwrap().to_owned()
}

/// How the kernel says that a process stands, if it is there.
fn process(file: &Path) -> Option<char> {
    let pid = std::fs::read_to_string(file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

// proves: DESIGN 13
#[test]
fn two_workers_share_the_work_while_the_server_dies_and_comes_back() {
    let bench = Bench::new();
    let mut served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    for n in 0..60 {
        let (id, line) = (
            format!("t{n}"),
            format!("echo {n} >> did; echo out {n}; sleep 0.2"),
        );
        bench.json(&["task", "add", "t", "--id", &id, "--run", &line]);
    }
    let workers = [
        worker(&bench, "one", &url, &["--jobs", "2"]),
        worker(&bench, "two", &url, &["--jobs", "2"]),
    ];
    let completed = || bench.json(&["queue", "status"])["completed"].as_u64().unwrap();
    until("the first work", || completed() >= 10);
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    assert!(completed() < 60);
    let again = Served::at(&bench, &served.address, &[]);
    until("all of the work", || completed() == 60);
    let mut names: Vec<String> = Vec::new();
    for n in 0..60 {
        let task = task(&bench, &format!("t{n}"));
        let attempts = task["attempts"].as_array().unwrap();
        names.push(attempts.last().unwrap()["worker"].to_string());
        assert_eq!(
            output(&bench, &url, &format!("t{n}")),
            format!("out {n}\n"),
            "{task}"
        );
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 2, "both have worked");
    workers.into_iter().for_each(end);
    assert_eq!(bench.json(&["store", "check"])["sound"], true);
    end(again.child);
}

#[test]
fn what_is_printed_far_away_is_seen_while_it_is_printed() {
    let bench = Bench::new();
    let served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    let line = "printf 'f\\303\\274rst\\n'; until [ -e go ]; do sleep 0.02; done; head -c 300000 /dev/zero | tr '\\0' x; echo; echo last";
    bench.json(&["task", "add", "a", "--id", "a", "--run", line]);
    let worker = worker(&bench, "one", &url, &[]);
    until("the beginning", || {
        state(&bench, "a") == "running" && output(&bench, &url, "a") == "fürst\n"
    });
    bench.write("go", "");
    until("the end", || state(&bench, "a") == "completed");
    let all = format!("fürst\n{}\nlast\n", "x".repeat(300_000));
    assert!(output(&bench, &url, "a") == all);
    assert!(bench.bell(&["task", "logs", "a", "--server", &url]).out == all);
    assert!(
        bench.bell(&["task", "logs", "a"]).out == all,
        "it is kept beside the server"
    );
    end(worker);
    end(served.child);
}

#[test]
fn what_is_wished_of_an_attempt_far_away_is_done_at_once() {
    let bench = Bench::new();
    let served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    bench.json(&[
        "task",
        "add",
        "a",
        "--id",
        "a",
        "--run",
        "echo $$ > pid; exec sleep 600",
    ]);
    let worker = worker(&bench, "one", &url, &[]);
    let pid = bench.path().join("pid");
    until("the start", || {
        std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
    });
    let wish = |what: &str, stands: &dyn Fn(Option<char>) -> bool| {
        bench.json(&["task", what, "a", "--server", &url]);
        let asked = Instant::now();
        until(what, || stands(process(&pid)));
        // A heartbeat would be ten seconds.
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{what} took {:?}",
            asked.elapsed()
        );
    };
    wish("suspend", &|stands| stands == Some('T'));
    wish("resume", &|stands| stands == Some('S'));
    wish("cancel", &|stands| stands.is_none());
    assert_eq!(state(&bench, "a"), "cancelled");
    end(worker);
    end(served.child);
}

#[test]
fn a_worker_far_away_ends_its_attempt_before_it_leaves() {
    let bench = Bench::new();
    let served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    let line = "touch begun; until [ -e go ]; do sleep 0.02; done";
    for id in ["a", "b"] {
        bench.json(&["task", "add", id, "--id", id, "--run", line]);
    }
    let mut worker = worker(&bench, "one", &url, &["--jobs", "1"]);
    until("the start", || bench.path().join("begun").exists());
    let pid = rustix::process::Pid::from_child(&worker);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let said = bench.path().join("one.err");
    until("the word that it ends", || {
        std::fs::read_to_string(&said).unwrap().contains("ending:")
    });
    bench.write("go", "");
    until("the end", || worker.try_wait().unwrap().is_some());
    assert!(worker.wait().unwrap().success());
    let status = bench.json(&["queue", "status"]);
    assert_eq!((&status["completed"], &status["ready"]), (&1.into(), &1.into()));
    end(served.child);
}

// proves: DESIGN 13
#[test]
fn a_worker_in_plain_python_answers_prompts() {
    let bench = Bench::new();
    for (id, prompt) in [("a", "say hello"), ("b", "fail, please")] {
        bench.json(&["task", "add", id, "--id", id, "--prompt", prompt]);
    }
    bench.json(&["task", "add", "c", "--id", "c", "--run", "true"]);
    let served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/workers/worker.py");
    let worker = std::process::Command::new("python3")
        .args([script, &url])
        .spawn()
        .unwrap();
    until("the work", || {
        state(&bench, "a") == "completed" && state(&bench, "b") == "failed"
    });
    assert_eq!(task(&bench, "a")["result"]["said"], "SAY HELLO");
    assert_eq!(task(&bench, "b")["error"], "told to fail");
    assert_eq!(state(&bench, "c"), "ready", "a command is not for it");
    assert!(output(&bench, &url, "a").ends_with(" works\n"));
    end(worker);
    end(served.child);
}

#[test]
fn a_large_result_goes_from_machine_to_machine() {
    let bench = Bench::new();
    let served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    let big = "x".repeat(100_000);
    let make = "printf '\"%s\"' $(head -c 100000 /dev/zero | tr '\\0' x) > $BELL_RESULT";
    bench.json(&["task", "add", "a", "--id", "a", "--run", make]);
    let cached = |id: &str| {
        let task = serde_json::json!({"id": id, "run": make, "cache": {"env": ["NONE"]}});
        assert_eq!(served.ask("POST", "/v1/tasks", None, &task).0, 201);
    };
    cached("known");
    let first = worker(&bench, "one", &url, &[]);
    until("the results", || {
        state(&bench, "a") == "completed" && state(&bench, "known") == "completed"
    });
    end(first);
    let kept = task(&bench, "a")["result"].clone();
    assert_eq!(kept["bytes"], 100_002, "{kept}");
    let file = kept["file"].as_str().unwrap();
    assert!(
        file.starts_with(bench.path().to_str().unwrap()),
        "it is beside the server: {file}"
    );
    assert!(!file.contains("/one/"), "{file}");
    let (status, whole) = served.ask("GET", "/v1/tasks/a/result", None, &Value::Null);
    assert_eq!((status, whole.as_str()), (200, Some(&*big)));

    let copy = "cp \"$(sed 's/.*\"file\":\"//; s/\".*//' < $BELL_INPUT)\" got; readlink -f got";
    bench.json(&["task", "add", "b", "--id", "b", "--after", "a", "--run", copy]);
    cached("again");
    let second = worker(&bench, "two", &url, &[]);
    until("the next ones", || {
        state(&bench, "b") == "completed" && state(&bench, "again") == "completed"
    });
    end(second);
    let (_, whole) = served.ask("GET", "/v1/tasks/again/result", None, &Value::Null);
    assert_eq!(whole.as_str(), Some(&*big), "no file of the first worker");
    let got = std::fs::read_to_string(bench.path().join("got")).unwrap();
    assert_eq!(got, format!("\"{big}\""));

    // Whoever speaks HTTP need not know of files.
    bench.json(&["task", "add", "c", "--id", "c"]);
    let (_, lease) = served.ask("POST", "/v1/leases", None, &serde_json::json!({"worker": "w"}));
    let token = lease["leases"][0]["token"].clone();
    let done = serde_json::json!({"token": token, "result": big});
    let (status, told) = served.ask("POST", "/v1/tasks/c/complete", None, &done);
    assert_eq!(status, 200, "{told}");
    let (_, whole) = served.ask("GET", "/v1/tasks/c/result", None, &Value::Null);
    assert_eq!(whole.as_str(), Some(&*big));
    // A result that names somebody else's file is only what it says.
    bench.json(&["task", "add", "d", "--id", "d"]);
    let (_, lease) = served.ask("POST", "/v1/leases", None, &serde_json::json!({"worker": "w"}));
    let forged = serde_json::json!({"file": "/etc/passwd", "bytes": 100_000});
    let done = serde_json::json!({"token": lease["leases"][0]["token"], "result": forged});
    assert_eq!(served.ask("POST", "/v1/tasks/d/complete", None, &done).0, 200);
    let (_, whole) = served.ask("GET", "/v1/tasks/d/result", None, &Value::Null);
    assert_eq!(whole, forged);
    end(served.child);
}
