//! The queue of the processes that want to write.
//!
//! SQLite's own lock knows no queue: who asks again at the right moment wins, and under load somebody never does.
//! So writers of ours queue on two lock files beside the store, as at a turnstile: take the first, take the second,
//! let the first go, work, let the second go. Whoever lets the second go cannot pass the one who already holds the
//! first, so nobody is overtaken twice. SQLite's own lock then only meets foreign programs.
//!
//! The system frees the locks of a process that dies. One that is stopped in the middle of a transaction holds up
//! the other writers, though not the readers, until it goes on or is killed.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Turnstile {
    entry: File,
    writer: File,
}

impl Turnstile {
    /// The two files are made if they are missing, and never deleted: whoever has one open would otherwise
    /// queue for another file than those who come later.
    pub(super) fn open(store: &Path) -> Result<Turnstile, (PathBuf, io::Error)> {
        let open = |ending| {
            let path = beside(store, ending);
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            file.map_err(|error| (path, error))
        };
        Ok(Turnstile {
            entry: open(".turn")?,
            writer: open(".write")?,
        })
    }

    /// Waits for our turn to write.
    pub(super) fn enter(&self) -> io::Result<Turn<'_>> {
        patiently(|| self.entry.lock())?;
        let turn = patiently(|| self.writer.lock()).map(|()| Turn(&self.writer));
        self.entry.unlock()?;
        turn
    }

    /// Our turn, if nobody else writes or waits.
    pub(super) fn try_enter(&self) -> Option<Turn<'_>> {
        self.entry.try_lock().ok()?;
        let turn = self.writer.try_lock().ok().map(|()| Turn(&self.writer));
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
pub(super) struct Turn<'a>(&'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Unlocking a file that is open fails for no reason that could be mended here; closing it unlocks too.
        let _ = self.0.unlock();
    }
}

/// The file whose name is the store's with this ending.
pub(super) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
