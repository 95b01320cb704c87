//! The files of a disk as they will be: those that are planned stand among them.

use std::io;
use std::path::{Path, PathBuf};

use oxc_resolver::{FileMetadata, FileSystem, FileSystemOs, ResolveError};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Files;

#[derive(Debug, Default)]
pub(super) struct VirtualFiles {
    /// With their drafts.
    planned: FxHashMap<PathBuf, Option<String>>,
    /// The folders above them.
    folders: FxHashSet<PathBuf>,
    /// Nothing else is there.
    alone: bool,
}

impl VirtualFiles {
    pub(super) fn of(files: &Files<'_>) -> VirtualFiles {
        let (mut planned, mut folders) = (FxHashMap::default(), FxHashSet::default());
        for path in files.drafts.paths() {
            let text = files.drafts.text(path).map(str::to_owned);
            let path = files.root.join(path);
            for folder in path.ancestors().skip(1) {
                if !folders.insert(folder.to_owned()) {
                    break;
                }
            }
            planned.insert(path, text);
        }
        VirtualFiles {
            planned,
            folders,
            alone: !files.there,
        }
    }

    fn known(&self, path: &Path) -> Option<io::Result<FileMetadata>> {
        if self.planned.contains_key(path) {
            return Some(Ok(FileMetadata::new(true, false, false)));
        }
        if self.folders.contains(path) {
            return Some(Ok(FileMetadata::new(false, true, false)));
        }
        self.alone.then(|| Err(io::ErrorKind::NotFound.into()))
    }
}

impl FileSystem for VirtualFiles {
    fn new() -> VirtualFiles {
        VirtualFiles::default()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_to_string(path).map(String::into_bytes)
    }

    fn read_to_string(&self, path: &Path) -> io::Result<String> {
        match self.planned.get(path) {
            Some(Some(text)) => Ok(text.clone()),
            _ if self.alone => Err(io::ErrorKind::NotFound.into()),
            _ => FileSystemOs::read_to_string(path),
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        self.known(path).unwrap_or_else(|| FileSystemOs::metadata(path))
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        self.known(path)
            .unwrap_or_else(|| FileSystemOs::symlink_metadata(path))
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, ResolveError> {
        FileSystemOs::read_link(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        match self.known(path) {
            Some(known) => known.map(|_| path.to_owned()),
            None => FileSystemOs::canonicalize(path),
        }
    }
}
