//! One step of a chore: a line that says what is done, how it ended and how long it took.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

/// What a step counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Left out on purpose: ignored tests, examples that cannot run here.
    pub(crate) skipped: u64,
}

impl Tally {
    /// One check that went well or did not.
    pub(crate) fn one(passed: bool) -> Tally {
        Tally {
            passed: u64::from(passed),
            failed: u64::from(!passed),
            skipped: 0,
        }
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What a step has to say beside its tally; shown when it failed.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) report: String,
    /// Shown beside the tally, also when all is well.
    pub(crate) note: Option<String>,
}

/// Runs a step between the two halves of its line.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<Outcome>) -> Tally {
    print!("{name:<26}");
    let _ = io::stdout().flush();
    let began = Instant::now();
    let outcome = work().unwrap_or_else(|error| Outcome {
        tally: Tally::one(false),
        report: format!("{error:#}\n"),
        note: None,
    });
    let Tally {
        passed,
        failed,
        skipped,
    } = outcome.tally;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    let mut line = format!(
        "{verdict:<7}{:>7.1} s   {passed} passed",
        began.elapsed().as_secs_f64()
    );
    if failed > 0 {
        let _ = write!(line, ", {failed} failed");
    }
    if skipped > 0 {
        let _ = write!(line, ", {skipped} skipped");
    }
    if let Some(note) = &outcome.note {
        let _ = write!(line, " ({note})");
    }
    println!("{line}");
    if failed > 0 {
        for line in outcome.report.lines() {
            println!("    {line}");
        }
    }
    outcome.tally
}

/// What another program said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

pub(crate) fn capture(command: &mut Command) -> Result<Said> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
    Ok(Said {
        ok: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Cargo in the repository's folder.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).env("CARGO_TERM_COLOR", "never");
    unmarked(&mut command);
    command
}

/// Takes away the variables that cargo set for this program alone. A cargo that sees them would take what it has
/// built for stale.
pub(crate) fn unmarked(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let marks = |prefix: &&str| name.to_string_lossy().starts_with(*prefix);
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_PRIMARY_"]
            .iter()
            .any(marks)
        {
            command.env_remove(name);
        }
    }
    command
}
