//! The binary that is handed out: optimised and stripped.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::repo::Repo;
use crate::step::{capture, cargo};

/// Leaves `target/dist/bell`.
pub(crate) fn run(repo: &Repo) -> Result<bool> {
    let args = [
        "build",
        "--profile",
        "dist",
        "--locked",
        "--bin",
        "bell",
        "--message-format",
        "json",
    ];
    let said = capture(cargo(&repo.root).args(args))?;
    ensure!(said.ok, "cargo build failed:\n{}", said.stderr);
    let binary = executable(&said.stdout).context("cargo named no executable")?;
    let bytes = fs::metadata(&binary)?.len();
    println!("{binary}: {:.1} MiB", bytes as f64 / f64::from(1 << 20));
    Ok(true)
}

/// The path of `bell` in cargo's list of what it made.
pub(crate) fn executable(messages: &str) -> Option<String> {
    built(messages, "bell", "bin")
}

/// The path of a program in cargo's list of what it made.
pub(crate) fn built(messages: &str, name: &str, kind: &str) -> Option<String> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut found = messages.filter(|made| {
        made["target"]["name"] == name
            && made["target"]["kind"][0] == kind
            && made["profile"]["test"] == false
    });
    found.find_map(|made| Some(made.get("executable")?.as_str()?.to_owned()))
}
