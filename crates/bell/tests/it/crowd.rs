//! Several workers, each a process of its own, on one store: what holds back one holds back all of them.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, Said};
use crate::schedules::{end, until};

struct Crowd {
    bench: Bench,
    url: Option<String>,
}

impl Crowd {
    /// On SQLite in the folder, or on a server.
    fn new(url: Option<String>) -> Crowd {
        let crowd = Crowd {
            bench: Bench::new(),
            url,
        };
        crowd.json(&["task", "add", "t", "--id", "first"]);
        crowd.json(&["task", "cancel", "first"]);
        crowd
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        if let Some(url) = &self.url {
            command.env("BELLWETHER_STORE", url);
        }
        command.env("BELLWETHER_DURABILITY", "relaxed");
        command.env("XDG_STATE_HOME", self.bench.path());
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = Said::of(&mut self.command(&[args, &["--json"]].concat()));
        assert_eq!(said.exit, 0, "{args:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    fn workers(&self, count: usize, jobs: &str) -> Vec<Child> {
        let one = || {
            let mut command = self.command(&["worker", "--jobs", jobs]);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            quiet.spawn().unwrap()
        };
        (0..count).map(|_| one()).collect()
    }

    fn count(&self, state: &str) -> u64 {
        self.json(&["queue", "status"])[state].as_u64().unwrap()
    }

    /// Submits so many tasks of a kind; each notes when it begins and when it ends.
    fn submit(&self, kind: &str, count: usize, more: &str) {
        let line =
            format!("echo b $(date +%s%N) >> {kind}.log; sleep 0.05; echo e $(date +%s%N) >> {kind}.log");
        let task = |i| format!("  {kind}{i}: {{ kind: {kind}, run: '{line}' {more} }}\n");
        let tasks: String = (0..count).map(task).collect();
        let file = format!("{kind}.yaml");
        self.bench.write(&file, &format!("name: {kind}\ntasks:\n{tasks}"));
        self.json(&["submit", &file]);
    }

    /// When attempts of a kind began, and how many of them went on at the same time.
    fn seen(&self, kind: &str) -> (Vec<u128>, i32) {
        let text = std::fs::read_to_string(self.bench.path().join(format!("{kind}.log"))).unwrap();
        let mut moments: Vec<(u128, i32)> = text
            .lines()
            .map(|line| {
                let (what, at) = line.split_once(' ').unwrap();
                (at.parse().unwrap(), if what == "b" { 1 } else { -1 })
            })
            .collect();
        moments.sort_unstable();
        let (mut now, mut most) = (0, 0);
        for (_, step) in &moments {
            now += step;
            most = most.max(now);
        }
        let begun = moments.iter().filter(|(_, step)| *step == 1);
        (begun.map(|(at, _)| *at).collect(), most)
    }

    /// The workers that have begun anything.
    fn busy(&self) -> usize {
        let page = self.json(&["events", "--type", "task.running", "--limit", "1000"]);
        let events = page["events"].as_array().unwrap();
        let actors: BTreeSet<&str> = events
            .iter()
            .map(|event| event["actor"].as_str().unwrap())
            .collect();
        actors.len()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        match &self.url {
            Some(url) if url.starts_with("redis") => rig::redis::sweep(url),
            Some(url) => rig::postgres::sweep(url),
            None => {}
        }
    }
}

fn redis() -> Option<String> {
    Some(rig::redis::fresh(&rig::redis::shared()))
}

fn postgres() -> Option<String> {
    Some(rig::postgres::fresh(&rig::postgres::shared()))
}

fn bounds_hold(crowd: &Crowd) {
    crowd.json(&["limit", "set", "kind:narrow", "--concurrency", "2"]);
    crowd.json(&["limit", "set", "kind:slow", "--rate", "4/4s"]);
    crowd.json(&["budget", "set", "kind:paid", "--tokens", "300"]);
    crowd.submit("narrow", 12, "");
    crowd.submit("slow", 8, "");
    crowd.submit(
        "tenant",
        12,
        ", concurrency: { key: \"{{env.T}}\", limit: 2 }, env: { T: one }",
    );
    crowd.submit("metered", 6, ", concurrency: { key: metered, rate: 3/4s }");
    crowd.bench.write(
        "paid.yaml",
        &format!(
            "name: paid\ndefaults: {{ kind: paid, budget: {{ tokens: 100 }} }}\ntasks:\n{}",
            (0..8)
                .map(|i| format!("  p{i}: {{ run: 'echo \"{{\\\"tokens\\\": 100}}\" > $BELL_USAGE' }}\n"))
                .collect::<String>()
        ),
    );
    crowd.json(&["submit", "paid.yaml"]);
    let workers = crowd.workers(3, "6");
    until("the work", || crowd.count("completed") == 12 + 8 + 12 + 6 + 3);
    assert_eq!(
        crowd.json(&["breakpoint", "list"])["count"],
        1,
        "one asks for more"
    );
    workers.into_iter().for_each(end);
    assert!(crowd.busy() > 1);
    assert_eq!(crowd.count("completed"), 12 + 8 + 12 + 6 + 3);
    assert!(crowd.seen("narrow").1 <= 2);
    assert!(crowd.seen("tenant").1 <= 2);
    // Four at once, and one each second from then on; the first of a pair may have been late.
    let (begun, _) = crowd.seen("slow");
    assert!(begun[7] - begun[0] > 3_000_000_000, "{begun:?}");
    let (begun, _) = crowd.seen("metered");
    assert!(begun[5] - begun[0] > 3_000_000_000, "{begun:?}");
    let budget = &crowd.json(&["budget", "list"])["budgets"][0];
    assert_eq!(budget["spent"]["tokens"], 300.0);
}

// proves: DESIGN 4, DESIGN 8
#[test]
fn bounds_hold_for_all_workers_together() {
    bounds_hold(&Crowd::new(None));
}

#[test]
fn bounds_hold_for_all_workers_on_redis() {
    bounds_hold(&Crowd::new(redis()));
}

#[test]
fn bounds_hold_for_all_workers_on_postgres() {
    bounds_hold(&Crowd::new(postgres()));
}

fn one_breaker(crowd: &Crowd) {
    crowd.json(&["breaker", "set", "kind:pay", "--failures", "3", "--timeout", "1h"]);
    let task = |i| format!("  p{i}: {{ kind: pay, run: 'test -e mended', retry: 1 }}\n");
    let tasks: String = (0..12).map(task).collect();
    crowd
        .bench
        .write("pay.yaml", &format!("name: pay\ntasks:\n{tasks}"));
    crowd.json(&["submit", "pay.yaml"]);
    let workers = crowd.workers(3, "1");
    until("the breaker", || {
        crowd.json(&["breaker", "list"])["breakers"][0]["state"] == "open"
    });
    until("quiet", || crowd.count("running") + crowd.count("assigned") == 0);
    let failed = crowd.count("failed");
    assert!(
        (3..=5).contains(&failed),
        "{failed}: what was under way may still fail"
    );
    assert_eq!(
        crowd.count("ready"),
        12 - failed,
        "an open breaker spends no tries"
    );
    crowd.bench.write("mended", "");
    crowd.json(&["breaker", "reset", "kind:pay"]);
    until("the rest", || crowd.count("completed") == 12 - failed);
    workers.into_iter().for_each(end);
}

// proves: SPEC 5.7
#[test]
fn a_breaker_is_one_for_all_workers() {
    one_breaker(&Crowd::new(None));
}

#[test]
fn a_breaker_is_one_for_all_workers_on_redis() {
    one_breaker(&Crowd::new(redis()));
}

#[test]
fn a_breaker_is_one_for_all_workers_on_postgres() {
    one_breaker(&Crowd::new(postgres()));
}

/// Two processes for one pool, one of which is killed: its tasks are done by the other, and nothing is lost.
// proves: SPEC 5.6
#[test]
fn a_pool_outlives_one_of_its_processes() {
    let crowd = Crowd::new(None);
    let bounds = [
        "--min",
        "1",
        "--max",
        "3",
        "--up",
        "2",
        "--down",
        "1",
        "--interval",
        "100ms",
    ];
    crowd.json(&[&["pool", "set", "build", "--kinds", "build"][..], &bounds].concat());
    crowd.submit("build", 60, "");
    let one = || {
        let mut command = crowd.command(&["worker", "--pool", "build"]);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().unwrap()
    };
    let (mut killed, other) = (one(), one());
    until("growth", || {
        let list = crowd.json(&["pool", "list"]);
        let pool = list["pools"]
            .as_array()
            .unwrap()
            .iter()
            .find(|pool| pool["name"] == "build");
        pool.is_some_and(|pool| pool["slots"].as_u64() > Some(3)) || crowd.count("completed") > 30
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    until("the work", || crowd.count("completed") == 60);
    assert_eq!(crowd.json(&["dlq", "list"])["count"], 0);
    end(other);
}
