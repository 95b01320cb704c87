//! A source tree that has been read: its files and which needs which.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::ThreadPool;
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::cache::{Cache, Key};
use crate::facts::{FILE_BYTES_MAX, Facts, Fault, Kind, Language, Problem};
use crate::resolve::{Files, Need, Target, resolve};
use crate::walk::Found;
use crate::{lang, walk};

#[derive(Clone, Debug)]
pub struct Options {
    pub languages: Vec<Language>,
    /// How many files are parsed at once.
    pub threads: usize,
}

/// Files are numbered in the order of their paths.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub root: PathBuf,
    pub files: Vec<File>,
    /// One for each pair of files, by importer, then imported.
    pub edges: Vec<Edge>,
    pub externals: Vec<External>,
    pub links: usize,
    /// What could not be read besides files, and whether there was too much.
    pub notes: Vec<String>,
    /// Files that were parsed, and those whose facts the cache knew.
    pub parsed: usize,
    pub known: usize,
}

#[derive(Clone, Debug)]
pub struct File {
    pub path: String,
    pub language: Language,
    /// Of its content.
    pub digest: [u8; 32],
    pub fault: Option<Fault>,
}

/// `from` needs `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: u32,
    pub to: u32,
    /// The most binding of all imports between the two, and where it stands.
    pub kind: Kind,
    pub line: u32,
    /// `to` is a module that belongs to `from`, whatever else is between them.
    pub part: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Ought to be in this tree and is not: a mistake, or made by a build.
    Missing,
    Package,
    Standard,
}

/// What is needed from outside the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    pub name: String,
    pub origin: Origin,
    pub language: Language,
    /// How many files need it, and where it is needed first.
    pub files: usize,
    pub first: (u32, u32),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} cannot be analysed: {source}", path = path.display())]
    Root { path: PathBuf, source: io::Error },
    #[error("no threads can be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Reads the tree below a folder. Files that the cache knows by their content are not parsed.
pub fn analyse(root: &Path, options: &Options, cache: &mut Cache) -> Result<Tree, Error> {
    let root = walk::root(root).map_err(|source| Error::Root {
        path: root.to_owned(),
        source,
    })?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.max(1))
        .stack_size(lang::STACK_BYTES)
        .build()?;
    let (found, readings) = readings(&pool, &root, options, cache);
    Ok(pool.install(|| put_together(root, found, readings, cache)))
}

/// What was read of one file.
struct Reading {
    path: String,
    language: Language,
    key: Key,
    digest: [u8; 32],
    facts: Facts,
    known: bool,
}

fn put_together(root: PathBuf, found: Found, readings: Vec<Reading>, cache: &mut Cache) -> Tree {
    let known = readings.iter().filter(|reading| reading.known).count();
    let parsed = readings.len() - known;
    let (mut files, mut facts, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for reading in readings {
        files.push(File {
            path: reading.path,
            language: reading.language,
            digest: reading.digest,
            fault: reading.facts.fault.clone(),
        });
        facts.push(reading.facts);
        keys.push(reading.key);
    }
    let needs = {
        let paths = files.iter().map(|file| (file.path.as_str(), file.language));
        resolve(&Files::new(&root, paths, &found.manifests), &facts)
    };
    cache.keep(keys.into_iter().zip(&facts));
    let mut notes = found.errors;
    if found.more {
        notes.push(format!("only the first {} files were read", walk::FILES_MAX));
    }
    Tree {
        edges: edges(&needs),
        externals: externals(&files, &needs),
        parsed,
        known,
        links: found.links,
        notes,
        files,
        root,
    }
}

/// Files are read while others are still being found. In the order of their paths.
fn readings(pool: &ThreadPool, root: &Path, options: &Options, cache: &Cache) -> (Found, Vec<Reading>) {
    let readings = Mutex::new(Vec::new());
    // To find a file takes a fraction of what it takes to read it.
    let walkers = options.threads.div_ceil(4);
    let found = pool.in_place_scope(|scope| {
        walk::walk(root, &options.languages, walkers, |path, language| {
            let readings = &readings;
            scope.spawn(move |_| {
                let reading = reading(root, path, language, cache);
                let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
                readings.push(reading);
            });
        })
    });
    let mut readings = readings.into_inner().unwrap_or_else(PoisonError::into_inner);
    readings.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    (found, readings)
}

fn reading(root: &Path, path: String, language: Language, cache: &Cache) -> Reading {
    let bytes = match content(&root.join(&path)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            // Its size and name stand for its content: reading it is what the bound is there to avoid.
            let detail = format!("more than {FILE_BYTES_MAX} bytes: not parsed");
            return unread(path, language, Problem::Huge, detail);
        }
        Err(error) => return unread(path, language, Problem::Unreadable, error.to_string()),
    };
    let digest = *blake3::hash(&bytes).as_bytes();
    let key = Key::of(&path, &digest);
    let remembered = cache.facts(&key);
    let known = remembered.is_some();
    let facts = remembered.unwrap_or_else(|| lang::facts(language, &path, &bytes));
    Reading {
        path,
        language,
        key,
        digest,
        facts,
        known,
    }
}

/// Nothing of a file that is too large.
fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length > FILE_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= FILE_BYTES_MAX).then_some(bytes))
}

fn unread(path: String, language: Language, problem: Problem, detail: String) -> Reading {
    let digest = *blake3::hash(detail.as_bytes()).as_bytes();
    Reading {
        key: Key::of(&path, &digest),
        path,
        language,
        digest,
        facts: lang::unread(problem, detail),
        known: false,
    }
}

fn edges(needs: &[Vec<Need>]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (from, needs) in needs.iter().enumerate() {
        let from = from as u32;
        let to_files = needs.iter().filter_map(|need| match need.target {
            Target::File(to) if to != from => Some((to, need.kind, need.line)),
            _ => None,
        });
        let mut mine: Vec<(u32, Kind, u32)> = to_files.collect();
        mine.sort_by_key(|(to, kind, line)| (*to, std::cmp::Reverse(*kind), *line));
        edges.extend(mine.chunk_by(|a, b| a.0 == b.0).map(|same| {
            let (to, kind, line) = same[0];
            Edge {
                from,
                to,
                kind,
                line,
                // The weakest is last.
                part: same.last().is_some_and(|last| last.1 == Kind::Part),
            }
        }));
    }
    edges
}

fn externals(files: &[File], needs: &[Vec<Need>]) -> Vec<External> {
    let mut all: FxHashMap<(Origin, &str, Language), External> = FxHashMap::default();
    let mut last: FxHashMap<(Origin, &str, Language), u32> = FxHashMap::default();
    for (from, needs) in (0..).zip(needs) {
        let language = files[from as usize].language;
        for need in needs {
            let (origin, name) = match &need.target {
                Target::File(_) => continue,
                Target::Standard(name) => (Origin::Standard, name),
                Target::Package(name) => (Origin::Package, name),
                Target::Missing(name) => (Origin::Missing, name),
            };
            let key = (origin, name.as_str(), language);
            let external = all.entry(key).or_insert_with(|| External {
                name: name.clone(),
                origin,
                language,
                files: 0,
                first: (from, need.line),
            });
            external.files += usize::from(last.insert(key, from) != Some(from));
        }
    }
    let mut all: Vec<External> = all.into_values().collect();
    all.sort_by(|a, b| (a.origin, a.language, &a.name).cmp(&(b.origin, b.language, &b.name)));
    all
}
