//! The guard's own side. Plain blocking code: it must work when everything else has failed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::wire::{News, Reader};
use crate::process::clock::since_boot;
use crate::process::mark::{Mark, check_incarnation};
use crate::process::procfs;
use crate::process::strays::{self, Groups};

/// News are taken this late, so that a burst of short commands costs one wake-up: most of them have
/// started and ended by then. Only the end of the worker is noticed at once.
const NAP: Duration = Duration::from_millis(50);
/// While there is something to end, the renewal is judged at least this often, for `poll` does not
/// count the time a machine sleeps.
const JUDGE_EVERY: Duration = Duration::from_secs(1);
/// A worker that dies in the middle of a launch may leave a child that bears no mark yet.
const UNMARKED: Duration = Duration::from_millis(250);

/// Runs the guard to its end. Takes the arguments after [`super::SUBCOMMAND`].
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run(arguments.into_iter()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to guard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let usage = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected an incarnation and a grace in ms",
        )
    };
    let incarnation = arguments.next().ok_or_else(usage)?;
    let mark = Mark::worker(check_incarnation(&incarnation)?);
    let grace = arguments
        .next()
        .and_then(|ms| ms.to_str()?.parse().ok())
        .ok_or_else(usage)?;
    let grace = Duration::from_millis(grace);
    // What ends the worker must not end its guard. A handler that does nothing but note it is enough.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let charge = watch(&mut take_stdin()?);
    strays::end(&charge.groups, &mark, grace);
    if charge.starting > 0 {
        thread::sleep(UNMARKED);
        strays::end(&charge.groups, &mark, grace);
    }
    Ok(())
}

/// Takes the pipe away from stdin, so that dropping it closes it: a worker that was only stopped
/// learns by its next write that we are ending its groups, and can stop us.
fn take_stdin() -> io::Result<File> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::io::ioctl_fionbio(&stdin, true)?;
    Ok(stdin.into())
}

/// What the worker has entrusted to us.
#[derive(Debug, Default)]
struct Charge {
    groups: Groups,
    /// How many launches are under way.
    starting: usize,
    until: Option<Duration>,
}

impl Charge {
    fn hear(&mut self, news: News) {
        match news {
            News::Starting => self.starting += 1,
            News::NotStarted => self.starting = self.starting.saturating_sub(1),
            News::Started(group) => {
                self.starting = self.starting.saturating_sub(1);
                self.groups.insert(group, None);
            }
            News::Ended(group) => _ = self.groups.remove(&group),
            News::Renewed(until) => self.until = Some(until),
        }
    }

    /// Notes since when the leaders run, to tell them from later bearers of their numbers.
    fn identify(&mut self) {
        for (group, started) in self.groups.iter_mut().filter(|(_, started)| started.is_none()) {
            *started = procfs::look(group.leader()).map(|seen| seen.started);
        }
    }

    /// How long until the renewal runs out under something that lives.
    fn remaining(&self) -> Option<Duration> {
        let until = self
            .until
            .filter(|_| self.starting > 0 || !self.groups.is_empty())?;
        Some(until.saturating_sub(since_boot()))
    }
}

/// Returns when the groups must end.
fn watch(pipe: &mut File) -> Charge {
    let (mut charge, mut reader) = (Charge::default(), Reader::default());
    loop {
        wait(
            pipe,
            PollFlags::IN,
            charge.remaining().map(|left| left.min(JUDGE_EVERY)),
        );
        if charge.remaining() != Some(Duration::ZERO) {
            wait(pipe, PollFlags::empty(), Some(NAP));
        }
        let is_open = drain(pipe, |bytes| {
            for news in reader.read(bytes) {
                charge.hear(news);
            }
        });
        if !is_open || charge.remaining() == Some(Duration::ZERO) {
            return charge;
        }
        charge.identify();
    }
}

/// Waits for one of the events, for the other end to close, for the time, or for a signal.
fn wait(pipe: &File, events: PollFlags, limit: Option<Duration>) {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let _ = poll(&mut [PollFd::new(pipe, events)], limit.as_ref());
}

/// Takes all there is. Returns whether more may come.
fn drain(pipe: &mut File, mut take: impl FnMut(&[u8])) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match pipe.read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => take(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
