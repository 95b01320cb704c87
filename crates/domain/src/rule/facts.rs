//! What rules know about an event, and ways to single facts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::code::{Code, Refusal, nearest};

/// The sorts of facts with what each has. `data`, `env`, `inputs`, `result` and `usage` are documents of any form.
pub const FACTS: &[(&str, &[&str])] = &[
    (
        "event",
        &[
            "number", "type", "at", "task", "key", "run", "actor", "reason", "data",
        ],
    ),
    (
        "task",
        &[
            "id",
            "key",
            "name",
            "kind",
            "state",
            "reason",
            "priority",
            "source",
            "agent",
            "executor",
            "attempts",
            "failures",
            "dead_letter",
            "run",
            "env",
            "inputs",
            "result",
            "error",
            "usage",
        ],
    ),
    ("run", &["id", "plan", "state", "counts"]),
    (
        "queue",
        &[
            "pending",
            "blocked",
            "ready",
            "assigned",
            "running",
            "suspended",
            "awaiting",
            "retrying",
            "completed",
            "failed",
            "cancelled",
            "dead_letters",
        ],
    ),
];

/// Facts that have facts inside.
const DOCUMENTS: [&str; 6] = ["data", "env", "inputs", "result", "usage", "counts"];
/// Steps of one way.
const STEPS_MAX: usize = 16;

/// A way to one fact, such as `task.env.COMPONENT`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Way(String);

impl Way {
    /// The fact, or null.
    pub fn find<'a>(&self, facts: &'a Value) -> &'a Value {
        let step = |found: Option<&'a Value>, step: &str| match found? {
            Value::Object(map) => map.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        };
        self.0.split('.').fold(Some(facts), step).unwrap_or(&Value::Null)
    }

    /// The fact as a text: what is text as it is, everything else as JSON, what is not there as nothing.
    pub fn text(&self, facts: &Value) -> Option<String> {
        match self.find(facts) {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        }
    }

    /// The sort of facts it begins at.
    pub fn root(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl FromStr for Way {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Way, Refusal> {
        let mut steps = text.split('.');
        let (root, fact) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let unknown = |detail: String, given: &str, known: Vec<String>| {
            let refusal = Refusal::new(Code::InvalidArgument, detail);
            Err(match nearest(given, known.iter().map(String::as_str)) {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal.help(format!("known are {}", known.join(", "))),
            })
        };
        let Some((_, has)) = FACTS.iter().find(|(name, _)| *name == root) else {
            let known = FACTS.iter().map(|(name, _)| (*name).to_owned()).collect();
            return unknown(
                format!("there are no facts `{}`", root.escape_debug()),
                root,
                known,
            );
        };
        if !has.contains(&fact) {
            let known = has.iter().map(|name| format!("{root}.{name}")).collect();
            let detail = format!("`{root}` has no `{}`", fact.escape_debug());
            return unknown(detail, &format!("{root}.{fact}"), known);
        }
        let inside = steps.count();
        if inside > STEPS_MAX || (inside > 0 && !DOCUMENTS.contains(&fact)) || text.ends_with('.') {
            let detail = format!(
                "nothing is inside of `{root}.{fact}` at `{}`",
                text.escape_debug()
            );
            return Err(Refusal::new(Code::InvalidArgument, detail));
        }
        Ok(Way(text.to_owned()))
    }
}

impl TryFrom<String> for Way {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Way, Refusal> {
        text.parse()
    }
}

impl From<Way> for String {
    fn from(way: Way) -> String {
        way.0
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way({})", self.0)
    }
}
