use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::{mpsc, watch};

use super::guard::Guard;
use super::leash::Leash;
use super::mark::{LAUNCH_VAR, Mark, WORKER_VAR};
use super::output::Mask;
use super::running::{Parts, Running};

/// What to run, and within which bounds.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program, looked up in `PATH` unless it holds a slash, and its arguments.
    pub argv: Vec<OsString>,
    pub cwd: PathBuf,
    /// Added to the worker's own environment.
    pub env: Vec<(String, String)>,
    /// Taken out of the worker's own environment.
    pub env_remove: Vec<String>,
    /// What the command reads; nothing if absent.
    pub stdin: Option<Vec<u8>>,
    /// How long it may run; time in which it was suspended does not count.
    pub timeout: Option<Duration>,
    /// How long it may take to end after `TERM` before it is killed.
    pub grace: Duration,
    /// Where its output is recorded, see [`super::output`]. Made when there is any.
    pub output: PathBuf,
    /// Gets a copy of each piece of output as it comes, as long as it keeps up.
    pub watcher: Option<mpsc::Sender<Vec<u8>>>,
    /// Hides what must not be recorded.
    pub mask: Option<Mask>,
    /// Says that it must not be started any more.
    pub cancelled: Option<watch::Receiver<bool>>,
}

impl Launch {
    pub const GRACE: Duration = Duration::from_secs(5);

    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>, cwd: PathBuf, output: PathBuf) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd,
            env: Vec::new(),
            env_remove: Vec::new(),
            stdin: None,
            timeout: None,
            grace: Self::GRACE,
            output,
            watcher: None,
            mask: None,
            cancelled: None,
        }
    }
}

/// Starts the commands of one worker incarnation, each marked and announced to the guard.
#[derive(Clone, Debug)]
pub struct Launcher {
    incarnation: Arc<str>,
    guard: Option<Guard>,
    count: Arc<AtomicU64>,
}

impl Launcher {
    pub fn guarded(guard: Guard) -> Self {
        Self {
            incarnation: guard.incarnation().into(),
            guard: Some(guard),
            count: Arc::default(),
        }
    }

    /// For short-lived helpers and tests: what it starts outlives a worker that is killed.
    pub fn unguarded(incarnation: &str) -> Self {
        Self {
            incarnation: incarnation.into(),
            guard: None,
            count: Arc::default(),
        }
    }

    /// Whether the guard lets live what is started now.
    pub fn is_covered(&self) -> bool {
        self.guard.as_ref().is_none_or(Guard::is_renewed)
    }

    /// Starts the command in a process group of its own. It is only watched over, and its output only
    /// taken, while [`Running::wait`] is polled.
    ///
    /// Must be called within a Tokio runtime. The parent directories of neither `cwd` nor the program
    /// are made.
    pub fn launch(&self, launch: Launch) -> Result<Running, LaunchError> {
        let (program, cwd) = (
            launch.argv.first().cloned().unwrap_or_default(),
            launch.cwd.clone(),
        );
        let (cause, source) = match self.start(launch) {
            Ok(Some(running)) => return Ok(running),
            Ok(None) => (Cause::Uncovered, io::Error::other("its lease is over")),
            Err(source) => (Cause::of(&source, Path::new(&program), &cwd), source),
        };
        Err(LaunchError {
            program: program.to_string_lossy().into_owned(),
            cwd,
            cause,
            source,
        })
    }

    /// `None` when the guard does not cover it any more, or it was cancelled.
    fn start(&self, launch: Launch) -> io::Result<Option<Running>> {
        let Some((program, arguments)) = launch
            .argv
            .split_first()
            .filter(|(program, _)| !program.is_empty())
        else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the command is empty",
            ));
        };
        let name = format!(
            "{}.{}",
            self.incarnation,
            self.count.fetch_add(1, Ordering::Relaxed)
        );
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(find(&launch, program).unwrap_or_else(|| program.into()));
        command
            .arg0(program)
            .args(arguments)
            .current_dir(&launch.cwd)
            .stdin(
                launch
                    .stdin
                    .as_deref()
                    .map_or_else(|| Ok(Stdio::null()), filled)?,
            )
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0); // Not in a `pre_exec`: std can then use `posix_spawn`.
        for variable in &launch.env_remove {
            command.env_remove(variable);
        }
        command
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .env(WORKER_VAR, &*self.incarnation)
            .env(LAUNCH_VAR, &name);
        let is_cancelled = || {
            launch
                .cancelled
                .as_ref()
                .is_some_and(|cancelled| *cancelled.borrow())
        };
        let leash = Leash::start(&mut command, self.guard.clone(), is_cancelled)?;
        drop(command); // It holds our copies of the pipe's writing end.
        let Some(leash) = leash else { return Ok(None) };
        let running = Running::new(Parts {
            leash,
            output: reader,
            record: launch.output,
            watcher: launch.watcher,
            mask: launch.mask,
            timeout: launch.timeout,
            grace: launch.grace,
            mark: Mark::launch(&name),
        })?;
        Ok(Some(running))
    }
}

/// Where the command's own `PATH` leads to. The system would ask each folder by trying to start a program there, which
/// costs far more than a look; what is not found, or hangs on the working directory, is left to it.
fn find(launch: &Launch, program: &OsStr) -> Option<PathBuf> {
    if has_slash(Path::new(program)) {
        return None;
    }
    let own = launch.env.iter().rev().find(|(name, _)| name == "PATH");
    let inherited =
        || std::env::var_os("PATH").filter(|_| !launch.env_remove.iter().any(|name| name == "PATH"));
    let path = own.map(|(_, path)| OsString::from(path)).or_else(inherited)?;
    for folder in std::env::split_paths(&path) {
        if !folder.is_absolute() {
            return None;
        }
        let file = folder.join(program);
        let may_run = rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_ok();
        if may_run && file.is_file() {
            return Some(file);
        }
    }
    None
}

/// An unnamed file that holds the input: unlike a pipe it needs nobody to feed it.
fn filled(input: &[u8]) -> io::Result<Stdio> {
    use std::io::{Seek, Write};

    #[cfg(target_os = "linux")]
    let mut file = std::fs::File::from(rustix::fs::memfd_create(
        "stdin",
        rustix::fs::MemfdFlags::CLOEXEC,
    )?);
    #[cfg(not(target_os = "linux"))]
    let mut file = {
        let path = std::env::temp_dir().join(format!("bell-stdin-{}", uuid::Uuid::now_v7()));
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        file
    };
    file.write_all(input)?;
    file.rewind()?;
    Ok(file.into())
}

/// A command that could not be started. Nothing of it is running.
#[derive(Debug, thiserror::Error)]
#[error("start `{program}` in {}: {cause}", cwd.display())]
pub struct LaunchError {
    pub program: String,
    pub cwd: PathBuf,
    pub cause: Cause,
    pub source: io::Error,
}

impl LaunchError {
    /// Whether the machine rather than the command is at fault, so that trying later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self.cause, Cause::OutOfFiles | Cause::OutOfProcesses)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("no such program")]
    NoProgram,
    #[error("the interpreter that its first line names does not exist")]
    NoInterpreter,
    #[error("no such directory")]
    NoDirectory,
    #[error("permission denied")]
    Denied,
    #[error("too many open files")]
    OutOfFiles,
    #[error("too many processes, or no memory for another")]
    OutOfProcesses,
    /// No fault of the command: its worker was stopped for so long that others may have what it held, or it was cancelled.
    #[error("the worker's lease is over")]
    Uncovered,
    #[error("{0}")]
    Other(String),
}

impl Cause {
    fn of(error: &io::Error, program: &Path, cwd: &Path) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT | Errno::NOTDIR) if !cwd.is_dir() => Self::NoDirectory,
            Some(Errno::NOENT) if has_slash(program) && cwd.join(program).exists() => Self::NoInterpreter,
            Some(Errno::NOENT | Errno::NOTDIR) => Self::NoProgram,
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied,
            Some(Errno::MFILE | Errno::NFILE) => Self::OutOfFiles,
            Some(Errno::AGAIN | Errno::NOMEM) => Self::OutOfProcesses,
            _ => Self::Other(error.to_string()),
        }
    }
}

fn has_slash(program: &Path) -> bool {
    program.as_os_str().as_encoded_bytes().contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_from_a_fault_of_the_command() {
        let check = |errno: Errno, cause: Cause, is_transient: bool| {
            let source = io::Error::from(errno);
            let cwd = std::env::temp_dir();
            let found = Cause::of(&source, Path::new("make"), &cwd);
            assert_eq!(found, cause);
            let error = LaunchError {
                program: "make".to_owned(),
                cwd,
                cause: found,
                source,
            };
            assert_eq!(error.is_transient(), is_transient);
        };
        check(Errno::MFILE, Cause::OutOfFiles, true);
        check(Errno::AGAIN, Cause::OutOfProcesses, true);
        check(Errno::NOENT, Cause::NoProgram, false);
        check(Errno::ACCESS, Cause::Denied, false);
    }
}
