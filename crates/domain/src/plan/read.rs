//! The pipeline.

use super::at::{At, Findings};
use super::check::check;
use super::decode::decode;
use super::draft::Draft;
use super::fault::{Faults, Place};
use super::model::{Format, Plan};
use super::node::{Entry, Node, Value, to_json};
use super::{json, text, toml, yaml};

/// Reads and checks a plan; `file` names it in messages.
///
/// A text that is not well-formed has only the faults of its syntax. Everything else is reported together, in
/// the order of the file, up to [`FAULTS_MAX`](super::FAULTS_MAX). Linear in the size of the text.
pub fn read(bytes: &[u8], format: Format, file: &str) -> Result<Plan, Faults> {
    let mut found = Findings::new(file, format);
    let Some(root) = tree(bytes, format, &mut found.faults) else {
        return Err(sorted(found.faults));
    };
    let (head, tasks) = decode(root, &mut found);
    check(head, tasks, found).map_err(sorted)
}

/// Reads the body that many tasks have in common, as JSON text. Its faults are those that a task would have, at their places.
pub fn body(bytes: &[u8], format: Format, file: &str) -> Result<String, Faults> {
    let mut found = Findings::new(file, format);
    let Some(root) = tree(bytes, format, &mut found.faults) else {
        return Err(sorted(found.faults));
    };
    let json = to_json(&root);
    let within = |key: &'static str, node| Node {
        place: Place::START,
        value: Value::Mapping(vec![Entry {
            place: Place::START,
            key: key.into(),
            node,
        }]),
    };
    let plan = within("tasks", within("template", root));
    let at = At::root(&plan);
    for tasks in at.entries(&mut found, "a mapping").unwrap_or_default() {
        let at = at.entry(tasks);
        for task in at.entries(&mut found, "a mapping").unwrap_or_default() {
            Draft::new().task(at.entry(task), false, &mut found);
        }
    }
    match json {
        Ok(json) if found.faults.is_empty() => return Ok(json),
        Ok(_) => {}
        Err(fault) => found.faults.push(fault),
    }
    Err(sorted(found.faults))
}

/// The values of a text with their places; nothing if it is not well-formed.
pub(super) fn tree<'a>(bytes: &'a [u8], format: Format, faults: &mut Faults) -> Option<Node<'a>> {
    match text::decode(bytes) {
        Ok(text) => match format {
            Format::Yaml => yaml::read(text, faults),
            Format::Json => json::read(text, faults),
            Format::Toml => toml::read(text, faults),
        },
        Err(fault) => {
            faults.push(fault);
            None
        }
    }
}

fn sorted(mut faults: Faults) -> Faults {
    faults.sort();
    faults
}
