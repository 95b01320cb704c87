//! Python: packages, namespace packages, relative imports, `src` layouts.
//!
//! An absolute import is looked for from roots: folders that stand on `sys.path` when the project runs. Those
//! are the folder above each file's outermost package, the top of the tree, and every folder with a project
//! file, with its `src`. Of several the nearest to the importing file wins.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Files, Target, ancestors, base, join, parent, standard, under};
use crate::facts::{Ask, Language};

pub(super) struct Python<'a> {
    files: &'a Files<'a>,
    /// For each name that can stand first in an import: the roots that have it.
    tops: FxHashMap<&'a str, Vec<&'a str>>,
    /// The names of the packages that the top of the tree is in, the outermost first: `django`, `db` for `django/db`.
    around: Vec<String>,
}

const INITS: [&str; 2] = ["__init__.py", "__init__.pyi"];
const PROJECT_FILES: [&str; 3] = ["pyproject.toml", "setup.py", "setup.cfg"];

impl<'a> Python<'a> {
    pub(super) fn new(files: &'a Files<'a>) -> Python<'a> {
        let python = || {
            let all = files.paths.iter().zip(&files.languages);
            all.filter(|(_, language)| **language == Language::Python)
                .map(|(path, _)| *path)
        };
        let mut roots: FxHashSet<&str> = FxHashSet::from_iter(["", "src"]);
        roots.extend(
            python()
                .filter(|path| is_init(path))
                .map(|path| above(files, parent(path))),
        );
        let projects = files.manifests.iter().map(String::as_str).chain(python());
        let projects: Vec<&str> = projects
            .filter(|path| PROJECT_FILES.contains(&base(path)))
            .map(parent)
            .collect();
        let sources: Vec<String> = projects.iter().map(|project| under(project, "src")).collect();
        let sources = python()
            .flat_map(ancestors)
            .filter(|folder| sources.iter().any(|source| source == folder));
        roots.extend(sources.collect::<FxHashSet<_>>());
        roots.extend(projects);

        let around = if files.there {
            around(files.root)
        } else {
            Vec::new()
        };
        if !around.is_empty() {
            // Nobody imports from inside a package: its names are those of its parts.
            roots.remove("");
        }

        let mut tops: FxHashMap<&str, Vec<&str>> = FxHashMap::default();
        let mut seen: FxHashSet<(&str, &str)> = FxHashSet::default();
        for path in python() {
            for folder in ancestors(path).filter(|folder| roots.contains(folder)) {
                let inside = &path[if folder.is_empty() { 0 } else { folder.len() + 1 }..];
                let top = inside.split('/').next().unwrap_or_default();
                let top = top.split('.').next().unwrap_or_default();
                if seen.insert((folder, top)) {
                    tops.entry(top).or_default().push(folder);
                }
            }
        }
        Python { files, tops, around }
    }

    pub(super) fn resolve(&self, from: u32, ask: &Ask, push: &mut impl FnMut(Target)) {
        let Ask::Python { level, module, names } = ask else {
            return;
        };
        let path = self.files.paths[from as usize];
        let parts: Vec<&str> = module.split('.').filter(|part| !part.is_empty()).collect();
        let place = match level {
            0 => self.absolute(path, &parts),
            level => self.relative(path, *level, &parts),
        };
        let shown = || format!("{}{module}", ".".repeat(*level as usize));
        let Some(place) = place else {
            let top = parts.first().copied().unwrap_or_default();
            return push(match level {
                0 if is_standard(top) => Target::Standard(top.to_owned()),
                0 => Target::Package(top.to_owned()),
                _ => Target::Missing(shown()),
            });
        };
        if names.is_empty() {
            return place.file.into_iter().for_each(|file| push(Target::File(file)));
        }
        for name in names {
            let inner = place
                .folder
                .as_ref()
                .and_then(|folder| self.module(&under(folder, name)));
            match inner.and_then(|inner| inner.file).or(place.file) {
                Some(file) => push(Target::File(file)),
                None if inner_exists(self.files, &place, name) => {}
                None => push(Target::Missing(format!("{}.{name}", shown()))),
            }
        }
    }

    fn relative(&self, path: &str, level: u32, parts: &[&str]) -> Option<Place> {
        let up = "../".repeat(level as usize - 1);
        let folder = join(parent(path), &up)?;
        if parts.is_empty() {
            return Some(Place {
                file: self.init(&folder),
                folder: Some(folder),
            });
        }
        self.module(&under(&folder, &parts.join("/")))
    }

    /// The whole path under the nearest root that has it, or the longest beginning that is a file: the rest is
    /// an attribute, or built elsewhere.
    fn absolute(&self, path: &str, parts: &[&str]) -> Option<Place> {
        let top = *parts.first()?;
        if let Some(inside) = self.inside(parts) {
            return inside;
        }
        let standard = is_standard(top);
        let own = above(self.files, parent(path));
        let mut roots: Vec<&str> = self.tops.get(top).map_or(&[][..], Vec::as_slice).to_vec();
        roots.retain(|root| !standard || within(path, root));
        roots.sort_by_key(|root| {
            (
                *root != own,
                !within(path, root),
                shared(path, root),
                root.len(),
                *root,
            )
        });
        if !standard && !roots.contains(&own) && (!own.is_empty() || self.around.is_empty()) {
            roots.insert(0, own);
        }
        let whole = parts.join("/");
        if let Some(place) = roots.iter().find_map(|root| self.module(&under(root, &whole))) {
            return Some(place);
        }
        let shorter = (1..parts.len()).rev().map(|len| parts[..len].join("/"));
        { shorter }.find_map(|beginning| {
            let places = roots
                .iter()
                .filter_map(|root| self.module(&under(root, &beginning)));
            let file = { places }.find_map(|place| place.file)?;
            // Names are not looked for below: the folder that was asked for is not there.
            Some(Place {
                file: Some(file),
                folder: None,
            })
        })
    }

    /// What a name means that begins with the packages around the tree; it may be outside all the same.
    fn inside(&self, parts: &[&str]) -> Option<Option<Place>> {
        self.around.first().filter(|outermost| parts[0] == *outermost)?;
        let same = self.around.iter().zip(parts).take_while(|(a, b)| a == b).count();
        if same < self.around.len() {
            return Some(None);
        }
        let whole = (same..=parts.len())
            .rev()
            .map(|end| (end, parts[same..end].join("/")));
        let mut places = whole.filter_map(|(end, path)| Some((end, self.module(&path)?)));
        let place = places.find(|(end, place)| *end == parts.len() || place.file.is_some());
        Some(place.map(|(end, place)| Place {
            file: place.file,
            folder: place.folder.filter(|_| end == parts.len()),
        }))
    }

    /// What a path without extension is: a package, a module, or a namespace.
    fn module(&self, path: &str) -> Option<Place> {
        if path.is_empty() {
            return Some(Place {
                file: self.init(path),
                folder: Some(String::new()),
            });
        }
        let folder = || self.files.is_folder(path).then(|| path.to_owned());
        if let Some(file) = self.init(path) {
            return Some(Place {
                file: Some(file),
                folder: folder(),
            });
        }
        let module = self.files.first([format!("{path}.py"), format!("{path}.pyi")]);
        match (module, folder()) {
            (None, None) => None,
            (file, folder) => Some(Place { file, folder }),
        }
    }

    fn init(&self, folder: &str) -> Option<u32> {
        self.files
            .first([under(folder, "__init__.py"), under(folder, "__init__.pyi")])
    }
}

/// A module as a file, as a folder, or both.
struct Place {
    file: Option<u32>,
    folder: Option<String>,
}

fn inner_exists(files: &Files<'_>, place: &Place, name: &str) -> bool {
    name == "*"
        || place
            .folder
            .as_ref()
            .is_some_and(|folder| files.is_folder(&under(folder, name)))
}

fn around(root: &Path) -> Vec<String> {
    let package = |folder: &&Path| INITS.iter().any(|init| folder.join(init).is_file());
    let packages = root.ancestors().take_while(package);
    let mut names: Vec<String> = packages
        .filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()))
        .collect();
    names.reverse();
    names
}

fn is_init(path: &str) -> bool {
    INITS.contains(&base(path))
}

fn is_standard(top: &str) -> bool {
    top.starts_with('_') && top != "__main__" && standard::PYTHON.binary_search(&&top[1..]).is_ok()
        || standard::PYTHON.binary_search(&top).is_ok()
}

/// The folder above the outermost package around `folder`; itself, if it is no package.
fn above<'a>(files: &Files<'_>, mut folder: &'a str) -> &'a str {
    let package = |folder: &str| {
        let init = [under(folder, "__init__.py"), under(folder, "__init__.pyi")];
        !folder.is_empty() && files.first(init).is_some()
    };
    while package(folder) {
        folder = parent(folder);
    }
    folder
}

fn within(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Orders folders by how many of their first parts `path` has too, most first.
fn shared(path: &str, folder: &str) -> std::cmp::Reverse<usize> {
    let same = path.split('/').zip(folder.split('/')).take_while(|(a, b)| a == b);
    std::cmp::Reverse(same.count())
}
