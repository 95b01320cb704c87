//! Error codes: their causes and their cures.

use api::explain::Page;
use domain::code::{Code, nearest};
use domain::store::Result;

use crate::invalid;

/// The page of a code as people type it, brackets and all.
pub fn page(name: &str) -> Result<Page> {
    let bare = name
        .trim_start_matches("error[")
        .trim_end_matches(']')
        .to_lowercase();
    if let Some(code) = Code::parse(&bare) {
        return Ok(Page::from(code));
    }
    let refusal = invalid(format!("there is no error code `{}`", name.escape_debug()));
    let near = nearest(&bare, Code::ALL.iter().map(|code| code.as_str()));
    Err(match near {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help("`bell explain` lists all codes"),
    })
}
