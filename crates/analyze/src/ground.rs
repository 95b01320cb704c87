//! What is looked at: the files below a folder, those that are planned laid over them, or those alone.

use std::path::Path;

use domain::plan::Planned;
use rustc_hash::FxHashMap;

use crate::facts::{Facts, Language};
use crate::lang;

#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    pub root: &'a Path,
    /// Whether what is there counts.
    pub there: bool,
    pub planned: &'a [Planned],
}

impl<'a> Ground<'a> {
    pub fn of(root: &'a Path) -> Ground<'a> {
        Ground {
            root,
            there: true,
            planned: &[],
        }
    }

    pub(crate) fn drafts(&self) -> Drafts<'a> {
        let mut all = FxHashMap::default();
        for task in self.planned {
            let code = task.code.as_deref();
            let texts = std::iter::once(code).chain(std::iter::repeat(None));
            all.extend(task.files.iter().map(String::as_str).zip(texts));
        }
        Drafts(all)
    }
}

/// Every planned file, with its draft where there is one.
#[derive(Debug, Default)]
pub(crate) struct Drafts<'a>(FxHashMap<&'a str, Option<&'a str>>);

impl<'a> Drafts<'a> {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied()
    }

    /// The draft, which counts instead of what is there.
    pub(crate) fn text(&self, path: &str) -> Option<&'a str> {
        self.0.get(path).copied().flatten()
    }
}

/// What a draft says, on a thread with a stack of [`lang::STACK_BYTES`]. One whose name tells no language is read as Python, and what
/// is no Python then asks for nothing.
pub(crate) fn facts(path: &str, text: &str) -> (Language, Facts) {
    if let Some(language) = Language::of(path) {
        return (language, lang::facts(language, path, text.as_bytes()));
    }
    let facts = lang::facts(Language::Python, path, text.as_bytes());
    match facts.fault.is_none() && !facts.imports.is_empty() {
        true => (Language::Python, facts),
        false => (Language::Other, Facts::default()),
    }
}
