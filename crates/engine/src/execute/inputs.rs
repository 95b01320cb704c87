//! The files that programs find in `BELL_INPUT`.
//!
//! Each is used again by a later attempt. Where files come and go by the thousand, making one is dear: ext4 looks for a number
//! that no file has had for some seconds, and so passes all that were just removed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

/// What is larger is removed once it was read, so that little room is kept.
const KEPT_BYTES: usize = 64 * 1024;

/// The input files of one worker.
#[derive(Debug)]
pub struct Inputs {
    folder: PathBuf,
    made: AtomicU64,
    free: Mutex<Vec<PathBuf>>,
}

impl Inputs {
    /// Files in this folder.
    pub fn new(folder: &Path) -> Arc<Inputs> {
        Arc::new(Inputs {
            folder: folder.to_owned(),
            made: AtomicU64::new(0),
            free: Mutex::default(),
        })
    }

    /// A file with this document and nothing else, for one attempt.
    pub(super) fn write(self: &Arc<Self>, document: &[u8]) -> io::Result<InputFile> {
        let free = self.free().pop();
        let again = free.filter(|path| write(path, document).is_ok());
        let path = match again {
            Some(path) => path,
            None => self.write_new(document)?,
        };
        Ok(InputFile {
            inputs: Arc::clone(self),
            path,
            is_small: document.len() <= KEPT_BYTES,
        })
    }

    fn write_new(&self, document: &[u8]) -> io::Result<PathBuf> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("input-{number}.json"));
        in_folder(&self.folder, || write(&path, document))?;
        Ok(path)
    }

    fn free(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The input file of one attempt until it ends.
#[derive(Debug)]
pub(super) struct InputFile {
    inputs: Arc<Inputs>,
    path: PathBuf,
    is_small: bool,
}

impl InputFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for InputFile {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        if !self.is_small {
            let _ = fs::remove_file(&path);
        }
        self.inputs.free().push(path);
    }
}

/// Writes something in a folder, which is made anew where somebody has taken it away.
pub(super) fn in_folder(folder: &Path, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match write() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            write()
        }
        written => written,
    }
}

/// Writes over what an earlier attempt was told. It may have put anything in the place of its file, or kept the file under another
/// name: then that is left alone, and a new one is made.
fn write(path: &Path, document: &[u8]) -> io::Result<()> {
    let (file, was) = match reopened(path)? {
        Some(found) => found,
        None => {
            let _ = fs::remove_file(path);
            (File::options().write(true).create_new(true).open(path)?, 0)
        }
    };
    let length = document.len() as u64;
    let written = file.write_all_at(document, 0).and_then(|()| match was > length {
        // Cutting to nothing first would make some file systems write the new text out at once.
        true => file.set_len(length),
        false => Ok(()),
    });
    whole(path, written)
}

/// Half a file is no use to anybody, and a full disk is no place for it.
pub(super) fn whole(path: &Path, written: io::Result<()>) -> io::Result<()> {
    written.inspect_err(|_| drop(fs::remove_file(path)))
}

/// The plain file under this name, unless it has another name as well, and how long it is.
fn reopened(path: &Path) -> io::Result<Option<(File, u64)>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = File::options()
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(path);
    let Ok(file) = opened else { return Ok(None) };
    let about = file.metadata()?;
    Ok((about.is_file() && about.nlink() == 1).then_some((file, about.len())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_used_again_with_nothing_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let inputs = Inputs::new(dir.path());
        let (one, two) = (inputs.write(b"a long text").unwrap(), inputs.write(b"2").unwrap());
        assert_ne!(one.path(), two.path());
        let (path, number) = (one.path().to_owned(), fs::metadata(one.path()).unwrap().ino());
        drop(one);
        let again = inputs.write(b"short").unwrap();
        assert_eq!(again.path(), path);
        assert_eq!(fs::metadata(&path).unwrap().ino(), number);
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read(two.path()).unwrap(), b"2");
    }

    #[test]
    fn whatever_a_program_does_to_its_input_hurts_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let inputs = Inputs::new(&dir.path().join("worker"));
        let aside = dir.path().join("aside");
        let done_to = |what: &dyn Fn(&Path)| {
            fs::write(&aside, "mine").unwrap();
            let input = inputs.write(b"first").unwrap();
            what(input.path());
            drop(input);
            let next = inputs.write(b"next").unwrap();
            assert!(fs::symlink_metadata(next.path()).unwrap().is_file());
            assert_eq!(fs::read(next.path()).unwrap(), b"next");
            assert_ne!(fs::read(&aside).unwrap(), b"next");
        };
        done_to(&|path| fs::remove_file(path).unwrap());
        done_to(&|path| fs::rename(path, &aside).unwrap());
        done_to(&|path| {
            fs::remove_file(&aside).unwrap();
            fs::hard_link(path, &aside).unwrap();
        });
        done_to(&|path| {
            fs::remove_file(path).unwrap();
            symlink(&aside, path).unwrap();
        });
        done_to(&|path| {
            fs::remove_file(path).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        });
        done_to(&|path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        });
        done_to(&|path| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap());
        done_to(&|path| fs::remove_dir_all(path.parent().unwrap()).unwrap());
        let large = vec![b' '; KEPT_BYTES + 1];
        let path = inputs.write(&large).unwrap().path().to_owned();
        assert!(!path.exists(), "it takes no room once it was read");
    }

    #[test]
    fn half_a_file_does_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("half");
        fs::write(&path, "ha").unwrap();
        assert!(whole(&path, Ok(())).is_ok() && path.exists());
        assert!(whole(&path, Err(io::ErrorKind::StorageFull.into())).is_err());
        assert!(!path.exists());
    }
}
