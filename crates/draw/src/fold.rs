//! Graphs too large to draw node by node, folded into a few dozen boxes.
//!
//! Nodes of a cluster share a box; without clusters, nodes of a layer do, or of a run of layers. One
//! pass over nodes and edges: a million nodes take a fraction of a second, and the picture is as
//! small as that of sixty tasks.

use std::fmt::Write;

use crate::graph::{Graph, Status};
use crate::layout::{Arrow, longest_path};
use crate::scene::{Card, Line, Scale, Scene, TOOLTIP_CHARS, Tally, noun, subtitle};
use crate::text::{count, thousands};

/// As many boxes as still fit one screen.
const BOXES_MAX: usize = 60;
/// A cluster is joined to this many others by its own choice, and to those that choose it.
const TIES_PER_CLUSTER: usize = 2;

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
    let boxes_noun = if cards.len() == 1 { "box" } else { "boxes" };
    let mut subtitle = subtitle(graph, graph.sound_edges().count());
    subtitle.push_str(&format!(" · shown as {} {boxes_noun}", cards.len()));
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
    let mut in_circles = vec![0usize; boxes.labels.len()];
    for (node, &index) in boxes.box_of.iter().enumerate() {
        let index = index as usize;
        tallies[index].add(graph.nodes[node].status);
        last_of[index] = node;
        has_critical[index] |= graph.nodes[node].critical;
        in_circles[index] += usize::from(graph.nodes[node].in_circle);
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
            let mut size = count(tally.total(), &noun(graph));
            if in_circles[index] > 0 {
                size += &format!(" · {} in circles", thousands(in_circles[index]));
            }
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

/// Returns the wires between boxes, and how many edges they leave out: layers are joined to the next
/// one, clusters to those they have most edges with.
fn wires(graph: &Graph, boxes: &Boxes, cards: &[Card]) -> (Vec<Line>, usize) {
    let mut ties = ties(graph, boxes);
    let all: usize = ties.iter().map(Tie::edges).sum();
    match boxes.kind {
        Kind::Layers => ties.retain(|tie| tie.upper + 1 == tie.lower),
        Kind::Clusters => keep_heaviest(&mut ties, cards.len()),
    }
    let shown: usize = ties.iter().map(Tie::edges).sum();
    let line = |tie: &Tie| {
        let (from, to) = if tie.up > tie.down {
            (tie.lower, tie.upper)
        } else {
            (tie.upper, tie.lower)
        };
        let mut tooltip = String::new();
        for (edges, from, to) in [(tie.down, tie.upper, tie.lower), (tie.up, tie.lower, tie.upper)] {
            if edges > 0 {
                let _ = write!(
                    tooltip,
                    "{} → {}: {} ",
                    cards[from].label,
                    cards[to].label,
                    count(edges, "edge")
                );
            }
        }
        let critical = tie.critical && cards[from].critical && cards[to].critical;
        Line {
            from,
            to,
            critical,
            dashed: false,
            back: false,
            label: None,
            tooltip: Some(tooltip),
        }
    };
    (ties.iter().map(line).collect(), all - shown)
}

/// The edges between two boxes, in both directions.
#[derive(Clone, Copy, Default)]
struct Tie {
    upper: usize,
    lower: usize,
    down: usize,
    up: usize,
    critical: bool,
}

impl Tie {
    fn edges(&self) -> usize {
        self.down + self.up
    }
}

/// Returns all pairs of boxes with edges between them.
fn ties(graph: &Graph, boxes: &Boxes) -> Vec<Tie> {
    let size = boxes.labels.len();
    let mut ties = vec![Tie::default(); size * size];
    for edge in graph.sound_edges() {
        let [from, to] = [edge.from, edge.to].map(|node| boxes.box_of[node] as usize);
        let tie = &mut ties[from.min(to) * size + from.max(to)];
        *(if from < to { &mut tie.down } else { &mut tie.up }) += 1;
        tie.critical |= edge.critical;
    }
    for (index, tie) in ties.iter_mut().enumerate() {
        (tie.upper, tie.lower) = (index / size, index % size);
    }
    ties.retain(|tie| tie.upper != tie.lower && tie.edges() > 0);
    ties
}

/// Keeps a tie if it is among the heaviest of one of its boxes.
fn keep_heaviest(ties: &mut Vec<Tie>, boxes: usize) {
    ties.sort_by_key(|tie| std::cmp::Reverse(tie.edges()));
    let mut seen = vec![0; boxes];
    ties.retain(|tie| {
        let keeps = seen[tie.upper].min(seen[tie.lower]) < TIES_PER_CLUSTER;
        seen[tie.upper] += 1;
        seen[tie.lower] += 1;
        keeps
    });
}
