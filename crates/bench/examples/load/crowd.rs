//! Callers that mean no good, or do not know better: others must not feel it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::served::Served;
use crate::{Result, path, row, spread};

/// Calls a second of those who behave.
const RATE: f64 = 100.0;
/// Of each sort, over and over again.
const ROGUES: usize = 25;

pub(crate) async fn run(served: &Served, idle: usize, span: Duration) -> Result<()> {
    println!();
    row(
        "others, alone",
        &spread(path::far_paced(served, RATE, span).await?),
    );
    let (held, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut crowd = JoinSet::new();
    for _ in 0..idle {
        let (address, held, lost) = (served.address.clone(), Arc::clone(&held), Arc::clone(&lost));
        crowd.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(&address).await else {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                };
                held.fetch_add(1, Ordering::Relaxed);
                // Says nothing until it is hung up on, and comes again.
                let mut end = [0; 1];
                drop(stream.read(&mut end).await);
                held.fetch_sub(1, Ordering::Relaxed);
                lost.fetch_add(1, Ordering::Relaxed);
            }
        });
        if idle >= 1_000 && crowd.len() % 200 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let most = tokio::time::timeout(Duration::from_secs(30), async {
        while held.load(Ordering::Relaxed) < idle * 9 / 10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let reached = most.await.is_ok();
    let at_once = held.load(Ordering::Relaxed);
    let took = path::far_paced(served, RATE, span).await?;
    row(
        &format!("others, beside {at_once} idle connections"),
        &spread(took),
    );
    if !reached {
        row("", "fewer than were wanted: look at the limits of open files");
    }
    row(
        "  idle connections hung up on",
        &lost.load(Ordering::Relaxed).to_string(),
    );
    for sort in [dawdle, overdo, babble, half_close] {
        for _ in 0..ROGUES {
            let address = served.address.clone();
            crowd.spawn(async move {
                loop {
                    drop(sort(&address).await);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    }
    let took = path::far_paced(served, RATE, span).await?;
    row(
        &format!("others, beside them and {} rogues", 4 * ROGUES),
        &spread(took),
    );
    crowd.abort_all();
    while crowd.join_next().await.is_some() {}
    Ok(())
}

type Deed = std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

async fn said(address: &str, text: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(text).await?;
    Ok(stream)
}

/// A head that never ends, byte by byte.
fn dawdle(address: &str) -> Deed {
    let address = address.to_owned();
    Box::pin(async move {
        let mut stream = said(&address, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await?;
        loop {
            stream.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
}

/// A body that is larger than any may be.
fn overdo(address: &str) -> Deed {
    let address = address.to_owned();
    Box::pin(async move {
        let head = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut stream = said(&address, head.as_bytes()).await?;
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        for _ in 0..64 {
            stream.write_all(&chunk).await?;
        }
        // Broken off in the middle: a few MiB are enough to be in the way.
        Ok(())
    })
}

/// What is no JSON, or nested beyond all bounds.
fn babble(address: &str) -> Deed {
    let address = address.to_owned();
    Box::pin(async move {
        for body in ["{\"name\": ".to_owned(), "[".repeat(100_000)] {
            let head = format!(
                "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = said(&address, head.as_bytes()).await?;
            stream.read_to_end(&mut Vec::new()).await?;
        }
        Ok(())
    })
}

/// Asks to wait for long, and says that nothing more will come.
fn half_close(address: &str) -> Deed {
    let address = address.to_owned();
    Box::pin(async move {
        let body = r#"{"worker": "gone", "kinds": ["none"], "wait": "60s"}"#;
        let head = format!(
            "POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = said(&address, head.as_bytes()).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}
