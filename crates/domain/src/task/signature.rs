//! Failures with one cause, told by their signature and counted together.
//!
//! A signature is how a task failed without what differs from task to task: numbers, identifiers, paths and times
//! of its message are replaced by what they are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::Failure;
use super::state::Reason;
use crate::id::TaskId;
use crate::time::Timestamp;

/// Where causes beyond [`crate::limits::SIGNATURES`] are counted.
pub const OTHER: &str = "other";

/// Characters of a message that are compared: the beginning says what went wrong, the rest how it looked this time.
const MESSAGE_CHARS: usize = 240;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Normalised.
    pub message: String,
}

impl Signature {
    pub fn of(reason: Option<Reason>, failure: Option<&Failure>) -> Signature {
        Signature {
            reason,
            class: failure.and_then(|failure| failure.class.clone()),
            exit: failure.and_then(|failure| failure.exit),
            message: failure.map_or_else(String::new, |failure| normal(&failure.message)),
        }
    }

    /// A short name, equal for equal signatures.
    pub fn key(&self) -> Arc<str> {
        let text = serde_json::to_string(self).expect("a signature serialises");
        let digest = blake3::hash(text.as_bytes());
        digest.to_hex()[..12].into()
    }
}

/// What is known of the dead letters with one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub signature: Signature,
    /// Dead letters that have it now.
    pub count: u64,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// The latest task that failed so.
    pub example: TaskId,
    /// Tasks that fell with them, less those that a new try revived.
    #[serde(default)]
    pub fell: u64,
}

impl Tally {
    pub fn new(signature: Signature, example: TaskId, at: Timestamp) -> Tally {
        Tally {
            signature,
            count: 0,
            first_seen: at,
            last_seen: at,
            example,
            fell: 0,
        }
    }

    /// One more.
    pub fn add(&mut self, task: &TaskId, at: Timestamp) {
        self.count += 1;
        self.last_seen = self.last_seen.max(at);
        self.example = task.clone();
    }
}

/// A message without what differs from one time to the next. Normal text is its own normal form.
fn normal(message: &str) -> String {
    let mut text = String::with_capacity(message.len().min(MESSAGE_CHARS));
    let mut rest = message.trim();
    // What lies far behind is cut off in any case.
    while !rest.is_empty() && text.len() < MESSAGE_CHARS * 4 {
        let end = rest.find(splits).unwrap_or(rest.len());
        piece(&rest[..end], &mut text);
        rest = &rest[end..];
        let mut between = rest.chars();
        if let Some(c) = between.next() {
            match c.is_whitespace() {
                true if text.ends_with(' ') => {}
                true => text.push(' '),
                false => text.push(c),
            }
            rest = between.as_str();
        }
    }
    let end = text
        .char_indices()
        .nth(MESSAGE_CHARS)
        .map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text.truncate(text.trim_end().len());
    text
}

fn splits(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '=' | '|'
        )
}

/// One word, with its punctuation behind.
fn piece(word: &str, text: &mut String) {
    let core = word.trim_end_matches(['.', ':', '!', '?']);
    let digits = core.bytes().filter(u8::is_ascii_digit).count();
    let is_moment = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | '+' | 'T' | 'Z');
    let solid: String = core.chars().filter(|c| *c != '-').collect();
    if core.contains(['/', '\\']) {
        text.push_str("<path>");
    } else if digits > 3
        && digits + 1 < core.len()
        && core.starts_with(|c: char| c.is_ascii_digit())
        && core.chars().all(is_moment)
    {
        text.push_str("<time>");
    } else if is_hex(&solid) {
        text.push_str("<hex>");
    } else {
        runs(core, text);
    }
    text.push_str(&word[core.len()..]);
}

/// Replaces numbers and hexadecimal runs inside a word.
fn runs(word: &str, text: &mut String) {
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len())
            .max(if c.is_ascii_alphanumeric() {
                0
            } else {
                c.len_utf8()
            });
        let (run, behind) = rest.split_at(end);
        if is_hex(run) {
            text.push_str("<hex>");
        } else {
            numbers(run, text);
        }
        rest = behind;
    }
}

fn numbers(run: &str, text: &mut String) {
    let mut in_number = false;
    for c in run.chars() {
        if !c.is_ascii_digit() {
            text.push(c);
        } else if !in_number {
            text.push_str("<n>");
        }
        in_number = c.is_ascii_digit();
    }
}

/// Long enough not to be a word, and with a digit and a letter; or marked as such.
fn is_hex(run: &str) -> bool {
    let marked = run.strip_prefix("0x");
    let digits = marked.unwrap_or(run);
    let is_long = digits.len() >= 8
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.contains(char::is_alphabetic);
    (is_long || marked.is_some_and(|digits| !digits.is_empty()))
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_is_replaced() {
        let same = [
            ("timed out after 30 s", "timed out after 4711 s"),
            (
                "no file /tmp/run-12/a.txt: gone",
                "no file /var/lib/other/b.txt: gone",
            ),
            (
                "request 550e8400-e29b-41d4-a716-446655440000 failed",
                "request 6ba7b810-9dad-11d1-80b4-00c04fd430c8 failed",
            ),
            (
                "at 2026-01-02T03:04:05.678Z: refused",
                "at 2027-11-12T13:14:15Z: refused",
            ),
            ("segfault at 0x7f", "segfault  at 0xdeadbeef\n"),
            ("commit=3f9a2c1b is bad", "commit=77aa00ff12cd is bad"),
            ("shard-17 is down", "shard-4 is down"),
        ];
        for (a, b) in same {
            assert_eq!(normal(a), normal(b));
        }
        assert_eq!(normal("no file /tmp/a: gone"), "no file <path>: gone");
        assert_eq!(normal("shard-17 (of 20)"), "shard-<n> (of <n>)");
        assert_ne!(normal("connection refused"), normal("connection reset"));
    }

    #[test]
    fn how_it_ended_tells_causes_apart() {
        let failure = |exit| Failure {
            exit: Some(exit),
            ..Failure::new("it failed")
        };
        let of = |exit, reason| Signature::of(reason, Some(&failure(exit))).key();
        assert_eq!(of(1, None), of(1, None));
        assert_ne!(of(1, None), of(2, None));
        assert_ne!(of(1, None), of(1, Some(Reason::Exhausted)));
        assert_eq!(of(1, None).len(), 12);
    }

    proptest! {
        #[test]
        fn normal_text_stays(message in "\\PC{0,80}|([a-z0-9/:.\"=<>() -]|[0-9]{4}|0x){0,60}") {
            let once = normal(&message);
            prop_assert_eq!(normal(&once), once.clone());
            prop_assert!(once.chars().count() <= MESSAGE_CHARS);
            prop_assert!(!once.contains(|c: char| c.is_ascii_digit()));
        }

        #[test]
        fn numbers_make_no_difference(a: u32, b: u32, word in "[g-z]{1,8}") {
            prop_assert_eq!(normal(&format!("{word} {a} of {word}{a}")), normal(&format!("{word} {b} of {word}{b}")));
        }

        #[test]
        fn words_do(a in "[g-z]{1,8}", b in "[g-z]{1,8}") {
            prop_assert_eq!(a == b, normal(&format!("cannot {a}")) == normal(&format!("cannot {b}")));
        }
    }
}
