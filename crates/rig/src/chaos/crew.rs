//! The processes that work, and what is done to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine;

/// Where Debian has the library that shows a process another time than everybody else's.
const FAKETIME: &str = "faketime/libfaketime.so.1";
const HAND_BACK: Duration = Duration::from_secs(20);

/// A process that is killed without warning when it is dropped.
pub(super) struct Worker(Child);

impl Worker {
    pub(super) fn start(command: &mut Command) -> Result<Worker> {
        command.spawn().map(Worker).context("starting a worker")
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        // One that has ended already needs none.
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, signal));
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Lets it end in order.
    pub(super) fn end(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let end = Instant::now() + HAND_BACK;
        while !self.has_ended() {
            ensure!(Instant::now() < end, "a worker does not end when it is told to");
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = self.0.wait()?;
        ensure!(status.success(), "a worker ended with {status}");
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The clock of one process, which can be put forward and back while it runs.
pub(super) struct OwnClock {
    library: PathBuf,
    offset: PathBuf,
}

impl OwnClock {
    pub(super) fn new(folder: &Path) -> Result<OwnClock> {
        let library = match find() {
            Some(library) => library,
            None => {
                machine::install("faketime")?;
                find().context("Debian's package `faketime` is not where it usually is")?
            }
        };
        let clock = OwnClock {
            library,
            offset: folder.join("clock"),
        };
        clock.set(0)?;
        Ok(clock)
    }

    pub(super) fn set(&self, seconds: i64) -> Result<()> {
        // In one step: a process reads it whenever it looks at the time.
        let next = self.offset.with_extension("next");
        fs::write(&next, format!("{seconds:+}\n"))?;
        Ok(fs::rename(next, &self.offset)?)
    }

    pub(super) fn govern(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
}

fn find() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders
        .map(|folder| folder.join(FAKETIME))
        .find(|path| path.exists())
}
