//! Conditions of rules: small expressions over an event and what it is about.
//!
//! ```text
//! task.kind == "dev" and queue.ready > 100
//! event.data.exit in [1, 2] or not (task.attempts < 3)
//! task.env.COMPONENT matches "core-*"
//! ```
//!
//! What is not there is `null`. It equals only itself, and is neither more nor less than anything; the same holds for
//! values of two sorts. So a condition always has an answer.

mod parse;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Way;
use crate::code::Refusal;
use crate::event::pattern::glob;

/// Longer conditions belong into a program that the rule starts.
const TEXT_MAX: usize = 4 * 1024;
/// Parentheses and `not` inside each other.
const DEPTH_MAX: usize = 32;

/// A condition that has been understood, and as it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    written: String,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Is(Term),
    Compare(Term, Compare, Term),
    In(Term, Vec<Value>),
    Matches(Term, String),
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Way(Way),
    Value(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

impl Condition {
    /// Whether it holds for these facts.
    pub fn holds(&self, facts: &Value) -> bool {
        self.root.holds(facts)
    }

    /// Whether it looks at facts of this sort, such as `queue`.
    pub fn asks(&self, root: &str) -> bool {
        self.root.asks(root)
    }

    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl Node {
    fn holds(&self, facts: &Value) -> bool {
        match self {
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(facts)),
            Node::All(nodes) => nodes.iter().all(|node| node.holds(facts)),
            Node::Not(node) => !node.holds(facts),
            Node::Is(term) => *term.value(facts) == Value::Bool(true),
            Node::Compare(left, how, right) => how.holds(left.value(facts), right.value(facts)),
            Node::In(term, list) => list
                .iter()
                .any(|value| Compare::Equal.holds(term.value(facts), value)),
            Node::Matches(term, pattern) => {
                term.value(facts).as_str().is_some_and(|text| glob(pattern, text))
            }
        }
    }

    fn asks(&self, root: &str) -> bool {
        match self {
            Node::Any(nodes) | Node::All(nodes) => nodes.iter().any(|node| node.asks(root)),
            Node::Not(node) => node.asks(root),
            Node::Is(term) | Node::In(term, _) | Node::Matches(term, _) => term.asks(root),
            Node::Compare(left, _, right) => left.asks(root) || right.asks(root),
        }
    }
}

impl Term {
    fn value<'a>(&'a self, facts: &'a Value) -> &'a Value {
        match self {
            Term::Way(way) => way.find(facts),
            Term::Value(value) => value,
        }
    }

    fn asks(&self, root: &str) -> bool {
        matches!(self, Term::Way(way) if way.root() == root)
    }
}

impl Compare {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = match (left, right) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64().partial_cmp(&b.as_f64()),
            },
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            _ => None,
        };
        let equal = order.map_or_else(|| left == right, |order| order == Ordering::Equal);
        match self {
            Compare::Equal => equal,
            Compare::Unequal => !equal,
            Compare::Less => order == Some(Ordering::Less),
            Compare::LessOrEqual => order.is_some_and(Ordering::is_le),
            Compare::More => order == Some(Ordering::Greater),
            Compare::MoreOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

impl FromStr for Condition {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Condition, Refusal> {
        Ok(Condition {
            root: parse::parse(text)?,
            written: text.trim().to_owned(),
        })
    }
}

impl TryFrom<String> for Condition {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Condition, Refusal> {
        text.parse()
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> String {
        condition.written
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

#[cfg(test)]
mod tests;
