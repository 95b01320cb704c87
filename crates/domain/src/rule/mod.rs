//! Rules: what is done by itself when something happens.
//!
//! A rule is an entry of [`Book::Rule`] under its name. The log is read behind a cursor of its own
//! ([`Standing`]); what an event asks for becomes a [`Delivery`] in the same write that moves the cursor, and
//! stays until it is done or has failed too often. Conditions are asked when the event is read.

mod action;
mod condition;
pub mod facts;
mod filter;
mod template;

use serde::{Deserialize, Serialize};

use crate::book::{Book, Edit, Entry};
use crate::event::pattern::Pattern;
use crate::id::{EventNo, RuleName};
use crate::task::retry::Retry;
use crate::time::Timestamp;

pub use action::{Action, Notify, Prioritize, Publish, Submit, Webhook};
pub use condition::Condition;
pub use facts::Way;
pub use filter::{Chosen, Filter};
pub use template::Template;

/// Rules of one project: each reads every event.
pub const RULES_MAX: usize = 200;
/// Event patterns of one rule.
pub const PATTERNS_MAX: usize = 16;
/// Deliveries of one rule under way; behind them its reading of the log rests.
pub const PENDING_MAX: usize = 50;
/// Letters of one project; beyond it the oldest are forgotten.
pub const LETTERS_MAX: usize = 1_000;
/// Rules in a row, one set off by what the other did, unless a rule says less.
pub const DEPTH_DEFAULT: u32 = 20;
pub const DEPTH_MAX: u32 = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Any of them.
    pub on: Vec<Pattern>,
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    #[serde(flatten)]
    pub action: Action,
    /// How many rules in a row there may be, this one included.
    #[serde(default = "depth")]
    pub depth: u32,
}

fn depth() -> u32 {
    DEPTH_DEFAULT
}

impl Rule {
    /// Whether such an event may set it off, before anything is known of the task.
    pub fn triggers(&self, kind: &str) -> bool {
        self.on.iter().any(|pattern| pattern.triggers(kind))
    }

    /// Whether the event sets it off.
    pub fn fires(&self, facts: &serde_json::Value) -> bool {
        let kind = facts["event"]["type"].as_str().unwrap_or_default();
        let of = |pattern: &Pattern| pattern.of().is_none_or(|of| facts["task"]["kind"] == of);
        let named = |pattern: &&Pattern| pattern.triggers(kind) && of(pattern);
        self.on.iter().find(named).is_some() && self.when.as_ref().is_none_or(|when| when.holds(facts))
    }

    /// Whether it needs facts of this sort to know that.
    pub fn asks(&self, root: &str) -> bool {
        self.when.as_ref().is_some_and(|when| when.asks(root))
    }
}

/// How far a rule has read, and what came of it; an entry of [`Book::Cursor`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub after: EventNo,
    #[serde(default)]
    pub fired: u64,
    #[serde(default)]
    pub failed: u64,
    /// When it last did something.
    #[serde(default)]
    pub last: Option<Timestamp>,
}

impl Standing {
    pub const PREFIX: &str = "rule:";

    pub fn key(rule: &RuleName) -> String {
        format!("{}{rule}", Self::PREFIX)
    }

    pub fn entry(&self, rule: &RuleName) -> Entry {
        Entry::new(Book::Cursor, &Self::key(rule), self)
    }
}

/// What a rule owes to an event; an entry of [`Book::Delivery`], due when it is to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub rule: RuleName,
    pub event: EventNo,
    /// When the event was read.
    pub since: Timestamp,
    /// Rules in a row, this one included.
    pub depth: u32,
    #[serde(default)]
    pub tries: u32,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Marks the keys of letters; no name of a rule begins with it.
const LETTER: char = '!';
/// The last key that a letter could have lies before this one.
pub const AFTER_LETTERS: &str = "\"";

impl Delivery {
    pub fn key(&self) -> String {
        format!("{}:{:020}", self.rule, self.event.0)
    }

    /// Its key once it has failed for good.
    pub fn letter(&self) -> String {
        format!("{LETTER}{}", self.key())
    }

    pub fn is_letter(entry: &Entry) -> bool {
        entry.key.starts_with(LETTER)
    }

    /// What makes its effects idempotent.
    pub fn idempotency_key(&self) -> String {
        format!("rule:{}:{}", self.rule, self.event.0)
    }

    /// Who acts, as events name it.
    pub fn actor(&self) -> String {
        format!("rule:{}@{}", self.rule, self.depth)
    }

    /// The same after a failed try, and when to try again; never, after the last.
    #[must_use]
    pub fn failed(&self, error: String, hopeless: bool, now: Timestamp) -> (Delivery, Option<Timestamp>) {
        let tries = self.tries + 1;
        let then = Delivery {
            tries,
            error: Some(error),
            ..self.clone()
        };
        let again = !hopeless && tries < Retry::event().attempts;
        (then, again.then(|| now.after(Retry::event().delay(tries, 0))))
    }

    /// Writes it to be tried at `due`.
    pub fn put(&self, due: Timestamp) -> Edit {
        Edit::put(Entry::new(Book::Delivery, &self.key(), self).due(Some(due)))
    }
}

/// How many rules in a row led to what this actor did.
pub fn depth_of(actor: &str) -> u32 {
    let rule = actor.strip_prefix("rule:");
    let depth = rule.and_then(|rule| rule.rsplit_once('@'));
    depth.and_then(|(_, depth)| depth.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
