//! Patterns that choose among kinds of events: globs over their names, and the names that other systems have for them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Kind;
use crate::code::{Code, Refusal, nearest};
use crate::limits;

/// A glob over event types: `*` stands for any text, and `:` and `_` for the dot. A name of [`ALIASES`] stands for
/// what it is called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    globs: Vec<String>,
    of: Option<&'static str>,
}

/// A name that another system has for an event: ours, and the kind of task it is about, if it says that.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    pub name: &'static str,
    pub kinds: &'static [&'static str],
    pub of: Option<&'static str>,
}

const fn alias(name: &'static str, kinds: &'static [&'static str], of: Option<&'static str>) -> Alias {
    Alias { name, kinds, of }
}

pub const ALIASES: &[Alias] = &[
    alias("task_created", &["task.submitted"], None),
    alias("task:initialized", &["task.submitted"], None),
    alias("task:enqueued", &["task.ready"], None),
    alias("task:dequeued", &["task.assigned", "task.running"], None),
    alias("task_started", &["task.running"], None),
    alias("task_retry", &["task.retrying"], None),
    alias("task:transitioned", &["task.*"], None),
    alias("file_completed", &["task.completed"], Some("dev")),
    alias("file_failed", &["task.failed"], Some("dev")),
    alias("qa_passed", &["task.completed"], Some("qa")),
    alias("qa_failed", &["task.failed"], Some("qa")),
    alias("fix_completed", &["task.completed"], Some("fix")),
    alias("deploy_ready", &["task.ready"], Some("deploy")),
    alias("escalate_to_pm", &["task.escalated", "rule.failed"], None),
    alias("circuit_open", &["breaker.opened"], None),
    alias("circuit_closed", &["breaker.closed"], None),
];

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        let dotted = dotted(text);
        let known = ALIASES.iter().find(|alias| self::dotted(alias.name) == dotted);
        Pattern {
            written: text.to_owned(),
            globs: match known {
                Some(alias) => alias.kinds.iter().map(|kind| self::dotted(kind)).collect(),
                None => vec![dotted],
            },
            of: known.and_then(|alias| alias.of),
        }
    }

    pub fn matches(&self, kind: &str) -> bool {
        let kind = dotted(kind);
        self.globs.iter().any(|pattern| glob(pattern, &kind))
    }

    /// Whether a rule with this pattern looks at such events. What rules themselves do is meant only by a pattern that
    /// names it: otherwise a rule on `*` would keep itself busy.
    pub fn triggers(&self, kind: &str) -> bool {
        let kind = dotted(kind);
        let named = |pattern: &String| !kind.starts_with("rule.") || pattern.starts_with("rule.");
        self.globs
            .iter()
            .any(|pattern| glob(pattern, &kind) && named(pattern))
    }

    /// The kind of task that it is about, where its name says so.
    pub fn of(&self) -> Option<&'static str> {
        self.of
    }

    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl FromStr for Pattern {
    type Err = Refusal;

    /// Refuses what no event can match.
    fn from_str(text: &str) -> Result<Pattern, Refusal> {
        let text = text.trim();
        let wrong = |what: &str| Refusal::new(Code::InvalidArgument, what.to_owned());
        if text.len() > limits::NAME_BYTES {
            return Err(wrong("a pattern of events is too long"));
        }
        let pattern = Pattern::new(text);
        if Kind::all().any(|kind| pattern.matches(kind.as_str())) {
            return Ok(pattern);
        }
        let kinds = || Kind::all().map(Kind::as_str);
        let known = kinds().chain(ALIASES.iter().map(|alias| alias.name));
        let refusal = wrong(&format!("no event is called `{}`", text.escape_debug()));
        Err(match nearest(text, known) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None => refusal.help(format!("known are {}", kinds().collect::<Vec<_>>().join(", "))),
        })
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Pattern, D::Error> {
        String::deserialize(d).map(|text| Pattern::new(&text))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

fn dotted(text: &str) -> String {
    text.replace([':', '_'], ".")
}

/// Whether a text matches a pattern in which `*` stands for any text.
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_every_spelling() {
        for (pattern, kind, expected) in [
            ("task.completed", "task.completed", true),
            ("task:completed", "task.completed", true),
            ("task_completed", "task.completed", true),
            ("task.*", "task.completed", true),
            ("*", "run.finished", true),
            ("*.finished", "run.finished", true),
            ("*.f*d", "run.finished", true),
            ("r*fin*", "run.finished", true),
            ("breaker:half-opened", "breaker.half_opened", false),
            ("breaker.half.opened", "breaker.half_opened", true),
            ("task.*", "run.finished", false),
            ("task", "task.completed", false),
            ("*.f*x*d", "run.finished", false),
            ("", "run.finished", false),
            ("*", "rule.fired", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(kind), expected, "{pattern} {kind}");
        }
    }

    // proves: DESIGN 2, SPEC 5.5
    #[test]
    fn names_of_other_systems_stand_for_ours() {
        for alias in ALIASES {
            for spelling in [alias.name.to_owned(), alias.name.replace(['_', '.'], ":")] {
                let pattern: Pattern = spelling.parse().unwrap();
                assert_eq!(pattern.of(), alias.of, "{spelling}");
            }
            let known = |glob: &&str| Kind::all().any(|kind| Pattern::new(glob).matches(kind.as_str()));
            assert!(alias.kinds.iter().all(known), "{}", alias.name);
        }
        let failed = Pattern::new("qa:failed");
        assert!(failed.matches("task.failed") && !failed.matches("task.completed"));
        assert_eq!(failed.of(), Some("qa"));
    }

    #[test]
    fn what_rules_do_is_meant_only_by_its_name() {
        assert!(Pattern::new("rule.*").triggers("rule.fired"));
        assert!(Pattern::new("escalate_to_pm").triggers("rule.failed"));
        assert!(!Pattern::new("*").triggers("rule.fired"));
        assert!(Pattern::new("*").triggers("task.ready"));
    }

    #[test]
    fn a_pattern_that_nothing_matches_is_refused() {
        let refusal = "task.compelted".parse::<Pattern>().unwrap_err();
        assert_eq!(refusal.help.as_deref(), Some("did you mean `task.completed`?"));
        assert!("x".repeat(65).parse::<Pattern>().is_err());
    }
}
