//! A tree as a drawing: folders are clusters, circles and the critical path are marked.

use std::collections::BTreeMap;

use analyze::Tree;
use analyze::facts::Kind;
use analyze::order::Order;
use draw::{Cluster, Edge, Graph, Node, Style};
use rustc_hash::FxHashSet;

use super::Format;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

pub(super) fn write(
    context: &Context,
    tree: &Tree,
    order: &Order,
    only: Option<&[u32]>,
    format: Format,
) -> Result {
    let graph = graph(tree, order, only);
    let text = match format {
        Format::Mermaid => draw::mermaid(&graph),
        Format::Dot => draw::dot(&graph),
        _ => draw::svg(&graph),
    };
    context.ui.line(text.trim_end())?;
    Ok(Exit::DONE)
}

fn graph(tree: &Tree, order: &Order, only: Option<&[u32]>) -> Graph {
    let all: Vec<u32> = (0..tree.files.len() as u32).collect();
    let shown = only.unwrap_or(&all);
    let critical = order.critical_path();
    let steps: FxHashSet<(u32, u32)> = critical.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let critical: FxHashSet<u32> = critical.into_iter().collect();
    let knot_of = order.knot_of(tree.files.len());
    let cuts = order.knots.iter().flat_map(|knot| &knot.cuts);
    let cuts: FxHashSet<(u32, u32)> = cuts.map(|cut| (cut.from, cut.to)).collect();
    let mut folders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, file) in shown.iter().enumerate() {
        let path = tree.files[*file as usize].path.as_str();
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        folders.entry(folder).or_default().push(at);
    }
    let planned: FxHashSet<u32> = tree
        .planned
        .iter()
        .flat_map(|task| &task.files)
        .copied()
        .collect();
    // Where all are, it need not be said.
    let planned = if planned.len() == tree.files.len() {
        FxHashSet::default()
    } else {
        planned
    };
    let node = |file: &u32| {
        let path = tree.files[*file as usize].path.as_str();
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        // A folder of one file is drawn as that file: it has to say where it is.
        let alone = folders.get(folder).is_some_and(|files| files.len() == 1);
        Node {
            id: path.to_owned(),
            label: if alone { path } else { name }.to_owned(),
            in_circle: knot_of[*file as usize].is_some(),
            sublabel: knot_of[*file as usize]
                .map(|knot| format!("circle {}", knot + 1))
                .or_else(|| planned.contains(file).then(|| "planned".to_owned())),
            critical: critical.contains(file),
            tooltip: Some(path.to_owned()),
            ..Node::default()
        }
    };
    let place = |file: u32| shown.binary_search(&file).ok();
    let edge = |edge: &analyze::tree::Edge| {
        Some(Edge {
            from: place(edge.to)?,
            to: place(edge.from)?,
            critical: steps.contains(&(edge.to, edge.from)),
            style: if edge.kind == Kind::Load {
                Style::Solid
            } else {
                Style::Dashed
            },
            label: None,
            back: cuts.contains(&(edge.from, edge.to)),
        })
    };
    let cluster = |(folder, nodes): (&str, Vec<usize>)| Cluster {
        label: folder.to_owned(),
        nodes,
    };
    Graph {
        title: tree
            .root
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
        noun: Some("file".to_owned()),
        nodes: shown.iter().map(node).collect(),
        edges: tree.edges.iter().filter_map(edge).collect(),
        clusters: folders.into_iter().map(cluster).collect(),
    }
}
