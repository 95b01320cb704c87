//! JavaScript and TypeScript. Relative paths are looked up among the files of the tree, which needs no system
//! calls; all else is left to Oxc's resolver: `tsconfig` paths and references, `package.json` exports and
//! imports, installed packages. Packages of the same workspace are found by name, installed or not.

use std::path::Path;

use oxc_resolver::{ResolveOptions, ResolverGeneric, TsconfigDiscovery};
use rustc_hash::FxHashMap;

use super::virtual_files::VirtualFiles;
use super::{Files, Target, join, parent, standard, under};
use crate::facts::{Ask, Language};

pub(super) struct Script<'a> {
    files: &'a Files<'a>,
    import: ResolverGeneric<VirtualFiles>,
    require: ResolverGeneric<VirtualFiles>,
    /// The folder of each package of the tree by its name.
    packages: FxHashMap<String, &'a str>,
    /// Whether anything can make a bare name a file of this tree.
    aliases: bool,
}

const SCRIPT: [&str; 9] = [
    ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".d.ts",
];
const TYPED: [&str; 9] = [
    ".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs",
];
/// What TypeScript writes for what it makes: `./a.js` is `a.ts` before it is built.
const MADE_OF: [(&str, &[&str]); 4] = [
    (".js", &[".ts", ".tsx", ".d.ts", ".jsx"]),
    (".jsx", &[".tsx", ".d.ts"]),
    (".mjs", &[".mts", ".d.mts"]),
    (".cjs", &[".cts", ".d.cts"]),
];

impl<'a> Script<'a> {
    pub(super) fn new(files: &'a Files<'a>) -> Script<'a> {
        let mut packages = FxHashMap::default();
        for (folder, text) in files.manifests_named("package.json") {
            let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(name) = manifest["name"].as_str() {
                packages.entry(name.to_owned()).or_insert(folder);
            }
        }
        let import = ResolverGeneric::new_with_file_system(VirtualFiles::of(files), options("import"));
        let require = import.clone_with_options(options("require"));
        let config = |path: &String| path.ends_with("tsconfig.json") || path.ends_with("jsconfig.json");
        Script {
            files,
            import,
            require,
            packages,
            aliases: files.manifests.iter().any(config),
        }
    }

    pub(super) fn resolve(&self, from: u32, ask: &Ask, push: &mut impl FnMut(Target)) {
        let Ask::Script { specifier, require } = ask else {
            return;
        };
        // `./a.svg?raw` and the like are a bundler's.
        let plain = specifier.split(['?', '!']).next().unwrap_or_default();
        if plain.is_empty() || plain.contains("://") || plain.starts_with("data:") {
            return;
        }
        let path = self.files.paths[from as usize];
        let typed = self.files.languages[from as usize] == Language::TypeScript;
        if plain.starts_with("./") || plain.starts_with("../") || matches!(plain, "." | "..") {
            if let Some(file) = join(parent(path), plain).and_then(|path| self.lookup(&path, plain, typed)) {
                return push(Target::File(file));
            }
        } else if let Some(builtin) = builtin(plain) {
            return push(Target::Standard(builtin.to_owned()));
        } else if let Some(file) = self.workspace(plain, *require, typed) {
            return push(Target::File(file));
        }
        let relative = plain.starts_with('.') || plain.starts_with('/');
        if !relative && !self.aliases && !plain.starts_with('#') {
            return push(Target::Package(package(plain).to_owned()));
        }
        match self.ask(path, plain, *require) {
            Some(Found::File(file)) => push(Target::File(file)),
            // A style sheet, a picture: there, but no source.
            Some(Found::Other) if relative => {}
            _ if relative || plain.starts_with('#') => push(Target::Missing(plain.to_owned())),
            _ => push(Target::Package(package(plain).to_owned())),
        }
    }

    /// A path of this tree that may lack its extension, or be a folder.
    fn lookup(&self, path: &str, written: &str, typed: bool) -> Option<u32> {
        let folder_only = written.ends_with('/') || written == "." || written.ends_with("..");
        let extensions = if typed { &TYPED } else { &SCRIPT };
        if !folder_only {
            if let Some(file) = self.files.file(path) {
                return Some(file);
            }
            let with = |extension: &&str| self.files.file(&format!("{path}{extension}"));
            if let Some(file) = extensions.iter().find_map(with) {
                return Some(file);
            }
            for (made, of) in MADE_OF {
                if let Some(bare) = path.strip_suffix(made)
                    && let Some(file) = self.files.first(of.iter().map(|end| format!("{bare}{end}")))
                {
                    return Some(file);
                }
            }
        }
        // A folder's `package.json` may name another file than its index.
        let manifest = under(path, "package.json");
        if !self.files.is_folder(path) || self.files.manifests.binary_search(&manifest).is_ok() {
            return None;
        }
        let index = under(path, "index");
        self.files
            .first(extensions.iter().map(|extension| format!("{index}{extension}")))
    }

    /// A package of this tree by its name: what its exports say, or the sources that they will be built from.
    fn workspace(&self, specifier: &str, require: bool, typed: bool) -> Option<u32> {
        let name = package(specifier);
        let folder = *self.packages.get(name)?;
        let rest = specifier[name.len()..].trim_start_matches('/');
        // Names that resolve inside their own package need its exports; without those the folder is asked.
        let inside = under(folder, "package.json");
        let inner = if rest.is_empty() {
            ".".to_owned()
        } else {
            format!("./{rest}")
        };
        for asked in [specifier, inner.as_str()] {
            if let Some(Found::File(file)) = self.ask(&inside, asked, require) {
                return Some(file);
            }
        }
        let rest = if rest.is_empty() { "index" } else { rest };
        ["src", "lib", "source", ""]
            .iter()
            .filter_map(|sources| join(folder, &format!("{sources}/{rest}")))
            .find_map(|path| self.lookup(&path, rest, typed))
    }

    fn ask(&self, from: &str, specifier: &str, require: bool) -> Option<Found> {
        let resolver = if require { &self.require } else { &self.import };
        let found = resolver
            .resolve_file(self.files.root.join(from), specifier)
            .ok()?;
        Some(self.known(found.path()))
    }

    fn known(&self, path: &Path) -> Found {
        let inside = path.strip_prefix(self.files.root).ok().and_then(Path::to_str);
        match inside.and_then(|path| self.files.file(path)) {
            Some(file) => Found::File(file),
            None => Found::Other,
        }
    }
}

enum Found {
    File(u32),
    /// Outside the tree, or no source.
    Other,
}

fn options(condition: &str) -> ResolveOptions {
    let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let alias = |(made, of): &(&str, &[&str])| {
        let mut all = strings(&[made]);
        all.extend(strings(of));
        ((*made).to_owned(), all)
    };
    ResolveOptions {
        tsconfig: Some(TsconfigDiscovery::Auto),
        condition_names: strings(&[condition, "types", "node", "default"]),
        extensions: strings(&[
            ".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".json",
        ]),
        extension_alias: MADE_OF.iter().map(alias).collect(),
        main_fields: strings(&["source", "module", "main", "types"]),
        ..ResolveOptions::default()
    }
}

/// `@a/b` of `@a/b/c`, `a` of `a/b`.
fn package(specifier: &str) -> &str {
    let scoped = usize::from(specifier.starts_with('@'));
    let end = specifier.match_indices('/').nth(scoped).map(|(at, _)| at);
    &specifier[..end.unwrap_or(specifier.len())]
}

fn builtin(specifier: &str) -> Option<&str> {
    if let Some(name) = specifier.strip_prefix("node:") {
        return Some(name);
    }
    let name = package(specifier);
    standard::NODE.binary_search(&name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_by_their_first_parts() {
        assert_eq!(package("@a/b/c/d"), "@a/b");
        assert_eq!(package("a/b"), "a");
        assert_eq!(package("a"), "a");
        assert_eq!(builtin("node:fs/promises"), Some("fs/promises"));
        assert_eq!(builtin("fs"), Some("fs"));
        assert_eq!(builtin("fs-extra"), None);
    }
}
