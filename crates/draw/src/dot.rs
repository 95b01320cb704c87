//! The graph in the language of Graphviz.

use std::fmt::Write;

use crate::graph::{Edge, Graph, Node, Style};
use crate::palette::look;
use crate::text::clean;

const CRITICAL: &str = "color=\"#2563eb\" penwidth=2.5";

/// Returns the graph as DOT, left to right, nodes filled by status, the critical path bold,
/// clusters as subgraphs. Its size is linear in the graph's.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::new();
    let name = quote(graph.title.as_deref().unwrap_or("graph"));
    let _ = writeln!(out, "digraph {name} {{");
    if graph.title.is_some() {
        let _ = writeln!(out, "  label={name} labelloc=t");
    }
    out.push_str("  rankdir=LR\n");
    out.push_str("  node [shape=box style=\"rounded,filled\" fontname=\"Helvetica\" fontsize=11]\n");
    out.push_str("  edge [color=\"#6e7781\" fontname=\"Helvetica\" fontsize=9]\n");
    for node in &graph.nodes {
        let _ = writeln!(out, "  {}", node_statement(node));
    }
    write_clusters(&mut out, graph);
    for edge in graph.distinct_edges() {
        let _ = writeln!(out, "  {}", edge_statement(graph, edge));
    }
    out.push_str("}\n");
    out
}

fn node_statement(node: &Node) -> String {
    let label = match node.sublabel() {
        Some(sublabel) => format!("\"{}\\n{}\"", escape(&node.label), escape(sublabel)),
        None => quote(&node.label),
    };
    let fill = look(node.status).dot;
    let mut statement = format!("{} [label={label} fillcolor={fill}", quote(&node.id));
    if matches!(fill, "green" | "red" | "gray" | "lightslategray") {
        statement.push_str(" fontcolor=white");
    }
    if node.critical {
        let _ = write!(statement, " {CRITICAL}");
    }
    if let Some(tooltip) = &node.tooltip {
        let _ = write!(statement, " tooltip={}", quote(tooltip));
    }
    statement.push(']');
    statement
}

fn edge_statement(graph: &Graph, edge: &Edge) -> String {
    let mut attributes = Vec::new();
    if edge.critical {
        attributes.push(CRITICAL.to_owned());
    }
    if edge.style == Style::Dashed {
        attributes.push("style=dashed".to_owned());
    }
    if let Some(label) = edge.label() {
        attributes.push(format!("label={}", quote(label)));
    }
    if edge.back {
        attributes.push("constraint=false color=\"#c2410c\"".to_owned());
    }
    let [from, to] = [edge.from, edge.to].map(|node| quote(&graph.nodes[node].id));
    match attributes.is_empty() {
        true => format!("{from} -> {to}"),
        false => format!("{from} -> {to} [{}]", attributes.join(" ")),
    }
}

fn write_clusters(out: &mut String, graph: &Graph) {
    let (members, _) = graph.members();
    for (index, (cluster, nodes)) in graph.clusters.iter().zip(members).enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{index} {{");
        let _ = writeln!(out, "    label={} color=\"#afb8c1\"", quote(&cluster.label));
        for node in nodes {
            let _ = writeln!(out, "    {}", quote(&graph.nodes[node].id));
        }
        out.push_str("  }\n");
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

fn escape(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}
