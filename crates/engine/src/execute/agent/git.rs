//! Calls of git: without hooks, questions and signatures, and with errors in one line.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use domain::task::record::Failure;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A repository, by any folder of it.
#[derive(Clone, Debug)]
pub(super) struct Git {
    pub(super) folder: PathBuf,
}

impl Git {
    pub(super) fn at(folder: &Path) -> Git {
        Git {
            folder: folder.to_owned(),
        }
    }

    pub(super) async fn output(&self, args: &[&str]) -> Result<Output, Failure> {
        self.command(args).output().await.map_err(|e| not_started(&e))
    }

    /// Gives it something to read.
    async fn feed(&self, args: &[&str], input: &str) -> Result<Output, Failure> {
        let mut command = self.command(args);
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|e| not_started(&e))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It stops reading where it refuses, and says why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await.map_err(|e| not_started(&e))
    }

    /// Moves several references together, or none of them: lines as `git update-ref --stdin` takes them. Whether it did.
    pub(super) async fn transaction(&self, lines: &[String]) -> Result<bool, Failure> {
        let text = format!("start\n{}\nprepare\ncommit\n", lines.join("\n"));
        let done = self.feed(&["update-ref", "--stdin"], &text).await?;
        if !done.status.success() {
            tracing::debug!(said = %text_of(&done.stderr), "references were not moved");
        }
        Ok(done.status.success())
    }

    /// Stores a text. Returns its name.
    pub(super) async fn store(&self, content: &str) -> Result<String, Failure> {
        let args = ["hash-object", "-w", "--stdin"];
        let stored = self.feed(&args, content).await?;
        match stored.status.success() {
            true => Ok(text_of(&stored.stdout)),
            false => Err(refusal(&args, &stored)),
        }
    }

    /// What a reference is at.
    pub(super) async fn at_ref(&self, reference: &str) -> Result<Option<String>, Failure> {
        let said = self
            .output(&["rev-parse", "--verify", "--quiet", reference])
            .await?;
        Ok(said.status.success().then(|| text_of(&said.stdout)))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args([
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "commit.gpgSign=false",
                "-c",
                "core.quotePath=false",
                "-c",
                "branch.autoSetupMerge=false",
                "-c",
                "gc.auto=0",
                // Others move references at the same time.
                "-c",
                "core.filesRefLockTimeout=10000",
                "-c",
                "core.packedRefsTimeout=10000",
            ])
            .arg("-C")
            .arg(&self.folder)
            .args(args)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            // Whoever started us from a hook of git's own means another repository.
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if !has_author() {
            for (name, value) in [("NAME", "bell"), ("EMAIL", "bell@localhost")] {
                command.env(format!("GIT_AUTHOR_{name}"), value);
                command.env(format!("GIT_COMMITTER_{name}"), value);
            }
        }
        command
    }

    /// What git prints, without the end of the line; its own words when it refuses.
    pub(super) async fn say(&self, args: &[&str]) -> Result<String, Failure> {
        let output = self.output(args).await?;
        match output.status.success() {
            true => Ok(text_of(&output.stdout)),
            false => Err(refusal(args, &output)),
        }
    }

    /// Whether git says yes (0) or no (1).
    pub(super) async fn is(&self, args: &[&str]) -> Result<bool, Failure> {
        let output = self.output(args).await?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(refusal(args, &output)),
        }
    }
}

fn not_started(error: &std::io::Error) -> Failure {
    Failure {
        class: Some("not found".into()),
        ..Failure::new(format!("git could not be started: {error}"))
    }
}

/// Whether the environment names an author; the configuration of the repository is asked by git itself.
fn has_author() -> bool {
    static CONFIGURED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *CONFIGURED.get_or_init(|| {
        let asked = std::process::Command::new("git")
            .args(["config", "user.email"])
            .output();
        std::env::var_os("GIT_AUTHOR_EMAIL").is_some()
            || asked.is_ok_and(|said| said.status.success() && !said.stdout.is_empty())
    })
}

pub(super) fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

pub(super) fn refusal(args: &[&str], output: &Output) -> Failure {
    let said = text_of(&output.stderr);
    let line = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no word of why");
    Failure::new(format!("git {}: {line}", args.first().unwrap_or(&"")))
}
