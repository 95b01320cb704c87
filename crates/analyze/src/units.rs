//! Files put together into units of work: each file alone, by package, or by circle.

use std::collections::BTreeMap;

use domain::graph::{Dag, Graph};
use rustc_hash::FxHashMap;

use crate::cycle::Link;
use crate::facts::{Kind, Language};
use crate::order::Order;
use crate::resolve::{ancestors, parent, under};
use crate::tree::{File, Tree};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Each file alone, and the files of one planned task together.
    File,
    /// What its language takes for one: a folder of Python or Go, the files of one `package.json` or `Cargo.toml`
    /// where there are several, else a folder.
    Package,
    /// Those of the first sort that all need each other, together; every other one alone.
    Component,
}

#[derive(Clone, Debug)]
pub struct Units {
    pub size: Size,
    pub units: Vec<Unit>,
    /// What is needed first, over the units.
    pub order: Order,
}

/// Some units and their order.
#[derive(Clone, Debug)]
pub struct Among {
    /// Ascending.
    pub units: Vec<u32>,
    /// Over the places in `units`.
    pub dag: Dag,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// A path: of the file, of the folder, or of the first file of a planned task or component.
    pub name: String,
    /// Ascending.
    pub files: Vec<u32>,
}

impl Units {
    pub fn new(tree: &Tree, size: Size) -> Units {
        let names = match size {
            Size::File => files(tree),
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

    /// Which planned tasks write files of each.
    pub fn planned(&self, tree: &Tree) -> Vec<Vec<u32>> {
        let mut task_of = FxHashMap::default();
        for (task, planned) in (0..).zip(&tree.planned) {
            task_of.extend(planned.files.iter().map(|file| (*file, task)));
        }
        let of = |unit: &Unit| {
            let mut tasks: Vec<u32> = unit
                .files
                .iter()
                .filter_map(|file| task_of.get(file).copied())
                .collect();
            tasks.sort_unstable();
            tasks.dedup();
            tasks
        };
        self.units.iter().map(of).collect()
    }

    /// The order of these units among themselves: a unit also comes after what it needs through others.
    pub fn among(&self, chosen: &[bool]) -> Among {
        let dag = &self.order.dag;
        // Whether a unit that is not chosen needs one that is.
        let mut leads = vec![false; chosen.len()];
        for unit in dag.order() {
            let mut needed = dag.prerequisites(unit).iter().map(|needed| *needed as usize);
            leads[unit as usize] = needed.any(|needed| chosen[needed] || leads[needed]);
        }
        let units: Vec<u32> = (0..)
            .zip(chosen)
            .filter(|(_, chosen)| **chosen)
            .map(|(unit, _)| unit)
            .collect();
        let mut place = vec![0u32; chosen.len()];
        for (at, unit) in (0..).zip(&units) {
            place[*unit as usize] = at;
        }
        let (mut edges, mut met) = (Vec::new(), vec![u32::MAX; chosen.len()]);
        for (at, unit) in (0..).zip(&units) {
            let mut open = dag.prerequisites(*unit).to_vec();
            while let Some(needed) = open.pop() {
                let index = needed as usize;
                if std::mem::replace(&mut met[index], at) == at {
                    continue;
                }
                if chosen[index] {
                    edges.push((place[index], at));
                } else if leads[index] {
                    open.extend(dag.prerequisites(needed));
                }
            }
        }
        let graph = Graph::build(units.len() as u32, edges);
        let dag = Dag::new(graph).expect("what has an order has one in its parts");
        Among { units, dag }
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

/// Each file by itself; those of a planned task are called by the first of them.
fn files(tree: &Tree) -> Vec<String> {
    let path = |file: u32| tree.files[file as usize].path.clone();
    let mut names: Vec<String> = (0..tree.files.len() as u32).map(path).collect();
    for planned in &tree.planned {
        for file in &planned.files[1..] {
            names[*file as usize] = path(planned.files[0]);
        }
    }
    names
}

fn components(tree: &Tree) -> Vec<String> {
    let Units { units, order, .. } = Units::new(tree, Size::File);
    let mut names = files(tree);
    for knot in &order.knots {
        let first = &units[knot.members[0] as usize].name;
        let members = knot.members.iter().map(|member| &units[*member as usize]);
        for file in members.flat_map(|unit| &unit.files) {
            names[*file as usize].clone_from(first);
        }
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
            Language::Python | Language::Go | Language::Other => return shown(folder),
        };
        // Below the topmost manifest alone everything would be one package.
        let has = |at: &&str| !at.is_empty() && tree.manifests.binary_search(&under(at, manifest)).is_ok();
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
