//! A loopback endpoint that answers as it is told.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

pub(crate) struct Endpoint {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    /// All calls so far.
    pub(crate) async fn heard(&self) -> Vec<String> {
        self.heard.lock().await.clone()
    }

    pub(crate) async fn calls(&self) -> usize {
        self.heard.lock().await.len()
    }
}

/// Answers with these statuses, the last one for ever.
pub(crate) async fn endpoint(statuses: &'static [u16]) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let text = read(&mut stream).await;
            let mut all = all.lock().await;
            let status = statuses[all.len().min(statuses.len() - 1)];
            all.push(text);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Endpoint { url, heard }
}

async fn read(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while !is_whole(&text) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => text.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.lines().next()?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}
