//! Go, by tree-sitter.

use rustc_hash::{FxHashMap, FxHashSet};
use tree_sitter::{Node, TreeCursor};

use super::syntax;
use crate::facts::{Ask, Facts, Import, Kind};

pub(super) fn facts(source: &str) -> Facts {
    let Some(tree) = syntax::parse(&tree_sitter_go::LANGUAGE.into(), source) else {
        return Facts::default();
    };
    let root = tree.root_node();
    let mut facts = Facts {
        fault: syntax::fault(root),
        ..Facts::default()
    };
    let mut imports: Vec<(u32, Option<String>, String)> = Vec::new();
    let mut cursor = root.walk();
    for node in root.children(&mut cursor) {
        match node.kind() {
            "package_clause" => {
                facts.package = node
                    .named_child(0)
                    .map(|name| syntax::text(name, source).to_owned());
            }
            "import_declaration" => specs(node, source, &mut imports),
            _ => declared(node, source, &mut facts.declares),
        }
    }
    facts.declares.sort();
    facts.declares.dedup();
    let mut taken = taken(root.walk(), source);
    facts.imports = imports
        .into_iter()
        .map(|(line, alias, path)| {
            let names = match alias.as_deref() {
                // Under its own name nobody knows yet what that is: the last part of the path, as a rule.
                None => guesses(&path).into_iter().find_map(|name| taken.remove(name)),
                Some("_" | ".") => None,
                Some(alias) => taken.remove(alias),
            };
            let mut names: Vec<String> = names.unwrap_or_default().into_iter().map(str::to_owned).collect();
            names.sort();
            Import {
                line,
                kind: Kind::Load,
                ask: Ask::Go { path, names },
            }
        })
        .collect();
    facts
}

/// Names under which `a/go-b.v2/v3` may be used.
fn guesses(path: &str) -> Vec<&str> {
    let mut parts = path.rsplit('/');
    let mut last = parts.next().unwrap_or_default();
    let versioned = last
        .strip_prefix('v')
        .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let mut guesses = vec![last];
    if versioned && let Some(before) = parts.next() {
        last = before;
        guesses.push(last);
    }
    let bare = last.split_once('.').map_or(last, |(bare, _)| bare);
    guesses.extend([
        bare,
        bare.strip_prefix("go-").unwrap_or(bare),
        bare.strip_suffix("-go").unwrap_or(bare),
    ]);
    guesses
}

fn specs(node: Node<'_>, source: &str, imports: &mut Vec<(u32, Option<String>, String)>) {
    let mut cursor = node.walk();
    for child in node.named_children(&mut cursor) {
        if child.kind() != "import_spec" {
            specs(child, source, imports);
            continue;
        }
        let Some(path) = child.child_by_field_name("path") else {
            continue;
        };
        let path = syntax::text(path, source).trim_matches(['"', '`']).to_owned();
        let alias = child
            .child_by_field_name("name")
            .map(|name| syntax::text(name, source).to_owned());
        imports.push((syntax::line(child), alias, path));
    }
}

/// Top-level names of functions, types, constants and variables. Methods belong to their types.
fn declared(node: Node<'_>, source: &str, names: &mut Vec<String>) {
    let mut cursor = node.walk();
    match node.kind() {
        "function_declaration" | "type_spec" | "type_alias" => {
            names.extend(
                node.child_by_field_name("name")
                    .map(|name| syntax::text(name, source).to_owned()),
            );
        }
        "const_spec" | "var_spec" => {
            let all = node.children_by_field_name("name", &mut cursor);
            names.extend(
                all.filter(Node::is_named)
                    .map(|name| syntax::text(name, source).to_owned()),
            );
        }
        "type_declaration" | "const_declaration" | "var_declaration" | "var_spec_list" => {
            for child in node.named_children(&mut cursor) {
                declared(child, source, names);
            }
        }
        _ => {}
    }
}

/// What is taken from each name before a dot: `http.Get` gives `http → {Get}`.
fn taken<'a>(mut cursor: TreeCursor<'_>, source: &'a str) -> FxHashMap<&'a str, FxHashSet<&'a str>> {
    let mut taken: FxHashMap<&str, FxHashSet<&str>> = FxHashMap::default();
    loop {
        let node = cursor.node();
        let (from, what) = match node.kind() {
            "selector_expression" => ("operand", "field"),
            "qualified_type" => ("package", "name"),
            _ => ("", ""),
        };
        if !from.is_empty()
            && let Some(from) = node.child_by_field_name(from)
            && matches!(from.kind(), "identifier" | "package_identifier")
            && let Some(what) = node.child_by_field_name(what)
        {
            taken
                .entry(syntax::text(from, source))
                .or_default()
                .insert(syntax::text(what, source));
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return taken;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_come_with_the_names_taken_from_them() {
        let facts = facts(
            "package web\n\nimport \"fmt\"\nimport (\n\t_ \"embed\"\n\tx \"a.b/c/y\"\n\t\"a.b/go-z.v2\"\n)\n\
             type T struct{ f x.Y }\nconst (\n A = 1\n B, C = 2, 3\n)\nvar v = z.New()\nfunc (t T) M() {}\n\
             func F() { fmt.Println(x.G()); t.f() }\n",
        );
        assert_eq!(facts.package.as_deref(), Some("web"));
        assert_eq!(facts.declares, ["A", "B", "C", "F", "T", "v"]);
        let shown: Vec<_> = facts
            .imports
            .into_iter()
            .map(|import| (import.line, import.ask))
            .collect();
        let go = |path: &str, names: &[&str]| Ask::Go {
            path: path.to_owned(),
            names: names.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            shown,
            [
                (3, go("fmt", &["Println"])),
                (5, go("embed", &[])),
                (6, go("a.b/c/y", &["G", "Y"])),
                (7, go("a.b/go-z.v2", &["New"])),
            ]
        );
    }

    #[test]
    fn broken_text_is_said() {
        let facts = facts("package a\nimport \"b\"\nfunc {\n");
        assert_eq!(facts.imports.len(), 1);
        assert!(facts.fault.is_some());
    }
}
