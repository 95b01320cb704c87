//! Lists of work on files that are not written yet.

use std::path::Path;

use ::analyze::facts::Language;
use domain::plan::{Format, Planned, read_planned};

use crate::commands::plan::file::{read, shown, tell};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Reads a list; `-` is stdin. Its faults have been told when this fails.
pub(super) fn load(context: &Context, path: &Path) -> Result<Vec<Planned>> {
    parse(context, path, &read(path)?)
}

pub(super) fn parse(context: &Context, path: &Path, bytes: &[u8]) -> Result<Vec<Planned>> {
    let known = |name: &str| Language::of(name).is_some();
    read_planned(bytes, Format::of_list(path, bytes), &shown(path), known).or_else(|faults| {
        tell(context, &faults, bytes)?;
        Err(Error::Told(Exit::USAGE))
    })
}
