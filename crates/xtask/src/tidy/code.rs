//! Rules about code and tests.

use super::Finding;
use crate::docs::proofs;
use crate::repo::Repo;

/// Macros that stand for code somebody meant to write.
const PLACEHOLDERS: &[&str] = &["todo!", "unimplemented!", "dbg!"];
/// Marks of work left for later; allowed with an issue: `(#12)`.
const LATER: &[&str] = &["TODO", "FIXME", "XXX"];
/// The lists above have to spell their words out.
const SPELLS_THEM: &str = "crates/xtask/src/tidy/code.rs";

pub(super) fn unfinished(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.ending(".rs").filter(|file| file.path != SPELLS_THEM) {
        for (line, no) in file.text.lines().zip(1..) {
            let (code, comment) = line.split_at(line.find("//").unwrap_or(line.len()));
            let placeholder = |word: &&&str| code.contains(&format!("{word}(")) && !code.contains('"');
            if let Some(word) = PLACEHOLDERS.iter().find(placeholder) {
                findings.push(Finding::new(&file.path, no, format!("`{word}` is left")));
            }
            if let Some(word) = LATER
                .iter()
                .find(|word| comment.contains(**word) && !comment.contains("(#"))
            {
                findings.push(Finding::new(
                    &file.path,
                    no,
                    format!("`{word}` without the number of an issue"),
                ));
            }
        }
    }
    findings
}

/// A test file that its `main.rs` does not name is never compiled.
pub(super) fn listed(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.ending(".rs") {
        let Some((crate_path, rest)) = file.path.split_once("/tests/it/") else {
            continue;
        };
        let module = rest
            .strip_suffix("/mod.rs")
            .or_else(|| rest.strip_suffix(".rs"))
            .unwrap_or(rest);
        if module == "main" || module.contains('/') {
            continue;
        }
        let main = format!("{crate_path}/tests/it/main.rs");
        let line = format!("mod {module};");
        let named = repo
            .file(&main)
            .is_some_and(|main| main.text.lines().any(|l| l.trim() == line));
        if !named {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("`{main}` does not say `{line}`"),
            ));
        }
    }
    findings
}

pub(super) fn proofs(repo: &Repo) -> Vec<Finding> {
    let parts = match proofs::parts(repo) {
        Ok(parts) => parts,
        Err(error) => return vec![Finding::new(proofs::DATA, 0, format!("{error:#}"))],
    };
    let mut findings = Vec::new();
    let mut proved = Vec::new();
    for proof in proofs::proofs(repo) {
        if proof.test.is_none() && proof.path.ends_with(".rs") {
            findings.push(Finding::new(
                &proof.path,
                proof.line,
                "this claim stands above no function",
            ));
        }
        for (claim, name) in proof.names() {
            match name {
                Some(name) if parts.contains_key(&name) => proved.push(name),
                _ => {
                    let what = format!("`{claim}` is no part that {} lists", proofs::DATA);
                    findings.push(Finding::new(&proof.path, proof.line, what));
                }
            }
        }
    }
    for (name, part) in &parts {
        let what = match (part.left.as_deref(), proved.contains(name)) {
            (None, false) => "nothing is left to do, and no test proves it",
            (Some("all of it"), true) => "all of it is left to do, and yet a test proves it",
            _ => continue,
        };
        let what = format!("{} {}: {what}", name.half(), name.numbers());
        findings.push(Finding::new(proofs::DATA, 0, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::repo;

    #[test]
    fn placeholders_and_notes_without_an_issue_are_found() {
        let text = "fn a() { todo!() }\n// TODO mend\n// TODO(#12): mend\nlet text = \"todo!()\";\n";
        let findings = unfinished(&repo(&[("a.rs", text)]));
        assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn forgotten_test_files_are_found() {
        let repo = repo(&[
            ("crates/a/tests/it/kept.rs", ""),
            ("crates/a/tests/it/lost.rs", ""),
            ("crates/a/tests/it/main.rs", "mod kept;\n"),
        ]);
        let findings = listed(&repo);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "crates/a/tests/it/lost.rs");
    }

    #[test]
    fn proofs_name_known_parts_and_finished_parts_have_one() {
        let mark = "// proves";
        let test = format!("{mark}: SPEC 1.1, SPEC 9.9\n#[test]\nfn t() {{}}\n");
        let data = "[SPEC]\n\"1.1\" = { title = \"a\" }\n\"1.2\" = { title = \"b\" }\n\
                    \"1.3\" = { title = \"c\", left = \"all\" }\n";
        let findings = proofs(&repo(&[("crates/a/src/t.rs", &test), (proofs::DATA, data)]));
        let said: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("`SPEC 9.9` is no part"));
        assert!(said[1].starts_with("SPEC 1.2: nothing is left"));
    }
}
