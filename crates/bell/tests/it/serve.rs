//! The service as a process: its port, its tokens, its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use serde_json::{Value, json};

use crate::bench::{Bench, Said};
use crate::schedules::{end, until};

pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: String,
}

/// Waits until a server says where it listens.
pub(crate) fn listening(server: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    told["listening"].as_str().unwrap().to_owned()
}

impl Served {
    /// A server on a free port, once it listens.
    pub(crate) fn new(bench: &Bench, args: &[&str]) -> Served {
        Served::at(bench, "127.0.0.1:0", args)
    }

    pub(crate) fn at(bench: &Bench, address: &str, args: &[&str]) -> Served {
        let start = ["serve", "--listen", address, "--json"];
        let mut child = bench.spawn(&[&start, args].concat());
        let url = listening(&mut child);
        Served {
            address: url.strip_prefix("http://").unwrap().to_owned(),
            child,
        }
    }

    /// The whole answer to a call of the tools for agents.
    pub(crate) fn tools(&self, headers: &[(&str, &str)], body: &Value) -> String {
        let body = body.to_string();
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Begins a session of the tools for agents.
    fn session(&self, token: &str) -> String {
        let said = self.tools(&[("Authorization", token)], &hello());
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        let session = said
            .lines()
            .find_map(|line| line.strip_prefix("mcp-session-id: "))
            .unwrap_or_else(|| panic!("no session: {said}"))
            .to_owned();
        let headers = [("Authorization", token), ("Mcp-Session-Id", &*session)];
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.tools(&headers, &ready);
        session
    }

    fn call(&self, token: &str, session: &str, tool: &str, arguments: &Value) -> String {
        let headers = [("Authorization", token), ("Mcp-Session-Id", session)];
        let params = json!({"name": tool, "arguments": arguments});
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
        self.tools(&headers, &call)
    }

    /// Status and document of an answer.
    pub(crate) fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{token}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

pub(crate) fn hello() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "probe", "version": "1"},
    }})
}

// proves: DESIGN 13
#[test]
fn a_server_works_what_it_is_given_and_leaves_in_good_order() {
    let bench = Bench::new();
    let served = Served::new(&bench, &["--workers", "2"]);
    let task = json!({"id": "a", "run": "echo out; touch done"});
    assert_eq!(served.ask("POST", "/v1/tasks", None, &task).0, 201);
    until("the work", || {
        served.ask("GET", "/v1/tasks/a", None, &Value::Null).1["state"] == "completed"
    });
    assert_eq!(
        served.ask("GET", "/v1/tasks/a/logs", None, &Value::Null).1["output"],
        "out\n"
    );
    assert_eq!(bench.json(&["task", "show", "a"])["state"], "completed");
    end(served.child);
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let bench = Bench::new();
    let secret = bench
        .bell(&["token", "create", "ci", "--role", "operator"])
        .out
        .trim()
        .to_owned();
    assert!(secret.starts_with("bell_"), "{secret}");
    assert_eq!(
        bench.problem(&["token", "create", "ci", "--role", "reader"]),
        ("token-exists".to_owned(), 2)
    );
    assert_eq!(bench.json(&["token", "list"])["tokens"][0]["role"], "operator");
    let served = Served::new(&bench, &[]);
    assert_eq!(served.ask("GET", "/v1/queue", None, &Value::Null).0, 401);
    assert_eq!(served.ask("GET", "/v1/queue", Some(&secret), &Value::Null).0, 200);
    bench.json(&["token", "revoke", "ci"]);
    until("the end of the token", || {
        served.ask("GET", "/v1/queue", Some(&secret), &Value::Null).0 == 401
    });
    assert_eq!(
        bench.problem(&["token", "revoke", "ci"]),
        ("token-not-found".to_owned(), 2)
    );
    end(served.child);
}

// proves: DESIGN 6
#[test]
fn a_server_is_spoken_to_as_a_store_is() {
    let bench = Bench::new();
    bench.json(&["task", "add", "a", "--id", "a", "--run", "true"]);
    let served = Served::new(&bench, &[]);
    let url = format!("http://{}", served.address);
    for args in [
        &["task", "list"] as &[&str],
        &["task", "show", "a"],
        &["task", "why", "a"],
        &["queue", "status"],
        &["events"],
        &["dlq", "list"],
    ] {
        let far = bench.json(&[args, &["--server", &url]].concat());
        assert_eq!(far, bench.json(args), "{args:?}");
    }
    let worker = bench.spawn(&["worker", "--server", &url]);
    until("the work", || {
        bench.json(&["task", "show", "a"])["state"] == "completed"
    });
    end(worker);
    let nobody = ["task", "list", "--server", "http://127.0.0.1:9"];
    assert_eq!(bench.problem(&nobody), ("server-unreachable".to_owned(), 4));
    end(served.child);
}

#[test]
fn the_world_is_not_listened_to_without_a_token() {
    let bench = Bench::new();
    assert_eq!(
        bench.problem(&["serve", "--listen", "0.0.0.0:0"]),
        ("token-required".to_owned(), 2)
    );
    let made = std::fs::read_dir(bench.path()).unwrap().count();
    assert_eq!(made, 0, "a store was made all the same");
}

#[test]
fn a_server_gives_out_no_other_servers_store() {
    let bench = Bench::new();
    let url = "http://127.0.0.1:9";
    let mut serve = bench.command(&["serve", "--listen", "127.0.0.1:0"]);
    let said = Said::of(serve.env("BELLWETHER_SERVER", url));
    assert_eq!(said.exit, 2, "{said:?}");
    assert!(
        said.err.contains(url) && said.err.contains("BELLWETHER_SERVER"),
        "{said:?}"
    );
    let flag = ["serve", "--listen", "127.0.0.1:0", "--server", url];
    assert_eq!(bench.problem(&flag), ("invalid-argument".to_owned(), 2));
}

#[test]
fn roles_go_by_what_they_let_do_as_well() {
    let bench = Bench::new();
    for (word, role) in [
        ("read", "reader"),
        ("work", "worker"),
        ("operate", "operator"),
        ("admin", "admin"),
    ] {
        assert_eq!(
            bench.bell(&["token", "create", word, "--role", word]).exit,
            0,
            "{word}"
        );
        let tokens = bench.json(&["token", "list"]);
        let tokens = tokens["tokens"].as_array().unwrap();
        assert!(
            tokens
                .iter()
                .any(|token| token["name"] == word && token["role"] == role)
        );
    }
}

// proves: DESIGN 8
#[test]
fn a_worker_far_away_says_once_that_its_server_is_away_and_once_that_it_is_back() {
    let bench = Bench::new();
    let served = Served::new(&bench, &[]);
    let address = served.address.clone();
    let url = format!("http://{address}");
    let task = |id: &str, run: &str| json!({"id": id, "run": run});
    let log = std::fs::File::create(bench.path().join("log")).unwrap();
    let worker = bench
        .command(&["worker", "--jobs", "4", "--server", &url])
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let slow = "until [ -e go ]; do echo x; sleep 0.02; done";
    for id in ["a", "b", "c"] {
        assert_eq!(served.ask("POST", "/v1/tasks", None, &task(id, slow)).0, 201);
    }
    let state = |id: &str| bench.json(&["task", "show", id])["state"].clone();
    until("the attempts", || {
        ["a", "b", "c"].iter().all(|id| state(id) == "running")
    });
    let log = || std::fs::read_to_string(bench.path().join("log")).unwrap();
    let mut server = served.child;
    server.kill().unwrap();
    server.wait().unwrap();
    until("the news", || log().contains("the server is away"));
    let served = Served::at(&bench, &address, &[]);
    bench.write("go", "");
    until("the work", || {
        ["a", "b", "c"].iter().all(|id| state(id) == "completed")
    });
    until("the other news", || log().contains("the server is back"));
    end(worker);
    let log = log();
    let told = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        (told("the server is away"), told("the server is back")),
        (1, 1),
        "{log}"
    );
    assert!(
        log.lines().filter(|line| line.contains("WARN")).count() < 10,
        "{log}"
    );
    end(served.child);
}

// proves: DESIGN 13, DESIGN 9
#[test]
fn tools_for_agents_know_their_callers_by_token() {
    let bench = Bench::new();
    let make = |role: &str| {
        let said = bench.bell(&["token", "create", role, "--role", role]);
        format!("Bearer {}", said.out.trim())
    };
    let (reader, worker) = (make("reader"), make("worker"));
    let served = Served::new(&bench, &["--tools", "core"]);
    let refused = served.tools(&[], &hello());
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let call = |token: &str, tool: &str, arguments: &Value| {
        served.call(token, &served.session(token), tool, arguments)
    };
    let task = json!({"prompt": "write the docs"});
    let said = call(&reader, "task_add", &task);
    assert!(said.contains("forbidden"), "{said}");
    let said = call(&worker, "task_add", &task);
    assert!(said.contains("ready") && !said.contains("forbidden"), "{said}");
    assert_eq!(bench.json(&["queue", "status"])["ready"], 1);
    let events = bench.json(&["events", "--type", "task.submitted"]);
    assert_eq!(events["events"][0]["actor"], "user:worker");
    end(served.child);
}

// proves: DESIGN 13, DESIGN 9
#[test]
fn tools_for_agents_keep_to_the_role_of_each_call() {
    let bench = Bench::new();
    let make = |role: &str| {
        let said = bench.bell(&["token", "create", role, "--role", role]);
        format!("Bearer {}", said.out.trim())
    };
    let (reader, worker, operator) = (make("reader"), make("worker"), make("operator"));
    bench.json(&["task", "add", "a", "--id", "a"]);
    let served = Served::new(&bench, &["--tools", "all"]);
    let allowed = |token: &str, tool: &str, arguments: &Value| {
        let said = served.call(token, &served.session(token), tool, arguments);
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        !said.contains("forbidden")
    };
    let (none, id) = (json!({}), json!({"task_id": "a"}));
    for (tool, arguments, least) in [
        ("task_why", &none, 0),
        ("orchestration_get_queue_metrics", &none, 0),
        ("bell_task_list", &none, 0),
        ("task_add", &json!({"prompt": "x"}), 1),
        ("task_cancel", &id, 2),
        ("bell_lock_break", &json!({"name": "db", "reason": "x"}), 2),
        ("orchestration_deregister_agent", &json!({"agent_id": "ann"}), 2),
    ] {
        for (rank, token) in [&reader, &worker, &operator].into_iter().enumerate() {
            assert_eq!(
                allowed(token, tool, arguments),
                rank >= least,
                "{tool} as {token}"
            );
        }
    }
    // Somebody else's session lends no rights.
    bench.json(&["task", "add", "b", "--id", "b"]);
    let session = served.session(&worker);
    let claimed = served.call(&worker, &session, "task_claim", &none);
    assert!(!claimed.contains("forbidden"), "{claimed}");
    let borrowed = served.call(&reader, &session, "task_complete", &none);
    assert!(borrowed.contains("forbidden"), "{borrowed}");

    bench.json(&["token", "revoke", "worker"]);
    until("the end of the token", || {
        let said = served.tools(
            &[("Authorization", &worker), ("Mcp-Session-Id", &session)],
            &hello(),
        );
        said.starts_with("HTTP/1.1 401")
    });
    until("a pause after wrong tokens", || {
        let said = served.tools(&[("Authorization", "Bearer bell_wrong")], &hello());
        assert!(said.starts_with("HTTP/1.1 4"), "{said}");
        said.starts_with("HTTP/1.1 429")
    });
    end(served.child);
}

// proves: DESIGN 7
#[test]
fn a_prune_by_way_of_a_server_takes_out_what_is_beside_it() {
    let bench = Bench::new();
    let served = Served::new(&bench, &["--workers", "1"]);
    let url = format!("http://{}", served.address);
    bench.json(&["task", "add", "a", "--id", "a", "--run", "echo out"]);
    until("the work", || {
        bench.json(&["task", "show", "a"])["state"] == "completed"
    });
    // The newest task stays, whatever its age.
    bench.json(&["task", "add", "b"]);
    let outputs = || {
        let folder = bench.path().join(".bellwether/output/default/0");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    };
    assert!(outputs() > 0);
    let prune = ["store", "prune", "--older", "1s", "--server", &url];
    until("a second ago", || {
        bench.json(&[&prune[..], &["--dry-run"]].concat())["tasks"] == 1
    });
    assert!(outputs() > 0, "nothing was taken");
    assert_eq!(bench.json(&[&prune[..], &["--yes"]].concat())["tasks"], 1);
    assert_eq!(outputs(), 0);
    assert_eq!(bench.problem(&["task", "show", "a"]).0, "task-not-found");
    end(served.child);
}

// proves: DESIGN 13
#[test]
fn tools_for_agents_elsewhere_read_no_files_of_the_server() {
    let bench = Bench::new();
    let make = |role: &str| {
        let said = bench.bell(&["token", "create", role, "--role", role]);
        format!("Bearer {}", said.out.trim())
    };
    let (reader, operator) = (make("reader"), make("operator"));
    bench.write("p.yaml", "tasks:\n  hidden: { run: x }\n");
    bench.write("secret.json", "{\"hidden\": 1}");
    let served = Served::new(&bench, &["--tools", "all"]);
    let call = |token: &str, tool: &str, arguments: &Value| {
        served.call(token, &served.session(token), tool, arguments)
    };
    let plan = json!({"plan": bench.path().join("p.yaml")});
    for tool in [
        "bell_plan_check",
        "bell_plan_graph",
        "bell_plan_simulate",
        "bell_plan_verify",
        "bell_analyze",
        "bell_submit",
        "bell_rule_add",
    ] {
        for token in [&reader, &operator] {
            let said = call(token, tool, &plan);
            assert!(
                said.contains("tool-not-found") && !said.contains("hidden"),
                "{tool}: {said}"
            );
        }
    }
    let file = format!("@{}", bench.path().join("secret.json").display());
    let said = call(&operator, "bell_task_add", &json!({"name": "a", "input": file}));
    assert!(
        said.contains("invalid-argument") && !said.contains("hidden"),
        "{said}"
    );
    let anchors = json!({"anchor": [bench.path().join("p.yaml")]});
    let said = call(&operator, "bell_audit_verify", &anchors);
    assert!(said.contains("there is no argument `anchor`"), "{said}");
    assert_eq!(bench.json(&["queue", "status"])["total_tasks"], 0);
    end(served.child);
}
