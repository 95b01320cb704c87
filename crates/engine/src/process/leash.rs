use std::process::Child;
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
    pub(super) fn new(child: Child, guard: Option<Guard>) -> Self {
        let group = Group::led_by(Pid::from_child(&child));
        if let Some(guard) = &guard {
            guard.started(group);
        }
        Self {
            child: Some(child),
            group,
            guard,
        }
    }

    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// Reaps the leader, which must have ended; the rest of the group must have been killed.
    pub(super) fn release(mut self) {
        if let Some(mut child) = self.let_go() {
            let _ = child.wait();
        }
    }

    fn let_go(&mut self) -> Option<Child> {
        let child = self.child.take()?;
        if let Some(guard) = &self.guard {
            guard.ended(self.group);
        }
        Some(child)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        self.group.signal(&[Signal::KILL]);
        if let Some(mut child) = self.let_go() {
            // It ends in a moment, but a destructor must not wait for it.
            let _ = thread::Builder::new()
                .name("reaper".to_owned())
                .spawn(move || child.wait());
        }
    }
}
