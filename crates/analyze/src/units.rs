//! Files put together into units of work: each file alone, by package, or by circle.

use std::collections::BTreeMap;

use domain::graph::{Dag, Graph};
use rustc_hash::FxHashMap;

use crate::cycle::Link;
use crate::facts::{Kind, Language};
use crate::order::Order;
use crate::resolve::{ancestors, parent};
use crate::tree::{File, Tree};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    File,
    /// What its language takes for one: a folder of Python or Go, the files of one `package.json` or `Cargo.toml`
    /// where there are several, else a folder.
    Package,
    /// Files that all need each other, together; every other file alone.
    Component,
}

#[derive(Clone, Debug)]
pub struct Units {
    pub size: Size,
    pub units: Vec<Unit>,
    /// What is needed first, over the units.
    pub order: Order,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// A path: of the file, of the folder, or of a component's first file.
    pub name: String,
    /// Ascending.
    pub files: Vec<u32>,
}

impl Units {
    pub fn new(tree: &Tree, size: Size) -> Units {
        let names = match size {
            Size::File => tree.files.iter().map(|file| file.path.clone()).collect(),
            Size::Package => packages(tree),
            Size::Component => components(tree),
        };
        let mut by_name: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (file, name) in (0..).zip(names) {
            by_name.entry(name).or_default().push(file);
        }
        let units: Vec<Unit> = by_name
            .into_iter()
            .map(|(name, files)| Unit { name, files })
            .collect();
        let order = Order::new(units.len() as u32, &links(tree, &units));
        Units { size, units, order }
    }

    /// A digest for each unit over its files and over everything it needs: it changes when any of those does.
    /// Units of one knot share one.
    pub fn digests(&self, tree: &Tree) -> Vec<blake3::Hash> {
        let links = links(tree, &self.units);
        let groups = self.groups();
        let mut group_of = vec![0u32; self.units.len()];
        for (number, members) in (0..).zip(&groups) {
            members
                .iter()
                .for_each(|member| group_of[*member as usize] = number);
        }
        let between = links.iter().filter(|link| link.kind.orders());
        let between = between.map(|link| (group_of[link.to as usize], group_of[link.from as usize]));
        let graph = Graph::build(groups.len() as u32, between.filter(|(to, from)| to != from));
        let dag = Dag::new(graph).expect("who needs each other is in one group");
        let mut digests = vec![blake3::Hash::from_bytes([0; 32]); groups.len()];
        for group in dag.order() {
            let mut hasher = blake3::Hasher::new();
            let units = groups[group as usize]
                .iter()
                .map(|unit| &self.units[*unit as usize]);
            for file in units.flat_map(|unit| &unit.files) {
                let file = &tree.files[*file as usize];
                hasher
                    .update(file.path.as_bytes())
                    .update(&[0])
                    .update(&file.digest);
            }
            for needed in dag.prerequisites(group) {
                hasher.update(digests[*needed as usize].as_bytes());
            }
            digests[group as usize] = hasher.finalize();
        }
        group_of.iter().map(|group| digests[*group as usize]).collect()
    }

    /// Knots, and every other unit alone.
    fn groups(&self) -> Vec<Vec<u32>> {
        let knot_of = self.order.knot_of(self.units.len());
        let knots = self.order.knots.iter().map(|knot| knot.members.clone());
        let alone = (0..).zip(knot_of).filter(|(_, knot)| knot.is_none());
        knots.chain(alone.map(|(unit, _)| vec![unit])).collect()
    }
}

/// Dependencies between units: the most binding of those between their files.
fn links(tree: &Tree, units: &[Unit]) -> Vec<Link> {
    let mut unit_of = vec![0u32; tree.files.len()];
    for (number, unit) in (0..).zip(units) {
        unit.files
            .iter()
            .for_each(|file| unit_of[*file as usize] = number);
    }
    let mut strongest: FxHashMap<(u32, u32), Kind> = FxHashMap::default();
    for edge in &tree.edges {
        let pair = (unit_of[edge.from as usize], unit_of[edge.to as usize]);
        if pair.0 != pair.1 {
            let kind = strongest.entry(pair).or_insert(edge.kind);
            *kind = edge.kind.max(*kind);
        }
    }
    let length = |unit: u32| units[unit as usize].name.len() as u32;
    let mut links: Vec<Link> = strongest
        .into_iter()
        .map(|((from, to), kind)| Link {
            from,
            to,
            kind,
            length: length(from) + length(to),
        })
        .collect();
    links.sort_by_key(|link| (link.from, link.to));
    links
}

fn components(tree: &Tree) -> Vec<String> {
    let mut names: Vec<String> = tree.files.iter().map(|file| file.path.clone()).collect();
    for knot in &tree.order().knots {
        let first = tree.files[knot.members[0] as usize].path.clone();
        knot.members
            .iter()
            .for_each(|member| names[*member as usize].clone_from(&first));
    }
    names
}

fn packages<'a>(tree: &'a Tree) -> Vec<String> {
    let mut nearest: FxHashMap<(&str, &str), String> = FxHashMap::default();
    let mut package = |file: &'a File| {
        let folder = parent(&file.path);
        let manifest = match file.language {
            Language::Rust => "Cargo.toml",
            Language::JavaScript | Language::TypeScript => "package.json",
            Language::Python | Language::Go => return shown(folder),
        };
        // Below the topmost manifest alone everything would be one package.
        let has = |at: &&str| !at.is_empty() && tree.root.join(at).join(manifest).is_file();
        let find = || ancestors(&file.path).find(has).unwrap_or(folder);
        nearest
            .entry((folder, manifest))
            .or_insert_with(|| shown(find()))
            .clone()
    };
    tree.files.iter().map(&mut package).collect()
}

fn shown(folder: &str) -> String {
    if folder.is_empty() { "." } else { folder }.to_owned()
}
