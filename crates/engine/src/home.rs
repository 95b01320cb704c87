//! The folder beside a store that belongs to this machine: outputs of attempts, presence of workers, scratch files.

use std::path::{Path, PathBuf};

use domain::id::{Project, Seq};

/// `.bellwether/`, or the folder of another SQLite store.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
}

/// The name of the folder that commands look for, as git looks for `.git`.
pub const FOLDER: &str = ".bellwether";
/// The store inside it.
pub const DATABASE: &str = "bell.db";

impl Home {
    pub fn new(dir: impl Into<PathBuf>) -> Home {
        Home { dir: dir.into() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lock files of living workers; see [`crate::process::presence`].
    pub fn workers(&self) -> PathBuf {
        self.dir.join("workers")
    }

    /// The base path of an attempt's captured output.
    pub fn output(&self, project: &Project, task: Seq, attempt: u32) -> PathBuf {
        let folder = format!("{}", task.0 / 1_000);
        self.dir
            .join("output")
            .join(project.as_str())
            .join(folder)
            .join(format!("{}-{attempt}", task.0))
    }

    /// Where a worker keeps the files of attempts under way.
    pub fn scratch(&self, worker: &str) -> PathBuf {
        self.dir.join("attempts").join(worker)
    }

    /// Results that are too large for the store.
    pub fn results(&self, project: &Project) -> PathBuf {
        self.dir.join("results").join(project.as_str())
    }
}
