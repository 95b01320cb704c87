//! The modules of all crates, and what names mean in them.

use rustc_hash::FxHashMap;

use super::rust_crates::Crate;

#[derive(Default)]
pub(super) struct Modules<'a> {
    all: Vec<Module<'a>>,
    /// Parallel to the crates' numbers in [`Module`].
    crates: Vec<Crate>,
    roots: Vec<u32>,
    /// The crates that are libraries, by the name they are used under.
    libraries: FxHashMap<String, u32>,
}

struct Module<'a> {
    /// Where its items stand.
    file: u32,
    parent: Option<u32>,
    /// The number of its crate.
    krate: u32,
    children: FxHashMap<&'a str, u32>,
    /// The file of each item: an exported macro is declared in the root and stands elsewhere.
    declares: FxHashMap<&'a str, u32>,
    /// What `use` brings in, by the name it has here. Several may share one, under conditions.
    brings: FxHashMap<&'a str, Vec<&'a [String]>>,
    globs: Vec<&'a [String]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Module(u32),
    /// Something in this file.
    Item(u32),
}

/// Where a search has been: names that stand for each other in a circle mean nothing.
type Been<'n> = Vec<(u32, &'n str)>;

/// Steps of one search.
const STEPS_MAX: usize = 200;

impl<'a> Modules<'a> {
    /// The top of the next crate.
    pub(super) fn root(&mut self, file: u32) -> u32 {
        let root = self.module(file, None, self.roots.len() as u32);
        self.roots.push(root);
        root
    }

    fn module(&mut self, file: u32, parent: Option<u32>, krate: u32) -> u32 {
        self.all.push(Module {
            file,
            parent,
            krate,
            children: FxHashMap::default(),
            declares: FxHashMap::default(),
            brings: FxHashMap::default(),
            globs: Vec::new(),
        });
        self.all.len() as u32 - 1
    }

    /// The crates whose roots have been made, in that order.
    pub(super) fn name(&mut self, crates: Vec<Crate>) {
        for (at, one) in (0..).zip(&crates) {
            if one.library {
                self.libraries.entry(one.name.clone()).or_insert(at);
            }
        }
        self.crates = crates;
    }

    pub(super) fn child(&mut self, parent: u32, name: &'a str, file: u32) -> u32 {
        if let Some(child) = self.all[parent as usize].children.get(name) {
            return *child;
        }
        let child = self.module(file, Some(parent), self.all[parent as usize].krate);
        self.all[parent as usize].children.insert(name, child);
        child
    }

    /// Notes a name of [`Facts::declares`](crate::facts::Facts::declares) of a file whose module is `module`.
    pub(super) fn declare(&mut self, top: u32, module: u32, name: &'a str, file: u32) {
        if let Some(everywhere) = name.strip_prefix('!') {
            self.all[top as usize].declares.insert(everywhere, file);
            return;
        }
        let mut at = module;
        let mut name = name;
        while let Some((inline, rest)) = name.split_once("::") {
            at = self.child(at, inline, file);
            name = rest;
        }
        self.all[at as usize].declares.insert(name, file);
    }

    pub(super) fn bring(&mut self, module: u32, name: &'a str, segments: &'a [String]) {
        let module = &mut self.all[module as usize];
        match name {
            "*" => module.globs.push(segments),
            name => module.brings.entry(name).or_default().push(segments),
        }
    }

    /// The inline module of a file's module, as far as it is known.
    pub(super) fn inside(&self, module: u32, inside: &[String]) -> u32 {
        let step = |at: u32, name: &String| {
            let child = self.all[at as usize].children.get(name.as_str());
            child.copied().unwrap_or(at)
        };
        inside.iter().fold(module, step)
    }

    pub(super) fn file(&self, module: u32) -> u32 {
        self.all[module as usize].file
    }

    pub(super) fn krate(&self, module: u32) -> &Crate {
        &self.crates[self.all[module as usize].krate as usize]
    }

    /// What a path means in a module; nothing for what is outside the tree or not known.
    pub(super) fn meaning(&self, here: u32, segments: &[String]) -> Option<Meaning> {
        self.follow(here, segments, &mut Vec::new())
    }

    fn follow<'n>(&'n self, here: u32, segments: &'n [String], been: &mut Been<'n>) -> Option<Meaning> {
        let first = segments.first()?.as_str();
        let (mut at, rest) = match first {
            "crate" | "$crate" => (self.roots[self.all[here as usize].krate as usize], &segments[1..]),
            "self" => (here, &segments[1..]),
            "super" => {
                let up = segments.iter().take_while(|segment| *segment == "super").count();
                let at = (0..up).try_fold(here, |at, _| self.all[at as usize].parent)?;
                (at, &segments[up..])
            }
            _ => match self.named(here, first, been) {
                Some(Meaning::Module(module)) => (module, &segments[1..]),
                Some(item) => return Some(item),
                None => (self.library(here, first)?, &segments[1..]),
            },
        };
        for segment in rest {
            // Whoever asks for the name is being asked for it: another way may know.
            if been.contains(&(at, segment)) {
                return None;
            }
            match self.named(at, segment, been) {
                Some(Meaning::Module(module)) => at = module,
                Some(item) => return Some(item),
                // Made by a macro, or a name from outside that this file hands on.
                None => return Some(Meaning::Item(self.file(at))),
            }
        }
        Some(Meaning::Module(at))
    }

    /// What a name means in a module: its own modules and items come before what `use` brings in, that before globs.
    fn named<'n>(&'n self, module: u32, name: &'n str, been: &mut Been<'n>) -> Option<Meaning> {
        let place = &self.all[module as usize];
        if let Some(child) = place.children.get(name) {
            return Some(Meaning::Module(*child));
        }
        if let Some(file) = place.declares.get(name) {
            return Some(Meaning::Item(*file));
        }
        if been.len() > STEPS_MAX || been.contains(&(module, name)) {
            return None;
        }
        been.push((module, name));
        let brought = place.brings.get(name).into_iter().flatten();
        { brought }
            .find_map(|path| self.follow(module, path, been))
            .or_else(|| {
                place.globs.iter().find_map(|path| {
                    let Some(Meaning::Module(from)) = self.follow(module, path, been) else {
                        return None;
                    };
                    self.named(from, name, been)
                })
            })
    }

    /// The root of a crate of this tree that a name means: its own library, or one it depends on.
    fn library(&self, here: u32, name: &str) -> Option<u32> {
        let user = self.krate(here);
        let renamed = user.renamed.get(name).map_or(name, String::as_str);
        let at = *self.libraries.get(renamed)?;
        let library = &self.crates[at as usize];
        let known = library.package == user.package
            || user.depends.contains(name)
            || user.depends.contains(&library.package);
        known.then(|| self.roots[at as usize])
    }
}
