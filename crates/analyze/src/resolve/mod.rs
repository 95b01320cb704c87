//! From what files ask for to the files that are meant, as each language does it.

mod go;
mod python;
mod rust;
mod rust_crates;
mod rust_modules;
mod script;
mod standard;
mod virtual_files;

use std::path::Path;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::facts::{Facts, Kind, Language};
use crate::ground::Drafts;

/// Every file of the tree by its path, and every folder that holds one.
pub(crate) struct Files<'a> {
    pub(crate) root: &'a Path,
    pub(crate) paths: Vec<&'a str>,
    pub(crate) languages: Vec<Language>,
    /// Files that say how others are resolved: `package.json`, `Cargo.toml`, `go.mod`, `pyproject.toml`.
    pub(crate) manifests: &'a [String],
    pub(crate) drafts: &'a Drafts<'a>,
    /// Whether anything but drafts counts.
    pub(crate) there: bool,
    index: FxHashMap<&'a str, u32>,
    folders: FxHashSet<&'a str>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(
        root: &'a Path,
        there: bool,
        drafts: &'a Drafts<'a>,
        files: impl Iterator<Item = (&'a str, Language)>,
        manifests: &'a [String],
    ) -> Files<'a> {
        let (paths, languages): (Vec<&str>, Vec<Language>) = files.unzip();
        let index = paths.iter().copied().zip(0..).collect();
        let mut folders = FxHashSet::default();
        for path in &paths {
            let mut folder = parent(path);
            while folders.insert(folder) && !folder.is_empty() {
                folder = parent(folder);
            }
        }
        Files {
            root,
            paths,
            languages,
            manifests,
            drafts,
            there,
            index,
            folders,
        }
    }

    pub(crate) fn file(&self, path: &str) -> Option<u32> {
        self.index.get(path).copied()
    }

    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.folders.contains(path)
    }

    /// The first of these that is a file.
    pub(crate) fn first(&self, paths: impl IntoIterator<Item = String>) -> Option<u32> {
        paths.into_iter().find_map(|path| self.file(&path))
    }

    /// The manifests of this name with their folders, and what they say.
    pub(crate) fn manifests_named(&self, name: &str) -> impl Iterator<Item = (&'a str, String)> {
        let read = |path: &str| match self.drafts.text(path) {
            Some(draft) => Some(draft.to_owned()),
            None => std::fs::read_to_string(self.root.join(path)).ok(),
        };
        let named = self.manifests.iter().filter(move |path| base(path) == name);
        named
            .filter_map(|path| Some((parent(path), read(path)?)))
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// What an import turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    File(u32),
    /// Comes with the language.
    Standard(String),
    /// Comes from elsewhere.
    Package(String),
    /// Ought to be here and is not.
    Missing(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) target: Target,
    pub(crate) kind: Kind,
    pub(crate) line: u32,
}

/// What each file needs, in the order of the files.
pub(crate) fn resolve(files: &Files<'_>, facts: &[Facts]) -> Vec<Vec<Need>> {
    let has = |wanted: &[Language]| files.languages.iter().any(|language| wanted.contains(language));
    let python = has(&[Language::Python]).then(|| python::Python::new(files));
    let script = has(&[Language::JavaScript, Language::TypeScript]).then(|| script::Script::new(files));
    let rust = has(&[Language::Rust]).then(|| rust::Rust::new(files, facts));
    let go = has(&[Language::Go]).then(|| go::Go::new(files, facts));
    let one = |file: usize| {
        let mut needs = Vec::new();
        let from = file as u32;
        for import in &facts[file].imports {
            let mut push = |target: Target| {
                needs.push(Need {
                    target,
                    kind: import.kind,
                    line: import.line,
                });
            };
            match files.languages[file] {
                Language::Python => python
                    .iter()
                    .for_each(|r| r.resolve(from, &import.ask, &mut push)),
                Language::JavaScript | Language::TypeScript => {
                    script
                        .iter()
                        .for_each(|r| r.resolve(from, &import.ask, &mut push));
                }
                Language::Rust => rust.iter().for_each(|r| r.resolve(from, &import.ask, &mut push)),
                Language::Go => go.iter().for_each(|r| r.resolve(from, &import.ask, &mut push)),
                Language::Other => {}
            }
        }
        needs
    };
    (0..facts.len()).into_par_iter().map(one).collect()
}

pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Every folder above a path, the innermost first, the top of the tree last.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(parent(path));
    std::iter::from_fn(move || {
        let folder = next?;
        next = (!folder.is_empty()).then(|| parent(folder));
        Some(folder)
    })
}

pub(crate) fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, base)| base)
}

/// The name without its last extension.
pub(crate) fn stem(path: &str) -> &str {
    let base = base(path);
    base.rsplit_once('.').map_or(base, |(stem, _)| stem)
}

/// `folder` and `path` in one, `.` and `..` worked out; nothing if that leads out of the tree.
pub(crate) fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// `folder/name`, or `name` at the root.
pub(crate) fn under(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_inside_the_tree() {
        assert_eq!(join("a/b", "../c/./d"), Some("a/c/d".into()));
        assert_eq!(join("", "x"), Some("x".into()));
        assert_eq!(join("a", "../.."), None);
        assert_eq!((parent("a/b.c"), base("a/b.c"), stem("a/b.c")), ("a", "b.c", "b"));
    }
}
