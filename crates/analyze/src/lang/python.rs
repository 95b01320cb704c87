//! Python, by the parser of Ruff.

use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_python_ast::{Expr, PySourceType, Stmt, StmtIf};
use ruff_python_parser::parse_unchecked_source;

use super::Lines;
use crate::facts::{Ask, Facts, Fault, Import, Kind, Problem};

pub(super) fn facts(text: &str, path: &str) -> Facts {
    let source = if path.ends_with(".pyi") {
        PySourceType::Stub
    } else {
        PySourceType::Python
    };
    let parsed = parse_unchecked_source(text, source);
    let mut lines = Lines::of(text);
    let fault = parsed.errors().first().map(|error| Fault {
        problem: Problem::Syntax,
        line: lines.line(error.location.start().to_u32()),
        detail: error.error.to_string(),
    });
    let mut collector = Collector {
        lines,
        imports: Vec::new(),
        kind: Kind::Load,
    };
    collector.visit_body(parsed.suite());
    Facts {
        imports: collector.imports,
        fault,
        ..Facts::default()
    }
}

struct Collector<'t> {
    lines: Lines<'t>,
    imports: Vec<Import>,
    /// How binding an import at this place is.
    kind: Kind,
}

impl Collector<'_> {
    fn weaker(&mut self, kind: Kind, visit: impl FnOnce(&mut Self)) {
        let outer = self.kind;
        self.kind = outer.min(kind);
        visit(self);
        self.kind = outer;
    }

    fn push(&mut self, offset: u32, ask: Ask) {
        self.imports.push(Import {
            line: self.lines.line(offset),
            kind: self.kind,
            ask,
        });
    }

    fn branches(&mut self, branch: &StmtIf) {
        let (then, rest) = match guard(&branch.test) {
            Some(Guard::Types) => (Kind::Types, Kind::Load),
            Some(Guard::NotTypes) => (Kind::Load, Kind::Types),
            None => (Kind::Conditional, Kind::Conditional),
        };
        self.weaker(then, |this| this.visit_body(&branch.body));
        for clause in &branch.elif_else_clauses {
            self.weaker(rest, |this| this.visit_body(&clause.body));
        }
    }
}

impl<'a> StatementVisitor<'a> for Collector<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let ask = Ask::Python {
                        level: 0,
                        module: alias.name.to_string(),
                        names: Vec::new(),
                    };
                    self.push(import.range.start().to_u32(), ask);
                }
            }
            Stmt::ImportFrom(import) => {
                let ask = Ask::Python {
                    level: import.level,
                    module: import
                        .module
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    names: import.names.iter().map(|alias| alias.name.to_string()).collect(),
                };
                self.push(import.range.start().to_u32(), ask);
            }
            Stmt::FunctionDef(_) => self.weaker(Kind::Deferred, |this| walk_stmt(this, stmt)),
            Stmt::If(branch) => self.branches(branch),
            Stmt::Try(_) | Stmt::Match(_) | Stmt::While(_) | Stmt::For(_) => {
                self.weaker(Kind::Conditional, |this| walk_stmt(this, stmt));
            }
            _ => walk_stmt(self, stmt),
        }
    }
}

enum Guard {
    Types,
    NotTypes,
}

/// `TYPE_CHECKING` under any of its names.
fn guard(test: &Expr) -> Option<Guard> {
    match test {
        Expr::Name(name) if name.id == "TYPE_CHECKING" => Some(Guard::Types),
        Expr::Attribute(attribute) if attribute.attr.as_str() == "TYPE_CHECKING" => Some(Guard::Types),
        Expr::UnaryOp(not) if not.op.is_not() => guard(&not.operand).map(|inner| match inner {
            Guard::Types => Guard::NotTypes,
            Guard::NotTypes => Guard::Types,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |import: Import| match import.ask {
            Ask::Python { level, module, names } => {
                format!(
                    "{} {:?} {}{module} {}",
                    import.line,
                    import.kind,
                    ".".repeat(level as usize),
                    names.join(",")
                )
            }
            _ => unreachable!(),
        };
        facts(text, "a.py").imports.into_iter().map(show).collect()
    }

    // proves: SPEC 5.1
    #[test]
    fn imports_are_found_where_they_stand() {
        let text = "\
import os, a.b as c
from . import x
from ..y.z import (p,
    q)  # import no
'''
import in_a_string
'''
if TYPE_CHECKING:
    from t import T
else:
    import real
if not typing.TYPE_CHECKING: import n
try:
    import fast
except ImportError:
    import slow
def f():
    import late; from m import *
    if TYPE_CHECKING:
        import later
class C:
    import body
yield_from = 'from x import y'
";
        assert_eq!(
            shown(text),
            [
                "1 Load os ",
                "1 Load a.b ",
                "2 Load . x",
                "3 Load ..y.z p,q",
                "9 Types t T",
                "11 Load real ",
                "12 Load n ",
                "14 Conditional fast ",
                "16 Conditional slow ",
                "18 Deferred late ",
                "18 Deferred m *",
                "20 Types later ",
                "22 Load body ",
            ]
        );
    }

    #[test]
    fn broken_text_keeps_the_imports_around_the_break() {
        let facts = facts("import a\ndef f(:\n  pass\nimport b\n", "a.py");
        assert_eq!(facts.imports.len(), 2);
        let fault = facts.fault.unwrap();
        assert_eq!((fault.problem, fault.line), (Problem::Syntax, 2));
    }
}
