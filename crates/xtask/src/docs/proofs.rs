//! Which parts of the contract there are (`docs/acceptance.toml`), and which tests say that they prove one: a line
//! `// proves: SPEC 1.5, DESIGN 3` above a test. In a plan under `examples/` the line begins with `#` and speaks
//! of the whole plan, which `cargo xtask examples` runs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::repo::{File, Repo};

/// The two halves of the contract, in the order they are shown.
pub(crate) const HALVES: &[&str] = &["DESIGN", "SPEC"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) title: String,
    /// What is not there yet; absent once all of it is.
    pub(crate) left: Option<String>,
}

/// `SPEC 1.10`, ordered as a reader would.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    half: &'static str,
    numbers: Vec<u32>,
}

impl Name {
    fn parse(half: &str, numbers: &str) -> Option<Name> {
        let half = HALVES.iter().find(|known| **known == half)?;
        let numbers = numbers
            .split('.')
            .map(|n| n.parse().ok())
            .collect::<Option<_>>()?;
        Some(Name { half, numbers })
    }

    pub(crate) fn half(&self) -> &'static str {
        self.half
    }

    pub(crate) fn numbers(&self) -> String {
        let numbers: Vec<_> = self.numbers.iter().map(u32::to_string).collect();
        numbers.join(".")
    }
}

pub(crate) const DATA: &str = "docs/acceptance.toml";

/// Every part of the contract.
pub(crate) fn parts(repo: &Repo) -> Result<BTreeMap<Name, Part>> {
    let data = repo.file(DATA).with_context(|| format!("{DATA} is missing"))?;
    let halves: BTreeMap<String, BTreeMap<String, Part>> = toml::from_str(&data.text).context(DATA)?;
    let mut parts = BTreeMap::new();
    for (half, entries) in halves {
        for (numbers, part) in entries {
            let name = Name::parse(&half, &numbers).with_context(|| format!("{DATA}: `{half} {numbers}`"))?;
            parts.insert(name, part);
        }
    }
    Ok(parts)
}

/// A test that says it proves something.
#[derive(Debug, PartialEq)]
pub(crate) struct Proof {
    pub(crate) path: String,
    pub(crate) line: usize,
    /// The function, or nothing when the whole file speaks.
    pub(crate) test: Option<String>,
    /// As written: `SPEC 1.5`.
    pub(crate) claims: Vec<String>,
}

impl Proof {
    /// The claims that are names, and those that are not.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Option<Name>)> {
        self.claims.iter().map(|claim| {
            let name = claim
                .split_once(' ')
                .and_then(|(half, n)| Name::parse(half, n.trim()));
            (claim.as_str(), name)
        })
    }
}

const MARK: &str = "proves:";

pub(crate) fn proofs(repo: &Repo) -> Vec<Proof> {
    let rust = repo.ending(".rs").flat_map(in_rust);
    let plans = repo
        .ending(".yaml")
        .filter(|file| file.path.starts_with("examples/"));
    rust.chain(plans.flat_map(in_plan)).collect()
}

fn in_rust(file: &File) -> Vec<Proof> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let mut proofs = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let Some(claims) = line.strip_prefix("// ").and_then(|text| text.strip_prefix(MARK)) else {
            continue;
        };
        // Other comments and attributes may stand between the claim and its function.
        let test = lines[i + 1..]
            .iter()
            .find(|line| !(line.starts_with("//") || line.starts_with('#')))
            .and_then(|line| function(line));
        proofs.push(proof(file, i, test, claims));
    }
    proofs
}

fn in_plan(file: &File) -> Vec<Proof> {
    let marked = file.text.lines().enumerate().filter_map(|(i, line)| {
        let claims = line.strip_prefix("# ")?.strip_prefix(MARK)?;
        Some(proof(file, i, None, claims))
    });
    marked.collect()
}

fn proof(file: &File, index: usize, test: Option<String>, claims: &str) -> Proof {
    let claims = claims.split(',').map(|claim| claim.trim().to_owned());
    Proof {
        path: file.path.clone(),
        line: index + 1,
        test,
        claims: claims.collect(),
    }
}

/// The name in `pub async fn name(…`.
fn function(line: &str) -> Option<String> {
    let rest = line.split_once("fn ")?.1;
    let name: String = rest
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_belong_to_the_function_below_them() {
        let text = format!(
            "// {MARK} SPEC 1.5, DESIGN 3\n#[test]\n// Slow.\nfn scores() {{}}\n\n// {MARK} SPEC 9\nstruct Not;\n"
        );
        let file = File {
            path: "a.rs".to_owned(),
            text,
        };
        let proofs = in_rust(&file);
        assert_eq!(proofs[0].test.as_deref(), Some("scores"));
        assert_eq!(proofs[0].claims, ["SPEC 1.5", "DESIGN 3"]);
        assert_eq!((proofs[1].line, &proofs[1].test), (6, &None));
    }

    #[test]
    fn parts_sort_as_numbers() {
        let name = |numbers| Name::parse("SPEC", numbers).unwrap();
        assert!(name("1.9") < name("1.10"));
        assert_eq!(name("1.10").numbers(), "1.10");
        assert_eq!(Name::parse("OTHER", "1"), None);
        assert_eq!(Name::parse("SPEC", "1.x"), None);
    }
}
