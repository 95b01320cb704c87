//! A plan that has been read and checked.

use std::path::Path;

use crate::graph::Dag;
use crate::id::Key;
use crate::task::spec::{After, Spec};

use super::fault::{Faults, Place, Warning};

/// A plan without faults: every prerequisite exists, and no task waits for itself.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: Option<String>,
    pub description: Option<String>,
    /// In the order of the file; the index is the task's id in `dag`.
    pub tasks: Vec<PlanTask>,
    pub dag: Dag,
    /// Of name and tasks; comments, order and layout do not change it.
    pub digest: [u8; 32],
    /// Keys whose machinery this version lacks (code `plan-unsupported`): a plan with such may be checked and
    /// drawn, but must not be submitted, since running on would quietly skip what they ask for.
    pub unsupported: Faults,
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Debug)]
pub struct PlanTask {
    pub key: Key,
    pub spec: Spec,
    /// In the order of the file, each task at most once.
    pub after: Vec<After>,
    /// Where the key stands.
    pub place: Place,
    /// BLAKE3 of the specification and the sorted prerequisites: equal exactly when the task is unchanged.
    pub digest: [u8; 32],
}

impl PlanTask {
    /// Whether it differs from a stored task, by its digest and specification, in nothing but when, how often and beside what else
    /// it may run. What such a task has done need not be done again.
    pub fn does_the_same_as(&self, digest: &[u8; 32], spec: &Spec) -> bool {
        let otherwise = self.spec.scheduled_like(spec);
        task_digest(&otherwise, &self.after, &mut Vec::new()) == *digest
    }
}

/// Of a specification and its prerequisites, in whatever order; `bytes` is room to write them down.
pub(super) fn task_digest(spec: &Spec, after: &[After], bytes: &mut Vec<u8>) -> [u8; 32] {
    let mut sorted: Vec<_> = after.iter().collect();
    sorted.sort_unstable();
    bytes.clear();
    serde_json::to_writer(&mut *bytes, &(spec, sorted)).expect("specifications serialise");
    blake3::hash(bytes).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Json,
    Toml,
}

impl Format {
    /// Goes by the extension, and without a known one by how the text begins.
    pub fn of(path: &Path, text: &[u8]) -> Format {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("yaml" | "yml") => Format::Yaml,
            Some("json") => Format::Json,
            Some("toml") => Format::Toml,
            _ => Format::sniff(text),
        }
    }

    /// The same for what may be a list. TOML has none at its top: a bracket that is not doubled opens one of the others.
    pub fn of_list(path: &Path, text: &[u8]) -> Format {
        let named = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        match Format::of(path, text) {
            Format::Toml if !named && Format::opens_list(text) => Format::Yaml,
            format => format,
        }
    }

    fn opens_list(text: &[u8]) -> bool {
        let text = text
            .strip_prefix(b"\xEF\xBB\xBF")
            .unwrap_or(text)
            .trim_ascii_start();
        text.starts_with(b"[") && !text.starts_with(b"[[")
    }

    fn sniff(text: &[u8]) -> Format {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
        match first.unwrap_or_default() {
            [b'{', ..] if Format::opens_json(text) => Format::Json,
            [b'[', ..] => Format::Toml,
            line if Format::assigns(line) => Format::Toml,
            _ => Format::Yaml,
        }
    }

    /// A brace opens YAML too; JSON goes on with a quote or closes it.
    fn opens_json(text: &[u8]) -> bool {
        let mut bytes = text.iter().filter(|byte| !byte.is_ascii_whitespace()).skip(1);
        matches!(bytes.next(), Some(b'"' | b'}') | None)
    }

    /// `key =`, before any colon or quote.
    fn assigns(line: &[u8]) -> bool {
        let end = line.iter().position(|byte| matches!(byte, b'=' | b':' | b'{'));
        end.is_some_and(|end| line[end] == b'=' && end > 0)
    }
}
