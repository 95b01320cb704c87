//! Agents over the Model Context Protocol on one SQLite store, all at once: each adds its share of tasks and then takes
//! whatever is there. None may be lost or done twice, and no agent may see an error.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::step::{capture, unmarked};

/// A session; errors of tools are errors.
struct Agent {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
    asked: u64,
}

impl Agent {
    fn start(bell: &Path, store: &str, name: &str) -> Result<Agent> {
        let mut command = Command::new(bell);
        command
            .args(["mcp", "--tools", "core", "--agent", name, "--store", store])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = unmarked(&mut command).spawn()?;
        let mut agent = Agent {
            stdin: child.stdin.take().context("no stdin")?,
            lines: BufReader::new(child.stdout.take().context("no stdout")?),
            child,
            asked: 0,
        };
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "race", "version": "1" },
        });
        agent.ask("initialize", &hello)?;
        let done = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        writeln!(agent.stdin, "{done}")?;
        Ok(agent)
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.asked += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params });
        writeln!(self.stdin, "{request}")?;
        loop {
            let mut line = String::new();
            ensure!(self.lines.read_line(&mut line)? > 0, "the session ended");
            let message: Value = serde_json::from_str(&line)?;
            if message["id"] == self.asked {
                ensure!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return Ok(message["result"].clone());
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        let result = self.ask("tools/call", &json!({ "name": tool, "arguments": arguments }))?;
        let data = &result["structuredContent"];
        ensure!(result["isError"] != true, "{tool}: {data}");
        Ok(data.clone())
    }

    /// Adds a share of the tasks and works until all are done. Returns what it took.
    fn work(&mut self, share: u64, all: u64) -> Result<Vec<String>> {
        for number in 0..share {
            self.call("task_add", &json!({ "prompt": format!("task {number}") }))?;
        }
        let mut taken = Vec::new();
        loop {
            let claimed = self.call("task_claim", &json!({ "wait": 1 }))?;
            if let Some(lease) = claimed["leases"].get(0) {
                self.call(
                    "task_complete",
                    &json!({ "task": lease["task"], "result": { "ok": true } }),
                )?;
                taken.push(lease["task"].to_string());
            } else if self.call("task_why", &json!({}))?["queue"]["completed"] == all {
                return Ok(taken);
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `tasks` is divided among the agents; what does not divide is left out.
pub(crate) fn run(bell: &Path, folder: &Path, agents: u64, tasks: u64) -> Result<String> {
    let store = format!("sqlite:{}", folder.join("race.db").display());
    let share = tasks / agents.max(1);
    let all = share * agents;
    let began = std::time::Instant::now();
    // Whoever comes first makes the store.
    drop(Agent::start(bell, &store, "first")?);
    let taken: Vec<String> = thread::scope(|scope| {
        let work = |number: u64| {
            let store = &store;
            scope.spawn(move || Agent::start(bell, store, &format!("agent-{number}"))?.work(share, all))
        };
        let threads: Vec<_> = (0..agents).map(work).collect();
        let mut taken = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(part) => taken.extend(part?),
                Err(_) => bail!("an agent panicked"),
            }
        }
        Ok(taken)
    })?;
    let distinct: BTreeSet<&String> = taken.iter().collect();
    ensure!(
        taken.len() == distinct.len(),
        "{} tasks were done twice",
        taken.len() - distinct.len()
    );
    ensure!(
        taken.len() as u64 == all,
        "{} of {all} tasks were done",
        taken.len()
    );
    for words in [["store", "check"], ["audit", "verify"]] {
        let said = capture(unmarked(Command::new(bell).args(words).args(["--store", &store])))?;
        ensure!(said.ok, "bell {}: {}", words.join(" "), said.all());
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(format!("{agents} agents, {all} tasks in {seconds:.1} s"))
}
