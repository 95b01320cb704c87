//! The house rules that no compiler checks. Each rule is one function from the repository to what it found.

mod code;
mod crates;
mod pages;
mod text;

use std::fmt;

use anyhow::Result;

use crate::repo::Repo;
use crate::step::{Outcome, Tally};

#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    /// 0 when the whole file is meant.
    line: usize,
    what: String,
    /// Worth a look, but no reason to refuse a change.
    warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: path.to_owned(),
            line,
            what: what.into(),
            warning: false,
        }
    }

    fn warning(path: &str, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            warning: true,
            ..Finding::new(path, line, what)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        let kind = if self.warning { "warning: " } else { "" };
        write!(f, ": {kind}{}", self.what)
    }
}

type Rule = fn(&Repo) -> Vec<Finding>;

/// Name and rule; each counts as one check.
const RULES: &[(&str, Rule)] = &[
    ("crates see only what they may", crates::arrows),
    ("the domain is pure", crates::purity),
    ("files are short", text::length),
    ("no tabs, no trailing spaces", text::whitespace),
    ("words", text::words),
    ("nothing is unfinished", code::unfinished),
    ("test files are listed", code::listed),
    ("proofs name parts of the contract", code::proofs),
    ("links lead somewhere", pages::links),
    ("plans that are shown can be run", pages::plans),
    ("decisions are numbered and listed", pages::decisions),
];

pub(crate) fn run(repo: &Repo) -> Result<bool> {
    let mut sound = true;
    for (name, rule) in RULES {
        let findings = rule(repo);
        let refused = findings.iter().any(|finding| !finding.warning);
        sound &= !refused;
        println!("{:<7}{name}", if refused { "FAILED" } else { "ok" });
        findings.iter().for_each(|finding| println!("    {finding}"));
    }
    Ok(sound)
}

pub(crate) fn outcome(repo: &Repo) -> Outcome {
    let mut outcome = Outcome::default();
    let mut warnings = 0;
    for (name, rule) in RULES {
        let (soft, hard): (Vec<_>, Vec<_>) = rule(repo).into_iter().partition(|finding| finding.warning);
        warnings += soft.len();
        outcome.tally.add(Tally::one(hard.is_empty()));
        for finding in hard {
            outcome.report += &format!("{finding} ({name})\n");
        }
    }
    if warnings > 0 {
        outcome.note = Some(format!("{warnings} warnings, see `cargo xtask tidy`"));
    }
    outcome
}

#[cfg(test)]
mod testing {
    use crate::repo::{File, Repo};

    /// A repository of these files, given in order of their paths.
    pub(super) fn repo(files: &[(&str, &str)]) -> Repo {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Repo {
            root: "/nowhere".into(),
            files: files.iter().map(file).collect(),
        }
    }
}
