//! Edges, lists of names, variables and short texts.

use std::collections::BTreeSet;

use crate::id;
use crate::limits;
use crate::task::spec::{After, When, check_text};

use super::at::{At, Findings, Key};
use super::draft::{Draft, Link};
use super::node::Value;
use super::schema;

const SUMMARY_CHARS: usize = 200;

pub(super) fn after(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    at.each(found, |at, found| {
        let mut edge = Edge::default();
        match &at.node.value {
            Value::Mapping(entries) => {
                at.keys(found, "a mapping of `task` and `when`", AFTER, &mut edge);
                if !entries.iter().any(|entry| entry.key == "task") {
                    at.missing(found, "does not name its task", "add `task`");
                }
            }
            _ => edge.task = at.name(found),
        }
        if let Some(task) = edge.task {
            draft.after.push(Link {
                after: After {
                    task,
                    when: edge.when,
                },
                place: at.place(),
            });
        }
    });
}

#[derive(Debug, Default)]
pub(super) struct Edge {
    task: Option<id::Key>,
    when: When,
}

pub(super) const AFTER: &[Key<Edge>] = &[
    Key::new("task", "The task's key.", schema::name, |edge, at, found| {
        edge.task = at.name(found);
    }),
    Key::new(
        "when",
        "How it must have ended: success (the default), failure, or finished for any end.",
        schema::when,
        |edge, at, found| {
            edge.when = at.word(found, "a condition", When::parse).unwrap_or_default();
        },
    ),
];

pub(super) fn needs(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut needs = Vec::new();
    at.each(found, |at, found| needs.extend(at.name::<id::Capability>(found)));
    needs.sort();
    needs.dedup();
    draft.spec.needs = needs;
}

pub(super) fn env(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    for entry in at.entries(found, "a mapping of variables").unwrap_or_default() {
        let at = at.entry(entry);
        let name = at.key();
        if name.is_empty() || name.contains(['=', '\0']) {
            at.wrong(found, "this is no name of a variable", "use a name without `=`");
        }
        if let Some(value) = at.scalar(found, "text (`\"\"` for none)") {
            at.accept(found, check_text("the value", value));
            draft.spec.env.insert(name.to_owned(), value.to_owned());
        }
    }
}

pub(super) fn secrets(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut names = BTreeSet::new();
    at.each(found, |at, found| {
        let Some(name) = at.content(found) else { return };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
            names.insert(name);
        } else {
            let help = "name the variable it comes as, such as API_TOKEN; its value stands nowhere in a plan";
            at.wrong(found, "this is no name of a variable", help);
        }
    });
    if names.len() > limits::LOCKS {
        let detail = format!(
            "{} secrets are more than the limit of {}",
            names.len(),
            limits::LOCKS
        );
        at.wrong(found, detail, "put them into one file, and make that a secret");
    }
    draft.spec.secrets = names.into_iter().collect();
}

pub(super) fn summary(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    draft.spec.summary = at.content(found);
    let length = draft.spec.summary.as_ref().map_or(0, |text| text.chars().count());
    if length > SUMMARY_CHARS {
        let detail = format!("{length} characters are more than the limit of {SUMMARY_CHARS}");
        at.wrong(
            found,
            detail,
            "shorten it; `prompt` and `inputs` hold the long text",
        );
    }
}

/// A short text on one line.
pub(super) fn label(at: At<'_>, found: &mut Findings) -> Option<String> {
    let text = at.content(found)?;
    if text.len() > limits::KEY_BYTES || text.chars().any(char::is_control) {
        let help = format!("write one line of at most {} bytes", limits::KEY_BYTES);
        at.wrong(found, "this is too long or has control characters", help);
        return None;
    }
    Some(text)
}

pub(super) fn texts(at: At<'_>, found: &mut Findings) -> Vec<String> {
    let mut texts = Vec::new();
    at.each(found, |at, found| texts.extend(at.content(found)));
    texts
}

pub(super) fn mapping(_: &mut Draft, at: At<'_>, found: &mut Findings) {
    at.entries(found, "a mapping");
}
