//! Noticing the commits of other processes.
//!
//! Every commit appends to the log file, so inotify on that file wakes us; whether something was committed then
//! tells `PRAGMA data_version`, since a writer appends before it commits. Without inotify the number is polled.
//! Commits of our own process are seen too; the contract allows that.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::turnstile::beside;
use crate::driver::Watch;

/// No call waits longer than this.
const WAIT: Duration = Duration::from_secs(1);
/// After one commit was told, the next is told no sooner: a busy store wakes nobody more often than this.
const REST: Duration = Duration::from_millis(1);
/// The first look after the log was appended to; each further look waits twice as long, up to [`POLL`].
const FIRST_LOOK: Duration = Duration::from_micros(200);
const POLL: Duration = Duration::from_millis(25);
/// So long after the last append a commit may still be on its way: it is visible only when the disk has it, and nothing
/// tells of that moment.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

pub(super) struct SqliteWatch {
    conn: Connection,
    log: PathBuf,
    seen: Option<i64>,
    told: Option<Instant>,
    notices: Option<notices::Notices>,
    pace: Pace,
}

/// When to look next. It outlives a single wait: a commit may be appended in one and be visible in the next.
struct Pace {
    pause: Duration,
    /// When the log was last appended to without a commit being seen since.
    appended: Option<Instant>,
}

impl Pace {
    fn new() -> Pace {
        Pace {
            pause: POLL,
            appended: None,
        }
    }

    fn appended(&mut self, now: Instant) {
        self.appended = Some(now);
        self.pause = FIRST_LOOK;
    }

    /// How long to wait for a notice, if there are any, before looking anyway.
    fn pause(&mut self, notices: bool, now: Instant) -> Duration {
        let on_its_way = self
            .appended
            .is_some_and(|at| now.saturating_duration_since(at) < ON_ITS_WAY);
        if notices && !on_its_way {
            return WAIT;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(POLL);
        pause
    }

    fn seen(&mut self) {
        *self = Pace::new();
    }
}

impl SqliteWatch {
    pub(super) fn new(conn: Connection, store: &Path) -> SqliteWatch {
        let mut watch = SqliteWatch {
            conn,
            log: beside(store, "-wal"),
            seen: None,
            told: None,
            notices: None,
            pace: Pace::new(),
        };
        watch.seen = watch.version();
        watch.notices = notices::Notices::of(&watch.log);
        watch
    }

    /// A number that changes with every commit of another connection.
    fn version(&self) -> Option<i64> {
        let mut statement = self.conn.prepare_cached("PRAGMA data_version").ok()?;
        statement.query_row([], |row| row.get(0)).ok()
    }

    /// Whether anything was committed since the last look. An error counts: whoever is woken will meet it too.
    fn look(&mut self) -> bool {
        let now = self.version();
        let changed = now.is_none() || now != self.seen;
        self.seen = now;
        if changed {
            self.told = Some(Instant::now());
            self.pace.seen();
        }
        changed
    }

    fn renew(&mut self) {
        if self
            .notices
            .as_ref()
            .is_none_or(|notices| !notices.is_of(&self.log))
        {
            self.notices = notices::Notices::of(&self.log);
        }
    }
}

impl Watch for SqliteWatch {
    fn wait(&mut self) -> bool {
        if let Some(told) = self.told {
            std::thread::sleep(REST.saturating_sub(told.elapsed()));
        }
        // The notices first: what is committed after them is noticed, what was before is seen.
        self.renew();
        if self.look() {
            return true;
        }
        let end = Instant::now() + WAIT;
        loop {
            let now = Instant::now();
            let rest = end.saturating_duration_since(now);
            let pause = self.pace.pause(self.notices.is_some(), now);
            match &self.notices {
                Some(notices) => {
                    if notices.wait(pause.min(rest)) {
                        self.pace.appended(Instant::now());
                    }
                }
                None => std::thread::sleep(pause.min(rest)),
            }
            if self.look() {
                return true;
            }
            if rest <= pause {
                return false;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_takes_longer_than_a_wait_is_looked_for_in_the_next() {
        let start = Instant::now();
        let mut pace = Pace::new();
        assert_eq!(pace.pause(true, start), WAIT, "nothing is on its way");
        pace.appended(start);
        assert_eq!(pace.pause(true, start), FIRST_LOOK);
        let mut now = start;
        while now < start + ON_ITS_WAY {
            let pause = pace.pause(true, now);
            assert!(
                (FIRST_LOOK..=POLL).contains(&pause),
                "{pause:?} at {:?}",
                now - start
            );
            now += pause;
        }
        assert_eq!(pace.pause(true, now), WAIT, "it was no commit");
    }

    #[test]
    fn what_was_seen_is_not_looked_for_again() {
        let start = Instant::now();
        let mut pace = Pace::new();
        pace.appended(start);
        pace.seen();
        assert_eq!(pace.pause(true, start), WAIT);
        assert_eq!(pace.pause(false, start), POLL, "nothing gives notice");
    }
}
