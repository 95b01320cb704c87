//! The writers, seen from outside.

mod picture;
mod text;
mod xml;

use draw::{Edge, Graph, Node, Status, Style};

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        label: id.to_owned(),
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

fn graph(nodes: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Graph {
    Graph {
        nodes: (0..nodes).map(|index| node(&format!("t{index}"))).collect(),
        edges: edges.into_iter().map(|(from, to)| edge(from, to)).collect(),
        ..Graph::default()
    }
}

/// test, ship on its critical path, an alert if that fails.
fn release() -> Graph {
    let node = |id, sublabel: &str, status, critical| Node {
        sublabel: Some(sublabel.to_owned()),
        status,
        critical,
        ..node(id)
    };
    Graph {
        title: Some("release".to_owned()),
        nodes: vec![
            node("test", "3m · high", Status::Completed, true),
            node("ship", "1m", Status::Running, true),
            node("alert", "on failure", Status::Blocked, false),
        ],
        edges: vec![
            Edge {
                critical: true,
                ..edge(0, 1)
            },
            Edge {
                style: Style::Dashed,
                label: Some("failure".to_owned()),
                ..edge(1, 2)
            },
        ],
        ..Graph::default()
    }
}

/// Texts that try to leave the place they are put in.
fn hostile() -> Graph {
    let texts = [
        "</text></svg><script>alert(1)</script>",
        "\"];\nevil --> n0[\"",
        "a\u{0}b\u{1b}[31m\u{202e}c\u{fffe}",
        "\\\" onload=\\\"x",
        "]]> <!-- & &amp; #quot; `md` --",
        "日本語のとても長い名前のタスクです、はい",
        "",
    ];
    let mut graph = graph(
        texts.len(),
        [(0, 1), (1, 2), (2, 0), (3, 3), (0, 99), (99, 0), (4, 5), (4, 5)],
    );
    for (node, text) in graph.nodes.iter_mut().zip(texts) {
        node.id = format!("{text}{}", node.id);
        node.label = text.to_owned();
        node.sublabel = Some(text.to_owned());
        node.tooltip = Some(text.to_owned());
    }
    for (edge, text) in graph.edges.iter_mut().zip(texts) {
        edge.label = Some(text.to_owned());
    }
    graph.title = Some(texts.concat());
    graph.clusters.push(draw::Cluster {
        label: texts.concat(),
        nodes: vec![0, 0, 2, 77],
    });
    graph
}
