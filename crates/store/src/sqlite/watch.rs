//! Noticing the commits of other processes.
//!
//! Whoever has committed counts that in a file beside the store (`turnstile`); inotify on that file wakes us, and our own
//! commits are told apart by their number. Without inotify the file is read again and again. A program that is not ours,
//! or one that died before it counted, is noticed by `PRAGMA data_version`, once a second.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::rows::OTHERS;
use super::turnstile::{Others, WRITER, beside};
use crate::driver::Watch;

/// No call waits longer than this.
const WAIT: Duration = Duration::from_secs(1);
/// A busy store wakes us no more often than this.
const REST: Duration = Duration::from_millis(1);
/// How often the count is read where nothing gives notice.
const POLL: Duration = Duration::from_millis(25);

pub(super) struct SqliteWatch {
    conn: Connection,
    file: PathBuf,
    others: Others,
    seen: u64,
    version: Option<i64>,
    told: Option<Instant>,
    notices: Option<notices::Notices>,
}

impl SqliteWatch {
    pub(super) fn new(conn: Connection, store: &Path, others: Others) -> SqliteWatch {
        let mut watch = SqliteWatch {
            conn,
            file: beside(store, WRITER),
            seen: others.count(),
            others,
            version: None,
            told: None,
            notices: None,
        };
        watch.version = watch.version();
        watch
    }

    /// A number that changes with every commit of another connection, those of our own writer included.
    fn version(&self) -> Option<i64> {
        let mut statement = self.conn.prepare_cached(OTHERS).ok()?;
        statement.query_row([], |row| row.get(0)).ok()
    }

    /// Whether others have counted a commit since the last look.
    fn counted(&mut self) -> bool {
        let count = self.others.count();
        let more = count != self.seen;
        self.seen = count;
        if more {
            self.told = Some(Instant::now());
        }
        more
    }

    /// Whether anything was committed since the last look. An error counts: whoever is woken will meet it too.
    fn look(&mut self) -> bool {
        let now = self.version();
        let changed = now.is_none() || now != self.version;
        self.version = now;
        changed
    }

    fn renew(&mut self) {
        if self
            .notices
            .as_ref()
            .is_none_or(|notices| !notices.is_of(&self.file))
        {
            self.notices = notices::Notices::of(&self.file);
        }
    }
}

impl Watch for SqliteWatch {
    fn wait(&mut self) -> bool {
        if let Some(told) = self.told {
            std::thread::sleep(REST.saturating_sub(told.elapsed()));
        }
        // The notices first: what is counted after them is noticed, what was before is seen.
        self.renew();
        let end = Instant::now() + WAIT;
        loop {
            if self.counted() {
                return true;
            }
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return self.look();
            }
            match &self.notices {
                Some(notices) => {
                    // Our own commits, most likely: then whatever comes in the next moment is told together.
                    if notices.wait(rest) && self.others.count() == self.seen {
                        std::thread::sleep(REST);
                    }
                }
                None => std::thread::sleep(POLL.min(rest)),
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod notices {
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

    /// An inotify watch on one file, as long as the name leads to that file.
    pub(super) struct Notices {
        fd: OwnedFd,
        inode: u64,
    }

    impl Notices {
        pub(super) fn of(log: &Path) -> Option<Notices> {
            let inode = std::fs::metadata(log).ok()?.ino();
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
            inotify::add_watch(&fd, log, WatchFlags::MODIFY | WatchFlags::ATTRIB).ok()?;
            let notices = Notices { fd, inode };
            // Made anew in between, it would be another file than the one that is watched.
            notices.is_of(log).then_some(notices)
        }

        pub(super) fn is_of(&self, log: &Path) -> bool {
            std::fs::metadata(log).is_ok_and(|data| data.ino() == self.inode)
        }

        /// Waits until the file was written to or the time is over, and forgets what was noticed.
        pub(super) fn wait(&self, most: Duration) -> bool {
            let most = Timespec {
                tv_sec: most.as_secs().cast_signed(),
                tv_nsec: most.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&most)).is_ok_and(|ready| ready > 0);
            if ready {
                let mut buffer = [MaybeUninit::uninit(); 4_096];
                let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
                while reader.next().is_ok() {}
            }
            ready
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod notices {
    use std::path::Path;
    use std::time::Duration;

    /// There is none here.
    pub(super) enum Notices {}

    impl Notices {
        pub(super) fn of(_: &Path) -> Option<Notices> {
            None
        }

        pub(super) fn is_of(&self, _: &Path) -> bool {
            match *self {}
        }

        pub(super) fn wait(&self, _: Duration) -> bool {
            match *self {}
        }
    }
}
