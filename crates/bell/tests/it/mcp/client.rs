//! A client of the protocol in its plainest form: lines of JSON over the pipes of a real `bell mcp`.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is sent is written where it is sent, as `json!`"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::bench::Bench;

#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
    asked: u64,
    /// What the server said by itself.
    pub(crate) notices: Vec<Value>,
    /// What it said of itself.
    pub(crate) hello: Value,
}

impl Client {
    pub(crate) fn start(bench: &Bench, args: &[&str]) -> Client {
        Client::of(&mut bench.command(&[&["mcp"], args].concat()), "2025-11-25")
    }

    pub(crate) fn of(command: &mut Command, version: &str) -> Client {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut client = Client {
            stdin: child.stdin.take(),
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
            asked: 0,
            notices: Vec::new(),
            hello: Value::Null,
        };
        let hello = json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": { "name": "test client", "version": "1" },
        });
        client.hello = client.ask("initialize", hello).unwrap();
        client.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        client
    }

    pub(crate) fn say(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{message}").unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a request and does not wait for its answer.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The answer to a request; an error of the protocol as such.
    pub(crate) fn wait(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            let message = self.read();
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].clone()),
                };
            }
            self.notices.push(message);
        }
    }

    pub(crate) fn read(&mut self) -> Value {
        let mut line = String::new();
        assert!(
            self.lines.read_line(&mut line).unwrap() > 0,
            "the server has gone"
        );
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.send(method, params);
        self.wait(id)
    }

    /// Calls a tool; its error object is the error. What is said as text is what is said as data.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Result<Value, Value> {
        let result = self
            .ask("tools/call", json!({ "name": tool, "arguments": arguments }))
            .unwrap_or_else(|error| panic!("{tool}: {error}"));
        let data = result["structuredContent"].clone();
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, data, "{tool}");
        match result["isError"] == true {
            true => Err(data),
            false => Ok(data),
        }
    }

    #[track_caller]
    pub(crate) fn does(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments.clone());
        answer.unwrap_or_else(|error| panic!("{tool} {arguments}: {error}"))
    }

    /// The code of the error that a tool answers with.
    #[track_caller]
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let error = self.call(tool, arguments).unwrap_err();
        assert!(error["help"].is_string(), "no cure: {error}");
        error["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn tools(&mut self) -> Vec<Value> {
        let mut tools = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let asked = if cursor.is_null() {
                json!({})
            } else {
                json!({ "cursor": cursor })
            };
            let page = self.ask("tools/list", asked).unwrap();
            tools.extend(page["tools"].as_array().unwrap().iter().cloned());
            cursor = page["nextCursor"].clone();
            if cursor.is_null() {
                return tools;
            }
        }
    }

    /// Closes the stream and waits for the end.
    pub(crate) fn close(mut self) -> i32 {
        drop(self.stdin.take());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
