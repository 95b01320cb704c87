//! Graphs too large to draw node by node, folded into a few dozen boxes.
//!
//! Nodes of a cluster share a box; without clusters, nodes of a layer do, or of a run of layers. One
//! pass over nodes and edges: a million nodes take a fraction of a second, and the picture is as
//! small as that of sixty tasks.

use crate::graph::{Graph, Status};
use crate::layout::{Arrow, longest_path};
use crate::scene::{Card, Line, Scale, Scene, Tally, noun, subtitle};
use crate::text::{count, thousands};

/// As many boxes as still fit one screen.
const BOXES_MAX: usize = 60;
/// Between clusters, the heaviest this many connections are drawn.
const CONNECTIONS_MAX: usize = 160;
const TOOLTIP_CHARS: usize = 240;

/// Which box each node is in.
struct Boxes {
    box_of: Vec<u32>,
    labels: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Clusters,
    Layers,
}

/// Returns a scene with at most sixty cards.
pub(crate) fn fold(graph: &Graph) -> Scene {
    let boxes = by_cluster(graph).unwrap_or_else(|| by_layer(graph));
    let cards = cards(graph, &boxes);
    let (wires, hidden) = wires(graph, &boxes, &cards);
    let mut subtitle = format!(
        "{} · shown as {}",
        subtitle(graph, graph.sound_edges().count()),
        count(cards.len(), "box").replace("boxs", "boxes")
    );
    if hidden > 0 {
        subtitle.push_str(&format!(
            " · {} between distant boxes not drawn",
            count(hidden, "edge")
        ));
    }
    Scene {
        title: graph.title.clone(),
        subtitle,
        scale: Scale::Summary,
        lanes: vec![0; cards.len()],
        lane_labels: Vec::new(),
        tally: graph.nodes.iter().map(|node| node.status).collect(),
        cards,
        wires,
    }
}

/// Boxes for clusters, if they divide the graph; the smallest of too many share one.
fn by_cluster(graph: &Graph) -> Option<Boxes> {
    let (members, rest) = graph.members();
    let mut groups: Vec<(String, Vec<usize>)> = graph
        .clusters
        .iter()
        .map(|cluster| cluster.label.clone())
        .zip(members)
        .collect();
    groups.push(("others".to_owned(), rest));
    groups.retain(|(_, nodes)| !nodes.is_empty());
    if groups.len() < 2 {
        return None;
    }
    if groups.len() > BOXES_MAX {
        groups.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
        let small = groups.split_off(BOXES_MAX - 1);
        let label = format!("{} more groups", thousands(small.len()));
        groups.push((label, small.into_iter().flat_map(|(_, nodes)| nodes).collect()));
    }
    let mut box_of = vec![0; graph.nodes.len()];
    for (index, (_, nodes)) in groups.iter().enumerate() {
        nodes.iter().for_each(|&node| box_of[node] = index as u32);
    }
    Some(Boxes {
        box_of,
        labels: groups.into_iter().map(|(label, _)| label).collect(),
        kind: Kind::Clusters,
    })
}

fn by_layer(graph: &Graph) -> Boxes {
    let arrows = graph.sound_edges().map(|edge| Arrow {
        from: edge.from,
        to: edge.to,
        back: edge.back,
    });
    let mut box_of = longest_path(graph.nodes.len(), arrows);
    let depth = box_of.iter().max().map_or(0, |last| *last as usize + 1);
    let layers_per_box = depth.div_ceil(BOXES_MAX).max(1);
    box_of
        .iter_mut()
        .for_each(|layer| *layer /= layers_per_box as u32);
    let label = |first: usize| {
        let last = (first + layers_per_box).min(depth);
        match last - first {
            1 => format!("layer {}", thousands(last)),
            _ => format!("layers {}–{}", thousands(first + 1), thousands(last)),
        }
    };
    let labels = (0..depth).step_by(layers_per_box).map(label).collect();
    Boxes {
        box_of,
        labels,
        kind: Kind::Layers,
    }
}

/// A box with a single node is drawn as that node.
fn cards(graph: &Graph, boxes: &Boxes) -> Vec<Card> {
    let mut tallies = vec![Tally::default(); boxes.labels.len()];
    let mut last_of = vec![0; boxes.labels.len()];
    let mut has_critical = vec![false; boxes.labels.len()];
    for (node, &index) in boxes.box_of.iter().enumerate() {
        let index = index as usize;
        tallies[index].add(graph.nodes[node].status);
        last_of[index] = node;
        has_critical[index] |= graph.nodes[node].critical;
    }
    let cards = boxes
        .labels
        .iter()
        .zip(tallies)
        .enumerate()
        .map(|(index, (label, tally))| {
            if tally.total() == 1 {
                return Card::of(&graph.nodes[last_of[index]], TOOLTIP_CHARS);
            }
            let size = count(tally.total(), noun(graph));
            let mut tooltip = format!("{label}\n{size}");
            for (status, members) in tally.present().filter(|(status, _)| *status != Status::None) {
                tooltip.push_str(&format!("\n{} {}", thousands(members), status.word()));
            }
            // A critical path runs through every layer, so there the mark would say nothing.
            let critical = boxes.kind == Kind::Clusters && has_critical[index];
            Card {
                label: label.clone(),
                sublabel: Some(size),
                tooltip,
                critical,
                tally,
            }
        });
    cards.collect()
}

/// Returns the wires between boxes, and how many edges they leave out: of layers only neighbours are
/// joined, of clusters those with most edges between them.
fn wires(graph: &Graph, boxes: &Boxes, cards: &[Card]) -> (Vec<Line>, usize) {
    let size = boxes.labels.len();
    let mut between = vec![(0_usize, false); size * size];
    for edge in graph.sound_edges() {
        let [from, to] = [edge.from, edge.to].map(|node| boxes.box_of[node] as usize);
        let (edges, critical) = &mut between[from * size + to];
        *edges += 1;
        *critical |= edge.critical;
    }
    let mut pairs: Vec<usize> = (0..between.len())
        .filter(|&pair| between[pair].0 > 0 && pair / size != pair % size)
        .collect();
    pairs.sort_by_key(|&pair| std::cmp::Reverse(between[pair].0));
    let mut shown: Vec<usize> = match boxes.kind {
        Kind::Layers => pairs
            .iter()
            .copied()
            .filter(|pair| pair / size + 1 == pair % size)
            .collect(),
        Kind::Clusters => pairs.iter().copied().take(CONNECTIONS_MAX).collect(),
    };
    shown.sort_unstable();
    let edges_of = |pairs: &[usize]| -> usize { pairs.iter().map(|&pair| between[pair].0).sum() };
    let hidden = edges_of(&pairs) - edges_of(&shown);
    let line = |pair: usize| {
        let [from, to] = [pair / size, pair % size];
        Line {
            from,
            to,
            critical: between[pair].1 && cards[from].critical && cards[to].critical,
            dashed: false,
            back: false,
            label: None,
            tooltip: Some(format!(
                "{}: {} → {}",
                count(between[pair].0, "edge"),
                cards[from].label,
                cards[to].label
            )),
        }
    };
    (shown.into_iter().map(line).collect(), hidden)
}
