//! What others say about our tools for agents: the official client in Python calls each of them, and the official suite
//! of the protocol asks the HTTP mount.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::dist::built;
use crate::repo::Repo;
use crate::step::{Outcome, Tally, capture, cargo, step, unmarked};
use crate::{examples, machine};

/// The client, and the suite with a Node that it runs on.
const CLIENT: &str = "mcp==2.3.0";
const SUITE: [&str; 2] = ["node@22.23.3", "@modelcontextprotocol/conformance@0.1.16"];

/// The others demand tools, texts and pictures that only a server made for the suite has.
const SCENARIOS: &[&str] = &[
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "prompts-list",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
];

pub(crate) fn steps(repo: &Repo) -> Tally {
    let mut sum = Tally::default();
    sum.add(step("mcp: official client", || client(repo)));
    sum.add(step("mcp: official suite", || suite(repo)));
    sum
}

pub(crate) fn run(repo: &Repo) -> Result<bool> {
    Ok(steps(repo).failed == 0)
}

fn client(repo: &Repo) -> Result<Outcome> {
    machine::python()?;
    let bell = examples::build(repo)?;
    let python = python(repo, "mcp", CLIENT)?;
    let folder = tempfile::tempdir()?;
    let script = repo.path("crates/mcp/tests/sdk/tools.py");
    let mut command = Command::new(python);
    command.arg(script).arg(bell).arg(folder.path());
    let said = capture(unmarked(&mut command))?;
    Ok(Outcome {
        tally: Tally::one(said.ok),
        note: said.ok.then(|| said.stdout.trim().to_owned()),
        report: said.all(),
    })
}

/// An environment of its own with a package in it; made once.
pub(crate) fn python(repo: &Repo, room: &str, package: &str) -> Result<PathBuf> {
    let folder = repo.target().join(room).join(package);
    let python = folder.join("bin/python");
    if !folder.join("ready").exists() {
        let made = capture(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )?;
        ensure!(made.ok, "no virtual environment: {}", made.all());
        let got = capture(Command::new(&python).args(["-m", "pip", "install", "--quiet", package]))?;
        ensure!(got.ok, "{package} could not be installed: {}", got.all());
        fs::write(folder.join("ready"), "")?;
    }
    Ok(python)
}

fn suite(repo: &Repo) -> Result<Outcome> {
    let programs = node(repo)?;
    let mount = Mount::start(repo)?;
    let mut outcome = Outcome::default();
    for scenario in SCENARIOS {
        let mut command = Command::new(programs.join("node"));
        command.arg(programs.join("conformance")).args([
            "server",
            "--url",
            &mount.url,
            "--scenario",
            scenario,
        ]);
        let said = capture(unmarked(&mut command))?;
        outcome.tally.add(Tally::one(said.ok));
        if !said.ok {
            outcome.report += &format!("{scenario}:\n{}", said.all());
        }
    }
    Ok(outcome)
}

/// Where the suite and its Node are; fetched once.
pub(crate) fn node(repo: &Repo) -> Result<PathBuf> {
    let folder = repo.target().join("mcp").join("suite");
    let wanted = SUITE.join(" ");
    let ready = folder.join("ready");
    if fs::read_to_string(&ready).is_ok_and(|had| had == wanted) {
        return Ok(folder.join("node_modules/.bin"));
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    let mut command = Command::new("npm");
    command
        .current_dir(&folder)
        .args(["install", "--no-save"])
        .args(SUITE);
    let got = capture(&mut command).context("npm is needed; on Debian: apt-get install npm")?;
    ensure!(got.ok, "the suite could not be installed: {}", got.all());
    fs::write(ready, wanted)?;
    Ok(folder.join("node_modules/.bin"))
}

/// A process that serves the tools over HTTP; it ends with its owner.
struct Mount {
    child: Child,
    url: String,
}

impl Mount {
    fn start(repo: &Repo) -> Result<Mount> {
        let args = [
            "build",
            "--package",
            "mcp",
            "--example",
            "mount",
            "--locked",
            "--message-format",
            "json",
        ];
        let said = capture(cargo(&repo.root).args(args))?;
        ensure!(said.ok, "cargo build failed:\n{}", said.stderr);
        let program = built(&said.stdout, "mount", "example").context("cargo named no executable")?;
        let mut child = Command::new(Path::new(&program))
            .args(["memory:", "all", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let out = child.stdout.take().context("the mount has no output")?;
        BufReader::new(out).read_line(&mut url)?;
        let url = url.trim().to_owned();
        ensure!(url.starts_with("http"), "the mount said `{url}`");
        Ok(Mount { child, url })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
