//! Rust: crates by `Cargo.toml`, their modules from each root file along `mod`. A path means the file of the
//! deepest module it names; re-exports are not followed.

use rustc_hash::{FxHashMap, FxHashSet};

use super::rust_crates::{Crate, crates};
use super::{Files, Target, base, join, parent, standard, stem, under};
use crate::facts::{Ask, Facts};

pub(super) struct Rust<'a> {
    files: &'a Files<'a>,
    crates: Vec<Crate>,
    /// For each crate its modules by path, `""` being the root.
    modules: Vec<FxHashMap<String, u32>>,
    /// The crate and module that a file is; of several the first.
    places: FxHashMap<u32, (usize, String)>,
    /// The crates that are libraries, by the name they are used under.
    libraries: FxHashMap<String, usize>,
}

impl<'a> Rust<'a> {
    pub(super) fn new(files: &'a Files<'a>, facts: &'a [Facts]) -> Rust<'a> {
        let crates = crates(files);
        let mut rust = Rust {
            files,
            modules: vec![FxHashMap::default(); crates.len()],
            places: FxHashMap::default(),
            libraries: FxHashMap::default(),
            crates,
        };
        for at in 0..rust.crates.len() {
            if rust.crates[at].library {
                rust.libraries.entry(rust.crates[at].name.clone()).or_insert(at);
            }
            rust.enter(at, facts);
        }
        rust
    }

    /// Follows `mod` from a crate's root. Each file is entered once per crate, so that circles end.
    fn enter(&mut self, at: usize, facts: &[Facts]) {
        let root = self.crates[at].root;
        let mut open = vec![(root, String::new())];
        let mut seen: FxHashSet<u32> = FxHashSet::default();
        while let Some((file, module)) = open.pop() {
            self.modules[at].entry(module.clone()).or_insert(file);
            self.places.entry(file).or_insert_with(|| (at, module.clone()));
            if !seen.insert(file) {
                continue;
            }
            for import in &facts[file as usize].imports {
                match &import.ask {
                    Ask::Inline { inside, name } => {
                        let inline = path(&module, inside, name);
                        self.modules[at].entry(inline).or_insert(file);
                    }
                    Ask::Mod { inside, name, .. } => {
                        if let Some(child) = self.child(file, file == root, &import.ask) {
                            open.push((child, path(&module, inside, name)));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The file of `mod name;`.
    fn child(&self, file: u32, root: bool, ask: &Ask) -> Option<u32> {
        let Ask::Mod { inside, name, path } = ask else {
            return None;
        };
        let own = self.files.paths[file as usize];
        let folder = parent(own);
        let inner = inside.join("/");
        let flat = root || base(own) == "mod.rs";
        let folder = match (flat, path.is_some() && inside.is_empty()) {
            (true, _) | (_, true) => join(folder, &inner)?,
            (false, false) => join(&under(folder, stem(own)), &inner)?,
        };
        if let Some(path) = path {
            return self.files.file(&join(&folder, path)?);
        }
        let flat = under(&folder, &format!("{name}.rs"));
        self.files
            .first([flat, under(&folder, &format!("{name}/mod.rs"))])
    }

    pub(super) fn resolve(&self, from: u32, ask: &Ask, push: &mut impl FnMut(Target)) {
        match ask {
            Ask::Mod { name, .. } => {
                let place = self.places.get(&from);
                let root = place.is_some_and(|(at, _)| self.crates[*at].root == from);
                match self.child(from, root, ask) {
                    Some(file) => push(Target::File(file)),
                    None if place.is_some() => push(Target::Missing(format!("mod {name}"))),
                    None => {}
                }
            }
            Ask::Path {
                inside,
                segments,
                used,
            } => {
                if let Some(target) = self.path(from, inside, segments, *used) {
                    push(target);
                }
            }
            _ => {}
        }
    }

    fn path(&self, from: u32, inside: &[String], segments: &[String], used: bool) -> Option<Target> {
        let first = segments.first()?.as_str();
        let (at, module) = self.places.get(&from)?;
        let here: Vec<&str> = module
            .split("::")
            .filter(|part| !part.is_empty())
            .chain(inside.iter().map(String::as_str))
            .collect();
        let (at, mut place, rest) = match first {
            "crate" | "$crate" => (*at, Vec::new(), &segments[1..]),
            "self" => (*at, here, &segments[1..]),
            "super" => {
                let up = segments.iter().take_while(|segment| *segment == "super").count();
                let place = here[..here.len().checked_sub(up)?].to_vec();
                (*at, place, &segments[up..])
            }
            _ if self.modules[*at].contains_key(&[&here[..], &[first]].concat().join("::")) => {
                (*at, here, segments)
            }
            _ => {
                let renamed = self.crates[*at].renamed.get(first).map_or(first, String::as_str);
                match self.libraries.get(renamed) {
                    Some(library) => (*library, Vec::new(), &segments[1..]),
                    None if !used => return None,
                    None if standard::RUST.contains(&first) => {
                        return Some(Target::Standard(first.to_owned()));
                    }
                    None if self.crates[*at].depends.contains(first) => {
                        return Some(Target::Package(first.to_owned()));
                    }
                    None => return None,
                }
            }
        };
        let modules = &self.modules[at];
        let mut found = *modules.get(&place.join("::"))?;
        for segment in rest {
            place.push(segment);
            match modules.get(&place.join("::")) {
                Some(file) => found = *file,
                None => break,
            }
        }
        Some(Target::File(found))
    }
}

fn path(module: &str, inside: &[String], name: &str) -> String {
    let parts = [module].into_iter().filter(|part| !part.is_empty());
    let parts = parts.chain(inside.iter().map(String::as_str)).chain([name]);
    parts.collect::<Vec<_>>().join("::")
}
