//! Rust, by tree-sitter.

use rustc_hash::FxHashSet;
use tree_sitter::Node;

use super::syntax;
use crate::facts::{Ask, Facts, Import, Kind};

pub(super) fn facts(source: &str) -> Facts {
    let Some(tree) = syntax::parse(&tree_sitter_rust::LANGUAGE.into(), source) else {
        return Facts::default();
    };
    let mut collector = Collector {
        source,
        inside: Vec::new(),
        imports: Vec::new(),
        seen: FxHashSet::default(),
    };
    collector.walk(tree.root_node(), Kind::Load);
    Facts {
        imports: collector.imports,
        fault: syntax::fault(tree.root_node()),
        ..Facts::default()
    }
}

struct Collector<'a> {
    source: &'a str,
    /// The inline modules around this place.
    inside: Vec<String>,
    imports: Vec<Import>,
    /// Paths that were met already: expressions repeat themselves.
    seen: FxHashSet<(Vec<String>, Vec<String>)>,
}

impl<'a> Collector<'a> {
    fn text(&self, node: Node<'_>) -> &'a str {
        syntax::text(node, self.source)
    }

    fn push(&mut self, node: Node<'_>, kind: Kind, ask: Ask) {
        self.imports.push(Import {
            line: syntax::line(node),
            kind,
            ask,
        });
    }

    /// Depth is bounded: `lang::depth` has looked at the text.
    fn walk(&mut self, node: Node<'_>, kind: Kind) {
        match node.kind() {
            "mod_item" => return self.module(node, kind),
            "use_declaration" => {
                if let Some(argument) = node.child_by_field_name("argument") {
                    self.used(argument, &mut Vec::new(), kind);
                }
                return;
            }
            "extern_crate_declaration" => {
                if let Some(name) = node.child_by_field_name("name") {
                    self.path(node, vec![self.text(name).to_owned()], true, kind);
                }
                return;
            }
            "scoped_identifier" | "scoped_type_identifier" => {
                let segments = self.segments(node);
                if segments.len() > 1 {
                    self.path(node, segments, false, kind);
                }
                // Types inside `<…>` are paths of their own.
                if node.child_by_field_name("path").is_none_or(|path| plain(path)) {
                    return;
                }
            }
            "token_tree" => return self.tokens(node, kind),
            "string_literal" | "line_comment" | "block_comment" => return,
            _ => {}
        }
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            self.walk(child, kind);
        }
    }

    fn module(&mut self, node: Node<'_>, kind: Kind) {
        let Some(name) = node.child_by_field_name("name") else {
            return;
        };
        let name = self.text(name).trim_start_matches("r#").to_owned();
        let inside = self.inside.clone();
        match node.child_by_field_name("body") {
            Some(body) => {
                self.push(
                    node,
                    kind,
                    Ask::Inline {
                        inside,
                        name: name.clone(),
                    },
                );
                self.inside.push(name);
                self.walk(body, kind);
                self.inside.pop();
            }
            None => {
                let path = self.path_attribute(node);
                self.push(node, Kind::Part, Ask::Mod { inside, name, path });
            }
        }
    }

    /// `#[path = "…"]` among the attributes before a `mod`.
    fn path_attribute(&self, node: Node<'_>) -> Option<String> {
        let mut before = node.prev_named_sibling();
        while let Some(attribute) = before.filter(|node| node.kind() == "attribute_item") {
            let text = self.text(attribute);
            let inner = text.trim_start_matches("#[").trim_start();
            if let Some(rest) = inner.strip_prefix("path")
                && let Some(value) = rest.trim_start().strip_prefix('=')
            {
                return value.split('"').nth(1).map(str::to_owned);
            }
            before = attribute.prev_named_sibling();
        }
        None
    }

    /// The leaves of a `use`, each with its whole path.
    fn used(&mut self, node: Node<'_>, prefix: &mut Vec<String>, kind: Kind) {
        let depth = prefix.len();
        match node.kind() {
            "use_list" => {
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    self.used(child, prefix, kind);
                }
            }
            "scoped_use_list" => {
                if let Some(path) = node.child_by_field_name("path") {
                    prefix.extend(self.segments(path));
                }
                if let Some(list) = node.child_by_field_name("list") {
                    self.used(list, prefix, kind);
                }
            }
            "use_as_clause" => {
                if let Some(path) = node.child_by_field_name("path") {
                    self.used(path, prefix, kind);
                }
            }
            "use_wildcard" => {
                let mut cursor = node.walk();
                if let Some(path) = node.named_children(&mut cursor).next() {
                    prefix.extend(self.segments(path));
                }
                self.path(node, prefix.clone(), true, kind);
            }
            "line_comment" | "block_comment" => {}
            _ => {
                let mut segments = prefix.clone();
                segments.extend(self.segments(node));
                if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
                    segments.pop();
                }
                self.path(node, segments, true, kind);
            }
        }
        prefix.truncate(depth);
    }

    /// `a::b::<T>::c` as its names; nothing for what begins with a type.
    fn segments(&self, node: Node<'_>) -> Vec<String> {
        let mut segments = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at {
            match node.kind() {
                "scoped_identifier" | "scoped_type_identifier" => {
                    if let Some(name) = node.child_by_field_name("name") {
                        segments.push(self.text(name).trim_start_matches("r#").to_owned());
                    }
                    at = node.child_by_field_name("path");
                }
                "identifier" | "type_identifier" | "crate" | "self" | "super" | "metavariable" => {
                    segments.push(self.text(node).trim_start_matches("r#").to_owned());
                    at = None;
                }
                "generic_type" => at = node.child_by_field_name("type"),
                _ => return Vec::new(),
            }
        }
        segments.reverse();
        segments
    }

    /// Macros are given tokens, not syntax: `a :: b :: c` in a row is taken for a path.
    fn tokens(&mut self, node: Node<'_>, kind: Kind) {
        let mut run: Vec<String> = Vec::new();
        let mut joined = false;
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.children(&mut cursor).collect();
        for child in children.iter().copied().map(Some).chain([None]) {
            let word = child.filter(|c| matches!(c.kind(), "identifier" | "crate" | "self" | "super"));
            match (word, child.map(|c| c.kind())) {
                (Some(word), _) if joined => {
                    run.push(self.text(word).to_owned());
                    joined = false;
                }
                (_, Some("::")) if !run.is_empty() => joined = true,
                (word, _) => {
                    if run.len() > 1 {
                        self.path(node, std::mem::take(&mut run), false, kind);
                    }
                    run = word.map(|word| self.text(word).to_owned()).into_iter().collect();
                    joined = false;
                }
            }
        }
        for child in children {
            if child.kind() == "token_tree" {
                self.tokens(child, kind);
            }
        }
    }

    fn path(&mut self, node: Node<'_>, segments: Vec<String>, used: bool, kind: Kind) {
        if segments.is_empty() || !self.seen.insert((self.inside.clone(), segments.clone())) {
            return;
        }
        let inside = self.inside.clone();
        self.push(
            node,
            kind,
            Ask::Path {
                inside,
                segments,
                used,
            },
        );
    }
}

/// A path that holds no types of its own.
fn plain(node: Node<'_>) -> bool {
    let mut at = Some(node);
    while let Some(node) = at {
        match node.kind() {
            "scoped_identifier" | "scoped_type_identifier" => at = node.child_by_field_name("path"),
            "identifier" | "type_identifier" | "crate" | "self" | "super" => return true,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |import: Import| {
            let (inside, what) = match import.ask {
                Ask::Mod { inside, name, path } => {
                    (inside, format!("mod {name} {}", path.unwrap_or_default()))
                }
                Ask::Inline { inside, name } => (inside, format!("inline {name}")),
                Ask::Path {
                    inside,
                    segments,
                    used,
                } => (
                    inside,
                    format!("{}{}", if used { "use " } else { "" }, segments.join("::")),
                ),
                _ => unreachable!(),
            };
            format!("{} {}|{}", import.line, inside.join("::"), what.trim_end())
        };
        facts(text).imports.into_iter().map(show).collect()
    }

    #[test]
    fn modules_uses_and_paths_are_found() {
        let text = "\
mod a;
#[path = \"x/y.rs\"]
mod b;
mod c { mod d; use super::e; }
use crate::f::{self, g::*, h as i};
use std::io;
extern crate j;
fn k() -> l::M { crate::n::o::<p::Q>(); vec![crate::r::S, t] }
// use crate::no;
impl U for crate::v::W<x::Y> {}
";
        assert_eq!(
            shown(text),
            [
                "1 |mod a",
                "3 |mod b x/y.rs",
                "4 |inline c",
                "4 c|mod d",
                "4 c|use super::e",
                "5 |use crate::f",
                "5 |use crate::f::g",
                "5 |use crate::f::h",
                "6 |use std::io",
                "7 |use j",
                "8 |l::M",
                "8 |crate::n::o",
                "8 |p::Q",
                "8 |crate::r::S",
                "10 |crate::v::W",
                "10 |x::Y",
            ]
        );
    }
}
