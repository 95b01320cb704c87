use std::ffi::OsStr;
use std::fmt;
use std::io;

/// Names the worker incarnation in the environment of everything it starts. A command that means to
/// leave a service behind, against all advice, removes it and starts a session of its own.
pub const WORKER_VAR: &str = "BELL_WORKER";
/// Names the single launch, so that ending it also finds what left its process group.
pub const LAUNCH_VAR: &str = "BELL_LAUNCH";

/// One environment entry by which a process is known to be ours, `NAME=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn worker(incarnation: &str) -> Self {
        Self(format!("{WORKER_VAR}={incarnation}"))
    }

    pub(super) fn launch(name: &str) -> Self {
        Self(format!("{LAUNCH_VAR}={name}"))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks that an incarnation can be a file name, an argument and an environment value alike.
pub(super) fn check_incarnation(incarnation: &OsStr) -> io::Result<&str> {
    incarnation
        .to_str()
        .filter(|text| text.starts_with(|c: char| c.is_ascii_alphanumeric()))
        .filter(|text| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        })
        .ok_or_else(|| {
            let reason = format!(
                "incarnation {} is not made of letters, digits, - _ .",
                incarnation.display()
            );
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        })
}
