//! The queue of the processes that want to write.
//!
//! SQLite's own lock knows no queue: who asks again at the right moment wins, and under load somebody never does.
//! So writers of ours queue on two lock files beside the store, as at a turnstile: take the first, take the second,
//! let the first go, work, let the second go. Whoever lets the second go cannot pass the one who already holds the
//! first, so nobody is overtaken twice. SQLite's own lock then only meets foreign programs.
//!
//! The file of the second lock also holds how often something was committed. Whoever holds it counts on before letting
//! go, which is how the others notice (`watch`).
//!
//! The system frees the locks of a process that dies. One that is stopped in the middle of a transaction holds up
//! the other writers, though not the readers, until it goes on or is killed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the name of the second file ends with.
pub(super) const WRITER: &str = ".write";

#[derive(Debug)]
pub(super) struct Turnstile {
    entry: File,
    writer: File,
    own: Arc<AtomicU64>,
}

impl Turnstile {
    /// The two files are made if they are missing, and never deleted: whoever has one open would otherwise
    /// queue for another file than those who come later.
    pub(super) fn open(store: &Path) -> Result<Turnstile, (PathBuf, io::Error)> {
        let open = |ending| {
            let path = beside(store, ending);
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            file.map_err(|error| (path, error))
        };
        Ok(Turnstile {
            entry: open(".turn")?,
            writer: open(WRITER)?,
            own: Arc::default(),
        })
    }

    /// How often others have committed, for another thread.
    pub(super) fn others(&self) -> io::Result<Others> {
        Ok(Others {
            count: self.writer.try_clone()?,
            own: Arc::clone(&self.own),
        })
    }

    /// Waits for our turn to write.
    pub(super) fn enter(&self) -> io::Result<Turn<'_>> {
        patiently(|| self.entry.lock())?;
        let turn = patiently(|| self.writer.lock()).map(|()| Turn(self));
        self.entry.unlock()?;
        turn
    }

    /// Our turn, if nobody else writes or waits.
    pub(super) fn try_enter(&self) -> Option<Turn<'_>> {
        self.entry.try_lock().ok()?;
        let turn = self.writer.try_lock().ok().map(|()| Turn(self));
        self.entry.unlock().ok()?;
        turn
    }
}

/// Locks again when a signal came in between.
fn patiently(lock: impl Fn() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// While it lives, no other process of ours writes.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turnstile);

impl Turn<'_> {
    /// Counts a commit. Where that fails, or is not reached, the others find the commit by looking.
    pub(super) fn committed(&self) {
        self.0.own.fetch_add(1, Ordering::Relaxed);
        let count = count(&self.0.writer).unwrap_or_default().wrapping_add(1);
        let _ = self.0.writer.write_at(&count.to_le_bytes(), 0);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Unlocking a file that is open fails for no reason that could be mended here; closing it unlocks too.
        let _ = self.0.writer.unlock();
    }
}

/// Counts the commits of other processes.
#[derive(Debug)]
pub(super) struct Others {
    count: File,
    own: Arc<AtomicU64>,
}

impl Others {
    /// Changes when another process has committed, and seldom otherwise.
    pub(super) fn count(&self) -> u64 {
        let all = count(&self.count).unwrap_or_default();
        all.wrapping_sub(self.own.load(Ordering::Relaxed))
    }
}

/// `None` before the first commit.
fn count(file: &File) -> Option<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// The file whose name is the store's with this ending.
pub(super) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
