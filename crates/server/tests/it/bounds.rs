//! Requests that ask too much, or too slowly.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use server::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::lab::{Lab, options, refused, told};

#[tokio::test]
async fn bodies_are_bounded_in_size_depth_and_kind() {
    let lab = Lab::with(Options {
        body: 10_000,
        ..options()
    })
    .await;
    let post = |body: String, kind: &'static str| {
        told(
            lab.request(Method::POST, "/v1/tasks")
                .header("content-type", kind)
                .body(body),
        )
    };
    let large = format!(r#"{{"name": "{}"}}"#, "x".repeat(20_000));
    assert_eq!(
        refused(post(large, "application/json").await),
        ("request-too-large".to_owned(), 413)
    );
    let deep = format!(
        r#"{{"name": "a", "inputs": {}{}}}"#,
        "[".repeat(1_000),
        "]".repeat(1_000)
    );
    assert_eq!(
        refused(post(deep, "application/json").await),
        ("limit-exceeded".to_owned(), 400)
    );
    assert_eq!(
        refused(post("{}".into(), "text/plain").await),
        ("unsupported-media-type".to_owned(), 415)
    );
    assert_eq!(refused(post("{".into(), "application/json").await).1, 400);
    assert_eq!(refused(post("\u{feff}".into(), "application/json").await).1, 400);
    let key = lab
        .request(Method::POST, "/v1/tasks")
        .header("Idempotency-Key", "k".repeat(600));
    assert_eq!(refused(told(key.json(&json!({"name": "a"}))).await).1, 400);
}

#[tokio::test]
async fn large_bodies_take_turns() {
    let lab = Lab::with(Options {
        bulk: 1,
        arrival: Duration::from_secs(2),
        ..options()
    })
    .await;
    let large = json!({"name": "a", "inputs": "x".repeat(100_000)}).to_string();
    let mut slow = TcpStream::connect(lab.address).await.unwrap();
    let head = format!(
        "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        large.len()
    );
    let (most, rest) = large.split_at(90_000);
    slow.write_all([head.as_str(), most].concat().as_bytes())
        .await
        .unwrap();
    // Small ones pass; a large one waits until the slow one has come or is given up.
    let post = |body: String| told(lab.request(Method::POST, "/v1/tasks").body(body));
    assert_eq!(
        post(r#"{"name": "small"}"#.to_owned()).await.0,
        StatusCode::CREATED
    );
    let next = post(large.clone());
    let ended = async {
        slow.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        slow.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let ((status, _), answer) = tokio::join!(next, ended);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(lab.see("/v1/queue").await["total_tasks"], 3);
}

#[tokio::test]
async fn answers_carry_the_number_of_their_request() {
    let lab = Lab::new().await;
    let answer = lab
        .request(Method::GET, "/v1/queue")
        .header("x-request-id", "mine-7")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["x-request-id"], "mine-7");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let answer = lab
        .request(Method::GET, "/v1/nothing")
        .header("x-request-id", "not sane")
        .send()
        .await
        .unwrap();
    assert_ne!(answer.headers()["x-request-id"], "not sane");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn whoever_dawdles_is_hung_up_on_and_hurts_nobody() {
    let lab = Lab::with(Options {
        head: Duration::from_millis(300),
        arrival: Duration::from_millis(300),
        ..options()
    })
    .await;
    let mut slow = TcpStream::connect(lab.address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        .await
        .unwrap();
    let mut body = TcpStream::connect(lab.address).await.unwrap();
    body.write_all(b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    let mut silent = TcpStream::connect(lab.address).await.unwrap();
    assert_eq!(lab.get("/livez").await.0, StatusCode::OK);
    let mut told = Vec::new();
    silent.read_to_end(&mut told).await.unwrap();
    assert!(told.is_empty(), "who says nothing is hung up on");
    slow.read_to_end(&mut told).await.unwrap();
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 408"), "{told:?}");
    let mut head = [0; 12];
    body.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 408");
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_want_it() {
    let lab = Lab::new().await;
    let answer = lab
        .request(Method::GET, "/v1/openapi.json")
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
}

#[tokio::test]
async fn connections_beyond_the_bound_are_hung_up_on_until_others_leave() {
    let lab = Lab::with(Options {
        connections: 3,
        ..options()
    })
    .await;
    let mut guests = Vec::new();
    for _ in 0..3 {
        guests.push(TcpStream::connect(lab.address).await.unwrap());
    }
    let mut turned_away = TcpStream::connect(lab.address).await.unwrap();
    let mut told = Vec::new();
    // Hung up on, whether or not the end is orderly.
    drop(turned_away.read_to_end(&mut told).await);
    assert!(told.is_empty());
    guests.clear();
    let let_in = async {
        while lab.client.get(lab.url("/livez")).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), let_in)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_takes_nothing_is_given_up() {
    let lab = Lab::with(Options {
        connections: 2,
        silence: Duration::from_millis(300),
        ..options()
    })
    .await;
    let mut greedy = TcpStream::connect(lab.address).await.unwrap();
    let request = "GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    let asked = async {
        // It asks and asks, and reads nothing of what it is told, until nobody listens any more.
        while greedy.write_all(request.as_bytes()).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(60), asked)
        .await
        .unwrap();
    assert_eq!(lab.get("/livez").await.0, StatusCode::OK);
}
