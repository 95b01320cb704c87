//! Go: modules by `go.mod`, packages by folder. An import means the files of the package that declare what is
//! used of it; if none does (a blank or dot import), all of them.

use rustc_hash::FxHashMap;

use super::{Files, Target, base, join, parent};
use crate::facts::{Ask, Facts, Language};

pub(super) struct Go<'a> {
    files: &'a Files<'a>,
    facts: &'a [Facts],
    /// Module path and folder, the longest path first.
    modules: Vec<(String, String)>,
    /// The files of each folder that are no tests.
    packages: FxHashMap<&'a str, Vec<u32>>,
}

impl<'a> Go<'a> {
    pub(super) fn new(files: &'a Files<'a>, facts: &'a [Facts]) -> Go<'a> {
        let mut modules: Vec<(String, String)> = Vec::new();
        for (folder, text) in files.manifests_named("go.mod") {
            let lines = text
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default().trim());
            let module = { lines }.find_map(|line| line.strip_prefix("module "));
            if let Some(module) = module {
                modules.push((module.trim().trim_matches('"').to_owned(), folder.to_owned()));
            }
        }
        modules.sort_by_key(|(module, _)| std::cmp::Reverse(module.len()));
        let mut packages: FxHashMap<&str, Vec<u32>> = FxHashMap::default();
        for (file, path) in files.paths.iter().enumerate() {
            if files.languages[file] == Language::Go && !base(path).ends_with("_test.go") {
                packages.entry(parent(path)).or_default().push(file as u32);
            }
        }
        Go {
            files,
            facts,
            modules,
            packages,
        }
    }

    pub(super) fn resolve(&self, from: u32, ask: &Ask, push: &mut impl FnMut(Target)) {
        let Ask::Go { path, names } = ask else { return };
        let Some(folder) = self.folder(from, path) else {
            let first = path.split('/').next().unwrap_or_default();
            return push(match path.as_str() {
                "C" => Target::Standard("C".to_owned()),
                _ if self.ours(path) => Target::Missing(path.clone()),
                // The standard library has no dots in its first part.
                _ if !first.contains('.') => Target::Standard(path.clone()),
                _ => Target::Package(path.clone()),
            });
        };
        let all = self.packages.get(folder.as_str()).map_or(&[][..], Vec::as_slice);
        let declares = |file: &&u32| {
            let declared = &self.facts[**file as usize].declares;
            names.iter().any(|name| declared.binary_search(name).is_ok())
        };
        let declaring: Vec<u32> = all.iter().filter(declares).copied().collect();
        let meant = if declaring.is_empty() { all } else { &declaring };
        meant.iter().for_each(|file| push(Target::File(*file)));
    }

    /// The folder of a package: of a module of this tree, or vendored.
    fn folder(&self, from: u32, path: &str) -> Option<String> {
        let known = |folder: &String| self.packages.contains_key(folder.as_str());
        let ours = self.modules.iter().filter_map(|(module, folder)| {
            let rest = path.strip_prefix(module.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| join(folder, rest))?
        });
        let file = self.files.paths[from as usize];
        let vendored = self.modules.iter().filter_map(|(_, folder)| {
            let inside = folder.is_empty() || file.starts_with(&format!("{folder}/"));
            inside.then(|| join(folder, &format!("vendor/{path}")))?
        });
        { ours }.find(known).or_else(|| { vendored }.find(known))
    }

    fn ours(&self, path: &str) -> bool {
        self.modules.iter().any(|(module, _)| {
            path.strip_prefix(module.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}
