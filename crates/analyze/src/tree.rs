//! A source tree that has been read: its files and which needs which.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use domain::time::Timestamp;
use rayon::ThreadPool;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::cache::{Cache, Key};
use crate::facts::{FILE_BYTES_MAX, Facts, Fault, Kind, Language, Problem};
use crate::glance::{Glance, Seen, Stamp};
use crate::ground::{Drafts, Ground};
use crate::resolve::{Files, Need, Target, base, resolve};
use crate::walk::Found;
use crate::{ground, lang, walk};

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
    /// Files that say how others are resolved, sorted.
    pub manifests: Vec<String>,
    pub planned: Vec<Planned>,
    /// Texts that were parsed, and those whose facts the cache knew.
    pub parsed: usize,
    pub known: usize,
    /// Of the latter, those that were not even read.
    pub spared: usize,
}

#[derive(Clone, Debug)]
pub struct File {
    pub path: String,
    pub language: Language,
    /// Of its content.
    pub digest: [u8; 32],
    pub fault: Option<Fault>,
}

/// Work that will write files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    pub title: String,
    pub description: Option<String>,
    /// At least one, in the order of the task.
    pub files: Vec<u32>,
    /// Of the first file.
    pub draft: Option<String>,
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
    look(&Ground::of(root), options, cache, None)
}

/// Reads what there is and what is planned. With a glance from before, files that have not changed since are not even
/// read; `now` is when the look begins.
pub fn look(
    ground: &Ground<'_>,
    options: &Options,
    cache: &mut Cache,
    glance: Option<(&mut Glance, Timestamp)>,
) -> Result<Tree, Error> {
    let root = walk::root(ground.root).map_err(|source| Error::Root {
        path: ground.root.to_owned(),
        source,
    })?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.max(1))
        .stack_size(lang::STACK_BYTES)
        .build()?;
    let looking = Looking {
        root: &root,
        drafts: ground.drafts(),
        options,
        cache,
        glance: glance.as_ref().map(|(glance, _)| &**glance),
    };
    let (mut found, mut readings) = match ground.there {
        true => looking.readings(&pool),
        false => Default::default(),
    };
    pool.install(|| looking.plan(&mut found, &mut readings));
    if let Some((glance, now)) = glance {
        remember(glance, now, &root, &found, &readings);
    }
    Ok(pool.install(|| put_together(&root, ground, found, readings, cache)))
}

/// What was read of one file.
struct Reading {
    path: String,
    language: Language,
    key: Key,
    digest: [u8; 32],
    facts: Facts,
    how: How,
    /// Of a file that is there, when somebody will look again.
    stamp: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Parsed,
    /// By the cache.
    Known,
    /// The same, and told by a glance.
    Spared,
    /// There is no text yet.
    Planned,
}

fn put_together(
    root: &Path,
    ground: &Ground<'_>,
    found: Found,
    readings: Vec<Reading>,
    cache: &mut Cache,
) -> Tree {
    let count = |how: How| readings.iter().filter(|reading| reading.how == how).count();
    let spared = count(How::Spared);
    let (parsed, known) = (count(How::Parsed), count(How::Known) + spared);
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
    let drafts = ground.drafts();
    let needs = {
        let paths = files.iter().map(|file| (file.path.as_str(), file.language));
        resolve(
            &Files::new(root, ground.there, &drafts, paths, &found.manifests),
            &facts,
        )
    };
    cache.keep(keys.into_iter().zip(&facts));
    let mut notes = found.errors;
    if found.more {
        notes.push(format!("only the first {} files were read", walk::FILES_MAX));
    }
    let mut tree = Tree {
        edges: edges(&needs),
        externals: externals(&files, &needs),
        parsed,
        known,
        spared,
        links: found.links,
        notes,
        manifests: found.manifests,
        planned: Vec::new(),
        files,
        root: root.to_owned(),
    };
    tree.planned = planned(&tree, ground.planned);
    tree
}

/// The planned tasks with the files that the tree has of them; others are of no language that was asked for.
fn planned(tree: &Tree, all: &[domain::plan::Planned]) -> Vec<Planned> {
    let task = |task: &domain::plan::Planned| {
        let files: Vec<u32> = task.files.iter().filter_map(|path| tree.file(path)).collect();
        (!files.is_empty()).then(|| Planned {
            title: task.title.clone(),
            description: task.description.clone(),
            draft: task.code.clone().filter(|_| tree.file(&task.files[0]).is_some()),
            files,
        })
    };
    all.iter().filter_map(task).collect()
}

fn remember(glance: &mut Glance, now: Timestamp, root: &Path, found: &Found, readings: &[Reading]) {
    let seen = |reading: &Reading| {
        let (stamp, key, digest) = (reading.stamp?, reading.key.clone(), reading.digest);
        Some((reading.path.clone(), Seen { stamp, key, digest }))
    };
    let manifests = found.manifests.iter().map(|path| root.join(path));
    let others = found.folders.iter().cloned().chain(manifests);
    let others = others.chain(walk::ignore_files(root, &found.folders));
    glance.keep(now, root, readings.iter().filter_map(seen), others);
}

struct Looking<'a> {
    root: &'a Path,
    drafts: Drafts<'a>,
    options: &'a Options,
    cache: &'a Cache,
    glance: Option<&'a Glance>,
}

impl Looking<'_> {
    /// Files are read while others are still being found. In the order of their paths.
    fn readings(&self, pool: &ThreadPool) -> (Found, Vec<Reading>) {
        let readings = Mutex::new(Vec::new());
        // To find a file takes a fraction of what it takes to read it.
        let walkers = self.options.threads.div_ceil(4);
        let found = pool.in_place_scope(|scope| {
            walk::walk(self.root, &self.options.languages, walkers, |path, language| {
                if self.drafts.text(&path).is_some() {
                    return;
                }
                let readings = &readings;
                scope.spawn(move |_| {
                    let reading = self.reading(path, language);
                    let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
                    readings.push(reading);
                });
            })
        });
        let mut readings = readings.into_inner().unwrap_or_else(PoisonError::into_inner);
        readings.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        (found, readings)
    }

    /// Lays the planned files over what was found. Where there is neither a draft nor a file, nothing is asked for.
    fn plan(&self, found: &mut Found, readings: &mut Vec<Reading>) {
        let is_there = |path: &&str| {
            readings
                .binary_search_by(|reading| reading.path.as_str().cmp(path))
                .is_ok()
        };
        let planned: Vec<&str> = self.drafts.paths().filter(|path| !is_there(path)).collect();
        let planned: Vec<Reading> = planned.into_par_iter().map(|path| self.draft(path)).collect();
        let languages = &self.options.languages;
        // Whoever asks for some languages does not ask for what is of none.
        let all = Language::ALL.iter().all(|language| languages.contains(language));
        readings.extend(planned.into_iter().filter(|reading| match reading.language {
            Language::Other => all,
            language => languages.contains(&language),
        }));
        readings.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let drafted = self.drafts.paths().filter(|path| walk::is_manifest(base(path)));
        let drafted = drafted.filter(|path| self.drafts.text(path).is_some());
        found.manifests.extend(drafted.map(str::to_owned));
        found.manifests.sort();
        found.manifests.dedup();
    }

    fn draft(&self, path: &str) -> Reading {
        let text = self.drafts.text(path);
        let digest = *blake3::hash(text.unwrap_or_default().as_bytes()).as_bytes();
        let named = Language::of(path);
        let key = Key::of(path, &digest);
        let remembered = named.and_then(|language| Some((language, self.cache.facts(&key)?)));
        let how = match (text, &remembered) {
            (None, _) => How::Planned,
            (Some(_), Some(_)) => How::Known,
            (Some(_), None) => How::Parsed,
        };
        let (language, facts) = match (text, remembered) {
            (None, _) => (named.unwrap_or(Language::Other), Facts::default()),
            (Some(_), Some(known)) => known,
            (Some(text), None) => ground::facts(path, text),
        };
        Reading {
            path: path.to_owned(),
            language,
            key,
            digest,
            facts,
            how,
            stamp: None,
        }
    }

    fn reading(&self, path: String, language: Language) -> Reading {
        let place = self.root.join(&path);
        let stamp = self.glance.and_then(|_| Stamp::of(&place));
        if let Some(seen) = self.glance.and_then(|glance| glance.seen(&path, stamp))
            && let Some(facts) = self.cache.facts(&seen.key)
        {
            return Reading {
                path,
                language,
                key: seen.key.clone(),
                digest: seen.digest,
                facts,
                how: How::Spared,
                stamp,
            };
        }
        let reading = match content(&place) {
            Ok(Some(bytes)) => self.parsed(path, language, &bytes),
            Ok(None) => {
                // Its size and name stand for its content: reading it is what the bound is there to avoid.
                let detail = format!("more than {FILE_BYTES_MAX} bytes: not parsed");
                unread(path, language, Problem::Huge, detail)
            }
            Err(error) => unread(path, language, Problem::Unreadable, error.to_string()),
        };
        Reading { stamp, ..reading }
    }

    fn parsed(&self, path: String, language: Language, bytes: &[u8]) -> Reading {
        let digest = *blake3::hash(bytes).as_bytes();
        let key = Key::of(&path, &digest);
        let remembered = self.cache.facts(&key);
        let how = match remembered {
            Some(_) => How::Known,
            None => How::Parsed,
        };
        let facts = remembered.unwrap_or_else(|| lang::facts(language, &path, bytes));
        Reading {
            path,
            language,
            key,
            digest,
            facts,
            how,
            stamp: None,
        }
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
        how: How::Parsed,
        stamp: None,
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
