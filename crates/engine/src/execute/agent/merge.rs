//! Bringing together what tasks have written: object by object, without a checkout, so that any number of workers may
//! finish at the same time.

use domain::task::record::Failure;
use domain::task::spec::Json;
use serde::Serialize;

use super::Trouble;
use super::claim::TRIES;
use super::git;
use super::tree::Tree;

/// Names the task that a merge is of.
pub(super) const TASK: &str = "Bell-Task";
/// Keeps what the agent answered, for an attempt that finds its work merged.
const ANSWER: &str = "Bell-Answer";
/// Changed files that are named.
const NAMED: usize = 500;
/// How far the clocks of machines that work on one repository may be apart, in seconds.
const SKEW: i64 = 24 * 3_600;

/// The result of a task that worked in a tree.
#[derive(Debug, Serialize)]
pub(super) struct Merged {
    /// What the agent answered.
    answer: Option<Json>,
    /// The branch that its work was merged into.
    into: String,
    /// What that branch was at, and is at now; equal when nothing was changed.
    base: String,
    commit: String,
    /// The files that were changed, at most 500 of them.
    files: Vec<String>,
    /// How many more.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Tree<'_> {
    /// What an earlier attempt has merged and could not report.
    pub(super) async fn merged_before(&self) -> Result<Option<Merged>, Failure> {
        let line = format!("{TASK}: {}", self.task);
        let format = format!(
            "%H%x00%(trailers:key={TASK},valueonly,separator=)%x00%(trailers:key={ANSWER},valueonly,separator=)%x01"
        );
        // Nothing older can be of this task; a long history is not read.
        let since = self.job.leased.task.submitted_at.0 / 1_000 - SKEW;
        let found = self
            .repo
            .say(&[
                "log",
                "--first-parent",
                "--fixed-strings",
                &format!("--since=@{}", since.max(0)),
                &format!("--grep={line}"),
                &format!("--format={format}"),
                &self.into,
                "--",
            ])
            .await?;
        for entry in found.split('\u{1}') {
            let mut parts = entry.trim_start().split('\0');
            let (Some(commit), Some(task), Some(answer)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            if task.trim() == self.task {
                let answer = serde_json::from_str::<Json>(answer.trim()).ok();
                return Ok(Some(self.told(&format!("{commit}^1"), commit, answer).await?));
            }
        }
        Ok(None)
    }

    /// Merges the branch of the task, which goes with it. A conflict is told in a sentence for whoever shall settle it.
    pub(super) async fn merge(&self) -> Result<Result<Merged, String>, Trouble> {
        let answer = self.answer().await?;
        for _ in 0..TRIES {
            let base = self.repo.say(&["rev-parse", &self.into]).await?;
            let head = self.repo.say(&["rev-parse", &self.branch]).await?;
            let mut lines = vec![format!("delete refs/heads/{} {head}", self.branch)];
            lines.extend(self.without(&self.answers).await?);
            // Else nothing was changed, or somebody has merged it by hand.
            let changed = !self
                .repo
                .is(&["merge-base", "--is-ancestor", &head, &base])
                .await?;
            let mut commit = base.clone();
            if changed {
                commit = match self.joined(&base, &head, answer.as_ref()).await? {
                    Ok(commit) => commit,
                    Err(conflict) => return Ok(Err(conflict)),
                };
                self.nowhere_checked_out().await?;
                lines.push(format!("update refs/heads/{} {commit} {base}", self.into));
            }
            if self.claim.ends(lines).await? {
                return Ok(Ok(self.told(&base, &commit, answer).await?));
            }
        }
        Err(self.claim.busy())
    }

    /// The commit of a merge, which nothing leads to yet, or what is in its way.
    async fn joined(
        &self,
        base: &str,
        head: &str,
        answer: Option<&Json>,
    ) -> Result<Result<String, String>, Failure> {
        let merged = self
            .repo
            .output(&[
                "merge-tree",
                "--write-tree",
                "--name-only",
                "--no-messages",
                base,
                head,
            ])
            .await?;
        let said = git::text_of(&merged.stdout);
        let mut lines = said.lines();
        let tree = lines.next().unwrap_or_default();
        match merged.status.code() {
            Some(0) => {}
            Some(1) => return Ok(Err(self.conflict(lines))),
            _ => return Err(git::refusal(&["merge-tree"], &merged)),
        }
        let kept = answer.map(|answer| format!("\n{ANSWER}: {}", one_line(answer)));
        let message = format!(
            "{}\n\n{TASK}: {}{}\n",
            self.subject(),
            self.task,
            kept.unwrap_or_default()
        );
        let commit = self
            .repo
            .say(&["commit-tree", tree, "-p", base, "-p", head, "-m", &message])
            .await?;
        Ok(Ok(commit))
    }

    /// What was kept beside the branch.
    async fn answer(&self) -> Result<Option<Json>, Failure> {
        let said = self.repo.output(&["cat-file", "blob", &self.answers]).await?;
        Ok(serde_json::from_slice::<Json>(&said.stdout).ok())
    }

    /// Moving a branch under somebody's feet would make their checkout look changed.
    async fn nowhere_checked_out(&self) -> Result<(), Failure> {
        let trees = self.worktrees(&["list", "--porcelain"]).await?;
        let mine = format!("branch refs/heads/{}", self.into);
        let mut folder = "";
        for line in trees.lines() {
            folder = line.strip_prefix("worktree ").unwrap_or(folder);
            if line == mine {
                return Err(Failure {
                    class: Some("unavailable".into()),
                    ..Failure::new(format!(
                        "{} is checked out at {folder}: switch to another branch there, then try again",
                        self.into
                    ))
                });
            }
        }
        Ok(())
    }

    fn conflict<'l>(&self, files: impl Iterator<Item = &'l str>) -> String {
        let files: Vec<&str> = files.filter(|line| !line.is_empty()).collect();
        let named = files.iter().take(20).copied().collect::<Vec<_>>().join(", ");
        let more = match files.len().saturating_sub(20) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{} cannot be merged into {}: both changed {named}{more}. Merge it by hand (git switch {}, git merge {}, \
             settle, commit, switch away), then accept.",
            self.branch, self.into, self.into, self.branch
        )
    }

    async fn told(&self, base: &str, commit: &str, answer: Option<Json>) -> Result<Merged, Failure> {
        let changed = match base == commit {
            true => String::new(),
            false => {
                self.repo
                    .say(&["diff", "--name-only", "-z", base, commit])
                    .await?
            }
        };
        let mut files: Vec<String> = changed
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let more = files.len().saturating_sub(NAMED);
        files.truncate(NAMED);
        let base = self.repo.say(&["rev-parse", base]).await?;
        Ok(Merged {
            answer,
            into: self.into.clone(),
            base,
            commit: commit.to_owned(),
            files,
            more,
        })
    }
}

/// JSON has no line breaks that mean anything.
pub(super) fn one_line(json: &Json) -> String {
    let value: serde_json::Value = serde_json::from_str(json.get()).unwrap_or_default();
    value.to_string()
}
