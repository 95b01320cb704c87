//! What an SVG shows: cards that may stand for one node or for many, and the wires between them.

use crate::graph::{Edge, Graph, Node, Status, Style};
use crate::text::{count, head, thousands};

/// Up to this many nodes get a full card each.
const FULL_CARDS_MAX: usize = 150;
/// Beyond these a picture of every node is neither readable nor small.
const CARDS_MAX: usize = 2_000;
const WIRES_MAX: usize = 8_000;
/// More labels than this on wires are only noise.
const WIRE_LABELS_MAX: usize = 500;
/// Characters of a tooltip: long enough for a path and facts, so short that hostile ones stay small.
pub(crate) const TOOLTIP_CHARS: usize = 600;
const TOOLTIP_CHARS_COMPACT: usize = 150;
const NOUN_CHARS: usize = 24;

#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) title: Option<String>,
    /// One line of counts.
    pub(crate) subtitle: String,
    pub(crate) scale: Scale,
    pub(crate) cards: Vec<Card>,
    pub(crate) wires: Vec<Line>,
    /// The lane of each card, and the label of each lane; no labels when there is only one lane.
    pub(crate) lanes: Vec<usize>,
    pub(crate) lane_labels: Vec<Option<String>>,
    pub(crate) tally: Tally,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    Compact,
    /// Cards stand for groups of nodes.
    Summary,
}

#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) label: String,
    pub(crate) sublabel: Option<String>,
    pub(crate) tooltip: String,
    pub(crate) critical: bool,
    pub(crate) tally: Tally,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) critical: bool,
    pub(crate) dashed: bool,
    pub(crate) back: bool,
    pub(crate) label: Option<String>,
    pub(crate) tooltip: Option<String>,
}

/// How many nodes have each status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally([usize; Status::ALL.len()]);

impl Tally {
    pub(crate) fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }

    pub(crate) fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Returns the statuses that occur, in the order of a task's life.
    pub(crate) fn present(&self) -> impl Iterator<Item = (Status, usize)> {
        Status::ALL
            .into_iter()
            .map(|status| (status, self.0[status as usize]))
            .filter(|(_, count)| *count > 0)
    }

    /// Returns whether any node has been run or is waiting to be.
    pub(crate) fn has_statuses(&self) -> bool {
        self.present().any(|(status, _)| status != Status::None)
    }
}

impl FromIterator<Status> for Tally {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        let mut tally = Self::default();
        statuses.into_iter().for_each(|status| tally.add(status));
        tally
    }
}

impl Scene {
    /// Returns a scene with a card for every node, unless those are too many.
    pub(crate) fn of(graph: &Graph) -> Option<Self> {
        if graph.nodes.len() > CARDS_MAX {
            return None;
        }
        let edges = graph.distinct_edges();
        if edges.len() > WIRES_MAX {
            return None;
        }
        let is_full = graph.nodes.len() <= FULL_CARDS_MAX;
        let tooltip_chars = if is_full {
            TOOLTIP_CHARS
        } else {
            TOOLTIP_CHARS_COMPACT
        };
        let mut wires: Vec<Line> = edges.iter().map(|edge| Line::of(edge)).collect();
        if wires.iter().filter(|wire| wire.label.is_some()).count() > WIRE_LABELS_MAX {
            wires.iter_mut().for_each(|wire| wire.label = None);
        }
        let (lanes, lane_labels) = lanes(graph);
        Some(Self {
            title: graph.title.clone(),
            subtitle: subtitle(graph, edges.len()),
            scale: if is_full { Scale::Full } else { Scale::Compact },
            cards: graph
                .nodes
                .iter()
                .map(|node| Card::of(node, tooltip_chars))
                .collect(),
            wires,
            lanes,
            lane_labels,
            tally: graph.nodes.iter().map(|node| node.status).collect(),
        })
    }

    pub(crate) fn is_framed(&self) -> bool {
        !self.lane_labels.is_empty()
    }
}

impl Card {
    pub(crate) fn of(node: &Node, tooltip_chars: usize) -> Self {
        let status = (node.status != Status::None).then(|| node.status.word());
        let facts: Vec<&str> = status.into_iter().chain(node.sublabel()).collect();
        let critical = node.critical.then(|| "on the critical path".to_owned());
        let lines = [Some(facts.join(" · ")), critical, node.tooltip.clone()];
        let mut tooltip = node.label.clone();
        for line in lines.into_iter().flatten().filter(|line| !line.is_empty()) {
            tooltip.push('\n');
            tooltip.push_str(&line);
        }
        Self {
            label: node.label.clone(),
            sublabel: node.sublabel().map(str::to_owned),
            tooltip: head(&tooltip, tooltip_chars),
            critical: node.critical,
            tally: Tally::from_iter([node.status]),
        }
    }

    /// Returns the status of the node it stands for, if it stands for just one.
    pub(crate) fn status(&self) -> Option<Status> {
        self.tally
            .present()
            .next()
            .filter(|_| self.tally.total() == 1)
            .map(|(status, _)| status)
    }
}

impl Line {
    fn of(edge: &Edge) -> Self {
        Self {
            from: edge.from,
            to: edge.to,
            critical: edge.critical,
            dashed: edge.style == Style::Dashed,
            back: edge.back,
            label: edge.label().map(str::to_owned),
            tooltip: None,
        }
    }
}

pub(crate) fn noun(graph: &Graph) -> String {
    head(graph.noun.as_deref().unwrap_or("task"), NOUN_CHARS)
}

pub(crate) fn subtitle(graph: &Graph, edges: usize) -> String {
    let mut subtitle = format!(
        "{} · {}",
        count(graph.nodes.len(), &noun(graph)),
        count(edges, "edge")
    );
    let critical = graph.nodes.iter().filter(|node| node.critical).count();
    if critical > 0 {
        subtitle.push_str(&format!(" · {} on the critical path", thousands(critical)));
    }
    subtitle
}

/// Returns the lane of each node and the labels of the lanes: one for each cluster that has nodes,
/// and one without a label for the nodes of no cluster.
fn lanes(graph: &Graph) -> (Vec<usize>, Vec<Option<String>>) {
    let (members, rest) = graph.members();
    let mut lanes = vec![0; graph.nodes.len()];
    let mut labels = Vec::new();
    let clusters = graph.clusters.iter().map(|cluster| Some(cluster.label.clone()));
    for (label, nodes) in clusters.zip(members).chain([(None, rest)]) {
        if !nodes.is_empty() {
            nodes.iter().for_each(|&node| lanes[node] = labels.len());
            labels.push(label);
        }
    }
    if labels.iter().all(Option::is_none) {
        labels.clear();
    }
    (lanes, labels)
}
