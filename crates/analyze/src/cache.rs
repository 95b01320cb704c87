//! What was read of files, kept by their content: a second look at an unchanged tree parses nothing.
//!
//! One file of lines, `key facts`. A line that cannot be used is a file that is parsed again, no more.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use crate::facts::Facts;
use crate::lang::VERSION;

/// Content, and the ending of the name, which decides how it is parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn of(path: &str, digest: &[u8; 32]) -> Key {
        let name = crate::resolve::base(path);
        let (_, ending) = name.split_once('.').unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&VERSION.to_le_bytes())
            .update(digest)
            .update(ending.as_bytes());
        Key(hasher.finalize().to_hex().to_string())
    }
}

#[derive(Debug, Default)]
pub struct Cache {
    place: Place,
    text: String,
    /// Where the facts of each key stand in the text.
    lines: FxHashMap<String, (usize, usize)>,
    fresh: Option<Vec<u8>>,
}

/// Where facts are kept.
#[derive(Clone, Debug, Default)]
enum Place {
    #[default]
    Nowhere,
    Memory,
    File(PathBuf),
}

impl Cache {
    /// Remembers nothing.
    pub fn none() -> Cache {
        Cache::default()
    }

    /// Remembers from one look to the next, and leaves nothing behind.
    pub fn in_memory() -> Cache {
        Cache::of(Place::Memory, String::new())
    }

    /// Opens what an earlier look left; a file that is not there, or is broken, is an empty one.
    pub fn open(place: &Path) -> Cache {
        let text = std::fs::read_to_string(place).unwrap_or_default();
        Cache::of(Place::File(place.to_owned()), text)
    }

    pub fn is_none(&self) -> bool {
        matches!(self.place, Place::Nowhere)
    }

    fn of(place: Place, text: String) -> Cache {
        let mut lines = FxHashMap::default();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if let Some((key, facts)) = line.split_once(' ') {
                let start = at + key.len() + 1;
                lines.insert(key.to_owned(), (start, start + facts.trim_end().len()));
            }
            at += line.len();
        }
        Cache {
            place,
            text,
            lines,
            fresh: None,
        }
    }

    pub(crate) fn facts(&self, key: &Key) -> Option<Facts> {
        let (start, end) = *self.lines.get(&key.0)?;
        serde_json::from_str(&self.text[start..end]).ok()
    }

    /// What the next look shall know: these and no others, so that the file does not grow.
    pub(crate) fn keep<'a>(&mut self, all: impl Iterator<Item = (Key, &'a Facts)>) {
        if self.is_none() {
            return;
        }
        let mut entries: Vec<(Key, &Facts)> = all.collect();
        entries.sort_by(|a, b| a.0.0.cmp(&b.0.0));
        entries.dedup_by(|a, b| a.0 == b.0);
        if entries.len() == self.lines.len() && entries.iter().all(|(key, _)| self.lines.contains_key(&key.0))
        {
            return;
        }
        let mut fresh = Vec::new();
        for (key, facts) in entries {
            fresh.extend_from_slice(key.0.as_bytes());
            fresh.push(b' ');
            if serde_json::to_writer(&mut fresh, facts).is_ok() {
                fresh.push(b'\n');
            }
        }
        self.fresh = Some(fresh);
    }

    /// Writes it beside its place and moves it there: a reader sees the old or the new one.
    pub fn save(&mut self) -> io::Result<()> {
        let Some(fresh) = self.fresh.take() else {
            return Ok(());
        };
        let place = match &self.place {
            Place::Nowhere => return Ok(()),
            Place::Memory => {
                let text = String::from_utf8(fresh).map_err(io::Error::other)?;
                *self = Cache::of(Place::Memory, text);
                return Ok(());
            }
            Place::File(place) => place,
        };
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = place.with_extension(format!("{}.part", std::process::id()));
        let mut file = BufWriter::new(std::fs::File::create(&beside)?);
        file.write_all(&fresh)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        std::fs::rename(&beside, place)?;
        *self = Cache::open(&place.clone());
        Ok(())
    }
}
