//! `docs/acceptance.md`: every part of the contract with the tests that prove it.

use std::fmt::Write as _;

use anyhow::Result;

use super::proofs::{self, HALVES, Name, Proof};
use crate::repo::Repo;

pub(super) fn page(repo: &Repo) -> Result<String> {
    let parts = proofs::parts(repo)?;
    let proofs = proofs::proofs(repo);
    let by_part = |name: &Name| -> Vec<&Proof> {
        let proves = |proof: &&Proof| proof.names().any(|(_, claim)| claim.as_ref() == Some(name));
        proofs.iter().filter(proves).collect()
    };

    let source = "`docs/acceptance.toml` and the `proves:` lines of the tests";
    let mut page = super::head("Acceptance", source);
    page += "\nThe contract has two halves. DESIGN is what Bellwether promises its users. SPEC is the behaviour of \
             five earlier systems (1 to 5) that it takes over. A part is *proved* when nothing of it is left to \
             do and tests prove it, *partly* when tests prove what is there already, and *open* while no test \
             speaks for it.\n";
    for half in HALVES {
        let _ = write!(
            page,
            "\n## {half}\n\n| part | what | state | proved by | left |\n|---|---|---|---|---|\n"
        );
        for (name, part) in parts.iter().filter(|(name, _)| name.half() == *half) {
            let tests = by_part(name);
            let state = match (&part.left, tests.is_empty()) {
                (_, true) => "open",
                (Some(_), false) => "partly",
                (None, false) => "proved",
            };
            let tests: Vec<String> = tests.into_iter().map(link).collect();
            let _ = writeln!(
                page,
                "| {} | {} | {state} | {} | {} |",
                name.numbers(),
                part.title,
                tests.join("<br>"),
                part.left.as_deref().unwrap_or(""),
            );
        }
    }
    Ok(page)
}

fn link(proof: &Proof) -> String {
    let shown = proof.test.as_deref().unwrap_or(&proof.path);
    format!("[{shown}](../{})", proof.path)
}
