//! What is changed about a server and its workers while they run.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rig::tls::Authority;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bench::{Bench, Said};
use crate::schedules::{end, until};
use crate::serve::{Served, listening};

/// A server that says everything where it is heard: its address, and what it logs.
fn heard(bench: &Bench, args: &[&str]) -> (Child, String, Receiver<String>) {
    let start = ["serve", "--listen", "127.0.0.1:0", "--json"];
    let mut command = bench.command(&[&start, args].concat());
    let mut child = command
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let address = listening(&mut child);
    let (said, lines) = channel();
    let err = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        err.lines()
            .map_while(Result::ok)
            .for_each(|line| drop(said.send(line)));
    });
    (child, address, lines)
}

fn hang_up(child: &Child) {
    kill_process(Pid::from_child(child), Signal::HUP).unwrap();
}

/// Waits for a line that says this.
#[track_caller]
fn says(lines: &Receiver<String>, what: &str) -> String {
    let mut others = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) if line.contains(what) => return line,
            Ok(line) => others.push(line),
            Err(_) => panic!("it does not say `{what}` but {others:?}"),
        }
    }
}

// proves: DESIGN 13
#[test]
fn settings_are_read_anew_while_a_server_runs() {
    let bench = Bench::new();
    bench.write("bell.toml", "log = \"error\"\n[run]\njobs = 2\n");
    let (server, url, lines) = heard(&bench, &[]);
    hang_up(&server);
    says(&lines, "no setting has changed");
    bench.write("bell.toml", "log = \"debug\"\n[run]\njobs = 3\n");
    hang_up(&server);
    let log = says(&lines, "log = debug");
    assert!(log.contains("from now on") && log.contains("bell.toml"), "{log}");
    let jobs = says(&lines, "run.jobs = 3");
    assert!(
        jobs.contains("needs a restart") && jobs.contains("bell.toml"),
        "{jobs}"
    );
    bench.json(&["queue", "status", "--server", &url]);
    says(&lines, "a request was answered");
    bench.write("bell.toml", "log = 7\n");
    hang_up(&server);
    says(&lines, "those before stay in force");
    bench.write("bell.toml", "");
    bench.json(&["queue", "status", "--server", &url]);
    end(server);
}

fn listed(bench: &Bench, url: &str, trusted: &Path) -> Said {
    let mut command = bench.command(&["task", "list", "--json", "--server", url]);
    command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", trusted);
    Said::of(&mut command)
}

// proves: DESIGN 13
#[test]
fn a_certificate_is_changed_while_a_server_runs() {
    let bench = Bench::new();
    let (first, second) = (Authority::new().unwrap(), Authority::new().unwrap());
    first.copy(&bench.path()).unwrap();
    let tls = ["--tls-certificate", "server.pem", "--tls-key", "server.key"];
    let (server, url, lines) = heard(&bench, &tls);
    let url = url.replace("127.0.0.1", "localhost");
    let said = listed(&bench, &url, &first.root());
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(listed(&bench, &url, &second.root()).exit, 4);
    second.copy(&bench.path()).unwrap();
    hang_up(&server);
    says(&lines, "the certificate was read anew");
    assert_eq!(listed(&bench, &url, &second.root()).exit, 0);
    assert_eq!(listed(&bench, &url, &first.root()).exit, 4);
    bench.write("server.pem", "no certificate");
    hang_up(&server);
    says(&lines, "the one before stays in force");
    assert_eq!(listed(&bench, &url, &second.root()).exit, 0);
    end(server);
}

// proves: DESIGN 8
#[test]
fn a_pool_far_away_follows_its_bounds_at_once() {
    let bench = Bench::new();
    let served = Served::new(&bench, &[]);
    let set = |count: usize| {
        let pool = json!({"min": count, "max": count, "interval": "1s", "kinds": ["dev"]});
        let (status, told) = served.ask("PUT", "/v1/pools/dev", None, &pool);
        assert_eq!(status, 200, "{told}");
    };
    set(1);
    let url = format!("http://{}", served.address);
    let worker = bench.spawn(&["worker", "--pool", "dev", "--server", &url]);
    for n in 0..4 {
        let wait = "until [ -e go ]; do sleep 0.02; done";
        let task = json!({"id": format!("t{n}"), "kind": "dev", "run": wait});
        assert_eq!(served.ask("POST", "/v1/tasks", None, &task).0, 201);
    }
    let running = || served.ask("GET", "/v1/queue", None, &Value::Null).1["running"].clone();
    until("one at a time", || running() == 1);
    set(3);
    until("three at a time", || running() == 3);
    bench.write("go", "");
    until("the end", || {
        served.ask("GET", "/v1/queue", None, &Value::Null).1["completed"] == 4
    });
    end(worker);
    end(served.child);
}
