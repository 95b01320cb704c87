//! The live stream, seen by a client that knows nothing of the server.

use std::time::Duration;

use axum::http::Request;
use desk::token::create;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use server::Options;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::lab::{Lab, options, refused};

struct Client(WebSocketStream<TcpStream>);

async fn connect(lab: &Lab, query: &str, token: Option<&str>) -> Result<Client, Error> {
    let url = format!("ws://{}/v1/stream{query}", lab.address);
    let mut request: Request<()> = url.into_client_request()?;
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
    }
    let stream = TcpStream::connect(lab.address).await.unwrap();
    client_async(request, stream).await.map(|(ws, _)| Client(ws))
}

async fn client(lab: &Lab) -> Client {
    let mut client = connect(lab, "", None).await.unwrap();
    assert_eq!(client.hear().await["type"], "welcome");
    client
}

fn status(connected: Result<Client, Error>) -> http::StatusCode {
    match connected {
        Err(Error::Http(answer)) => answer.status(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let in"),
    }
}

/// As a browser does: no header of its own, but subprotocols.
async fn browse(lab: &Lab, ticket: &str) -> Result<(Client, String), Error> {
    let url = format!("ws://{}/v1/stream", lab.address);
    let mut request: Request<()> = url.into_client_request()?;
    let offered = format!("bellwether, {ticket}").parse().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", offered);
    let stream = TcpStream::connect(lab.address).await.unwrap();
    let (ws, answer) = client_async(request, stream).await?;
    let chosen = answer.headers()["sec-websocket-protocol"]
        .to_str()
        .unwrap()
        .to_owned();
    Ok((Client(ws), chosen))
}

// proves: DESIGN 13
#[tokio::test]
async fn a_browser_comes_with_a_ticket_that_is_good_once() {
    let lab = Lab::with(Options {
        ping: Duration::from_millis(50),
        ..options()
    })
    .await;
    let asked = json!({"name": "page", "role": "reader"});
    let made = create(&lab.engine, serde_json::from_value(asked).unwrap())
        .await
        .unwrap();
    let none = lab
        .request(reqwest::Method::POST, "/v1/stream/ticket")
        .json(&json!({}));
    assert_eq!(refused(crate::lab::told(none).await).1, 401);
    let asked = lab
        .request(reqwest::Method::POST, "/v1/stream/ticket")
        .bearer_auth(&made.secret)
        .json(&json!({}));
    let (_, given) = crate::lab::told(asked).await;
    let ticket = given["ticket"].as_str().unwrap();
    let (mut page, chosen) = browse(&lab, ticket).await.unwrap();
    assert_eq!(
        (&*chosen, &given["protocol"]),
        ("bellwether", &json!("bellwether"))
    );
    assert_eq!(page.hear().await["type"], "welcome");
    let again = browse(&lab, ticket).await.map(|(client, _)| client);
    assert_eq!(status(again), http::StatusCode::UNAUTHORIZED);
    // The ticket stood for a token: with that gone, the stream ends.
    desk::token::revoke(&lab.engine, "page").await.unwrap();
    while let Some(message) = page.maybe().await {
        assert_eq!(message["type"], "ping");
    }
}

impl Client {
    async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message; `None` once the server has hung up.
    async fn maybe(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(30), self.0.next()).await;
            match next.expect("nothing comes") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    async fn hear(&mut self) -> Value {
        self.maybe().await.expect("the server hung up")
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.say(message).await;
        self.hear().await
    }

    /// The next message of a type.
    async fn next(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["type"] == kind {
                return message;
            }
        }
    }
}

// proves: SPEC 5.10
#[tokio::test]
async fn subscriptions_are_confirmed_and_only_they_are_sent() {
    let lab = Lab::new().await;
    let mut one = connect(&lab, "", None).await.unwrap();
    let welcome = one.hear().await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(
        welcome["available_metrics"],
        json!([
            "task_progress",
            "system_health",
            "performance",
            "queue_status",
            "worker_status",
            "error",
            "deployment"
        ])
    );
    let told = one
        .ask(&json!({"type": "subscribe", "metric_types": ["deployment", "error"]}))
        .await;
    assert_eq!(told["type"], "subscription_confirmed");
    assert_eq!(told["subscriptions"], json!(["error", "deployment"]));
    let told = one
        .ask(&json!({"type": "unsubscribe", "metric_types": ["error", "performance"]}))
        .await;
    assert_eq!(
        (&told["type"], &told["subscriptions"]),
        (&json!("unsubscription_confirmed"), &json!(["deployment"]))
    );
    for wrong in [
        json!({"type": "subscribe", "metric_types": ["weather"]}),
        json!({"type": "sing"}),
        json!({"type": "subscribe", "events": {"after": 1_000_000}}),
    ] {
        let told = one.ask(&wrong).await;
        assert_eq!(told["problem"]["code"], "invalid-argument", "{told}");
    }
    let send = |metric_type: &str, n: usize| {
        let body =
            json!({"metric_type": metric_type, "data": {"n": n}, "priority": "critical", "tags": {"a": "b"}});
        async { lab.ok("/v1/metrics", &{ body }).await }
    };
    for n in 0..100 {
        send("error", n).await;
        send("deployment", n).await;
    }
    for n in 0..100 {
        let metric = one.hear().await;
        assert_eq!(
            (&metric["type"], &metric["data"]["n"]),
            (&json!("metric"), &json!(n))
        );
        assert_eq!(
            (&metric["metric_type"], &metric["priority"], &metric["tags"]["a"]),
            (&json!("deployment"), &json!(4), &json!("b"))
        );
        assert_eq!(metric["source"], "user:test");
    }
    let told = lab.see("/v1/stream/connections").await;
    assert_eq!(
        (
            &told["total_connections"],
            &told["active_connections"],
            &told["total_subscriptions"]
        ),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(told["connections"][0]["connection_id"], welcome["connection_id"]);
    assert_eq!(told["connections"][0]["is_alive"], true);
    let window = lab.see("/v1/metrics").await;
    assert_eq!(window["metrics"][6]["count"], 100);
}

// proves: DESIGN 13
#[tokio::test]
async fn events_go_on_after_a_number_without_gap_or_repeat() {
    let lab = Lab::new().await;
    let add = |from: usize, to: usize| {
        let tasks: Vec<Value> = (from..to)
            .map(|n| json!({"id": format!("t{n}"), "name": "n"}))
            .collect();
        let body = json!({ "tasks": tasks });
        let lab = &lab;
        async move { lab.ok("/v1/tasks", &body).await }
    };
    add(0, 3_000).await;
    let mut seen = Vec::new();
    // Each connection breaks off in the middle; more is written meanwhile.
    for round in 0..4 {
        let mut client = client(&lab).await;
        let after = seen.last().copied().unwrap_or(0);
        let told = client
            .ask(&json!({"type": "subscribe", "events": {"after": after}}))
            .await;
        assert_eq!(told["events"]["after"], after);
        let (begin, end) = (3_000 + round * 100, 3_100 + round * 100);
        let write = add(begin, end);
        let read = async {
            for _ in 0..800 {
                let event = client.next("event").await;
                seen.push(event["event"]["number"].as_u64().unwrap());
            }
        };
        tokio::join!(write, read);
    }
    let wanted: Vec<u64> = (1..=3_200).collect();
    assert!(seen == wanted, "{} events, {:?}", seen.len(), seen.last());

    let mut client = client(&lab).await;
    client
        .ask(&json!({"type": "subscribe", "events": {"types": ["task.cancelled"]}}))
        .await;
    lab.ok("/v1/tasks/t7/cancel", &json!({})).await;
    let event = client.next("event").await;
    assert_eq!(
        (&event["event"]["type"], &event["event"]["task"]),
        (&json!("task.cancelled"), &json!("t7"))
    );
}

#[tokio::test]
async fn what_happens_is_measured() {
    let lab = Lab::new().await;
    let mut client = client(&lab).await;
    let all = json!([
        "task_progress",
        "performance",
        "queue_status",
        "worker_status",
        "error"
    ]);
    client
        .ask(&json!({"type": "subscribe", "metric_types": all}))
        .await;
    lab.ok(
        "/v1/tasks",
        &json!({"tasks": [{"id": "a", "name": "a"}, {"id": "b", "name": "b"}]}),
    )
    .await;
    for (id, end, body) in [
        ("a", "complete", json!({"result": 7})),
        ("b", "fail", json!({"error": "no route", "class": "network"})),
    ] {
        let leases = lab.ok("/v1/leases", &json!({"worker": "w"})).await;
        let mut body = body;
        body["token"] = leases["leases"][0]["token"].clone();
        lab.ok(&format!("/v1/tasks/{id}/{end}"), &body).await;
    }
    let mut performance = Vec::new();
    let mut progress = Vec::new();
    let error = loop {
        let metric = client.next("metric").await;
        match metric["metric_type"].as_str().unwrap() {
            "performance" => performance.push(metric["data"]["success_count"].as_u64().unwrap()),
            "task_progress" if metric["data"]["task_id"] == "a" => {
                progress.push(metric["data"]["status"].as_str().unwrap().to_owned());
            }
            "error" => break metric,
            _ => {}
        }
    };
    assert_eq!(performance, [1, 0]);
    assert_eq!(progress.last().unwrap(), "completed");
    assert_eq!(
        (
            &error["data"]["error_message"],
            &error["data"]["error_type"],
            &error["priority"]
        ),
        (&json!("no route"), &json!("network"), &json!(3))
    );
    let (_, text) = lab.get("/metrics").await;
    let text = text.as_str().unwrap();
    for line in [
        r#"bellwether_tasks{project="default",state="completed"} 1"#,
        r#"bellwether_tasks{project="default",state="failed"} 1"#,
        r#"bellwether_task_run_seconds_count{project="default"} 2"#,
        r#"bellwether_events_total{project="default",type="task.failed"} 1"#,
        "bellwether_stream_connections 1",
        "bellwether_ready 1",
    ] {
        assert!(text.lines().any(|had| had == line), "{line} in\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value == "+Inf" || value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn the_silent_are_hung_up_on_and_the_rest_asked() {
    let lab = Lab::with(Options {
        ping: Duration::from_millis(100),
        silence: Duration::from_millis(400),
        ..options()
    })
    .await;
    let (mut silent, mut awake) = (client(&lab).await, client(&lab).await);
    let keep = async {
        for _ in 0..12 {
            awake.next("ping").await;
            awake.say(&json!({"type": "pong"})).await;
        }
    };
    let end = async { while silent.maybe().await.is_some() {} };
    tokio::join!(keep, end);
    let told = lab.see("/v1/stream/connections").await;
    assert_eq!(
        (&told["active_connections"], &told["total_connections"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn streams_have_roles_bounds_and_an_end() {
    let lab = Lab::with(Options {
        streams: 1,
        ping: Duration::from_millis(100),
        ..options()
    })
    .await;
    let asked = json!({"name": "r", "role": "reader", "projects": ["default"]});
    let made = create(&lab.engine, serde_json::from_value(asked).unwrap()).await;
    let secret = made.unwrap().secret;
    assert_eq!(status(connect(&lab, "", None).await), 401);
    assert_eq!(status(connect(&lab, "?project=other", Some(&secret)).await), 403);
    let plain = lab
        .request(reqwest::Method::GET, "/v1/stream")
        .bearer_auth(&secret);
    assert_eq!(
        refused(crate::lab::told(plain).await),
        ("invalid-argument".to_owned(), 400)
    );
    let mut one = connect(&lab, "", Some(&secret)).await.unwrap();
    assert_eq!(one.hear().await["type"], "welcome");
    assert_eq!(status(connect(&lab, "", Some(&secret)).await), 429);
    desk::token::revoke(&lab.engine, "r").await.unwrap();
    while one.maybe().await.is_some() {}

    let lab = Lab::new().await;
    let mut one = client(&lab).await;
    lab.pace.send_replace(engine::worker::Pace::Drain);
    while one.maybe().await.is_some() {}
    lab.served.await.unwrap().unwrap();
}

// proves: SPEC 2.2
#[tokio::test]
async fn how_the_whole_does_is_told_from_time_to_time() {
    let lab = Lab::new().await;
    let found = async {
        loop {
            let told = lab.see("/v1/metrics").await;
            let metrics = told["metrics"].as_array().unwrap();
            let health = metrics.iter().find(|one| one["metric_type"] == "system_health");
            if let Some(health) = health.filter(|health| !health["latest"].is_null()) {
                return health["latest"].clone();
            }
        }
    };
    let data = tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .unwrap();
    for count in [
        "queued_tasks",
        "processing_tasks",
        "completed_tasks",
        "failed_tasks",
    ] {
        assert_eq!(data[count], 0, "{count}: {data}");
    }
    assert_eq!(
        (&data["throughput_per_minute"], &data["avg_latency"]),
        (&json!(0.0), &Value::Null)
    );
}

// proves: SPEC 5.10
#[tokio::test]
async fn what_attempts_report_is_told_to_those_who_listen_here() {
    let lab = Lab::new().await;
    lab.ok("/v1/tasks", &json!({"id": "a", "name": "a"})).await;
    let leases = lab.ok("/v1/leases", &json!({"worker": "w"})).await;
    let token = leases["leases"][0]["token"].clone();
    let mut client = client(&lab).await;
    client
        .ask(&json!({"type": "subscribe", "metric_types": ["task_progress"]}))
        .await;
    let mut next = async || loop {
        let metric = client.next("metric").await;
        if !metric["data"]["details"]["said"].is_null() {
            return metric["data"].clone();
        }
    };
    let report = json!({"token": token, "progress": {"percent": 40}});
    lab.ok("/v1/tasks/a/progress", &report).await;
    let told = next().await;
    assert_eq!(
        (&told["task_id"], &told["status"], &told["progress"]),
        (&json!("a"), &json!("running"), &json!(0.4))
    );
    assert_eq!(told["details"]["said"], json!({"percent": 40}));
    let beats = json!({"leases": [{"token": token, "progress": 0.5}]});
    lab.ok("/v1/leases/heartbeat", &beats).await;
    assert_eq!(next().await["progress"], 0.5);
}

// proves: SPEC 5.10
#[tokio::test]
async fn a_measurement_has_its_priority_as_number_or_name() {
    let lab = Lab::new().await;
    for priority in [json!(1), json!(4), json!("high")] {
        let sent = json!({"metric_type": "deployment", "data": {}, "priority": priority});
        lab.ok("/v1/metrics", &sent).await;
    }
    for priority in [json!(0), json!(5), json!("urgent"), json!(null)] {
        let sent = json!({"metric_type": "deployment", "data": {}, "priority": priority});
        let (status, problem) = lab.post("/v1/metrics", &sent).await;
        assert_eq!(status, 400);
        let wanted = format!("`priority` is {priority}; send a number from 1 to 4, or low");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&wanted), "{detail}");
    }
}
