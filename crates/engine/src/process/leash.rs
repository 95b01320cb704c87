use std::io;
use std::process::{Child, Command};
use std::thread;

use rustix::process::{Pid, Signal};

use super::group::Group;
use super::guard::Guard;

/// Holds a started group from its announcement to the reaping of its leader, in that order: the
/// number cannot change hands while the guard knows it. Dropping the leash kills the group.
#[derive(Debug)]
pub(super) struct Leash {
    /// Until it has been reaped.
    child: Option<Child>,
    group: Group,
    guard: Option<Guard>,
}

impl Leash {
    /// Starts the command, which must be set to lead a group of its own. `None` when it was cancelled, or the guard lets
    /// live nothing that is started now: its worker was stopped on the way here, and others may hold its leases. Nothing is
    /// running then.
    pub(super) fn start(
        command: &mut Command,
        guard: Option<Guard>,
        is_cancelled: impl Fn() -> bool,
    ) -> io::Result<Option<Self>> {
        // In this order: a worker that finds a lease lost cancels its attempt, and only then renews for the others.
        let is_over = || guard.as_ref().is_some_and(|guard| !guard.is_renewed()) || is_cancelled();
        if let Some(guard) = &guard {
            guard.starting();
        }
        if is_over() {
            if let Some(guard) = &guard {
                guard.not_started();
            }
            return Ok(None);
        }
        let started = command.spawn();
        if let (Err(_), Some(guard)) = (&started, &guard) {
            guard.not_started();
        }
        let child = started?;
        let group = Group::led_by(Pid::from_child(&child));
        if let Some(guard) = &guard {
            guard.started(group);
        }
        let is_over = is_over();
        let child = Some(child);
        let leash = Self { child, group, guard };
        // Between the look above and the start it may have been stopped for any time; the leash kills what it has started.
        Ok((!is_over).then_some(leash))
    }

    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// Reaps the leader, which must have ended; the rest of the group must have been killed. Returns whether the guard may
    /// have done that.
    pub(super) fn release(mut self) -> bool {
        let Some((mut child, by_guard)) = self.let_go() else {
            return false;
        };
        let _ = child.wait();
        by_guard
    }

    fn let_go(&mut self) -> Option<(Child, bool)> {
        let child = self.child.take()?;
        let by_guard = self.guard.as_ref().is_some_and(|guard| guard.ended(self.group));
        Some((child, by_guard))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        self.group.signal(&[Signal::KILL]);
        if let Some((mut child, _)) = self.let_go() {
            // It ends in a moment, but a destructor must not wait for it.
            let _ = thread::Builder::new()
                .name("reaper".to_owned())
                .spawn(move || child.wait());
        }
    }
}
