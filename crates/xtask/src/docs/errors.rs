//! `docs/errors.md`: every error code with its cause and cure.

use std::fmt::Write as _;

use domain::code::{Code, Kind};

/// What a kind of error means to the caller.
fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Refused => "The request was understood, and the answer is no.",
        Kind::Input => "The request itself is wrong: bad usage, bad input, an unknown id.",
        Kind::Waits => "Nothing is wrong; something outside has to happen first.",
        Kind::Store => "The store or server cannot be reached or used.",
        Kind::Bug => "A defect of Bellwether.",
    }
}

const KINDS: &[(&str, Kind)] = &[
    ("Refusals", Kind::Refused),
    ("Bad input", Kind::Input),
    ("Waits", Kind::Waits),
    ("The store", Kind::Store),
    ("Defects", Kind::Bug),
];

pub(super) fn page() -> String {
    let mut page = super::head("Error codes", "`crates/domain/src/code.rs`");
    page += "\nA code is stable: search for it, match on it. `bell explain CODE` prints the same entry. An error \
             tells beside its code what exactly happened (`detail`) and, where there is one, the next command \
             to type (`help`).\n";
    for (title, kind) in KINDS {
        let _ = writeln!(
            page,
            "\n## {title} (exit status {})\n\n{}",
            kind.exit_status(),
            meaning(*kind)
        );
        for code in Code::ALL.iter().filter(|code| code.kind() == *kind) {
            let _ = write!(
                page,
                "\n### `{code}`\n\n{}.\n\n- Cause: {}\n- Cure: {}\n",
                code.title(),
                code.cause(),
                code.cure()
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_on_the_page() {
        let page = page();
        for code in Code::ALL {
            let heading = format!("\n### `{code}`\n");
            assert_eq!(page.matches(&heading).count(), 1, "{code}");
        }
    }
}
