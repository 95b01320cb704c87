//! The folder beside a store that belongs to this machine: outputs of attempts, presence of workers, scratch files.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::id::{Project, Seq, Token};
use domain::limits;
use domain::task::spec::Json;
use serde::Deserialize;

/// `.bellwether/`, or the folder of another SQLite store.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
    results: &'static str,
}

/// The name of the folder that commands look for, as git looks for `.git`.
pub const FOLDER: &str = ".bellwether";
/// The store inside it.
pub const DATABASE: &str = "bell.db";

impl Home {
    pub fn new(dir: impl Into<PathBuf>) -> Home {
        let (dir, results) = (dir.into(), "results");
        Home { dir, results }
    }

    /// The folder of a machine whose store is behind a server: its results are copies, apart from those a store leads to.
    pub fn of_copies(dir: impl Into<PathBuf>) -> Home {
        let (dir, results) = (dir.into(), "copies");
        Home { dir, results }
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
        self.outputs(project, task).join(format!("{}-{attempt}", task.0))
    }

    /// Where the output of a task's attempts is, with that of its neighbours.
    fn outputs(&self, project: &Project, task: Seq) -> PathBuf {
        let folder = format!("{}", task.0 / 1_000);
        self.dir.join("output").join(project.as_str()).join(folder)
    }

    /// Removes what attempts of these tasks have put out; what cannot be removed stays.
    pub fn forget(&self, project: &Project, tasks: &[Seq]) {
        let folders: BTreeSet<PathBuf> = tasks.iter().map(|task| self.outputs(project, *task)).collect();
        let gone: BTreeSet<String> = tasks.iter().map(|task| task.0.to_string()).collect();
        for folder in folders {
            for file in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = file.file_name();
                let task = name.to_str().and_then(|name| name.split_once('-'));
                if task.is_some_and(|(task, _)| gone.contains(task)) {
                    let _ = std::fs::remove_file(file.path());
                }
            }
            // Only an empty one goes.
            let _ = std::fs::remove_dir(&folder);
        }
    }

    /// Where a worker keeps the files of attempts under way.
    pub fn scratch(&self, worker: &str) -> PathBuf {
        self.dir.join("attempts").join(worker)
    }

    /// Results that are too large for the store.
    pub fn results(&self, project: &Project) -> PathBuf {
        self.dir.join(self.results).join(project.as_str())
    }

    /// Removes copies of results that are so old; results that a store leads to stay.
    pub fn forget_copies(&self, project: &Project, older: Duration) {
        if self.results != "copies" {
            return;
        }
        for file in std::fs::read_dir(self.results(project))
            .into_iter()
            .flatten()
            .flatten()
        {
            let age = file.metadata().and_then(|about| about.modified());
            let age = age.ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > older) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }

    /// Where the result of the holder of a lease is set aside.
    pub fn result(&self, project: &Project, token: Token) -> PathBuf {
        let name = format!("{}-{}.json", token.seq.0, token.fence.0);
        self.results(project).join(name)
    }

    /// Keeps a result beside the store, and gives what stands for it there: `{"file": PATH, "bytes": N}`.
    pub fn set_aside(&self, project: &Project, token: Token, result: &Json) -> io::Result<Json> {
        let path = self.result(project, token);
        std::fs::create_dir_all(self.results(project))?;
        let fresh = path.with_extension("json.new");
        // On the disk before the store tells of it.
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(result.get().as_bytes())?;
        file.sync_all()?;
        // Whoever reads it meanwhile finds the one before, never half of one.
        std::fs::rename(&fresh, &path)?;
        Ok(self.stands_for(project, token, result))
    }

    /// What stands for a result that is set aside.
    pub fn stands_for(&self, project: &Project, token: Token, result: &Json) -> Json {
        let file = self.result(project, token);
        Json::of(&serde_json::json!({ "file": file, "bytes": result.get().len() }))
    }

    /// The result that is meant, when this one stands for one that was set aside here.
    pub fn whole(&self, project: &Project, result: &Json) -> io::Result<Option<Json>> {
        #[derive(Deserialize)]
        struct Aside {
            file: PathBuf,
            bytes: u64,
        }
        let Ok(aside) = serde_json::from_str::<Aside>(result.get()) else {
            return Ok(None);
        };
        // Nothing else on this machine is anybody's business.
        if aside.file.parent() != Some(&self.results(project)) || aside.bytes > limits::RESULT_FILE_BYTES {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&aside.file)?;
        Json::parse(&text).map(Some).map_err(io::Error::other)
    }
}
