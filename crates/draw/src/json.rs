//! The graph as data, for programs that draw it themselves.

use serde_json::{Map, Value, json};

use crate::graph::{Edge, Graph, Node, Style};

/// Returns `{title, nodes: [{id, label, sublabel, status, critical, tooltip}], edges: [{from, to,
/// critical, style, label, back}], clusters: [{label, nodes}]}`.
///
/// Edges and clusters name nodes by id; an absent title, sublabel, tooltip or label is left out.
/// Repeated edges are kept.
pub fn json(graph: &Graph) -> Value {
    let id = |&node: &usize| Some(graph.nodes.get(node)?.id.as_str());
    let clusters = graph.clusters.iter().map(|cluster| {
        let nodes: Vec<&str> = cluster.nodes.iter().filter_map(id).collect();
        json!({ "label": cluster.label, "nodes": nodes })
    });
    // In the order of the alphabet, which a map may or may not keep by itself.
    let mut value = Map::new();
    value.insert("clusters".into(), clusters.collect());
    value.insert(
        "edges".into(),
        graph.sound_edges().map(|it| edge(graph, it)).collect(),
    );
    value.insert("nodes".into(), graph.nodes.iter().map(node).collect());
    put(&mut value, "title", graph.title.as_ref());
    Value::Object(value)
}

fn node(node: &Node) -> Value {
    let mut value = Map::new();
    value.insert("critical".into(), node.critical.into());
    value.insert("id".into(), node.id.as_str().into());
    value.insert("label".into(), node.label.as_str().into());
    value.insert("status".into(), json!(node.status));
    put(&mut value, "sublabel", node.sublabel.as_ref());
    put(&mut value, "tooltip", node.tooltip.as_ref());
    Value::Object(value)
}

fn edge(graph: &Graph, edge: &Edge) -> Value {
    let style = match edge.style {
        Style::Solid => "solid",
        Style::Dashed => "dashed",
    };
    let mut value = Map::new();
    value.insert("back".into(), edge.back.into());
    value.insert("critical".into(), edge.critical.into());
    value.insert("from".into(), graph.nodes[edge.from].id.as_str().into());
    put(&mut value, "label", edge.label.as_ref());
    value.insert("style".into(), style.into());
    value.insert("to".into(), graph.nodes[edge.to].id.as_str().into());
    Value::Object(value)
}

fn put(object: &mut Map<String, Value>, key: &str, text: Option<&String>) {
    if let Some(text) = text {
        object.insert(key.into(), text.as_str().into());
    }
}
