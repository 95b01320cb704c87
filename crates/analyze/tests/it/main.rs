//! Small trees on disk, read as a whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conflicts;
mod glances;
mod go;
mod hostile;
mod orders;
mod planned;
mod plans;
mod python;
mod rust;
mod script;

use std::fs;
use std::path::Path;

use analyze::cache::Cache;
use analyze::facts::Language;
use analyze::tree::Origin;
use analyze::{Options, Tree, analyse};
use tempfile::TempDir;

pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(temp.path(), path, text);
    }
    temp
}

pub(crate) fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

pub(crate) fn read(root: &Path, cache: &mut Cache) -> Tree {
    let options = Options {
        languages: Language::ALL.to_vec(),
        threads: 2,
    };
    analyse(root, &options, cache).unwrap()
}

pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    read(folder(files).path(), &mut Cache::none())
}

/// `a -> b`, with the kind where it is not the strongest.
pub(crate) fn edges(tree: &Tree) -> Vec<String> {
    let name = |file: u32| tree.files[file as usize].path.as_str();
    let show = |edge: &analyze::tree::Edge| {
        let kind = format!("{:?}", edge.kind).to_lowercase();
        let kind = if kind == "load" {
            String::new()
        } else {
            format!(" ({kind})")
        };
        format!("{} -> {}{kind}", name(edge.from), name(edge.to))
    };
    tree.edges.iter().map(show).collect()
}

pub(crate) fn outside(tree: &Tree, origin: Origin) -> Vec<&str> {
    let all = tree.externals.iter().filter(|external| external.origin == origin);
    all.map(|external| external.name.as_str()).collect()
}
