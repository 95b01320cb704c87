//! Draws graphs of many shapes into a folder, to be looked at: `gallery FOLDER [NAME]`.

use std::path::Path;
use std::time::Instant;

use draw::{Cluster, Edge, Graph, Node, Status, Style};

type Shape = (&'static str, fn() -> Graph);

const SHAPES: &[Shape] = &[
    ("empty", Graph::default),
    ("single", || graph("one task", 1, [])),
    ("release", release),
    ("quickstart", quickstart),
    ("odd", odd),
    ("isolated", || {
        statused(graph("nothing depends on anything", 37, []))
    }),
    ("parts", || statused(parts())),
    ("grid", || statused(layers("ten by twenty", 10, 20))),
    ("mesh", || statused(layers("twelve by eight", 12, 8))),
    ("fan", || statused(fan("fan out, fan in", 200))),
    ("fan-small", || statused(fan("fan out, fan in", 9))),
    ("chain", || statused(chain("a chain", 60))),
    ("files", || files(500, 20, 40)),
    ("tangle", || statused(tangle(2_000, 8_000))),
    ("sparse", || statused(tangle(700, 900))),
    ("folders", || files(90, 6, 8)),
    ("chain-100k", || statused(chain("a long chain", 100_000))),
    ("layers-100k", || {
        statused(layers("a thousand by a hundred", 1_000, 100))
    }),
    ("layers-5k", || statused(layers("twenty by 250", 20, 250))),
    ("million", || statused(layers("a million", 1_000, 1_000))),
    ("million-tangle", || statused(tangle(1_000_000, 3_000_000))),
    ("files-40k", || files(40_000, 30, 0)),
];

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "gallery".to_owned());
    let wanted = arguments.next();
    std::fs::create_dir_all(&folder)?;
    for (name, make) in SHAPES
        .iter()
        .filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == *name))
    {
        let graph = make();
        let start = Instant::now();
        let svg = draw::svg(&graph);
        let took = start.elapsed();
        let (nodes, edges) = (graph.nodes.len(), graph.edges.len());
        println!(
            "{name:12} {nodes:9} nodes {edges:9} edges {:9} bytes {took:9.1?}",
            svg.len()
        );
        std::fs::write(Path::new(&folder).join(format!("{name}.svg")), svg)?;
    }
    Ok(())
}

fn node(label: &str) -> Node {
    Node {
        id: label.to_owned(),
        label: label.to_owned(),
        ..Node::default()
    }
}

fn edge(from: usize, to: usize) -> Edge {
    Edge {
        from,
        to,
        ..Edge::default()
    }
}

fn graph(title: &str, nodes: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Graph {
    Graph {
        title: Some(title.to_owned()),
        nodes: (0..nodes).map(|index| node(&format!("task-{index}"))).collect(),
        edges: edges.into_iter().map(|(from, to)| edge(from, to)).collect(),
        ..Graph::default()
    }
}

/// The plan of the design document, half done.
fn release() -> Graph {
    let rows = [
        ("lint", "12s", Status::Completed, true),
        ("test", "3m · 2 tries", Status::Completed, true),
        ("review", "reviewer · high", Status::Running, true),
        ("approve", "milestone_completion", Status::Blocked, true),
        ("ship", "1m", Status::Blocked, true),
        ("alert", "on failure", Status::Blocked, false),
    ];
    let nodes = rows.map(|(label, sublabel, status, critical)| Node {
        sublabel: Some(sublabel.to_owned()),
        status,
        critical,
        ..node(label)
    });
    let mut edges: Vec<Edge> = (0..4)
        .map(|from| Edge {
            critical: true,
            ..edge(from, from + 1)
        })
        .collect();
    edges.push(Edge {
        style: Style::Dashed,
        label: Some("failure".to_owned()),
        ..edge(4, 5)
    });
    Graph {
        title: Some("release".to_owned()),
        nodes: nodes.to_vec(),
        edges,
        ..Graph::default()
    }
}

fn quickstart() -> Graph {
    let mut graph = graph("quickstart", 0, []);
    for label in [
        "plan", "api", "web", "docs", "unit", "e2e", "package", "publish", "announce",
    ] {
        graph.nodes.push(Node {
            sublabel: Some("estimate 2m".to_owned()),
            ..node(label)
        });
    }
    let pairs = [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 4),
        (1, 5),
        (2, 5),
        (4, 6),
        (5, 6),
        (3, 7),
        (6, 7),
        (7, 8),
        (0, 8),
    ];
    graph.edges = pairs.map(|(from, to)| edge(from, to)).to_vec();
    for critical in [0, 2, 5, 6, 7, 8] {
        graph.nodes[critical].critical = true;
    }
    for edge in &mut graph.edges {
        edge.critical = matches!((edge.from, edge.to), (0, 2) | (2, 5) | (5, 6) | (6, 7) | (7, 8));
    }
    graph
}

/// Every status, odd labels, cycles, repeated and self edges, two conditions between two tasks.
fn odd() -> Graph {
    let mut graph = graph(
        "<odd> & \"ends\"",
        13,
        [(0, 1), (1, 2), (2, 0), (3, 3), (3, 4), (4, 3), (0, 1), (99, 2)],
    );
    for (node, status) in graph.nodes.iter_mut().zip(Status::ALL) {
        node.status = status;
        node.sublabel = Some(status.word().to_owned());
    }
    let labels = [
        "日本語のとても長い名前のタスクです",
        "</text><script>alert(1)</script>",
        "\u{202e}evil\u{0}\nline",
    ];
    for (node, label) in graph.nodes[5..].iter_mut().zip(labels) {
        node.label = label.to_owned();
    }
    graph.nodes[9].label = "src/a/very/long/path/to/some/component/button.tsx".to_owned();
    for (from, to, label) in [
        (5, 6, "failure"),
        (5, 7, "finished"),
        (8, 7, "failure"),
        (6, 9, "失敗した場合"),
        (10, 9, "success"),
    ] {
        graph.edges.push(Edge {
            style: Style::Dashed,
            label: Some(label.to_owned()),
            ..edge(from, to)
        });
    }
    graph.edges.extend([edge(5, 6), edge(7, 9), edge(5, 9)]);
    graph
}

fn chain(title: &str, length: usize) -> Graph {
    graph(title, length, (1..length).map(|to| (to - 1, to)))
}

fn fan(title: &str, width: usize) -> Graph {
    graph(
        title,
        width + 2,
        (1..=width).flat_map(|middle| [(0, middle), (middle, width + 1)]),
    )
}

fn parts() -> Graph {
    let pairs = [
        (0, 1),
        (1, 2),
        (1, 3),
        (4, 5),
        (6, 7),
        (6, 8),
        (7, 9),
        (8, 9),
        (9, 10),
        (11, 12),
        (13, 14),
        (14, 15),
    ];
    graph("separate parts", 24, pairs)
}

/// Each task waits for three of the layer before.
fn layers(title: &str, depth: usize, width: usize) -> Graph {
    let mut random = Random(7);
    let mut pairs = Vec::with_capacity(depth * width * 3);
    for to in width..depth * width {
        let layer = to / width - 1;
        let near = to % width;
        for _ in 0..3 {
            pairs.push((layer * width + (near + random.below(5)) % width, to));
        }
    }
    graph(title, depth * width, pairs)
}

/// Edges between any two tasks.
fn tangle(nodes: usize, edges: usize) -> Graph {
    let mut random = Random(5);
    let pairs: Vec<(usize, usize)> = (0..edges)
        .map(|_| (random.below(nodes), random.below(nodes)))
        .map(|(a, b)| (a.min(b), a.max(b)))
        .filter(|(a, b)| a != b)
        .collect();
    graph("a tangle", nodes, pairs)
}

/// Files that import earlier files, mostly of their own folder, with some cycles.
fn files(count: usize, folders: usize, cycles: usize) -> Graph {
    let mut random = Random(3);
    let mut graph = graph("a repository", 0, []);
    graph.noun = Some("file".to_owned());
    graph.clusters = (0..folders)
        .map(|folder| Cluster {
            label: format!("src/folder_{folder}"),
            nodes: Vec::new(),
        })
        .collect();
    for file in 0..count {
        let folder = random.below(folders);
        graph
            .nodes
            .push(node(&format!("src/folder_{folder}/module_{file}.rs")));
        let neighbours = &graph.clusters[folder].nodes;
        if !neighbours.is_empty() {
            graph
                .edges
                .push(edge(neighbours[random.below(neighbours.len())], file));
        }
        if file > 0 && random.below(4) == 0 {
            graph.edges.push(edge(random.below(file), file));
        }
        graph.clusters[folder].nodes.push(file);
    }
    for _ in 0..cycles {
        let last = random.below(graph.edges.len());
        let Edge { from, to, .. } = graph.edges[last];
        graph.edges.push(Edge {
            back: true,
            ..edge(to, from)
        });
    }
    graph
}

/// Gives a graph the look of a run that has come half way.
fn statused(mut graph: Graph) -> Graph {
    let count = graph.nodes.len();
    let mut random = Random(11);
    for (index, node) in graph.nodes.iter_mut().enumerate() {
        let done = index as f64 / count as f64;
        node.status = match random.below(100) {
            0..2 => Status::Failed,
            _ if done < 0.45 => Status::Completed,
            0..60 if done < 0.55 => Status::Running,
            _ if done < 0.6 => Status::Ready,
            _ => Status::Blocked,
        };
        node.sublabel = Some(format!("{}m · medium", 1 + index % 9));
    }
    graph
}

/// A small generator, so that the pictures are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}
