//! How files looked from outside when they were read: what cannot have changed since is not read again.
//!
//! The system notes when a file was written with the grain of its clock, so one that was written just before it was read may have
//! been written once more without looking different. Such files count as changed until they have been left alone for two seconds.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use domain::time::Timestamp;
use rustc_hash::FxHashMap;

use crate::cache::Key;

/// The coarsest clock of a file system in use (FAT) ticks every two seconds.
const SETTLED_NS: i128 = 2_000_000_000;

/// A file or folder from outside. Whoever replaces a file makes another one; the time of the last change of anything (`changed`) is set by the
/// system alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    written: i128,
    changed: i128,
    bytes: u64,
    number: (u64, u64),
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        let found = path.symlink_metadata().ok()?;
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Some(Stamp {
            written: ns(found.mtime(), found.mtime_nsec()),
            changed: ns(found.ctime(), found.ctime_nsec()),
            bytes: found.len(),
            number: (found.dev(), found.ino()),
        })
    }

    /// Whether whatever happens to it from now on will show. Times that people have set to come are no reason to wait for them.
    fn is_settled(&self, now: Timestamp) -> bool {
        let now = i128::from(now.0) * 1_000_000;
        let just_written = now - SETTLED_NS..=now + SETTLED_NS;
        self.changed < now - SETTLED_NS && !just_written.contains(&self.written)
    }
}

/// A source as it was when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) stamp: Stamp,
    pub(crate) key: Key,
    pub(crate) digest: [u8; 32],
}

/// What the last look saw.
#[derive(Debug, Default)]
pub struct Glance {
    /// When it began; nothing before the first.
    began: Option<Timestamp>,
    root: PathBuf,
    sources: FxHashMap<String, Seen>,
    /// All else that decides what the next look would tell: folders, manifests, ignore files.
    others: Vec<(PathBuf, Option<Stamp>)>,
}

impl Glance {
    /// Whether a look would tell what the last one told. Reads nothing.
    pub fn is_same(&self) -> bool {
        let Some(began) = self.began else { return false };
        let same = |before: Option<&Stamp>, path: &Path| {
            Stamp::of(path).as_ref() == before && before.is_none_or(|stamp| stamp.is_settled(began))
        };
        let mut others = self.others.iter();
        let mut sources = self.sources.iter();
        others.all(|(path, stamp)| same(stamp.as_ref(), path))
            && sources.all(|(path, seen)| same(Some(&seen.stamp), &self.root.join(path)))
    }

    /// What was read of a file that looks as it did then.
    pub(crate) fn seen(&self, path: &str, stamp: Option<Stamp>) -> Option<&Seen> {
        let (began, seen) = (self.began?, self.sources.get(path)?);
        (Some(seen.stamp) == stamp && seen.stamp.is_settled(began)).then_some(seen)
    }

    /// Remembers a look that began at `began`. Others are looked at now: what changes after the beginning is not settled.
    pub(crate) fn keep(
        &mut self,
        began: Timestamp,
        root: &Path,
        sources: impl Iterator<Item = (String, Seen)>,
        others: impl Iterator<Item = PathBuf>,
    ) {
        self.began = Some(began);
        self.root = root.to_owned();
        self.sources = sources.collect();
        self.others = others
            .map(|path| {
                let stamp = Stamp::of(&path);
                (path, stamp)
            })
            .collect();
    }

    /// Counts one more file, such as a list of what is planned.
    pub fn also(&mut self, path: &Path) {
        self.others.push((path.to_owned(), Stamp::of(path)));
    }
}
