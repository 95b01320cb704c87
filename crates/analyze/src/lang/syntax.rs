//! What the two languages read by tree-sitter have in common.

use tree_sitter::{Language, Node, Parser, Tree};

use crate::facts::{Fault, Problem};

pub(super) fn parse(language: &Language, text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(language).ok()?;
    parser.parse(text, None)
}

pub(super) fn text<'a>(node: Node<'_>, source: &'a str) -> &'a str {
    source.get(node.byte_range()).unwrap_or_default()
}

pub(super) fn line(node: Node<'_>) -> u32 {
    node.start_position().row as u32 + 1
}

/// The first place that is not the language.
pub(super) fn fault(root: Node<'_>) -> Option<Fault> {
    if !root.has_error() {
        return None;
    }
    let mut node = root;
    while let Some(inner) = broken_child(node) {
        node = inner;
    }
    let detail = if node.is_missing() {
        format!("`{}` is missing", node.kind())
    } else {
        "unexpected text".to_owned()
    };
    Some(Fault {
        problem: Problem::Syntax,
        line: line(node),
        detail,
    })
}

fn broken_child(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    node.children(&mut cursor)
        .find(|child| child.is_error() || child.is_missing() || child.has_error())
}
