//! A process that does not outlive its owner: a shell holds it, and kills it when the owner's end of a pipe is closed,
//! which a crash does too.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const HOLD: &str = r#""$@" >/dev/null 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait"#;

#[derive(Debug)]
pub(crate) struct Watched {
    shell: Child,
    pid: Pid,
}

impl Watched {
    pub(crate) fn start(program: &str, arguments: &[String]) -> Result<Watched> {
        Watched::start_with(program, arguments, &[])
    }

    /// With these variables beside its owner's.
    pub(crate) fn start_with(
        program: &str,
        arguments: &[String],
        variables: &[(&str, String)],
    ) -> Result<Watched> {
        let mut shell = Command::new("sh")
            .args(["-c", HOLD, "sh", program])
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a shell")?;
        let mut line = String::new();
        let output = shell.stdout.take().context("the shell has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        Ok(Watched {
            shell,
            pid: pid.with_context(|| format!("{program} did not start"))?,
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // One that has ended already needs none.
        let _ = kill_process(self.pid, signal);
    }

    pub(crate) fn is_alive(&self) -> bool {
        test_kill_process(self.pid).is_ok()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
