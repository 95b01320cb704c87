//! Rules that tell brokers: RabbitMQ itself, with certificates and passwords of a moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};

use rig::rabbit::{Message, PASSWORD, Server};
use rig::tls::Authority;
use serde_json::Value;

use crate::bench::Bench;
use crate::schedules::{end, until};

const TELL: [&str; 10] = [
    "rule",
    "add",
    "tell",
    "--on",
    "task.completed",
    "--publish",
    "env:BROKER",
    "--exchange",
    "events",
    "--routing-key=bell.{event.type}.{task.kind}",
];

/// A worker that knows where the broker is, and says all that it can say into a file.
fn worker(bench: &Bench, url: &str, root: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(bench.path().join("log"))
        .unwrap();
    let mut command = bench.command(&["worker", "--jobs", "4", "-vv"]);
    command.env("BROKER", url).env("SSL_CERT_FILE", root);
    command.env("BELLWETHER_HTTP_ALLOW", "127.0.0.0/8, localhost");
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn add(bench: &Bench, count: usize, kind: &str) {
    let keys = (0..count).map(|i| format!("  {kind}{i}: {{ run: 'true', kind: {kind} }}\n"));
    bench.write(
        "plan.yaml",
        &format!("name: {kind}\ntasks:\n{}", keys.collect::<String>()),
    );
    bench.json(&["submit", "plan.yaml"]);
}

fn numbers(bench: &Bench) -> BTreeSet<String> {
    let page = bench.json(&["events", "--type", "task.completed", "--limit", "1000"]);
    let events = page["events"].as_array().unwrap().iter();
    events
        .map(|event| format!("rule:tell:{}", event["number"]))
        .collect()
}

/// Message by message, until each of these ids was there.
fn gather(bench: &Bench, broker: &Server, ids: &BTreeSet<String>) -> Vec<Message> {
    let mut found: Vec<Message> = Vec::new();
    until("every message", || {
        // What had to give up while the broker was away is asked for once more.
        if bench.json(&["rule", "letters", "list"])["count"] != 0 {
            bench.json(&["rule", "letters", "retry", "tell"]);
        }
        found.extend(broker.take().unwrap());
        let known: BTreeSet<&String> = found.iter().map(|message| &message.id).collect();
        ids.iter().all(|id| known.contains(id))
    });
    found
}

// proves: SPEC 5.5, DESIGN 8
#[test]
fn nothing_is_lost_when_broker_and_worker_are_killed() {
    let authority = Authority::new().unwrap();
    let mut broker = Server::start(&authority).unwrap();
    let bench = Bench::new();
    bench.json(&[
        "task", "add", "t", "--id", "first", "--run", "true", "--kind", "first",
    ]);
    assert_eq!(bench.json(&TELL)["added"][0], "tell");
    let mut first = worker(&bench, &broker.url(), &authority.root());
    until("the first message", || broker.count().unwrap() > 0);
    add(&bench, 60, "build");
    until("some messages", || broker.count().unwrap() > 8);
    broker.kill();
    until("a try without a broker", || {
        std::fs::read_to_string(bench.path().join("log"))
            .unwrap()
            .contains("a rule's action has failed")
    });
    first.kill().unwrap();
    first.wait().unwrap();
    broker.run().unwrap();
    let second = worker(&bench, &broker.url(), &authority.root());
    until("the work", || bench.json(&["queue", "status"])["completed"] == 61);
    let ids = numbers(&bench);
    assert_eq!(ids.len(), 61);
    let found = gather(&bench, &broker, &ids);
    for message in &found {
        assert!(message.is_kept && ids.contains(&message.id), "{message:?}");
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let kind = body["task"]["kind"].as_str().unwrap();
        assert_eq!(message.routing_key, format!("bell.task.completed.{kind}"));
        assert_eq!(
            (&body["event"]["type"], &body["rule"]),
            (&"task.completed".into(), &"tell".into())
        );
    }

    // The same over TLS, which is refused to whoever cannot show who they are.
    end(second);
    let third = worker(&bench, &broker.url_encrypted(), &authority.root());
    add(&bench, 5, "safe");
    until("the safe work", || {
        bench.json(&["queue", "status"])["completed"] == 66
    });
    let ids: BTreeSet<String> = numbers(&bench).difference(&ids).cloned().collect();
    assert_eq!(ids.len(), 5);
    gather(&bench, &broker, &ids);
    end(third);
    let safe = numbers(&bench);
    let other = Authority::new().unwrap();
    let fourth = worker(&bench, &broker.url_encrypted(), &other.root());
    add(&bench, 1, "unsafe");
    until("a letter", || {
        bench.json(&["rule", "letters", "list"])["count"] == 1
    });
    end(fourth);
    let letters = bench.json(&["rule", "letters", "list"]);
    let error = letters["letters"][0]["error"].as_str().unwrap();
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    // What was sent before may come twice.
    let late = broker.take().unwrap();
    assert!(late.iter().all(|message| safe.contains(&message.id)), "{late:?}");

    for file in ["log", ".bellwether/bell.db", ".bellwether/bell.db-wal"] {
        let bytes = std::fs::read(bench.path().join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(PASSWORD), "{file} tells the password");
    }
    assert!(
        !bench
            .bell(&["rule", "show", "tell", "--json"])
            .out
            .contains(PASSWORD)
    );
}

// proves: SPEC 5.5
#[test]
fn what_a_broker_cannot_take_is_told() {
    let bench = Bench::new();
    let rule =
        |rest: &[&str]| bench.problem(&[&["rule", "add", "x", "--on", "task.completed"], rest].concat());
    let refused = ("invalid-argument".to_owned(), 2);
    assert_eq!(rule(&["--publish", "amqp://h"]), refused, "no routing key");
    assert_eq!(
        rule(&["--publish", "amqp://u:p@h", "--routing-key", "x"]),
        refused
    );
    assert_eq!(rule(&["--publish", "http://h", "--routing-key", "x"]), refused);
    assert_eq!(
        rule(&["--publish", "amqp://h", "--routing-key", "{task.knd}"]),
        refused
    );
    assert_eq!(rule(&["--pause", "all", "--routing-key", "x"]), refused);
    bench.write(
        "rules.yaml",
        "rules:\n  a: { on: task.completed, publish: { url: 'amqp://u:sesame@h', routing_key: x } }\n  b: { on: task.completed, publish: { exchange: x } }\n",
    );
    let shown = bench.shown(&["rule", "add", "--file", "rules.yaml"]);
    assert!(
        shown.contains("env:NAME") && shown.contains("has no `routing_key`"),
        "{shown}"
    );

    // An address of this network is not called unless somebody lets it.
    bench.write(
        "rules.yaml",
        "rules:\n  a: { on: task.completed, publish: { url: 'amqp://127.0.0.1:1', routing_key: x, mandatory: false, timeout: 2s } }\n",
    );
    bench.json(&["task", "add", "t", "--run", "true"]);
    bench.json(&["rule", "add", "--file", "rules.yaml"]);
    let mut command = bench.command(&["worker"]);
    let worker = command.stdout(Stdio::null()).stderr(Stdio::null());
    let worker = worker.spawn().unwrap();
    until("a letter", || {
        bench.json(&["rule", "letters", "list"])["count"] == 1
    });
    end(worker);
    let letters = bench.json(&["rule", "letters", "list"]);
    let letter = &letters["letters"][0];
    assert!(
        letter["error"].as_str().unwrap().contains("http.allow"),
        "{letter}"
    );
    assert_eq!(letter["tries"], 1, "another try goes the same way");
}
