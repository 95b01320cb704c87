//! Rules about any text: its length, its blanks, its words.

use super::Finding;
use crate::repo::{File, Repo};

/// A file is read at one sitting.
const LONG: usize = 600;
const TOO_LONG: usize = 800;
/// A line of the module's documentation that begins so, and goes on with the reason, lifts the bound.
const WAIVER: &str = "//! tidy: long, because ";

pub(super) fn length(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.ending(".rs") {
        let lines = file.text.lines().count();
        let waived = file.text.lines().any(|line| line.starts_with(WAIVER));
        if lines > TOO_LONG && !waived {
            let what =
                format!("{lines} lines, the limit is {TOO_LONG}: split it, or say why not with `{WAIVER}…`");
            findings.push(Finding::new(&file.path, 0, what));
        } else if lines > LONG && !waived {
            findings.push(Finding::warning(&file.path, 0, format!("{lines} lines")));
        }
    }
    findings
}

/// Files that other programs write, or that quote them.
fn is_foreign(file: &File) -> bool {
    file.path.ends_with(".snap") || file.path == "Cargo.lock" || file.path == "LICENSE"
}

pub(super) fn whitespace(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.files.iter().filter(|file| !is_foreign(file)) {
        for (line, no) in file.text.split('\n').zip(1..) {
            if line.contains('\t') {
                findings.push(Finding::new(&file.path, no, "a tab"));
            }
            if line.ends_with([' ', '\r']) {
                findings.push(Finding::new(&file.path, no, "trailing space"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            findings.push(Finding::new(&file.path, 0, "no line feed at the end"));
        }
    }
    findings
}

/// One word per idea, one spelling per word; the glossary says what each stands for.
const WORDS: &[(&str, &str)] = &[
    ("behavior", "behaviour"),
    ("canceled", "cancelled"),
    ("canceling", "cancelling"),
    ("color of", "colour of"),
    ("deadletter", "dead letter"),
    ("sub-task", "subtask"),
    ("subjob", "subtask"),
    ("workflow", "plan"),
    ("blacklist", "refused list"),
    ("whitelist", "allowed list"),
    // A path of one machine says nothing on another.
    ("/home/", "a path that exists everywhere"),
    ("/root/", "a path that exists everywhere"),
    ("/work/", "a path that exists everywhere"),
];

/// The list above has to spell its words out.
const SPELLS_THEM: &str = "crates/xtask/src/tidy/text.rs";

pub(super) fn words(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo
        .files
        .iter()
        .filter(|file| !is_foreign(file) && file.path != SPELLS_THEM)
    {
        for (line, no) in file.text.lines().zip(1..) {
            let lower = line.to_lowercase();
            for (word, better) in WORDS.iter().filter(|(word, _)| stands_in(word, &lower)) {
                let what = format!("`{word}`: write {better}");
                findings.push(Finding::new(&file.path, no, what));
            }
        }
    }
    findings
}

/// As a word, not as a part of one.
fn stands_in(word: &str, line: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        word.starts_with('/') && !inside(before) || !inside(before) && !inside(after.filter(|c| *c != 's'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::repo;

    #[test]
    fn long_files_need_a_reason() {
        let long = "x\n".repeat(TOO_LONG + 1);
        let waived = format!("{WAIVER}it is one table.\n{long}");
        let growing = "x\n".repeat(LONG + 1);
        let repo = repo(&[("a.rs", &long), ("b.rs", &waived), ("c.rs", &growing)]);
        let findings = length(&repo);
        assert_eq!(findings.len(), 2);
        assert!(findings[0].path == "a.rs" && !findings[0].warning);
        assert!(findings[1].path == "c.rs" && findings[1].warning);
    }

    #[test]
    fn blanks_are_found_where_they_stand() {
        let findings = whitespace(&repo(&[("a.md", "fine\n\tno\nno \nno end")]));
        assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [2, 3, 0]);
    }

    #[test]
    fn words_count_only_whole() {
        let text = "workflows\nworkflowish\nA Workflow.\nsee /home/me\nat/home/in\n";
        let findings = words(&repo(&[("a.md", text)]));
        assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 3, 4]);
    }
}
