use rustix::io::Errno;
use rustix::process::{Pid, RawPid, Signal, kill_process_group, test_kill_process_group};

use super::procfs;

/// A process group. Its number stays reserved while its leader is unreaped or any member is left,
/// and only then: whoever signals it must know that one of both holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group(RawPid);

impl Group {
    /// The group led by this process.
    pub(super) fn led_by(leader: Pid) -> Self {
        Self(leader.as_raw_pid())
    }

    /// Never names group 1 or below, where a signal would go to everyone.
    pub(super) fn from_raw(raw: RawPid) -> Option<Self> {
        (raw > 1).then_some(Self(raw))
    }

    pub(super) fn as_raw(self) -> RawPid {
        self.0
    }

    pub(super) fn leader(self) -> Pid {
        Pid::from_raw(self.0).expect("a group number is positive")
    }

    /// Sends the signals in turn. A group that is gone, or that we may no longer signal, is no
    /// failure: nothing could be done about it.
    pub(super) fn signal(self, signals: &[Signal]) {
        for signal in signals {
            let _ = kill_process_group(self.leader(), *signal);
        }
    }

    /// Whether any member is left, one that only waits to be reaped included. One system call.
    pub(super) fn exists(self) -> bool {
        test_kill_process_group(self.leader()) != Err(Errno::SRCH)
    }

    /// Whether any member still runs or could. Reads all of `/proc` unless the group is gone.
    pub(super) fn is_alive(self) -> bool {
        if !cfg!(target_os = "linux") {
            return self.exists();
        }
        self.exists() && procfs::living().any(|seen| seen.group == self.0)
    }
}
