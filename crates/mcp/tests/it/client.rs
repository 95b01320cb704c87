//! Just enough of an HTTP client for the protocol: one request for each connection.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
    asked: u64,
}

#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) messages: Vec<Value>,
}

impl Client {
    /// Without a session.
    pub(crate) fn new(address: SocketAddr) -> Client {
        Client {
            address,
            headers: Vec::new(),
            asked: 0,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Shakes hands, and goes on in the session that it was given.
    pub(crate) async fn begin(mut self) -> Client {
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "http test", "version": "1" },
        });
        let said = self.post("initialize", hello).await;
        assert_eq!(said.status, 200, "{said:?}");
        assert_eq!(said.messages[0]["result"]["serverInfo"]["name"], "bellwether");
        let session = said
            .head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("mcp-session-id: ")
                    .map(str::to_owned)
            })
            .unwrap();
        self = self
            .with("mcp-session-id", &session)
            .with("mcp-protocol-version", "2025-11-25");
        let done = self
            .send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        assert_eq!(done.status, 202, "{done:?}");
        self
    }

    pub(crate) async fn post(&mut self, method: &str, params: Value) -> Said {
        self.asked += 1;
        let message = json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params });
        self.send(message).await
    }

    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Result<Value, Value> {
        let said = self
            .post("tools/call", json!({ "name": tool, "arguments": arguments }))
            .await;
        let result = &said.messages.last().unwrap_or(&Value::Null)["result"];
        let data = result["structuredContent"].clone();
        assert!(data.is_object(), "{said:?}");
        if result["isError"] == true {
            Err(data)
        } else {
            Ok(data)
        }
    }

    pub(crate) async fn delete(&self) -> Said {
        self.exchange("DELETE", String::new()).await
    }

    async fn send(&self, message: Value) -> Said {
        self.exchange("POST", message.to_string()).await
    }

    async fn exchange(&self, verb: &str, body: String) -> Said {
        let mut request = format!("{verb} /mcp HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        let fixed = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("connection", "close"),
        ];
        for (name, value) in fixed {
            request += &format!("{name}: {value}\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request += &format!("host: {}\r\n", self.address);
        }
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream
            .write_all(format!("{request}\r\n{body}").as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Said {
            status,
            head: head.to_owned(),
            messages: body
                .lines()
                .map(|line| line.strip_prefix("data: ").unwrap_or(line))
                .filter_map(|line| serde_json::from_str(line).ok())
                .filter(Value::is_object)
                .collect(),
        }
    }
}
