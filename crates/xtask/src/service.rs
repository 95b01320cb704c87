//! What others say about the service: workers in Python and TypeScript that know nothing of us, a program that tries
//! every operation with what its description allows, and Prometheus.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::repo::Repo;
use crate::step::{Outcome, Tally, capture, step, unmarked};
use crate::{examples, machine, mcp};

const TRIER: &str = "schemathesis==4.32.5";
/// Of each operation.
const EXAMPLES: &str = "20";
/// A worker that has not done two tasks by then does nothing.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn steps(repo: &Repo) -> Tally {
    let mut sum = Tally::default();
    sum.add(step("service: Python", || {
        machine::python()?;
        worker(repo, Path::new("python3"), "worker.py")
    }));
    sum.add(step("service: TypeScript", || {
        worker(repo, &mcp::node(repo)?.join("node"), "worker.ts")
    }));
    sum.add(step("service: every operation", || tried(repo)));
    sum.add(step("service: Prometheus", || scraped(repo)));
    sum
}

pub(crate) fn run(repo: &Repo) -> Result<bool> {
    Ok(steps(repo).failed == 0)
}

/// A server over a store of its own; it ends with its owner.
struct Served {
    child: Child,
    url: String,
    bell: PathBuf,
    folder: tempfile::TempDir,
}

impl Served {
    fn start(repo: &Repo) -> Result<Served> {
        let bell = examples::build(repo)?;
        let folder = tempfile::tempdir()?;
        let mut child = unmarked(&mut Command::new(&bell))
            .args(["serve", "--listen", "127.0.0.1:0", "--json"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().context("the server has no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line)?;
        let url = told["listening"]
            .as_str()
            .context("the server says no address")?
            .to_owned();
        Ok(Served {
            child,
            url,
            bell,
            folder,
        })
    }

    fn bell(&self, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.bell);
        command.args(args).arg("--json").current_dir(self.folder.path());
        let said = capture(unmarked(&mut command))?;
        ensure!(said.ok, "bell {args:?}: {}", said.all());
        Ok(serde_json::from_str(&said.stdout)?)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A worker of another language does one task well and one badly.
fn worker(repo: &Repo, language: &Path, script: &str) -> Result<Outcome> {
    let served = Served::start(repo)?;
    served.bell(&["task", "add", "a", "--id", "a", "--prompt", "say hello"])?;
    served.bell(&["task", "add", "b", "--id", "b", "--prompt", "fail, please"])?;
    let mut child = Command::new(language)
        .arg(repo.path("examples/workers").join(script))
        .arg(&served.url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} cannot be started", language.display()))?;
    let began = Instant::now();
    let done = loop {
        let status = served.bell(&["queue", "status"])?;
        if status["completed"] == 1 && status["failed"] == 1 {
            break true;
        }
        if began.elapsed() > PATIENCE {
            break false;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    drop(child.kill());
    drop(child.wait());
    ensure!(done, "{script} did not do its work");
    let said = served.bell(&["task", "show", "a"])?["result"]["said"].clone();
    ensure!(said == "SAY HELLO", "{script} answered {said}");
    let output = served.bell(&["task", "logs", "a"])?["output"].clone();
    ensure!(
        output.as_str().is_some_and(|text| text.ends_with(" works\n")),
        "{script} printed {output}"
    );
    Ok(Outcome {
        tally: Tally::one(true),
        ..Outcome::default()
    })
}

/// Every operation with whatever its description allows: no answer is undocumented, none is a defect.
fn tried(repo: &Repo) -> Result<Outcome> {
    machine::python()?;
    let python = mcp::python(repo, "service", TRIER)?;
    let served = Served::start(repo)?;
    let description = format!("{}/v1/openapi.json", served.url);
    // An answer that is held back for a minute tells nothing more.
    let settings = "[parameters]\n\"query.wait\" = \"0s\"\n";
    fs::write(served.folder.path().join("schemathesis.toml"), settings)?;
    let mut command = Command::new(python.with_file_name("schemathesis"));
    // Once there is a token everybody needs one, and wrong ones are slowed down; the store's own contract is for our programs.
    command.args(["run", "--no-color", "--exclude-path-regex", "^/v1/(tokens|store)"]);
    command.current_dir(served.folder.path()).args([
        description.as_str(),
        "--max-examples",
        EXAMPLES,
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--phases",
        "examples,fuzzing",
        "--request-timeout",
        "10",
        "--max-time",
        "120",
        "--seed",
        "1",
    ]);
    let said = capture(unmarked(&mut command))?;
    Ok(Outcome {
        tally: Tally::one(said.ok),
        report: said.all(),
        note: None,
    })
}

/// What is scraped is what Prometheus reads, and its own checker finds nothing wrong with it and with the alerts.
fn scraped(repo: &Repo) -> Result<Outcome> {
    machine::promtool()?;
    let served = Served::start(repo)?;
    served.bell(&["task", "add", "a", "--id", "a", "--prompt", "say hello"])?;
    let address = served.url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let text = std::io::read_to_string(stream)?;
    let (_, text) = text.split_once("\r\n\r\n").context("no answer to a scrape")?;
    let file = served.folder.path().join("metrics");
    fs::write(&file, text)?;
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(&file)?)
        .output()?;
    let alerts = repo.path("deploy/prometheus/alerts.yaml");
    let ruled = Command::new("promtool")
        .args(["check", "rules"])
        .arg(alerts)
        .output()?;
    let mut outcome = Outcome::default();
    for said in [checked, ruled] {
        outcome.tally.add(Tally::one(said.status.success()));
        outcome.report += &String::from_utf8_lossy(&[said.stdout, said.stderr].concat());
    }
    Ok(outcome)
}
