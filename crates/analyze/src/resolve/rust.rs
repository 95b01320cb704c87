//! Rust: crates by `Cargo.toml`, their modules from each root file along `mod`. A path means the file that declares
//! what it names: `use` is followed, re-exports and globs too.

use rustc_hash::{FxHashMap, FxHashSet};

use super::rust_crates::{Crate, crates};
use super::rust_modules::{Meaning, Modules};
use super::{Files, Target, base, join, parent, standard, stem, under};
use crate::facts::{Ask, Facts};

pub(super) struct Rust<'a> {
    files: &'a Files<'a>,
    modules: Modules<'a>,
    /// The module that a file is; of several the first.
    places: FxHashMap<u32, u32>,
    /// Files that are roots: their modules are beside them.
    roots: FxHashSet<u32>,
}

impl<'a> Rust<'a> {
    pub(super) fn new(files: &'a Files<'a>, facts: &'a [Facts]) -> Rust<'a> {
        let crates = crates(files);
        let mut rust = Rust {
            files,
            places: FxHashMap::default(),
            roots: crates.iter().map(|one| one.root).collect(),
            modules: Modules::default(),
        };
        for one in &crates {
            rust.enter(one, facts);
        }
        rust.modules.name(crates);
        rust
    }

    /// Follows `mod` from a crate's root. Each file is entered once per crate, so that circles end.
    fn enter(&mut self, one: &Crate, facts: &'a [Facts]) {
        let top = self.modules.root(one.root);
        let mut open = vec![(one.root, top)];
        let mut seen: FxHashSet<u32> = FxHashSet::default();
        while let Some((file, module)) = open.pop() {
            self.places.entry(file).or_insert(module);
            if !seen.insert(file) {
                continue;
            }
            for name in &facts[file as usize].declares {
                self.modules.declare(top, module, name, file);
            }
            for import in &facts[file as usize].imports {
                match &import.ask {
                    Ask::Inline { inside, name } => {
                        let around = self.modules.inside(module, inside);
                        self.modules.child(around, name, file);
                    }
                    Ask::Mod { inside, name, .. } => {
                        for child in self.children(file, file == one.root, &import.ask) {
                            let around = self.modules.inside(module, inside);
                            open.push((child, self.modules.child(around, name, child)));
                        }
                    }
                    Ask::Include { inside, .. } => {
                        for included in self.children(file, false, &import.ask) {
                            open.push((included, self.modules.inside(module, inside)));
                        }
                    }
                    Ask::Path {
                        inside,
                        segments,
                        brings: Some(name),
                    } => {
                        let around = self.modules.inside(module, inside);
                        self.modules.bring(around, name, segments);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The files of `mod name;`, several under conditions, or of an `include!`.
    fn children(&self, file: u32, root: bool, ask: &Ask) -> Vec<u32> {
        let own = self.files.paths[file as usize];
        let folder = parent(own);
        let at = |folder: &str, path: &str| self.files.file(&join(folder, path)?);
        let (inside, name, paths) = match ask {
            Ask::Mod { inside, name, paths } => (inside, name, paths),
            Ask::Include { path, .. } => return at(folder, path).into_iter().collect(),
            _ => return Vec::new(),
        };
        let inner = inside.join("/");
        let flat = root || base(own) == "mod.rs";
        let beside = |named: bool| match flat || named && inside.is_empty() {
            true => join(folder, &inner),
            false => join(&under(folder, stem(own)), &inner),
        };
        let usual = || {
            let folder = beside(false)?;
            at(&folder, &format!("{name}.rs")).or_else(|| at(&folder, &format!("{name}/mod.rs")))
        };
        if paths.is_empty() {
            return usual().into_iter().collect();
        }
        let said = |path: &String| match path.as_str() {
            "" => usual(),
            path => at(&beside(true)?, path),
        };
        paths.iter().filter_map(said).collect()
    }

    pub(super) fn resolve(&self, from: u32, ask: &Ask, push: &mut impl FnMut(Target)) {
        let place = self.places.get(&from);
        match ask {
            Ask::Mod { .. } | Ask::Include { .. } => {
                let children = self.children(from, self.roots.contains(&from), ask);
                if children.is_empty()
                    && place.is_some()
                    && let Ask::Mod { name, .. } = ask
                {
                    push(Target::Missing(format!("mod {name}")));
                }
                children.into_iter().for_each(|file| push(Target::File(file)));
            }
            Ask::Path {
                inside,
                segments,
                brings,
            } => {
                let Some(place) = place else { return };
                let here = self.modules.inside(*place, inside);
                match self.modules.meaning(here, segments) {
                    Some(Meaning::Module(module)) => push(Target::File(self.modules.file(module))),
                    Some(Meaning::Item(file)) => push(Target::File(file)),
                    None if brings.is_some() => self.outside(here, &segments[0]).into_iter().for_each(push),
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn outside(&self, here: u32, first: &str) -> Option<Target> {
        if standard::RUST.contains(&first) {
            return Some(Target::Standard(first.to_owned()));
        }
        let depends = &self.modules.krate(here).depends;
        depends.contains(first).then(|| Target::Package(first.to_owned()))
    }
}
