//! The graph in the language of Mermaid, as Markdown pages show it.

use std::fmt::Write;

use crate::graph::{Edge, Graph, Node, Status, Style};
use crate::palette::look;
use crate::text::clean;

/// Returns the graph as a Mermaid flow chart, left to right. A status is a class of its node.
///
/// Nodes are named `n0`, `n1`, … in the order given, whatever their ids. The size is linear in the
/// graph's; Mermaid itself refuses more than 500 edges unless its `maxEdges` is raised.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::new();
    if let Some(title) = &graph.title {
        let _ = write!(
            out,
            "---\ntitle: \"{}\"\n---\n",
            clean(title).replace('\\', "\\\\").replace('"', "\\\"")
        );
    }
    out.push_str("graph LR\n");
    write_nodes(&mut out, graph);
    write_edges(&mut out, graph);
    write_classes(&mut out, graph);
    out
}

fn write_nodes(out: &mut String, graph: &Graph) {
    let (members, rest) = graph.members();
    for (index, (cluster, nodes)) in graph.clusters.iter().zip(members).enumerate() {
        let _ = writeln!(out, "  subgraph c{index}[\"{}\"]", escape(&cluster.label));
        for node in nodes {
            write_node(out, "    ", node, &graph.nodes[node]);
        }
        out.push_str("  end\n");
    }
    for node in rest {
        write_node(out, "  ", node, &graph.nodes[node]);
    }
}

fn write_node(out: &mut String, indent: &str, index: usize, node: &Node) {
    let label = escape(&node.label);
    let _ = match node.sublabel() {
        Some(sublabel) => writeln!(out, "{indent}n{index}[\"{label}<br/>{}\"]", escape(sublabel)),
        None => writeln!(out, "{indent}n{index}[\"{label}\"]"),
    };
}

fn write_edges(out: &mut String, graph: &Graph) {
    let mut critical = Vec::new();
    for (index, edge) in graph.distinct_edges().into_iter().enumerate() {
        let label = edge
            .label()
            .map(|label| format!("|\"{}\"|", escape(label)))
            .unwrap_or_default();
        let _ = writeln!(out, "  n{} {}{label} n{}", edge.from, arrow(edge), edge.to);
        if edge.critical {
            critical.push(index.to_string());
        }
    }
    if !critical.is_empty() {
        let _ = writeln!(
            out,
            "  linkStyle {} stroke:#2563eb,stroke-width:3px",
            critical.join(",")
        );
    }
}

fn arrow(edge: &Edge) -> &'static str {
    match (edge.style, edge.critical) {
        (Style::Dashed, _) => "-.->",
        (Style::Solid, true) => "==>",
        (Style::Solid, false) => "-->",
    }
}

fn write_classes(out: &mut String, graph: &Graph) {
    let names = |wanted: &dyn Fn(usize) -> bool| -> String {
        let names: Vec<String> = (0..graph.nodes.len())
            .filter(|&node| wanted(node))
            .map(|node| format!("n{node}"))
            .collect();
        names.join(",")
    };
    for status in Status::ALL {
        let members = names(&|node| graph.nodes[node].status == status);
        if !members.is_empty() && status != Status::None {
            let (fill, border) = look(status).mermaid;
            let word = status.word();
            let _ = writeln!(out, "  classDef {word} fill:{fill},stroke:{border},color:#1f2328");
            let _ = writeln!(out, "  class {members} {word}");
        }
    }
    let members = names(&|node| graph.nodes[node].critical);
    if !members.is_empty() {
        let _ = writeln!(out, "  classDef critical stroke:#2563eb,stroke-width:3px");
        let _ = writeln!(out, "  class {members} critical");
    }
}

/// Escapes for a quoted label, where Mermaid knows entities written with `#` in place of `&`. Mermaid
/// does not accept an empty label.
fn escape(text: &str) -> String {
    if text.is_empty() {
        return " ".to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '#' | '"' | '&' | '<' | '>' | '`' | '\\' => {
                let _ = write!(escaped, "#{};", c as u32);
            }
            c => escaped.push(c),
        }
    }
    escaped
}
