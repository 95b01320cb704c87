//! What `/proc` tells about other processes. Where there is no `/proc`, nobody is seen.

use std::fs;

use rustix::process::{Pid, RawPid};

/// One process as its `stat` line showed it a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: Pid,
    pub(super) group: RawPid,
    /// In clock ticks since boot: together with the pid it names a process for good.
    pub(super) started: u64,
    /// False for one that has ended and only waits to be reaped.
    pub(super) living: bool,
}

/// Returns every process that can be seen and has not ended.
pub(super) fn living() -> impl Iterator<Item = Seen> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|raw| look(Pid::from_raw(raw)?))
        .filter(|seen| seen.living)
}

pub(super) fn look(pid: Pid) -> Option<Seen> {
    let line = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    parse(pid, &line)
}

/// Whether the environment the process was started with holds exactly this entry. False when it may
/// not be read (another user's process), or was overwritten by the process itself.
pub(super) fn carries(pid: Pid, entry: &[u8]) -> bool {
    fs::read(format!("/proc/{}/environ", pid.as_raw_pid()))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|each| each == entry))
}

/// Fields are counted after the command's name, which may itself hold blanks and parentheses.
fn parse(pid: Pid, line: &str) -> Option<Seen> {
    let (_, fields) = line.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    let living = !matches!(state, "Z" | "X" | "x");
    Some(Seen {
        pid,
        group,
        started,
        living,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = "7 (a) R 1 (b)) S 1 5 5 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9";
        let pid = Pid::from_raw(7).unwrap();
        assert_eq!(
            parse(pid, line),
            Some(Seen {
                pid,
                group: 5,
                started: 123_456,
                living: true
            })
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn finds_itself() {
        let me = rustix::process::getpid();
        assert_eq!(look(me).unwrap().group, rustix::process::getpgrp().as_raw_pid());
        assert!(living().any(|seen| seen.pid == me));
    }
}
