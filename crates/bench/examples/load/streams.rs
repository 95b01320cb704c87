//! Many listeners at the same time, each told of everything.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http::Http;
use crate::served::Served;
use crate::{Result, row, spread};

/// Tasks that are added while they listen.
const TASKS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(served: &Served, count: usize) -> Result<()> {
    let begun = Instant::now();
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        listeners.push(listener(&served.address).await?);
    }
    println!();
    row(
        &format!("{count} listeners were let in"),
        &format!(
            "within {:.1} s, server has {} MiB",
            begun.elapsed().as_secs_f64(),
            served.memory()? >> 20
        ),
    );
    let mut all = JoinSet::new();
    for stream in listeners {
        all.spawn(heard(stream, TASKS));
    }
    let mut http = Http::connect(&served.address).await?;
    let body = json!({ "name": "load", "prompt": "load" }).to_string();
    let begun = Instant::now();
    for _ in 0..TASKS {
        http.ok("POST", "/v1/tasks", body.as_bytes()).await?;
    }
    let mut took = Vec::with_capacity(count);
    while let Some(done) = all.join_next().await {
        took.push(done??.saturating_duration_since(begun));
    }
    row(
        &format!("  each had heard of {TASKS} tasks, in order"),
        &spread(took),
    );
    Ok(())
}

async fn listener(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut told = Vec::new();
    while !told.ends_with(b"\r\n\r\n") {
        told.push(stream.read_u8().await?);
    }
    if !told.starts_with(b"HTTP/1.1 101") {
        return Err(String::from_utf8_lossy(&told).into_owned().into());
    }
    let wish = json!({ "type": "subscribe", "events": { "types": ["task.submitted"] } }).to_string();
    // A client masks what it says; a mask of zeros changes nothing.
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(u16::try_from(wish.len())?.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(wish.as_bytes());
    stream.write_all(&frame).await?;
    loop {
        if message(&mut stream).await?["type"] == "subscription_confirmed" {
            return Ok(stream);
        }
    }
}

async fn message(stream: &mut TcpStream) -> Result<Value> {
    let (head, length) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = match length {
        126 => usize::from(stream.read_u16().await?),
        127 => usize::try_from(stream.read_u64().await?)?,
        short => usize::from(short),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    match head {
        0x81 => Ok(serde_json::from_slice(&body)?),
        _ => Err(format!("a frame of kind {head:x}").into()),
    }
}

/// When it had heard of so many tasks; their numbers must only grow.
async fn heard(mut stream: TcpStream, tasks: usize) -> Result<Instant> {
    let (mut count, mut last) = (0, 0);
    while count < tasks {
        let told = tokio::time::timeout(PATIENCE, message(&mut stream)).await??;
        if told["type"] == "event" {
            let number = told["event"]["number"].as_u64().ok_or("no number")?;
            if number <= last {
                return Err(format!("event {number} came after {last}").into());
            }
            (count, last) = (count + 1, number);
        }
    }
    Ok(Instant::now())
}
