//! Finds the files of a tree, as version control sees it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder, WalkState};

use crate::facts::Language;
use crate::resolve::base;

/// Files of one tree that are looked at.
pub(crate) const FILES_MAX: usize = 1_000_000;

const MANIFESTS: [&str; 8] = [
    "package.json",
    "tsconfig.json",
    "jsconfig.json",
    "Cargo.toml",
    "go.mod",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
];
const IGNORE_FILES: [&str; 3] = [".gitignore", ".ignore", ".git/info/exclude"];
/// Folders of installed and made things; ignore files name them too, as a rule.
const LEFT_OUT: [&str; 5] = [
    "node_modules",
    "__pycache__",
    "site-packages",
    "bower_components",
    "CVS",
];

/// What a walk finds besides sources.
#[derive(Debug, Default)]
pub(crate) struct Found {
    sources: usize,
    /// By path from the root with `/` between parts, sorted.
    pub(crate) manifests: Vec<String>,
    pub(crate) folders: Vec<PathBuf>,
    /// Links are not followed, so that no file counts twice and no circle is walked.
    pub(crate) links: usize,
    /// Folders and names that cannot be read, as said by the system.
    pub(crate) errors: Vec<String>,
    /// There were more than [`FILES_MAX`].
    pub(crate) more: bool,
}

/// Walks a folder and tells each source by its path from the root, with its language. Ignore files count, hidden
/// files do not.
pub(crate) fn walk(
    root: &Path,
    languages: &[Language],
    threads: usize,
    source: impl Fn(String, Language) + Sync,
) -> Found {
    let found = Mutex::new(Found::default());
    let walker = WalkBuilder::new(root)
        .require_git(false)
        .parents(true)
        .follow_links(false)
        .threads(threads)
        .filter_entry(|entry| !left_out(entry))
        .build_parallel();
    walker.run(|| {
        Box::new(|entry| {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let told = match entry {
                Ok(entry) => note(&mut found, root, &entry, languages),
                Err(error) => {
                    found.errors.push(error.to_string());
                    None
                }
            };
            let Some((path, language)) = told else {
                return WalkState::Continue;
            };
            if found.sources == FILES_MAX {
                found.more = true;
                return WalkState::Quit;
            }
            found.sources += 1;
            drop(found);
            source(path, language);
            WalkState::Continue
        })
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.manifests.sort();
    found.errors.sort();
    found
}

/// Notes what an entry is, and returns it if it is a source.
fn note(
    found: &mut Found,
    root: &Path,
    entry: &DirEntry,
    languages: &[Language],
) -> Option<(String, Language)> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        found.folders.push(entry.path().to_owned());
    }
    if kind.is_symlink() {
        found.links += 1;
        return None;
    }
    if !kind.is_file() {
        return None;
    }
    let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let Some(path) = relative.to_str() else {
        let error = format!("{}: the name is not UTF-8", relative.display());
        found.errors.push(error);
        return None;
    };
    let name = base(path);
    if is_manifest(name) {
        found.manifests.push(path.to_owned());
    }
    // What was packed for browsers imports nothing any more.
    if name.ends_with(".min.js") {
        return None;
    }
    let language = Language::of(name).filter(|language| languages.contains(language))?;
    Some((path.to_owned(), language))
}

/// Whether a file of this name says how others are resolved.
pub(crate) fn is_manifest(name: &str) -> bool {
    MANIFESTS.contains(&name)
}

/// The files that say what is left out: those in the folders of a walk, and those around its root.
pub(crate) fn ignore_files<'a>(root: &'a Path, folders: &'a [PathBuf]) -> impl Iterator<Item = PathBuf> + 'a {
    let around = root.ancestors().skip(1);
    let around = around.flat_map(|folder| IGNORE_FILES.map(|name| folder.join(name)));
    let inside = folders
        .iter()
        .flat_map(|folder| IGNORE_FILES[..2].iter().map(|name| folder.join(name)));
    // Folders tell when one comes into being.
    let inside = inside.filter(|path| path.exists());
    let everywhere = ignore::gitignore::gitconfig_excludes_path();
    let own = root.join(IGNORE_FILES[2]);
    around.chain(inside).chain(everywhere).chain([own])
}

fn left_out(entry: &DirEntry) -> bool {
    if entry.depth() == 0 || !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return false;
    }
    let name = entry.file_name().to_str().unwrap_or_default();
    let has = |file: &str| entry.path().join(file).exists();
    LEFT_OUT.contains(&name)
        || matches!(name, "venv" | "env") && has("pyvenv.cfg")
        || matches!(name, "target") && has("CACHEDIR.TAG")
}

/// The folder as the system names it, links resolved.
pub(crate) fn root(path: &Path) -> std::io::Result<PathBuf> {
    let root = path.canonicalize()?;
    if root.is_dir() {
        return Ok(root);
    }
    Err(std::io::Error::other("it is not a folder"))
}
