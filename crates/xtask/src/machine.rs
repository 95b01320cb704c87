//! What a chore needs from the machine beside Rust, and how it gets it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::step::capture;

/// Fetches a part of the toolchain if it is missing. Where that is impossible, the step that needs it says so.
pub(crate) fn component(name: &str) {
    if !works(Command::new("cargo").args([name, "--version"])) {
        let _ = capture(Command::new("rustup").args(["component", "add", name]));
    }
}

/// A Python that can make virtual environments.
pub(crate) fn python() -> Result<()> {
    let present = || works(Command::new("python3").args(["-c", "import venv, ensurepip"]));
    if present() {
        return Ok(());
    }
    debian(&["python3", "python3-venv"])?;
    if present() {
        return Ok(());
    }
    bail!("python3 with venv is missing; on Debian: apt-get install python3 python3-venv")
}

/// The checker of Prometheus.
pub(crate) fn promtool() -> Result<()> {
    let present = || works(Command::new("promtool").arg("--version"));
    if !present() {
        debian(&["prometheus"])?;
    }
    match present() {
        true => Ok(()),
        false => bail!("promtool is missing; on Debian: apt-get install prometheus"),
    }
}

/// Installs packages, where that is possible.
fn debian(packages: &[&str]) -> Result<()> {
    if is_root() && Path::new("/etc/debian_version").exists() {
        let apt = |args: &[&str]| {
            let mut command = Command::new("apt-get");
            capture(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
        };
        apt(&["update", "--quiet"])?;
        apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
    }
    Ok(())
}

fn works(command: &mut Command) -> bool {
    capture(command).is_ok_and(|said| said.ok)
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|said| said.stdout.trim() == "0")
}
