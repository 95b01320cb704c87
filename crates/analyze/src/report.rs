//! What there is to say about a tree, as data: one document for programs, from which people's text is made.

use serde::Serialize;

use crate::facts::{Kind, Language};
use crate::order::Order;
use crate::tree::{Origin, Tree};
use crate::units::Units;

/// How many of the most needed and the most needing files are named.
pub const MOST: usize = 5;

#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub root: String,
    pub statistics: Statistics<'a>,
    pub languages: Vec<Count>,
    pub files: Vec<&'a str>,
    pub edges: Vec<Edge<'a>>,
    pub cycles: Vec<Cycle<'a>>,
    /// Each after the one before; inside a batch nothing needs another.
    pub batches: Vec<Vec<&'a str>>,
    pub externals: Vec<External<'a>>,
    /// Work that must not be done at the same time although the order would let it.
    pub conflicts: Vec<Conflict<'a>>,
    pub faults: Vec<Fault<'a>>,
    pub notes: Vec<String>,
    /// Work that will write files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<Planned<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affected: Option<Affected<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Planned<'a> {
    pub title: &'a str,
    /// The one of the draft first.
    pub files: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
pub struct Statistics<'a> {
    pub total_files: usize,
    pub total_dependencies: usize,
    pub avg_dependencies_per_file: f64,
    pub critical_path_length: usize,
    pub critical_path: Vec<&'a str>,
    pub max_parallelism: usize,
    /// Files with the most dependencies of their own.
    pub most_dependent_files: Vec<Named<'a>>,
    /// Files that the most others need.
    pub most_required_files: Vec<Named<'a>>,
    pub parsed: usize,
    pub known: usize,
}

#[derive(Debug, Serialize)]
pub struct Named<'a> {
    pub file: &'a str,
    pub count: usize,
}

#[derive(Debug, Serialize)]
pub struct Count {
    pub language: &'static str,
    pub files: usize,
}

#[derive(Debug, Serialize)]
pub struct Edge<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub kind: Kind,
    pub line: u32,
    /// The needed file is a module that belongs to the other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
}

#[derive(Debug, Serialize)]
pub struct Cycle<'a> {
    pub files: Vec<&'a str>,
    pub cuts: Vec<Cut<'a>>,
}

#[derive(Debug, Serialize)]
pub struct Cut<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub kind: Kind,
    pub why: String,
}

#[derive(Debug, Serialize)]
pub struct External<'a> {
    pub name: &'a str,
    pub origin: Origin,
    pub language: Language,
    pub files: usize,
    pub first: &'a str,
    pub line: u32,
}

#[derive(Debug, Serialize)]
pub struct Conflict<'a> {
    /// What they would both touch, by its first file.
    pub component: &'a str,
    pub units: Vec<&'a str>,
    /// Pairs of them that no order keeps apart.
    pub pairs: usize,
}

#[derive(Debug, Serialize)]
pub struct Fault<'a> {
    pub file: &'a str,
    pub problem: &'static str,
    pub line: u32,
    pub detail: &'a str,
}

#[derive(Debug, Serialize)]
pub struct Affected<'a> {
    pub changed: Vec<&'a str>,
    pub files: Vec<&'a str>,
}

impl<'a> Report<'a> {
    pub fn new(tree: &'a Tree, order: &Order, units: &'a Units) -> Report<'a> {
        let path = |file: u32| tree.files[file as usize].path.as_str();
        let paths = |files: &[u32]| files.iter().map(|file| path(*file)).collect::<Vec<_>>();
        let batches = order.dag.levels();
        Report {
            root: tree.root.display().to_string(),
            statistics: statistics(tree, order, &batches),
            languages: languages(tree),
            files: tree.files.iter().map(|file| file.path.as_str()).collect(),
            edges: tree
                .edges
                .iter()
                .map(|edge| Edge {
                    from: path(edge.from),
                    to: path(edge.to),
                    kind: edge.kind,
                    line: edge.line,
                    part: edge.part,
                })
                .collect(),
            cycles: cycles(tree, order),
            batches: batches.iter().map(|batch| paths(batch)).collect(),
            externals: tree
                .externals
                .iter()
                .map(|external| External {
                    name: &external.name,
                    origin: external.origin,
                    language: external.language,
                    files: external.files,
                    first: path(external.first.0),
                    line: external.first.1,
                })
                .collect(),
            conflicts: conflicts(units),
            faults: faults(tree),
            notes: tree.notes.clone(),
            planned: tree
                .planned
                .iter()
                .map(|task| Planned {
                    title: &task.title,
                    files: paths(&task.files),
                })
                .collect(),
            affected: None,
        }
    }

    pub fn affected(&mut self, tree: &'a Tree, changed: &[u32]) {
        let paths = |files: &[u32]| {
            files
                .iter()
                .map(|file| tree.files[*file as usize].path.as_str())
                .collect()
        };
        self.affected = Some(Affected {
            changed: paths(changed),
            files: paths(&tree.affected(changed)),
        });
    }
}

pub fn statistics<'a>(tree: &'a Tree, order: &Order, batches: &[Vec<u32>]) -> Statistics<'a> {
    let path = |file: u32| tree.files[file as usize].path.as_str();
    let critical = order.critical_path();
    let (mut needs, mut needed) = (vec![0; tree.files.len()], vec![0; tree.files.len()]);
    for edge in &tree.edges {
        needs[edge.from as usize] += 1;
        needed[edge.to as usize] += 1;
    }
    let most = |counts: &[usize]| {
        let mut ranked: Vec<(usize, u32)> = counts
            .iter()
            .copied()
            .zip(0..)
            .filter(|(count, _)| *count > 0)
            .collect();
        ranked.sort_by_key(|(count, file)| (std::cmp::Reverse(*count), *file));
        let named = |(count, file): (usize, u32)| Named {
            file: path(file),
            count,
        };
        ranked.into_iter().take(MOST).map(named).collect()
    };
    let (files, edges) = (tree.files.len(), tree.edges.len());
    Statistics {
        total_files: files,
        total_dependencies: edges,
        avg_dependencies_per_file: (edges as f64 / files.max(1) as f64 * 100.0).round() / 100.0,
        critical_path_length: critical.len(),
        critical_path: critical.into_iter().map(path).collect(),
        max_parallelism: batches.iter().map(Vec::len).max().unwrap_or(0),
        most_dependent_files: most(&needs),
        most_required_files: most(&needed),
        parsed: tree.parsed,
        known: tree.known,
    }
}

fn languages(tree: &Tree) -> Vec<Count> {
    let count = |language: Language| tree.files.iter().filter(|file| file.language == language).count();
    let all = Language::ALL.into_iter().chain([Language::Other]);
    let counts = all.map(|language| Count {
        language: language.as_str(),
        files: count(language),
    });
    counts.filter(|count| count.files > 0).collect()
}

fn cycles<'a>(tree: &'a Tree, order: &Order) -> Vec<Cycle<'a>> {
    let path = |file: u32| tree.files[file as usize].path.as_str();
    let cut = |cut: &crate::cycle::Cut| {
        let circle: Vec<&str> = cut
            .circle
            .iter()
            .chain(cut.circle.first())
            .map(|file| path(*file))
            .collect();
        Cut {
            from: path(cut.from),
            to: path(cut.to),
            kind: cut.kind,
            why: format!("it {}: {}", cut.kind.weakness(), circle.join(" -> ")),
        }
    };
    let knots = order.knots.iter();
    knots
        .map(|knot| Cycle {
            files: knot.members.iter().map(|file| path(*file)).collect(),
            cuts: knot.cuts.iter().map(cut).collect(),
        })
        .collect()
}

fn faults(tree: &Tree) -> Vec<Fault<'_>> {
    let fault = |file: &'_ crate::tree::File| file.fault.is_some();
    let broken = tree.files.iter().filter(|file| fault(file));
    broken
        .filter_map(|file| {
            let fault = file.fault.as_ref()?;
            Some(Fault {
                file: &file.path,
                problem: fault.problem.as_str(),
                line: fault.line,
                detail: &fault.detail,
            })
        })
        .collect()
}

/// Units of one knot share a lock. A pair conflicts if neither comes before the other.
fn conflicts(units: &Units) -> Vec<Conflict<'_>> {
    let conflict = |knot: &crate::cycle::Knot| {
        let mut ordered = 0;
        let members = &knot.members;
        for member in members {
            let after = units.order.dag.all_dependents(*member);
            ordered += after.filter(|other| members.binary_search(other).is_ok()).count();
        }
        let name = |unit: u32| units.units[unit as usize].name.as_str();
        Conflict {
            component: name(members[0]),
            units: members.iter().map(|unit| name(*unit)).collect(),
            pairs: members.len() * (members.len() - 1) / 2 - ordered,
        }
    };
    let all = units.order.knots.iter().map(conflict);
    all.filter(|conflict| conflict.pairs > 0).collect()
}
