//! The pipeline.

use super::at::Findings;
use super::check::check;
use super::decode::decode;
use super::fault::Faults;
use super::model::{Format, Plan};
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
    let root = match text::decode(bytes) {
        Ok(text) => match format {
            Format::Yaml => yaml::read(text, &mut found.faults),
            Format::Json => json::read(text, &mut found.faults),
            Format::Toml => toml::read(text, &mut found.faults),
        },
        Err(fault) => {
            found.faults.push(fault);
            None
        }
    };
    let Some(root) = root else {
        return Err(sorted(found.faults));
    };
    let (head, tasks) = decode(root, &mut found);
    check(head, tasks, found).map_err(sorted)
}

fn sorted(mut faults: Faults) -> Faults {
    faults.sort();
    faults
}
