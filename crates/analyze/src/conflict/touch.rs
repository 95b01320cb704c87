//! What a task says that it works on.

use std::path::{Component, Path, PathBuf};

use domain::task::lock::Mode;
use domain::task::spec::Spec;
use serde_json::Value;

use crate::plan::FILES;

/// Keys of `inputs` that name files to work on: a path, or a list of paths.
pub const INPUTS: [&str; 5] = ["file", "files", "files_to_generate", "path", "paths"];
/// Places of one task that are looked at.
const PLACES: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// From the top, `/` between its parts; the top itself is empty.
    Path(String),
    /// A lock that is no path.
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) place: Place,
    /// Two that only read do not disturb each other.
    pub(super) writes: bool,
    /// It holds a lock there.
    pub(super) locked: bool,
}

/// Where paths begin, and where the plan's file is.
#[derive(Clone, Debug)]
pub struct Top {
    pub top: PathBuf,
    pub plan: PathBuf,
}

impl Top {
    /// A path as it is seen from `folder`, as one from the top; nothing for what is outside.
    fn path(&self, folder: &Path, path: &str) -> Option<String> {
        let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
        let whole = folder.join(path);
        for part in whole.components() {
            match part {
                Component::ParentDir => {
                    parts.pop()?;
                }
                Component::Normal(part) => parts.push(part),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        let whole: PathBuf = std::iter::once(std::ffi::OsStr::new("/")).chain(parts).collect();
        let inside = whole.strip_prefix(&self.top).ok()?;
        Some(inside.to_str()?.to_owned())
    }
}

/// Each place once, with the strongest of what is said of it.
///
/// Locks say most: a task that has some is taken by its word. `path:` names are paths from the top. Then come
/// files named in `inputs` and `BELL_UNIT_FILES`, and the folder it works in, unless that is the top. Globs of `cache` are
/// read.
pub(super) fn touches(spec: &Spec, top: &Top) -> Vec<Touch> {
    let mut found = Vec::new();
    let folder = top.plan.join(spec.cwd.as_deref().unwrap_or(""));
    let mut note = |place: Option<Place>, writes: bool, locked: bool| {
        let templated = |text: &str| text.contains("{item") || text.contains("{index}");
        match place {
            Some(Place::Path(text) | Place::Name(text)) if templated(&text) => {}
            Some(place) => found.push(Touch {
                place,
                writes,
                locked,
            }),
            None => {}
        }
    };
    for lock in &spec.locks {
        let place = match lock.name.strip_prefix("path:") {
            Some(path) => top.path(&top.top, path).map(Place::Path),
            None => Some(Place::Name(lock.name.clone())),
        };
        note(place, lock.mode == Mode::Exclusive, true);
    }
    let inputs: Value = spec
        .inputs
        .as_ref()
        .and_then(|inputs| serde_json::from_str(inputs.0.get()).ok())
        .unwrap_or_default();
    let named = INPUTS.iter().filter_map(|key| inputs.get(key));
    for path in named.flat_map(paths).take(PLACES) {
        note(top.path(&folder, path).map(Place::Path), true, false);
    }
    let files = spec.env.get(FILES).map(String::as_str).unwrap_or_default();
    for path in files.lines().take(PLACES) {
        note(top.path(&folder, path).map(Place::Path), true, false);
    }
    for glob in spec.cache.iter().flat_map(|cache| &cache.files).take(PLACES) {
        note(
            top.path(&folder, before_wildcards(glob)).map(Place::Path),
            false,
            false,
        );
    }
    if found.iter().all(|touch| !touch.writes) && spec.cwd.is_some() {
        let inside = top.path(&folder, "").filter(|path| !path.is_empty());
        let writes = !inside.as_deref().is_some_and(|path| path.contains("{item"));
        found.extend(inside.filter(|_| writes).map(|path| Touch {
            place: Place::Path(path),
            writes: true,
            locked: false,
        }));
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found.dedup_by(|later, first| {
        let same = later.place == first.place;
        if same {
            first.writes |= later.writes;
            first.locked |= later.locked;
        }
        same
    });
    found
}

fn paths(value: &Value) -> impl Iterator<Item = &str> {
    let one = value.as_str();
    let several = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(several)
}

/// The folder that a pattern looks in, or the file that it means.
fn before_wildcards(glob: &str) -> &str {
    match glob.find(['*', '?', '[', '{']) {
        // `[*]` is how a path with such letters is written: its folder will do.
        Some(at) => glob[..at].rsplit_once('/').map_or("", |(folder, _)| folder),
        None => glob,
    }
}
