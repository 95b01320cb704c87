//! A server of its own, in a folder of its own, and a store beside it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use domain::store::Store;
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;
use tempfile::TempDir;

use crate::Result;

pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
    folder: TempDir,
}

impl Served {
    pub(crate) fn start(bell: &Path) -> Result<Served> {
        let here = std::env::current_dir()?;
        let folder = tempfile::Builder::new().prefix("load-").tempdir_in(here)?;
        let mut child = Command::new(bell)
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--store"])
            .arg(format!("sqlite:{}", folder.path().join("served.db").display()))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| {
                format!(
                    "{}: {e}; `cargo build --release -p bell` makes it",
                    bell.display()
                )
            })?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line)?;
        let url = told["listening"].as_str().ok_or("the server does not listen")?;
        Ok(Served {
            address: url.trim_start_matches("http://").to_owned(),
            child,
            folder,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A store as the server's, for this process alone.
    pub(crate) fn beside(&self, name: &str) -> Result<Arc<dyn Store>> {
        let url = format!("sqlite:{}", self.folder.path().join(name).display());
        let options = store::Options {
            create: true,
            ..store::Options::default()
        };
        Ok(store::open(&url, options)?)
    }

    /// Bytes of memory that the server has.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|line| line.split_whitespace().next())
            .ok_or("no VmRSS")?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    pub(crate) fn end(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        println!("\nthe server ended with {status}");
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}

/// As many as this process may have.
pub(crate) fn raise_open_files() -> Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current.unwrap_or(u64::MAX))
}
