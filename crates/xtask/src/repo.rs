//! The files of the repository, read once.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What holds nothing of ours.
const SKIPPED: &[&str] = &["target", ".git", ".bellwether", "node_modules", "__pycache__"];

#[derive(Debug)]
pub(crate) struct Repo {
    pub(crate) root: PathBuf,
    /// Every text file, sorted by path.
    pub(crate) files: Vec<File>,
}

#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Repo {
    /// The repository that this crate belongs to.
    pub(crate) fn find() -> Result<Repo> {
        let here = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(dir) => PathBuf::from(dir).join("../.."),
            None => env::current_dir()?,
        };
        let root = here.canonicalize().context("the repository's folder")?;
        let mut files = Vec::new();
        collect(&root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Repo { root, files })
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where everything goes that is made.
    pub(crate) fn target(&self) -> PathBuf {
        let set = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        set.unwrap_or_else(|| self.path("target"))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path));
        at.ok().map(|at| &self.files[at])
    }

    /// Files whose path ends in `suffix`.
    pub(crate) fn ending(&self, suffix: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.ends_with(suffix))
    }
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            // What is not UTF-8 is no text, and no concern of these rules.
            if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                files.push(File { path, text });
            }
        }
    }
    Ok(())
}
