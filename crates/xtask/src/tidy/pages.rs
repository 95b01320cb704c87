//! Rules about the documentation.

use std::path::{Component, Path, PathBuf};

use domain::plan::{self, Format};

use super::Finding;
use crate::repo::{File, Repo};

/// Every relative link of a page leads to a file, and to a heading of it if it names one.
pub(super) fn links(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in repo.ending(".md") {
        for (line, target) in targets(&page.text) {
            if let Some(what) = wrong(repo, page, target) {
                findings.push(Finding::new(&page.path, line, what));
            }
        }
    }
    findings
}

/// Links of the form `](target)`, outside fenced code.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    let lines = text.lines().zip(1..).filter(move |(line, _)| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced
    });
    lines.flat_map(|(line, no)| {
        let links = line.match_indices("](").filter_map(|(at, _)| {
            let rest = &line[at + 2..];
            Some(&rest[..rest.find(')')?])
        });
        links.map(move |target| (no, target)).collect::<Vec<_>>()
    })
}

fn wrong(repo: &Repo, page: &File, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let there = if path.is_empty() {
        page.path.clone()
    } else {
        join(&page.path, path)
    };
    let Some(file) = repo.file(&there) else {
        let is_folder = repo
            .files
            .iter()
            .any(|file| file.path.starts_with(&format!("{there}/")));
        return (!is_folder).then(|| format!("`{target}` leads nowhere"));
    };
    let known = heading.is_empty() || headings(&file.text).any(|known| known == heading);
    (!known).then(|| format!("`{there}` has no heading `{heading}`"))
}

/// `path` as seen from the folder of `page`.
fn join(page: &str, path: &str) -> String {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut there = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir => {
                there.pop();
            }
            Component::CurDir => {}
            part => there.push(part),
        }
    }
    there.to_string_lossy().into_owned()
}

/// Headings as they stand in addresses.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    })
}

/// Plans and rules under `examples/` and plans shown in pages have neither faults nor warnings, and can be run.
pub(super) fn plans(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = repo
        .ending(".yaml")
        .filter(|file| file.path.starts_with("examples/"));
    for file in files {
        if file.text.lines().any(|line| line == "rules:") {
            let rules = plan::read_rules(file.text.as_bytes(), Format::Yaml, &file.path, "");
            findings.extend(
                rules
                    .err()
                    .map(|faults| Finding::new(&file.path, 0, faults.to_string())),
            );
        } else {
            judge(&file.path, 0, &file.text, &mut findings);
        }
    }
    for page in repo.ending(".md") {
        for (line, text) in shown(&page.text) {
            judge(&page.path, line, text, &mut findings);
        }
    }
    findings
}

/// The plans among a page's blocks of YAML, with the line before their first.
fn shown(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices("```yaml\n").filter_map(move |(at, fence)| {
        let start = at + fence.len();
        let block = &text[start..start + text[start..].find("```")?];
        let is_plan = block.lines().any(|line| line == "tasks:");
        is_plan.then(|| (text[..start].lines().count(), block))
    })
}

fn judge(path: &str, above: usize, text: &str, findings: &mut Vec<Finding>) {
    let plan = match plan::read(text.as_bytes(), Format::Yaml, path) {
        Ok(plan) => plan,
        Err(faults) => {
            findings.push(Finding::new(path, above, faults.to_string()));
            return;
        }
    };
    if !plan.unsupported.is_empty() {
        findings.push(Finding::new(path, above, plan.unsupported.to_string()));
    }
    for warning in &plan.warnings {
        findings.push(Finding::new(path, above, warning.to_string()));
    }
}

const DECISIONS: &str = "docs/decisions/";

/// Decision records have unique numbers and stand in their list.
pub(super) fn decisions(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let list = repo
        .file("docs/decisions/README.md")
        .map_or("", |file| file.text.as_str());
    let mut last = "";
    for file in repo.files.iter().filter(|file| file.path.starts_with(DECISIONS)) {
        let name = &file.path[DECISIONS.len()..];
        if name == "README.md" {
            continue;
        }
        let number = name.split('-').next().unwrap_or_default();
        if number.len() != 4 || !number.chars().all(|c| c.is_ascii_digit()) {
            findings.push(Finding::new(
                &file.path,
                0,
                "its name does not begin with four digits",
            ));
        } else if number == last {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("the number {number} is taken"),
            ));
        }
        last = number;
        if !list.contains(&format!("]({name})")) {
            findings.push(Finding::new(
                &file.path,
                0,
                "`docs/decisions/README.md` does not list it",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::repo;

    #[test]
    fn links_lead_to_files_folders_and_headings() {
        let page = "[a](../README.md) [b](../README.md#two-words) [c](#here) [d](decisions) [e](https://x.y)\n\
                    # Here\n[f](gone.md) [g](../README.md#gone)\n```\n[h](code.md)\n```\n";
        let repo = repo(&[
            ("README.md", "# Two words\n"),
            ("docs/a.md", page),
            ("docs/decisions/README.md", ""),
        ]);
        let findings = links(&repo);
        let said: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            said,
            ["`gone.md` leads nowhere", "`README.md` has no heading `gone`"]
        );
    }

    #[test]
    fn plans_shown_in_pages_are_read() {
        let plan = |after: &str| {
            format!("# A\n```yaml\ntasks:\n  a: {{ run: x }}\n  b: {{ run: y, after: [{after}] }}\n```\n")
        };
        let (good, bad) = (plan("a"), plan("c"));
        let findings = plans(&repo(&[
            ("a.md", &good),
            ("b.md", &bad),
            ("c.md", "```yaml\nother: 1\n```\n"),
        ]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].path.as_str(), findings[0].line), ("b.md", 2));
    }

    #[test]
    fn decisions_have_a_number_of_their_own_and_are_listed() {
        let repo = repo(&[
            ("docs/decisions/0001-a.md", ""),
            ("docs/decisions/0001-b.md", ""),
            ("docs/decisions/README.md", "- [a](0001-a.md)\n"),
        ]);
        let said: Vec<_> = decisions(&repo).into_iter().map(|finding| finding.what).collect();
        assert_eq!(said.len(), 2, "{said:?}");
    }
}
