//! The pipeline.

use super::at::Findings;
use super::check::check;
use super::decode::decode;
use super::fault::Faults;
use super::model::{Format, Plan};
use super::node::{Node, to_json};
use super::{json, text, toml, yaml};

/// Reads and checks a plan; `file` names it in messages.
///
/// A text that is not well-formed has only the faults of its syntax. Everything else is reported together, in
/// the order of the file, up to [`FAULTS_MAX`](super::FAULTS_MAX). Linear in the size of the text.
pub fn read(bytes: &[u8], format: Format, file: &str) -> Result<Plan, Faults> {
    let mut found = Findings {
        faults: Faults::new(file),
        unsupported: Faults::new(file),
        warnings: Vec::new(),
        unquoted: format == Format::Yaml,
    };
    let Some(root) = tree(bytes, format, &mut found.faults) else {
        return Err(sorted(found.faults));
    };
    let (head, tasks) = decode(root, &mut found);
    check(head, tasks, found).map_err(sorted)
}

/// Reads any document of the three formats as JSON text: a part of a plan, such as the body of one task.
pub fn document(bytes: &[u8], format: Format, file: &str) -> Result<String, Faults> {
    let mut faults = Faults::new(file);
    let root = tree(bytes, format, &mut faults);
    match root.as_ref().map(to_json) {
        Some(Ok(json)) if faults.is_empty() => return Ok(json),
        Some(Err(fault)) => faults.push(fault),
        _ => {}
    }
    Err(sorted(faults))
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
