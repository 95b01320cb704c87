//! Finding and ending what a worker left behind. Blocking; for the guard and for rescuers.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::group::Group;
use super::mark::Mark;
use super::procfs;

/// Groups known to be ours, each with the start of its leader if it was seen.
pub(super) type Groups = BTreeMap<Group, Option<u64>>;

/// How often the dying are counted.
const COUNT_EVERY: Duration = Duration::from_millis(20);
/// After `KILL` only a process stuck in the kernel can stay, and waiting longer does not help it.
const KILLED_WAIT_MAX: Duration = Duration::from_secs(5);

/// Ends the groups and every process that carries the mark: `TERM`, then `KILL` after the grace.
/// Returns whether all of them are known to be dead.
pub(super) fn end(groups: &Groups, mark: &Mark, grace: Duration) -> bool {
    signal(groups, mark, &[Signal::TERM, Signal::CONT]);
    if wait_until(grace, || !any_left(groups, mark)) {
        return true;
    }
    kill(groups, mark)
}

/// Kills until nobody is left, so that one who forks meanwhile does not get away.
fn kill(groups: &Groups, mark: &Mark) -> bool {
    wait_until(KILLED_WAIT_MAX, || {
        signal(groups, mark, &[Signal::KILL]);
        !any_left(groups, mark)
    })
}

fn signal(groups: &Groups, mark: &Mark, signals: &[Signal]) {
    for (group, started) in groups {
        if is_same(*group, *started) {
            group.signal(signals);
        }
    }
    signal_marked(groups, mark, signals);
}

/// A number names the group that was announced unless another process leads it by now.
fn is_same(group: Group, started: Option<u64>) -> bool {
    match (started, procfs::look(group.leader())) {
        (Some(then), Some(now)) => then == now.started,
        _ => true,
    }
}

/// Signals who carries the mark, but not those whom a signal to their group has reached already.
///
/// The pidfd is opened first and the mark read afterwards: should the number have changed hands in
/// between, the signal goes to one who is dead already.
#[cfg(target_os = "linux")]
fn signal_marked(groups: &Groups, mark: &Mark, signals: &[Signal]) {
    use rustix::process::{PidfdFlags, getpid, pidfd_open, pidfd_send_signal};

    for seen in procfs::living().filter(|seen| seen.pid != getpid() && !belongs(groups, seen)) {
        if !procfs::carries(seen.pid, mark.as_bytes()) {
            continue;
        }
        let Ok(pidfd) = pidfd_open(seen.pid, PidfdFlags::empty()) else {
            continue;
        };
        if procfs::carries(seen.pid, mark.as_bytes()) {
            for signal in signals {
                let _ = pidfd_send_signal(&pidfd, *signal);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn signal_marked(_: &Groups, _: &Mark, _: &[Signal]) {}

fn any_left(groups: &Groups, mark: &Mark) -> bool {
    if !cfg!(target_os = "linux") {
        return groups.keys().any(|group| group.exists());
    }
    let me = rustix::process::getpid();
    procfs::living()
        .filter(|seen| seen.pid != me)
        .any(|seen| belongs(groups, &seen) || procfs::carries(seen.pid, mark.as_bytes()))
}

fn belongs(groups: &Groups, seen: &procfs::Seen) -> bool {
    Group::from_raw(seen.group)
        .and_then(|group| Some((group, groups.get(&group)?)))
        .is_some_and(|(group, started)| is_same(group, *started))
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        thread::sleep(COUNT_EVERY);
    }
}
