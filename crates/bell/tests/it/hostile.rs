//! Callers that mean no good, or know no better, at a real server: others get on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::schedules::{end, until};
use crate::serve::Served;

/// In the short form; `cargo run --release -p bench --example load` has the long one.
const IDLE: usize = 1_000;
const ROGUES: usize = 8;

fn say(address: &str, text: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    stream.write_all(text).ok()?;
    Some(stream)
}

fn post(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The first line of the answer, if there is one.
fn told(mut stream: &TcpStream) -> String {
    let mut head = [0; 12];
    match stream.read_exact(&mut head) {
        Ok(()) => String::from_utf8_lossy(&head).into_owned(),
        Err(_) => String::new(),
    }
}

fn slow(address: &str) {
    drop(say(
        address,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    ));
}

fn oversized(address: &str) {
    let head = format!(
        "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        1_u64 << 40
    );
    if let Some(stream) = say(address, head.as_bytes()) {
        assert_eq!(told(&stream), "HTTP/1.1 413");
    }
}

fn malformed(address: &str) {
    for body in [
        "{\"name\": ",
        "\u{0}",
        &"[".repeat(100_000),
        "{\"name\": \"\\ud800\"}",
    ] {
        if let Some(stream) = say(address, &post(body)) {
            assert_eq!(told(&stream), "HTTP/1.1 400", "{}", &body[..body.len().min(20)]);
        }
    }
    drop(say(address, b"\x16\x03\x01 this is no HTTP \r\n\r\n"));
}

fn half_closed(address: &str) {
    let body = r#"{"worker": "gone", "kinds": ["none"], "wait": "30s"}"#;
    let head = format!(
        "POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    if let Some(mut stream) = say(address, head.as_bytes()) {
        drop(stream.shutdown(std::net::Shutdown::Write));
        // Whoever has gone is not waited for: the server hangs up long before the wait is over.
        drop(stream.read_to_end(&mut Vec::new()));
    }
}

// proves: DESIGN 13, DESIGN 15
#[test]
fn others_get_on_beside_those_that_mean_no_good() {
    let bench = Bench::new();
    let served = Served::new(&bench, &["--workers", "2"]);
    let idle: Vec<TcpStream> = (0..IDLE)
        .map(|_| TcpStream::connect(&served.address).unwrap())
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let rogues: Vec<_> = [slow, oversized, malformed, half_closed]
        .into_iter()
        .flat_map(|deed| std::iter::repeat_n(deed, ROGUES / 4))
        .map(|deed| {
            let (over, address) = (Arc::clone(&over), served.address.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    deed(&address);
                }
            })
        })
        .collect();
    for n in 0..30 {
        let task = json!({"id": format!("t{n}"), "run": "true"});
        let (status, told) = served.ask("POST", "/v1/tasks", None, &task);
        assert_eq!(status, 201, "{told}");
    }
    until("the work of others", || {
        served.ask("GET", "/v1/queue", None, &Value::Null).1["completed"] == 30
    });
    over.store(true, Ordering::Relaxed);
    for rogue in rogues {
        rogue.join().unwrap();
    }
    drop(idle);
    let queue = served.ask("GET", "/v1/queue", None, &Value::Null).1;
    assert_eq!(queue["total_tasks"], 30, "nothing of what was wrong was written");
    end(served.child);
}
