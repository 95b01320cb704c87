//! JavaScript and TypeScript, by the parser of Oxc.

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    ArrowFunctionExpression, CallExpression, ConditionalExpression, ExportAllDeclaration,
    ExportFromDeclaration, Expression, Function, IfStatement, ImportDeclaration, ImportDeclarationSpecifier,
    ImportExpression, LogicalExpression, TSExternalModuleReference, TSImportType, TryStatement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::{ParseOptions, Parser};
use oxc_span::SourceType;
use oxc_syntax::scope::ScopeFlags;

use super::Lines;
use crate::facts::{Ask, Facts, Fault, Import, Kind, Problem};

pub(super) fn facts(text: &str, path: &str) -> Facts {
    let allocator = Allocator::default();
    let source = SourceType::from_path(path).unwrap_or_default();
    // Plain JavaScript often holds JSX; there is no other meaning that `<a>` could have in it.
    let source = if source.is_javascript() {
        source.with_jsx(true)
    } else {
        source
    };
    let options = ParseOptions {
        allow_return_outside_function: true,
        ..ParseOptions::default()
    };
    let parsed = Parser::new(&allocator, text, source)
        .with_options(options)
        .parse();
    let mut lines = Lines::of(text);
    let fault = parsed.diagnostics.first().map(|error| Fault {
        problem: Problem::Syntax,
        line: error.labels.first().map_or(0, |label| lines.line(label.offset())),
        detail: error.message.to_string(),
    });
    let mut collector = Collector {
        lines,
        imports: Vec::new(),
        kind: Kind::Load,
    };
    for comment in &parsed.program.comments {
        let (start, end) = (comment.span.start, comment.span.end);
        if let Some(path) = text.get(start as usize..end as usize).and_then(referenced) {
            collector.push(start, Kind::Types, &relative(path), false);
        }
    }
    collector.visit_program(&parsed.program);
    Facts {
        imports: collector.imports,
        fault,
        ..Facts::default()
    }
}

struct Collector<'t> {
    lines: Lines<'t>,
    imports: Vec<Import>,
    kind: Kind,
}

impl Collector<'_> {
    fn weaker(&mut self, kind: Kind, visit: impl FnOnce(&mut Self)) {
        let outer = self.kind;
        self.kind = outer.min(kind);
        visit(self);
        self.kind = outer;
    }

    fn push(&mut self, offset: u32, kind: Kind, specifier: &str, require: bool) {
        self.imports.push(Import {
            line: self.lines.line(offset),
            kind: self.kind.min(kind),
            ask: Ask::Script {
                specifier: specifier.to_owned(),
                require,
            },
        });
    }
}

/// The file that a comment `/// <reference path="…" />` names.
fn referenced(comment: &str) -> Option<&str> {
    let directive = comment
        .strip_prefix("///")?
        .trim_start()
        .strip_prefix("<reference")?;
    let (_, value) = directive.split_once("path=")?;
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split(quote).next().filter(|path| !path.is_empty())
}

/// Such a path is beside its file, with or without a dot.
fn relative(path: &str) -> String {
    if path.starts_with('.') {
        path.to_owned()
    } else {
        format!("./{path}")
    }
}

/// The text of a specifier that is known before the program runs.
fn constant<'a>(expression: &'a Expression<'_>) -> Option<&'a str> {
    match expression {
        Expression::StringLiteral(text) => Some(text.value.as_str()),
        Expression::TemplateLiteral(template) if template.expressions.is_empty() => template
            .quasis
            .first()?
            .value
            .cooked
            .as_ref()
            .map(oxc_ast::ast::Str::as_str),
        _ => None,
    }
}

impl<'a> Visit<'a> for Collector<'_> {
    fn visit_import_declaration(&mut self, import: &ImportDeclaration<'a>) {
        let typed = |specifier: &ImportDeclarationSpecifier<'a>| match specifier {
            ImportDeclarationSpecifier::ImportSpecifier(one) => one.import_kind.is_type(),
            _ => false,
        };
        let all_types = import
            .specifiers
            .as_ref()
            .is_some_and(|all| !all.is_empty() && all.iter().all(typed));
        let types = import.import_kind.is_type() || all_types;
        let kind = if types { Kind::Types } else { Kind::Load };
        self.push(import.span.start, kind, import.source.value.as_str(), false);
    }

    fn visit_export_from_declaration(&mut self, export: &ExportFromDeclaration<'a>) {
        let types = export.export_kind.is_type();
        let kind = if types { Kind::Types } else { Kind::Load };
        self.push(export.span.start, kind, export.source.value.as_str(), false);
    }

    fn visit_export_all_declaration(&mut self, export: &ExportAllDeclaration<'a>) {
        let types = export.export_kind.is_type();
        let kind = if types { Kind::Types } else { Kind::Load };
        self.push(export.span.start, kind, export.source.value.as_str(), false);
    }

    fn visit_import_expression(&mut self, import: &ImportExpression<'a>) {
        if let Some(specifier) = constant(&import.source) {
            self.push(import.span.start, Kind::Deferred, specifier, false);
        }
        walk::walk_import_expression(self, import);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        let name = match &call.callee {
            Expression::Identifier(name) => name.name.as_str(),
            Expression::StaticMemberExpression(member) if member.object.is_specific_id("require") => {
                member.property.name.as_str()
            }
            _ => "",
        };
        if matches!(name, "require" | "resolve")
            && (name == "require" || !matches!(call.callee, Expression::Identifier(_)))
            && let Some(first) = call
                .arguments
                .first()
                .and_then(|argument| argument.as_expression())
            && let Some(specifier) = constant(first)
        {
            self.push(call.span.start, Kind::Load, specifier, true);
        }
        walk::walk_call_expression(self, call);
    }

    fn visit_ts_import_type(&mut self, import: &TSImportType<'a>) {
        self.push(
            import.span.start,
            Kind::Types,
            import.source.value.as_str(),
            false,
        );
        walk::walk_ts_import_type(self, import);
    }

    fn visit_ts_external_module_reference(&mut self, import: &TSExternalModuleReference<'a>) {
        self.push(
            import.span.start,
            Kind::Load,
            import.expression.value.as_str(),
            true,
        );
    }

    fn visit_function(&mut self, function: &Function<'a>, flags: ScopeFlags) {
        self.weaker(Kind::Deferred, |this| walk::walk_function(this, function, flags));
    }

    fn visit_arrow_function_expression(&mut self, arrow: &ArrowFunctionExpression<'a>) {
        self.weaker(Kind::Deferred, |this| {
            walk::walk_arrow_function_expression(this, arrow);
        });
    }

    fn visit_if_statement(&mut self, branch: &IfStatement<'a>) {
        self.weaker(Kind::Conditional, |this| walk::walk_if_statement(this, branch));
    }

    fn visit_try_statement(&mut self, attempt: &TryStatement<'a>) {
        self.weaker(Kind::Conditional, |this| walk::walk_try_statement(this, attempt));
    }

    fn visit_conditional_expression(&mut self, choice: &ConditionalExpression<'a>) {
        self.weaker(Kind::Conditional, |this| {
            walk::walk_conditional_expression(this, choice);
        });
    }

    fn visit_logical_expression(&mut self, choice: &LogicalExpression<'a>) {
        self.weaker(Kind::Conditional, |this| {
            walk::walk_logical_expression(this, choice);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, text: &str) -> Vec<String> {
        let show = |import: Import| match import.ask {
            Ask::Script { specifier, require } => {
                let how = if require { "require " } else { "" };
                format!("{} {:?} {how}{specifier}", import.line, import.kind)
            }
            _ => unreachable!(),
        };
        facts(text, path).imports.into_iter().map(show).collect()
    }

    // proves: SPEC 5.1
    #[test]
    fn every_form_of_import_is_found() {
        let text = "\
/// <reference path=\"globals.d.ts\" />
/// <reference types=\"node\" />
import './side';
import a, { b } from 'a';
import type { T } from './t';
import { type U } from './u';
export * from './all';
export type { V } from './v';
export { w } from './w';
// import './no'
const s = \"import './no'\";
import old = require('./old');
type X = import('./x').X;
const f = async () => { await import(`./lazy`); require('./inside'); };
";
        assert_eq!(
            shown("a.ts", text),
            [
                "1 Types ./globals.d.ts",
                "3 Load ./side",
                "4 Load a",
                "5 Types ./t",
                "6 Types ./u",
                "7 Load ./all",
                "8 Types ./v",
                "9 Load ./w",
                "12 Load require ./old",
                "13 Types ./x",
                "14 Deferred ./lazy",
                "14 Deferred require ./inside",
            ]
        );
        let common = "const a = require('./a');\nif (x) require('./b');\nfunction f() { require('./c'); }\nrequire(d);\n\
                      module.exports = <div>{require.resolve('./e')}</div>;";
        assert_eq!(
            shown("a.js", common),
            [
                "1 Load require ./a",
                "2 Conditional require ./b",
                "3 Deferred require ./c",
                "5 Load require ./e",
            ]
        );
    }

    #[test]
    fn broken_text_is_said() {
        let fault = facts("import './a';\nlet = = 3;\n", "a.ts").fault.unwrap();
        assert_eq!((fault.problem, fault.line), (Problem::Syntax, 2));
    }
}
