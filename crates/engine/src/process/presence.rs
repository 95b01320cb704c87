//! Who is there: one locked file per worker incarnation.
//!
//! The lock hangs on an open file that worker and guard share, so it is free exactly when both are
//! gone, that is, when the worker's groups are known to be dead. Not for network file systems.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::mark::{Mark, check_incarnation};
use super::strays::{self, Groups};

const EXTENSION: &str = "lock";
/// Under this name a file is written before it counts.
const DRAFT_EXTENSION: &str = "draft";
/// A draft older than this belongs to nobody: it takes milliseconds to finish one.
const DRAFT_AGE_MAX: Duration = Duration::from_secs(600);

/// This worker's own lock. Dropping it leaves the file: for others the worker has then died.
#[derive(Debug)]
pub struct Presence {
    incarnation: String,
    path: PathBuf,
    lock: File,
}

/// A worker that is there, or that somebody is burying just now.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    pub incarnation: String,
    pub info: Value,
}

/// A worker that died. While this value lives, nobody else gets to rescue its work.
#[derive(Debug)]
pub struct Dead {
    pub incarnation: String,
    /// What it said of itself; `Null` if that cannot be read.
    pub info: Value,
    path: PathBuf,
    _lock: File,
}

impl Presence {
    /// Enters the worker, with what others should know of it (pid, host, run, …). The file appears
    /// under its name whole and locked. The directory is made.
    pub fn enter(dir: &Path, incarnation: &str, info: &Value) -> io::Result<Self> {
        check_incarnation(OsStr::new(incarnation))?;
        fs::create_dir_all(dir)?;
        let path = dir.join(format!("{incarnation}.{EXTENSION}"));
        let draft = dir.join(format!("{incarnation}.{DRAFT_EXTENSION}"));
        writeln!(File::create_new(&draft)?, "{info}")?;
        // Only for reading, so that what a guard might print to its stdout does not end up here.
        let lock = File::open(&draft)?;
        lock.try_lock()?;
        fs::rename(&draft, &path)?;
        Ok(Self {
            incarnation: incarnation.to_owned(),
            path,
            lock,
        })
    }

    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// Leaves in good order: everything this worker held has been given back.
    pub fn leave(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    /// Another handle on the same lock.
    pub(super) fn share(&self) -> io::Result<File> {
        self.lock.try_clone()
    }
}

impl Live {
    /// The process that works under this name; unknown while its file cannot be read.
    pub fn pid(&self) -> Option<u64> {
        self.info["pid"].as_u64()
    }

    /// Asks the whole process to take on nothing more and to end when its attempts have ended. Returns whether there
    /// was anybody to ask.
    pub fn drain(&self) -> io::Result<bool> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        match pid.map(|pid| kill_process(pid, Signal::TERM)) {
            None | Some(Err(Errno::SRCH)) => Ok(false),
            Some(asked) => Ok(asked.map(|()| true)?),
        }
    }
}

impl Dead {
    /// Ends what still carries the worker's mark, for its guard may have been killed too: `TERM`, and
    /// `KILL` after the grace. Returns whether all of it is known to be gone. Blocks meanwhile.
    #[must_use = "what still runs may hold what the leases and locks protect"]
    pub fn reap(&self, grace: Duration) -> bool {
        strays::end(&Groups::new(), &Mark::worker(&self.incarnation), grace)
    }

    /// Forgets the worker. Only once its leases have been released: no later rescuer will see it.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Lists the workers that died and locks each for the caller. One that another rescuer, or a look by
/// [`live`], holds at this moment is left out; it comes up again if it is not removed.
pub fn dead(dir: &Path) -> io::Result<Vec<Dead>> {
    let mut dead = Vec::new();
    for (path, incarnation) in entries(dir, EXTENSION)? {
        if let Some(lock) = claim(&path)? {
            let info = info(&path);
            dead.push(Dead {
                incarnation,
                info,
                path,
                _lock: lock,
            });
        }
    }
    sweep_drafts(dir)?;
    Ok(dead)
}

/// Lists the workers that are there.
pub fn live(dir: &Path) -> io::Result<Vec<Live>> {
    let mut live = Vec::new();
    for (path, incarnation) in entries(dir, EXTENSION)? {
        let Some(file) = vanished_is_none(File::open(&path))? else {
            continue;
        };
        // Shared, so that two lookers do not take each other for the worker.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => live.push(Live {
                incarnation,
                info: info(&path),
            }),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
    }
    Ok(live)
}

/// Locks a file that nobody holds. One that was removed while we opened it is somebody else's
/// finished rescue.
fn claim(path: &Path) -> io::Result<Option<File>> {
    let Some(file) = vanished_is_none(File::open(path))? else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok((file.metadata()?.nlink() > 0).then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn info(path: &Path) -> Value {
    fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// The files of one kind, oldest incarnation first if their names sort by time.
fn entries(dir: &Path, extension: &str) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in vanished_is_none(fs::read_dir(dir))?.into_iter().flatten() {
        let path = entry?.path();
        let stem = path
            .file_stem()
            .and_then(|stem| check_incarnation(stem).ok())
            .map(str::to_owned);
        if let Some(stem) = stem.filter(|_| path.extension() == Some(OsStr::new(extension))) {
            found.push((path, stem));
        }
    }
    found.sort();
    Ok(found)
}

fn sweep_drafts(dir: &Path) -> io::Result<()> {
    for (path, _) in entries(dir, DRAFT_EXTENSION)? {
        let age = path
            .metadata()
            .and_then(|metadata| metadata.modified())
            .map(|modified| modified.elapsed());
        if matches!(age, Ok(Ok(age)) if age > DRAFT_AGE_MAX) {
            vanished_is_none(fs::remove_file(&path))?;
        }
    }
    Ok(())
}

fn vanished_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
