//! The crates of a tree: packages by `Cargo.toml`, targets by its sections and by where Cargo looks itself.

use rustc_hash::{FxHashMap, FxHashSet};
use toml::{Table, Value};

use super::{Files, base, join, parent, stem, under};
use crate::facts::Language;

/// One thing that is compiled.
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) package: String,
    pub(super) root: u32,
    pub(super) library: bool,
    /// Libraries used under another name: this name → that name.
    pub(super) renamed: FxHashMap<String, String>,
    /// Every dependency by the name it is used under.
    pub(super) depends: FxHashSet<String>,
}

/// Libraries first: a file that is in several crates is placed in the library.
pub(super) fn crates(files: &Files<'_>) -> Vec<Crate> {
    let manifests: Vec<(&str, Table)> = files
        .manifests_named("Cargo.toml")
        .filter_map(|(folder, text)| Some((folder, text.parse().ok()?)))
        .collect();
    let mut shared: FxHashMap<String, String> = FxHashMap::default();
    for (_, manifest) in &manifests {
        let dependencies = manifest
            .get("workspace")
            .and_then(|workspace| workspace.get("dependencies"));
        note(
            dependencies,
            &FxHashMap::default(),
            &mut shared,
            &mut FxHashSet::default(),
        );
    }
    let mut all = Vec::new();
    for (folder, manifest) in &manifests {
        package(files, folder, manifest, &shared, &mut all);
    }
    if manifests.is_empty() {
        let lone = |path: &&str| matches!(base(path), "lib.rs" | "main.rs");
        let roots: Vec<&str> = files.paths.iter().copied().filter(lone).collect();
        for root in roots {
            add(
                files,
                &mut all,
                root,
                ("crate", "crate"),
                &FxHashMap::default(),
                &FxHashSet::default(),
            );
        }
    }
    all.sort_by_key(|found| !found.library);
    all
}

fn package(
    files: &Files<'_>,
    folder: &str,
    manifest: &Table,
    shared: &FxHashMap<String, String>,
    all: &mut Vec<Crate>,
) {
    let Some(package) = manifest.get("package") else {
        return;
    };
    let Some(name) = package.get("name").and_then(Value::as_str) else {
        return;
    };
    let (mut renamed, mut depends) = (FxHashMap::default(), FxHashSet::default());
    let mut sections: Vec<&Value> = Vec::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(|targets| targets.values().filter_map(Value::as_table));
    for table in std::iter::once(manifest).chain(tables) {
        sections.extend(
            ["dependencies", "dev-dependencies", "build-dependencies"]
                .iter()
                .filter_map(|section| table.get(*section)),
        );
    }
    for section in sections {
        note(Some(section), shared, &mut renamed, &mut depends);
    }
    let library = manifest.get("lib");
    let said = |table: Option<&Value>, key: &str| {
        table
            .and_then(|table| table.get(key))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let path = said(library, "path").unwrap_or_else(|| "src/lib.rs".to_owned());
    let used = plain(&said(library, "name").unwrap_or_else(|| name.to_owned()));
    if let Some(root) = join(folder, &path).and_then(|path| files.file(&path)) {
        all.push(Crate {
            name: used,
            package: plain(name),
            root,
            library: true,
            renamed: renamed.clone(),
            depends: depends.clone(),
        });
    }
    let mut roots: FxHashSet<String> = FxHashSet::default();
    let build = said(Some(package), "build").unwrap_or_else(|| "build.rs".to_owned());
    roots.extend(
        [join(folder, "src/main.rs"), join(folder, &build)]
            .into_iter()
            .flatten(),
    );
    for section in ["bin", "test", "example", "bench"] {
        for target in manifest
            .get(section)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            roots.extend(said(Some(target), "path").and_then(|path| join(folder, &path)));
        }
    }
    let looked = ["src/bin", "tests", "examples", "benches"].map(|part| under(folder, part));
    for (path, language) in files.paths.iter().zip(&files.languages) {
        let place = parent(path);
        let direct = looked.iter().any(|looked| looked == place);
        let own = base(path) == "main.rs" && looked.iter().any(|looked| looked == parent(place));
        if *language == Language::Rust && (direct || own) {
            roots.insert((*path).to_owned());
        }
    }
    let mut roots: Vec<String> = roots.into_iter().collect();
    roots.sort();
    for root in roots {
        add(files, all, &root, (stem(&root), name), &renamed, &depends);
    }
}

fn add(
    files: &Files<'_>,
    all: &mut Vec<Crate>,
    root: &str,
    (name, package): (&str, &str),
    renamed: &FxHashMap<String, String>,
    depends: &FxHashSet<String>,
) {
    if let Some(root) = files.file(root) {
        all.push(Crate {
            name: plain(name),
            package: plain(package),
            root,
            library: false,
            renamed: renamed.clone(),
            depends: depends.clone(),
        });
    }
}

/// Notes the names of a section, and which of them stand for a package of another name.
fn note(
    section: Option<&Value>,
    shared: &FxHashMap<String, String>,
    renamed: &mut FxHashMap<String, String>,
    depends: &mut FxHashSet<String>,
) {
    for (name, value) in section.and_then(Value::as_table).into_iter().flatten() {
        let name = plain(name);
        if let Some(package) = value.get("package").and_then(Value::as_str) {
            renamed.insert(name.clone(), plain(package));
        } else if let Some(package) = shared.get(&name) {
            renamed.insert(name.clone(), package.clone());
        }
        depends.insert(name);
    }
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}
