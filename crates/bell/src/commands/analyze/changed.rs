//! Which files have changed.

use std::io::Read;
use std::path::{Path, PathBuf};

use analyze::Tree;
use analyze::facts::{FILE_BYTES_MAX, Language};
use domain::code::{Code, Refusal};
use engine::process::ask::ask;

use crate::error::{Result, invalid};

/// Files of the tree that differ from a commit, and those that git does not know yet. For files that are gone stand those that
/// may miss them.
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
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    for name in names.filter(|name| !name.is_empty()) {
        match tree.file(name) {
            Some(file) => changed.push(file),
            None if Language::of(name).is_some() && !tree.root.join(name).exists() => {
                gone.extend(called(name));
            }
            None => {}
        }
    }
    if !gone.is_empty() {
        let files = tree.files.iter().zip(0..);
        let mentions = files.filter(|(file, _)| {
            let mut text = Vec::new();
            let opened = std::fs::File::open(tree.root.join(&file.path));
            let read = opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
            read.is_ok() && mentions(&String::from_utf8_lossy(&text), &gone)
        });
        changed.extend(mentions.map(|(_, at)| at));
    }
    Ok(changed)
}

/// By which word others need a file: its name without the ending, or that of its folder where it stands for it. Go needs folders.
fn called(path: &str) -> Option<String> {
    let path = Path::new(path);
    let stem = path.file_name()?.to_str()?.split('.').next()?;
    let is_folder = matches!(stem, "__init__" | "index" | "mod" | "lib" | "main");
    let is_folder = is_folder || path.extension().is_some_and(|ending| ending == "go");
    let folder = path
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    Some(folder.filter(|_| is_folder).unwrap_or(stem).to_owned())
}

/// Whether a text has one of these words. That it has is no proof that it needs the file; that it has none of them is one that it
/// does not.
fn mentions(text: &str, words: &[String]) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let whole = |word: &str| {
        text.match_indices(word).any(|(at, _)| {
            !text[..at].chars().next_back().is_some_and(is_part)
                && !text[at + word.len()..].chars().next().is_some_and(is_part)
        })
    };
    words.iter().any(|word| whole(word))
}

/// A file as it is typed: from here, or from the top of the tree.
pub(super) fn named(tree: &Tree, file: &Path) -> Result<u32> {
    // A planned file is not there yet.
    let here = file.canonicalize().or_else(|_| std::path::absolute(file));
    let here = here.unwrap_or_else(|_| PathBuf::from(file));
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
