//! Traces, as a collector is told of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::schedules::{end, until};
use crate::serve::{Served, listening};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OUTER: &str = "00f067aa0ba902b7";

/// A collector that keeps the spans it is sent.
#[derive(Clone)]
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Value>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn new() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Collector {
            url: format!("http://{}", listener.local_addr().unwrap()),
            spans: Arc::default(),
            heads: Arc::default(),
        };
        let taken = collector.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let taken = taken.clone();
                std::thread::spawn(move || taken.serve(&stream.unwrap()));
            }
        });
        collector
    }

    fn serve(&self, mut stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let told: Value = serde_json::from_slice(&body).unwrap();
            let spans = told["resourceSpans"][0]["scopeSpans"][0]["spans"]
                .as_array()
                .unwrap();
            self.spans.lock().unwrap().extend(spans.iter().cloned());
            self.heads.lock().unwrap().push(head);
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    }

    /// Those that tell of a task, by name.
    fn of(&self, trace: &str) -> BTreeMap<String, Value> {
        let spans = self.spans.lock().unwrap();
        let of = spans.iter().filter(|span| span["traceId"] == trace);
        of.map(|span| (span["name"].as_str().unwrap().to_owned(), span.clone()))
            .collect()
    }
}

fn attribute(span: &Value, name: &str) -> String {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|one| one["key"] == name);
    let value = found.unwrap_or_else(|| panic!("{name}: {span}"))["value"].clone();
    value["stringValue"].as_str().unwrap_or_default().to_owned()
}

/// A request with a place in a trace.
fn post(address: &str, path: &str, traceparent: &str, body: &Value) -> u16 {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\ntraceparent: {traceparent}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn served(bench: &Bench, collector: &str) -> (std::process::Child, String) {
    let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let mut child = command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret%20one")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let url = listening(&mut child);
    (child, url.strip_prefix("http://").unwrap().to_owned())
}

// proves: DESIGN 13, SPEC 2.2
#[test]
fn a_task_is_followed_from_submit_through_a_worker_far_away_to_its_end() {
    let (bench, collector) = (Bench::new(), Collector::new());
    let (server, address) = served(&bench, &collector.url);
    let outer = format!("00-{TRACE}-{OUTER}-01");
    let task = json!({"id": "a", "kind": "build", "run": "printf %s \"$TRACEPARENT\" > told"});
    assert_eq!(post(&address, "/v1/tasks", &outer, &task), 201);
    let worker = bench.spawn(&["worker", "--server", &format!("http://{address}")]);
    until("the trace", || {
        collector.of(TRACE).len() == 3 || collector.of(TRACE).len() == 4
    });
    let spans = collector.of(TRACE);
    let (task, attempt, wait) = (&spans["task build"], &spans["attempt"], &spans["wait"]);
    assert_eq!(task["parentSpanId"], OUTER);
    assert_eq!(attempt["parentSpanId"], task["spanId"]);
    assert_eq!(wait["parentSpanId"], task["spanId"]);
    assert_eq!(attribute(task, "task.id"), "a");
    assert_eq!(attribute(attempt, "task.outcome"), "completed");
    assert!(!attribute(attempt, "agent.id").is_empty());
    let time = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u128>().unwrap();
    assert_eq!(time(wait, "startTimeUnixNano"), time(task, "startTimeUnixNano"));
    assert!(time(attempt, "endTimeUnixNano") <= time(task, "endTimeUnixNano"));
    let told = std::fs::read_to_string(bench.path().join("told")).unwrap();
    assert_eq!(
        told,
        format!("00-{TRACE}-{}-01", attempt["spanId"].as_str().unwrap()),
        "what is begun by the command is below its attempt"
    );
    let heads = collector.heads.lock().unwrap().join("");
    assert!(
        heads.starts_with("POST /v1/traces HTTP/1.1") && heads.contains("x-key: secret one"),
        "{heads}"
    );
    end(worker);
    end(server);
}

#[test]
fn tasks_of_a_run_are_below_it_and_failures_are_told() {
    let (bench, collector) = (Bench::new(), Collector::new());
    let (server, address) = served(&bench, &collector.url);
    let worker = bench.spawn(&["worker"]);
    let plan = json!({"name": "p", "tasks": {
        "one": {"run": "true"},
        "two": {"run": "exit 3", "after": ["one"]},
        "all": {"run": "true", "for_each": ["x"]},
    }});
    let outer = format!("00-{TRACE}-{OUTER}-00");
    assert_eq!(post(&address, "/v1/runs", &outer, &json!({ "plan": plan })), 200);
    let all = || collector.spans.lock().unwrap().clone();
    let named = |name: &str| all().into_iter().find(|span| span["name"] == name);
    until("the trace of the run", || {
        let tasks = all().iter().filter(|span| span["name"] == "task command").count();
        named("run p").is_some() && tasks == 3
    });
    let run = named("run p").unwrap();
    assert_eq!(
        (&run["traceId"], &run["parentSpanId"]),
        (&json!(TRACE), &json!(OUTER))
    );
    assert_eq!(run["status"]["code"], 2);
    let spans = all();
    let tasks: Vec<&Value> = spans
        .iter()
        .filter(|span| span["name"] == "task command")
        .collect();
    for task in &tasks {
        assert_eq!(
            (&task["traceId"], &task["parentSpanId"]),
            (&run["traceId"], &run["spanId"])
        );
    }
    let failed = tasks
        .iter()
        .find(|task| attribute(task, "task.key") == "two")
        .unwrap();
    assert_eq!(failed["status"], json!({"code": 2, "message": "exit status 3"}));
    // The same plan from within another trace is the same plan.
    let again = format!("00-{}-{OUTER}-01", TRACE.replace('4', "5"));
    assert_eq!(post(&address, "/v1/runs", &again, &json!({ "plan": plan })), 200);
    assert_eq!(bench.json(&["runs", "list"])["count"], 1);
    end(worker);
    end(server);
}

#[test]
fn a_collector_that_takes_nothing_holds_up_nobody() {
    let bench = Bench::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (server, address) = served(&bench, &format!("http://{}", silent.local_addr().unwrap()));
    drop(silent);
    let worker = bench.spawn(&["worker"]);
    for n in 0..20 {
        let task = json!({"id": format!("t{n}"), "run": "true"});
        assert_eq!(post(&address, "/v1/tasks", "not a place", &task), 201);
    }
    until("the work", || bench.json(&["queue", "status"])["completed"] == 20);
    until("what was left out", || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let left = answer
            .lines()
            .find_map(|line| line.strip_prefix("bellwether_trace_spans_dropped_total "));
        left.is_some_and(|count| count.parse::<f64>().unwrap() >= 60.0)
    });
    end(worker);
    end(server);
}

#[test]
fn a_call_carries_the_place_of_its_attempt() {
    let bench = Bench::new();
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", endpoint.local_addr().unwrap());
    let called = std::thread::spawn(move || {
        let (mut stream, _) = endpoint.accept().unwrap();
        let mut head = String::new();
        for line in BufReader::new(&stream).lines().map_while(Result::ok) {
            if line.is_empty() {
                break;
            }
            head += &line.to_ascii_lowercase();
            head.push('\n');
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            .unwrap();
        head
    });
    let served = Served::new(&bench, &[]);
    let outer = format!("00-{TRACE}-{OUTER}-01");
    let task = json!({"id": "a", "http": {"url": url, "method": "GET"}});
    assert_eq!(post(&served.address, "/v1/tasks", &outer, &task), 201);
    let leased = json!({"id": "b", "prompt": "think", "kind": "thought"});
    assert_eq!(post(&served.address, "/v1/tasks", &outer, &leased), 201);
    let worker = bench
        .command(&["worker"])
        .env("BELLWETHER_HTTP_ALLOW", "127.0.0.1")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let head = called.join().unwrap();
    let place = head
        .lines()
        .find_map(|line| line.strip_prefix("traceparent: "))
        .unwrap();
    assert!(
        place.starts_with(&format!("00-{TRACE}-")) && place.ends_with("-01"),
        "{place}"
    );
    assert_ne!(place, outer, "its own span, not the one outside");
    let claim = json!({"worker": "w", "kinds": ["thought"]});
    let (_, told) = served.ask("POST", "/v1/leases", None, &claim);
    let place = told["leases"][0]["traceparent"].as_str().unwrap();
    assert!(
        place.starts_with(&format!("00-{TRACE}-")) && place != outer,
        "{told}"
    );
    end(worker);
    end(served.child);
}

// proves: DESIGN 13
#[test]
fn commands_are_called_from_within_a_trace() {
    let bench = Bench::new();
    let outer = format!("00-{TRACE}-{OUTER}-01");
    let call = |traceparent: &str, args: &[&str]| {
        let said = bench
            .command(args)
            .env("TRACEPARENT", traceparent)
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stderr).unwrap()
    };
    let told = "printf %s \"$TRACEPARENT\" >";
    let plan =
        |name: &str| format!("name: {name}\ntasks:\n  x: {{ run: 'printf %s \"$TRACEPARENT\" > {name}' }}\n");
    bench.write("run.yaml", &plan("by-run"));
    bench.write("submit.yaml", &plan("by-submit"));
    let add = ["task", "add", "a", "--run", &format!("{told} by-add")];
    assert!(!call(&outer, &add).contains("traceparent"));
    call(&outer, &["submit", "submit.yaml"]);
    // The same plan from within another trace is the same plan.
    let again = outer.replace('4', "5");
    call(&again, &["submit", "submit.yaml"]);
    assert_eq!(bench.json(&["runs", "list"])["count"], 1);
    call(&outer, &["run", "run.yaml"]);
    let nobody = ["task", "add", "b", "--run", &format!("{told} by-nobody")];
    let hints = call("00-not-a-trace", &nobody);
    assert!(
        hints.contains("hint: TRACEPARENT is no W3C traceparent"),
        "{hints}"
    );
    let worker = bench.spawn(&["worker"]);
    until("the work", || bench.json(&["queue", "status"])["completed"] == 4);
    end(worker);
    for name in ["by-add", "by-submit", "by-run"] {
        let place = std::fs::read_to_string(bench.path().join(name)).unwrap();
        assert!(
            place.starts_with(&format!("00-{TRACE}-")) && place.ends_with("-01") && place != outer,
            "{name}: {place}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(bench.path().join("by-nobody")).unwrap(),
        ""
    );
    let key = ["task", "add", "c", "--idempotency-key", "k"];
    call(&outer, &key);
    call(&again, &key);
    assert_eq!(bench.json(&["queue", "status"])["ready"], 1);
}

// proves: DESIGN 13
#[test]
fn an_attempt_is_told_when_it_ends_and_once() {
    let (bench, collector) = (Bench::new(), Collector::new());
    let (server, address) = served(&bench, &collector.url);
    let outer = format!("00-{TRACE}-{OUTER}-01");
    let task = json!({"id": "a", "prompt": "think"});
    assert_eq!(post(&address, "/v1/tasks", &outer, &task), 201);
    let token = |bench: &Bench| {
        let lease = bench.json(&["task", "claim", "--worker", "w"]);
        lease["leases"][0]["token"].as_str().unwrap().to_owned()
    };
    let count = |name: &str| {
        let spans = collector.spans.lock().unwrap();
        spans.iter().filter(|span| span["name"] == name).count()
    };
    let first = token(&bench);
    bench.json(&["task", "release", "a", "--token", &first]);
    until("the first attempt", || count("attempt") == 1);
    assert_eq!(count("task agent"), 0, "the task is not over");
    // Another server tells the rest, and nothing again.
    end(server);
    let (server, _) = served(&bench, &collector.url);
    let second = token(&bench);
    bench.json(&["task", "complete", "a", "--token", &second]);
    until("the task", || count("task agent") == 1 && count("attempt") == 2);
    let spans = collector.spans.lock().unwrap().clone();
    let mut ids: Vec<&str> = spans
        .iter()
        .map(|span| span["spanId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), spans.len(), "{spans:?}");
    end(server);
}
