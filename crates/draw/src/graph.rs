//! The description every writer reads: nodes, edges, and folders of nodes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Serialize, Serializer};

/// A graph to draw.
///
/// Nothing in it can make a writer fail: texts may hold anything, edges and clusters that name a
/// node beyond the end are left out, cycles and self-edges are drawn, repeated edges are drawn once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    pub title: Option<String>,
    /// What one node is called in counts; `task` when absent.
    pub noun: Option<String>,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// Groups of nodes, such as the files of a folder; a node named by two belongs to the first.
    pub clusters: Vec<Cluster>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Unique in the graph; DOT and JSON name nodes by it.
    pub id: String,
    pub label: String,
    /// A second, quieter line, such as `3m · high`.
    pub sublabel: Option<String>,
    pub status: Status,
    pub critical: bool,
    /// One of several that all need each other; a box that stands for many says how many of them are.
    pub in_circle: bool,
    /// What a pointer resting on the node shows beneath label, status and sublabel.
    pub tooltip: Option<String>,
}

/// An arrow from a prerequisite to its dependent, as indices into [`Graph::nodes`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub critical: bool,
    pub style: Style,
    /// The condition, such as `failure`.
    pub label: Option<String>,
    /// Closes a cycle. Cycles are found without it; it says which edge of the cycle to turn around.
    pub back: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    pub label: String,
    pub nodes: Vec<usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Style {
    #[default]
    Solid,
    /// A conditional edge.
    Dashed,
}

/// The state of a task as a reader sees it, in the order of a task's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Not run yet: a plan, or something that never runs, such as a file.
    #[default]
    None,
    Pending,
    Blocked,
    Ready,
    Assigned,
    Running,
    Suspended,
    Awaiting,
    Retrying,
    Completed,
    Failed,
    Cancelled,
    /// Ended without running because it was not needed.
    Skipped,
}

impl Status {
    pub const ALL: [Self; 13] = [
        Self::None,
        Self::Pending,
        Self::Blocked,
        Self::Ready,
        Self::Assigned,
        Self::Running,
        Self::Suspended,
        Self::Awaiting,
        Self::Retrying,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// Returns the lower-case word for the status, as used in JSON, CSS classes and legends.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Blocked => "blocked",
            Self::Ready => "ready",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Awaiting => "awaiting",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Node {
    pub(crate) fn sublabel(&self) -> Option<&str> {
        self.sublabel.as_deref().filter(|text| !text.is_empty())
    }
}

impl Edge {
    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref().filter(|text| !text.is_empty())
    }
}

impl Graph {
    /// Returns the edges whose ends both exist.
    pub(crate) fn sound_edges(&self) -> impl Iterator<Item = &Edge> + Clone {
        let nodes = self.nodes.len();
        self.edges
            .iter()
            .filter(move |edge| edge.from < nodes && edge.to < nodes)
    }

    /// Returns the sound edges without repetitions. Edges that differ only in `critical` are one,
    /// and it is critical.
    pub(crate) fn distinct_edges(&self) -> Vec<&Edge> {
        let mut place_of = HashMap::with_capacity(self.edges.len());
        let mut edges: Vec<&Edge> = Vec::with_capacity(self.edges.len());
        for edge in self.sound_edges() {
            match place_of.entry((edge.from, edge.to, edge.style, edge.label(), edge.back)) {
                Entry::Vacant(place) => {
                    place.insert(edges.len());
                    edges.push(edge);
                }
                Entry::Occupied(place) if edge.critical => edges[*place.get()] = edge,
                Entry::Occupied(_) => {}
            }
        }
        edges
    }

    /// Returns for each node the cluster it is drawn in.
    pub(crate) fn cluster_of(&self) -> Vec<Option<usize>> {
        let mut cluster_of = vec![None; self.nodes.len()];
        for (index, cluster) in self.clusters.iter().enumerate() {
            for &node in &cluster.nodes {
                if let Some(slot @ None) = cluster_of.get_mut(node) {
                    *slot = Some(index);
                }
            }
        }
        cluster_of
    }

    /// Returns the nodes of each cluster, and those of none, each node once and in the given order.
    pub(crate) fn members(&self) -> (Vec<Vec<usize>>, Vec<usize>) {
        let mut members = vec![Vec::new(); self.clusters.len()];
        let mut rest = Vec::new();
        for (node, cluster) in self.cluster_of().into_iter().enumerate() {
            match cluster {
                Some(cluster) => members[cluster].push(node),
                None => rest.push(node),
            }
        }
        (members, rest)
    }
}
