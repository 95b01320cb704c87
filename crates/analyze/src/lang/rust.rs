//! Rust, by tree-sitter.

use rustc_hash::FxHashSet;
use tree_sitter::{Node, TreeCursor};

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
        declares: Vec::new(),
        defining: false,
        seen: FxHashSet::default(),
    };
    collector.walk(&mut tree.walk(), Kind::Load);
    collector.declares.sort();
    collector.declares.dedup();
    Facts {
        imports: collector.imports,
        declares: collector.declares,
        fault: syntax::fault(tree.root_node()),
        ..Facts::default()
    }
}

struct Collector<'a> {
    source: &'a str,
    /// The inline modules around this place.
    inside: Vec<String>,
    imports: Vec<Import>,
    declares: Vec<String>,
    /// Inside the definition of a macro: modules in it belong to whoever calls it.
    defining: bool,
    /// Paths that were met already: expressions repeat themselves.
    seen: FxHashSet<(Vec<String>, Vec<String>, Option<String>)>,
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
    fn walk(&mut self, cursor: &mut TreeCursor<'_>, kind: Kind) {
        let node = cursor.node();
        match node.kind() {
            "mod_item" => return self.module(node, kind),
            "use_declaration" => {
                let kind = self.guarded(node, kind);
                if let Some(argument) = node.child_by_field_name("argument") {
                    self.used(argument, &mut Vec::new(), kind);
                }
                return;
            }
            "extern_crate_declaration" => {
                if let Some(name) = node.child_by_field_name("name") {
                    let brings = self.text(node.child_by_field_name("alias").unwrap_or(name));
                    self.path(node, vec![self.text(name).to_owned()], Some(brings), kind);
                }
                return;
            }
            "scoped_identifier" | "scoped_type_identifier" => {
                let segments = self.segments(node);
                if segments.len() > 1 {
                    self.path(node, segments, None, kind);
                }
                // Types inside `<…>` are paths of their own.
                if node.child_by_field_name("path").is_none_or(|path| plain(path)) {
                    return;
                }
            }
            "token_tree" => return self.tokens(node, kind),
            "macro_invocation" => self.include(node),
            "string_literal" | "line_comment" | "block_comment" => return,
            "macro_definition" => {
                self.declare(node);
                self.defining = true;
                self.children(cursor, kind);
                self.defining = false;
                return;
            }
            _ => self.declare(node),
        }
        self.children(cursor, kind);
    }

    fn children(&mut self, cursor: &mut TreeCursor<'_>, kind: Kind) {
        if cursor.goto_first_child() {
            loop {
                if cursor.node().is_named() {
                    self.walk(cursor, kind);
                }
                if !cursor.goto_next_sibling() {
                    break;
                }
            }
            cursor.goto_parent();
        }
    }

    fn include(&mut self, node: Node<'_>) {
        let called = node.child_by_field_name("macro").map(|name| self.text(name));
        let given = node.named_child(1).filter(|tokens| tokens.kind() == "token_tree");
        if let (Some("include"), Some(given)) = (called, given) {
            let given = self
                .text(given)
                .trim_matches(['(', ')', '[', ']', '{', '}'])
                .trim();
            if let Some(path) = given.strip_prefix('"').and_then(|given| given.strip_suffix('"')) {
                let inside = self.inside.clone();
                let path = path.to_owned();
                self.push(node, Kind::Part, Ask::Include { inside, path });
            }
        }
    }

    /// Notes an item of the module, not of a function in it.
    fn declare(&mut self, node: Node<'_>) {
        let item = matches!(
            node.kind(),
            "function_item"
                | "struct_item"
                | "enum_item"
                | "union_item"
                | "trait_item"
                | "type_item"
                | "const_item"
                | "static_item"
                | "macro_definition"
        );
        if !item {
            return;
        }
        let place = node.parent();
        let place = match place.filter(|place| place.kind() == "declaration_list") {
            Some(body) => body.parent().filter(|module| module.kind() == "mod_item"),
            None => place.filter(|place| place.kind() == "source_file"),
        };
        if place.is_none() {
            return;
        }
        let Some(name) = node.child_by_field_name("name") else {
            return;
        };
        let name = self.text(name).trim_start_matches("r#");
        let exported = |attribute: &str| attribute.starts_with("macro_export");
        if node.kind() == "macro_definition" && self.attributes(node).any(exported) {
            self.declares.push(format!("!{name}"));
        }
        let path = self.inside.iter().map(String::as_str).chain([name]);
        self.declares.push(path.collect::<Vec<_>>().join("::"));
    }

    fn module(&mut self, node: Node<'_>, kind: Kind) {
        let kind = self.guarded(node, kind);
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
                self.walk(&mut body.walk(), kind);
                self.inside.pop();
            }
            None => {
                let paths = paths(self.attributes(node));
                self.push(node, Kind::Part, Ask::Mod { inside, name, paths });
            }
        }
    }

    /// What is compiled under a condition only, such as tests, is needed less.
    fn guarded(&self, node: Node<'_>, kind: Kind) -> Kind {
        match self.attributes(node).any(|text| text.starts_with("cfg(")) {
            true => kind.min(Kind::Conditional),
            false => kind,
        }
    }

    /// The attributes before an item, the last first, without their `#[`.
    fn attributes<'n>(&self, node: Node<'n>) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let source = self.source;
        let before = |node: &Node<'n>| {
            node.prev_named_sibling()
                .filter(|node| matches!(node.kind(), "attribute_item" | "line_comment" | "block_comment"))
        };
        let all = std::iter::successors(before(&node), before);
        all.filter(|node| node.kind() == "attribute_item")
            .map(move |node| syntax::text(node, source).trim_start_matches("#[").trim_start())
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
                    let alias = node.child_by_field_name("alias");
                    self.leaf(path, prefix, alias.map(|alias| self.text(alias)), kind);
                }
            }
            "use_wildcard" => {
                let mut cursor = node.walk();
                if let Some(path) = node.named_children(&mut cursor).next() {
                    prefix.extend(self.segments(path));
                }
                self.path(node, prefix.clone(), Some("*"), kind);
            }
            "line_comment" | "block_comment" => {}
            _ => self.leaf(node, prefix, None, kind),
        }
        prefix.truncate(depth);
    }

    fn leaf(&mut self, node: Node<'_>, prefix: &[String], alias: Option<&str>, kind: Kind) {
        let mut segments = prefix.to_vec();
        segments.extend(self.segments(node));
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let brings = alias.map(str::to_owned).or_else(|| segments.last().cloned());
        let brings = brings.unwrap_or_default();
        self.path(node, segments, Some(brings.trim_start_matches("r#")), kind);
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
                        self.path(node, std::mem::take(&mut run), None, kind);
                    }
                    run = word.map(|word| self.text(word).to_owned()).into_iter().collect();
                    joined = false;
                }
            }
        }
        for (at, child) in children.iter().copied().enumerate() {
            match child.kind() {
                "token_tree" => self.tokens(child, kind),
                _ if !self.defining && self.text(child) == "mod" => {
                    self.module_of_tokens(&children[..at], &children[at..]);
                }
                _ => {}
            }
        }
    }

    /// `mod name;` among tokens, as in `cfg_if!`.
    fn module_of_tokens(&mut self, before: &[Node<'_>], from: &[Node<'_>]) {
        let [_, name, end, ..] = from else { return };
        if name.kind() != "identifier" || self.text(*end) != ";" {
            return;
        }
        let attributes = before.iter().rev().map(|token| self.text(*token));
        let attributes =
            attributes.take_while(|text| matches!(*text, "pub" | "#") || text.starts_with(['(', '[']));
        let paths = paths(attributes.map(|text| text.trim_start_matches('[')));
        let inside = self.inside.clone();
        let name = self.text(*name).to_owned();
        self.push(from[0], Kind::Part, Ask::Mod { inside, name, paths });
    }

    fn path(&mut self, node: Node<'_>, segments: Vec<String>, brings: Option<&str>, kind: Kind) {
        let brings = brings.map(str::to_owned);
        let met = (self.inside.clone(), segments.clone(), brings.clone());
        if segments.is_empty() || !self.seen.insert(met) {
            return;
        }
        let inside = self.inside.clone();
        self.push(
            node,
            kind,
            Ask::Path {
                inside,
                segments,
                brings,
            },
        );
    }
}

/// What the attributes of a module say of its place.
fn paths<'a>(attributes: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut paths = Vec::new();
    for attribute in attributes {
        if let Some(path) = attribute.strip_prefix("path").and_then(value) {
            return vec![path];
        }
        if let Some(rest) = attribute.strip_prefix("cfg_attr") {
            paths.extend(rest.rsplit_once("path").and_then(|(_, rest)| value(rest)));
        }
    }
    if !paths.is_empty() {
        paths.push(String::new());
    }
    paths
}

/// The text in ` = "…"`.
fn value(rest: &str) -> Option<String> {
    let rest = rest.trim_start().strip_prefix('=')?;
    rest.split('"').nth(1).map(str::to_owned)
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
                Ask::Mod { inside, name, paths } => (inside, format!("mod {name} {}", paths.join("|"))),
                Ask::Include { inside, path } => (inside, format!("include {path}")),
                Ask::Inline { inside, name } => (inside, format!("inline {name}")),
                Ask::Path {
                    inside,
                    segments,
                    brings,
                } => {
                    let path = segments.join("::");
                    let own = brings == segments.last().cloned();
                    (
                        inside,
                        match brings {
                            Some(_) if own => format!("use {path}"),
                            Some(name) => format!("use {path} as {name}"),
                            None => path,
                        },
                    )
                }
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
                "5 |use crate::f::g as *",
                "5 |use crate::f::h as i",
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
    #[test]
    fn modules_among_the_tokens_of_a_macro() {
        let text = "macro_rules! m { () => { mod z; } } cfg_if! { if #[cfg(unix)] { mod a; pub(crate) mod b; } else { #[path = \"c/d.rs\"] pub mod c; mod e {} } }";
        assert_eq!(shown(text), ["1 |mod a", "1 |mod b", "1 |mod c c/d.rs"]);
    }

    #[test]
    fn modules_in_other_places() {
        let text = "\
#[cfg_attr(unix, path = \"unix.rs\")]
#[cfg_attr(all(windows, x = \"y\"), path = \"windows.rs\")]
mod sys;
#[path = \"a.rs\"] #[doc(hidden)] pub mod b;
include!(\"tables.rs\");
include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));
include_str!(\"no.rs\");
";
        assert_eq!(
            shown(text),
            [
                "3 |mod sys windows.rs|unix.rs|",
                "4 |mod b a.rs",
                "5 |include tables.rs"
            ]
        );
    }

    #[test]
    fn items_of_modules_are_declared() {
        let text = "\
pub fn f() { fn inner() {} struct Local; }
struct S;
enum E { V }
mod m { pub trait T { fn g(); } #[cfg(x)] mod n { const C: u8 = 1; } }
impl S { fn method() {} }
/// Said.
#[macro_export]
// And noted.
macro_rules! exported { () => {} }
macro_rules! own { () => {} }
";
        assert_eq!(
            facts(text).declares,
            ["!exported", "E", "S", "exported", "f", "m::T", "m::n::C", "own"]
        );
    }

    #[test]
    fn what_stands_under_a_condition_is_needed_less() {
        let text = "#[cfg(test)]\nmod tests { use crate::a; fn f() { crate::b::c() } }\n#[cfg(x)] use crate::d;\nuse crate::e;\n";
        let kinds: Vec<Kind> = facts(text).imports.iter().map(|import| import.kind).collect();
        use Kind::{Conditional, Load};
        assert_eq!(kinds, [Conditional, Conditional, Conditional, Conditional, Load]);
    }
}
