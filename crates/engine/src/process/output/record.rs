use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::ROOM;
use super::frame::{Frame, place};

/// The writing side of a record. Never fails: what cannot be written is counted as lost.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    lost: u64,
    fault: Option<String>,
}

impl Record {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            written: 0,
            lost: 0,
            fault: None,
        }
    }

    /// Goes on with what an earlier writer left; writers that come this way take turns.
    pub(super) fn resume(path: PathBuf) -> io::Result<Self> {
        let file = open(&path, false)?;
        file.lock()?;
        let written = match Frame::load(&file)? {
            Some(frame) => frame.written,
            None => file.metadata()?.len(),
        };
        Ok(Self {
            file: Some(file),
            written,
            ..Self::new(path)
        })
    }

    /// Each piece is tried anew, so that a disk that has room again is used again.
    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.append_some(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) => {
                    self.lost += bytes.len() as u64;
                    self.fault.get_or_insert_with(|| error.to_string());
                    return;
                }
            }
        }
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn into_fault(self) -> Option<String> {
        self.fault
    }

    fn append_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path, true)?),
        };
        let (place, room) = place(self.written);
        let bytes = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        let wraps = self.written >= ROOM;
        if wraps {
            Frame {
                claimed: self.written + bytes.len() as u64,
                written: self.written,
            }
            .save(file)?;
        }
        let count = file.write_at(bytes, place)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += count as u64;
        if wraps {
            Frame {
                claimed: self.written,
                written: self.written,
            }
            .save(file)?;
        }
        Ok(count)
    }
}

/// Output may hold secrets, so only its owner may read it.
fn open(path: &Path, fresh: bool) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(fresh)
            .mode(0o600)
            .open(path)
    };
    match (open(), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(parent)?;
            open()
        }
        (opened, _) => opened,
    }
}
