//! Schedules from the shell.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::{Duration, Instant};

use domain::time::Timestamp;
use serde_json::Value;

use crate::bench::Bench;

/// Takeover needs a term of ten seconds; the rest is for slow machines.
const DEADLINE: Duration = Duration::from_secs(90);

#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "{what} does not come to pass");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A store without tasks to begin with.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.json(&["task", "add", "first", "--id", "first"]);
    bench.json(&["task", "cancel", "first"]);
    bench
}

/// Events of a type, oldest first.
pub(crate) fn events(bench: &Bench, kind: &str) -> Vec<Value> {
    let page = bench.json(&["events"]);
    let events = page["events"].as_array().unwrap().clone();
    events
        .into_iter()
        .filter(|event| event["type"] == kind)
        .map(|event| event["data"].clone())
        .collect()
}

#[test]
fn schedules_are_added_edited_and_removed() {
    let bench = bench();
    insta::assert_snapshot!(bench.shown(&["schedule", "list"]), @r"
    exit 0
    no schedules
    ");
    insta::assert_snapshot!(
        bench.shown(&["schedule", "add", "nightly", "--cron", "30 4 29 2 *", "--tz", "Europe/Berlin", "--run", "true"]),
        @r"
        exit 0
        nightly  next TIME
        -- stderr
        hint: it fires while `bell worker` or `bell run` is running somewhere on this store
        "
    );
    let added = bench.json(&[
        "schedule", "add", "sweep", "--every", "90s", "--run", "true", "--needs", "gpu",
    ]);
    assert_eq!(
        (&added["every"], &added["task"]["run"]),
        (&90.0.into(), &"true".into())
    );
    insta::assert_snapshot!(bench.shown(&["schedule", "next", "nightly", "-n", "2"]), @r"
    exit 0
    TIME (in SPAN)
    TIME (in SPAN)
    ");
    let told = bench.bell(&["events", "--type", "schedule.added"]).out;
    let names: Vec<_> = told.lines().map(|line| line.split_whitespace().last()).collect();
    assert_eq!(names, [Some("nightly"), Some("sweep")]);
    let next = bench.json(&["schedule", "next", "nightly"]);
    let times = next["times"].as_array().unwrap();
    assert_eq!(times.len(), 5);
    assert!(
        times
            .iter()
            .all(|at| at.as_str().unwrap().ends_with("02-29T03:30:00.000Z")),
        "{times:?}"
    );

    assert_eq!(
        bench.problem(&["schedule", "add", "sweep", "--every", "1h"]),
        ("schedule-exists".to_owned(), 2)
    );
    let edited = bench.json(&[
        "schedule",
        "edit",
        "nightly",
        "--tz",
        "UTC",
        "--catch-up",
        "all",
        "--priority",
        "high",
    ]);
    assert_eq!(
        (&edited["tz"], &edited["catch_up"]),
        (&"UTC".into(), &"all".into())
    );
    assert_eq!(edited["task"]["run"], "true");
    // How wide its columns are depends on the day.
    let shown = bench.shown(&["schedule", "list"]);
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "exit 0 NAME NEXT WHEN FIRED MISSED nightly in SPAN 30 4 29 2 * (UTC) 0 0 sweep in SPAN every 1m30s 0 0"
    );
    insta::assert_snapshot!(bench.shown(&["schedule", "remove", "nightly"]), @r"
    exit 0
    removed nightly
    ");
    assert_eq!(bench.json(&["schedule", "list"])["count"], 1);
    let kinds = ["added", "edited", "removed"].map(|kind| events(&bench, &format!("schedule.{kind}")).len());
    assert_eq!(kinds, [2, 1, 1]);
}

#[test]
fn what_cannot_fire_is_refused() {
    let bench = bench();
    bench.write("plan.yaml", "tasks: { a: { run: 'true' } }\n");
    bench.write("broken.yaml", "tasks: { a: { rnu: 'true' } }\n");
    for args in [
        &["schedule", "add", "x", "--run", "true"][..],
        &["schedule", "add", "x", "--cron", "61 * * * *", "--run", "true"],
        &["schedule", "add", "x", "--cron", "* * * * *", "--tz", "Mars/Base"],
        &["schedule", "add", "x", "--every", "5s", "--tz", "UTC"],
        &["schedule", "add", "x", "--every", "500ms"],
        &["schedule", "add", "x", "--every", "5s", "--cron", "* * * * *"],
        &["schedule", "add", "x", "--at", "2020-01-01T00:00:00Z"],
        &[
            "schedule",
            "add",
            "x",
            "--every",
            "5s",
            "--plan",
            "plan.yaml",
            "--priority",
            "high",
        ],
        &[
            "schedule",
            "add",
            "x",
            "--every",
            "5s",
            "--plan",
            "plan.yaml",
            "--run",
            "true",
        ],
    ] {
        assert_eq!(
            bench.problem(args),
            ("invalid-argument".to_owned(), 2),
            "{args:?}"
        );
    }
    assert_eq!(
        bench.problem(&["schedule", "add", "x", "--every", "5s", "--plan", "broken.yaml"]),
        ("plan-unknown-key".to_owned(), 2)
    );
    assert_eq!(
        bench.problem(&["schedule", "remove", "ghost"]),
        ("schedule-not-found".to_owned(), 2)
    );
    assert_eq!(bench.json(&["schedule", "list"])["count"], 0);
}

#[test]
fn a_worker_fires_a_plan_and_carries_it_out() {
    let bench = bench();
    bench.write(
        "plan.yaml",
        "name: release\ntasks:\n  a: { run: 'pwd > where' }\n  b: { run: 'true', after: [a] }\n",
    );
    bench.json(&["schedule", "add", "release", "--at", "1s", "--plan", "plan.yaml"]);
    let worker = bench.spawn(&["worker"]);
    until("the run", || {
        let runs = bench.json(&["runs", "list"]);
        runs["runs"][0]["state"] == "succeeded"
    });
    end(worker);
    assert_eq!(bench.json(&["runs", "list"])["count"], 1);
    let list = bench.json(&["schedule", "list"]);
    assert_eq!(list["schedules"][0]["next"], Value::Null);
    let place = std::fs::read_to_string(bench.path().join("where")).unwrap();
    assert_eq!(place.trim(), bench.path().to_str().unwrap());
}

/// Lets a worker end in good order.
pub(crate) fn end(mut worker: Child) {
    let pid = rustix::process::Pid::from_child(&worker);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    until("the end of a worker", || worker.try_wait().unwrap().is_some());
    assert!(worker.wait().unwrap().success());
}

fn leader(bench: &Bench) -> Option<u64> {
    let list = bench.json(&["worker", "list"]);
    let workers = list["workers"].as_array().unwrap();
    let leads = workers
        .iter()
        .find(|worker| worker["leads"] == true && worker["here"] == true);
    leads.and_then(|worker| worker["pid"].as_u64())
}

// proves: DESIGN 7, DESIGN 15
#[test]
fn when_the_leader_is_killed_another_fires_every_time_once() {
    let bench = bench();
    let mut a = bench.spawn(&["worker", "--jobs", "2"]);
    bench.json(&[
        "schedule",
        "add",
        "tick",
        "--every",
        "1s",
        "--catch-up",
        "all",
        "--run",
        "echo $BELL_TASK >> fired",
    ]);
    until("the first leader", || leader(&bench) == Some(u64::from(a.id())));
    let b = bench.spawn(&["worker", "--jobs", "2"]);
    let fired = || events(&bench, "schedule.fired");
    until("three firings", || fired().len() >= 3);
    a.kill().unwrap();
    a.wait().unwrap();
    let before = fired().len();
    until("the next leader", || leader(&bench) == Some(u64::from(b.id())));
    until("more firings", || fired().len() >= before + 10);
    until("the tasks", || {
        bench.json(&["queue", "status"])["completed"].as_u64().unwrap() as usize >= fired().len() - 1
    });
    end(b);

    let times: Vec<i64> = fired()
        .iter()
        .map(|event| {
            Timestamp::parse(event["at"].as_str().unwrap(), Timestamp(0))
                .unwrap()
                .0
        })
        .collect();
    let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.clone().all(|step| step == 1_000), "{times:?}");
    assert_eq!(events(&bench, "schedule.missed"), [] as [Value; 0]);
    let tasks: BTreeSet<String> = fired().iter().map(|event| event["task"].to_string()).collect();
    assert_eq!(tasks.len(), times.len());
    let status = bench.json(&["queue", "status"]);
    assert_eq!(status["total_tasks"].as_u64().unwrap() as usize, times.len() + 1);
    let done = std::fs::read_to_string(bench.path().join("fired")).unwrap();
    let lines: BTreeSet<&str> = done.lines().collect();
    // Who was killed had perhaps not yet told that it was done.
    let page = bench.json(&["events"]);
    let lost = page["events"].as_array().unwrap().iter();
    let lost = lost.filter(|event| event["reason"] == "lost").count();
    let twice = done.lines().count() - lines.len();
    assert!(
        twice <= lost,
        "{twice} tasks were carried out twice, {lost} were lost"
    );
    assert_eq!(bench.bell(&["store", "check"]).exit, 0);
}
