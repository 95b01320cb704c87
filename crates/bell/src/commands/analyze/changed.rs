//! Which files have changed.

use std::path::{Path, PathBuf};

use analyze::Tree;
use domain::code::{Code, Refusal};
use engine::process::ask::ask;

use crate::error::{Result, invalid};

/// Files of the tree that differ from a commit, and those that git does not know yet. Files that are gone are not
/// in the tree: whoever needed them is, for it had to change or misses them.
pub(super) fn since(tree: &Tree, revision: &str) -> Result<Vec<u32>> {
    if revision.starts_with('-') {
        return Err(invalid(format!("`{revision}` is no commit")).into());
    }
    let told = |args: &[&str]| {
        ask("git", args, &tree.root).map_err(|error| {
            let detail = format!("what has changed since `{revision}` cannot be told: {error}");
            Refusal::new(Code::InvalidArgument, detail)
                .help("name a commit of the repository that the folder is in")
        })
    };
    let mut names = told(&[
        "diff",
        "--name-only",
        "--no-renames",
        "--relative",
        "-z",
        revision,
        "--",
        ".",
    ])?;
    names.extend(told(&["ls-files", "--others", "--exclude-standard", "-z"])?);
    let names = names
        .split(|byte| *byte == 0)
        .filter_map(|name| std::str::from_utf8(name).ok());
    Ok(names.filter_map(|name| tree.file(name)).collect())
}

/// A file as it is typed: from here, or from the top of the tree.
pub(super) fn named(tree: &Tree, file: &Path) -> Result<u32> {
    let here = file.canonicalize().unwrap_or_else(|_| PathBuf::from(file));
    let inside = here.strip_prefix(&tree.root).unwrap_or(file);
    let found = inside.to_str().and_then(|path| tree.file(path));
    found.ok_or_else(|| {
        let name = file.display().to_string();
        let paths = tree.files.iter().map(|file| file.path.as_str());
        let refusal = invalid(format!("`{name}` is no source file of {}", tree.root.display()));
        match domain::code::nearest(&name, paths) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")).into(),
            None => refusal
                .help("`bell analyze --json` lists the files that were read")
                .into(),
        }
    })
}
