use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::How;

/// Waits for the end of a child without reaping it, so that its number, and that of its group, stay
/// reserved until the group has been dealt with.
#[derive(Debug)]
pub(super) struct Exit {
    pid: Pid,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Becomes readable when the child ends.
    Pidfd(AsyncFd<OwnedFd>),
    /// Old kernels, other systems, or no descriptor left: asks again whenever any child changed.
    Sigchld(Signal),
}

impl Exit {
    pub(super) fn of(pid: Pid) -> io::Result<Self> {
        let source = match pidfd(pid) {
            Ok(pidfd) => Source::Pidfd(pidfd),
            Err(_) => Source::Sigchld(signal(SignalKind::child())?),
        };
        Ok(Self { pid, source })
    }

    /// Returns how the child ended. Cancel safe; may be asked again.
    pub(super) async fn wait(&mut self) -> How {
        if let Source::Pidfd(pidfd) = &self.source {
            let readable = pidfd.readable().await.map(|mut ready| ready.retain_ready());
            if readable.is_err() {
                return pending().await; // The runtime is going down, and this future with it.
            }
        }
        loop {
            if let Some(how) = peek(self.pid) {
                return how;
            }
            match &mut self.source {
                Source::Sigchld(signal) => _ = signal.recv().await,
                // A tracer gets to see the end first.
                Source::Pidfd(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn pidfd(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    #[expect(
        deprecated,
        reason = "unsound only for types that change their descriptor, and its heir is unsafe"
    )]
    AsyncFd::with_interest(pidfd, tokio::io::Interest::READABLE)
}

#[cfg(not(target_os = "linux"))]
fn pidfd(_: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn peek(pid: Pid) -> Option<How> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    match waitid(WaitId::Pid(pid), options) {
        Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => How::Exit(code),
            (None, Some(signal)) => How::Signal(signal),
            (None, None) => How::Unknown,
        }),
        Ok(None) => None,
        Err(rustix::io::Errno::INTR) => None,
        Err(_) => Some(How::Unknown),
    }
}
