//! A git worktree for one task: its own branch to work on, merged when it is done.
//!
//! All tasks of a run are merged into one branch, `bell/run-<id>` (`bell/<project>` outside of runs), made from what was
//! checked out when the first of them began; each task starts from the tip of it. The user's own checkout is never
//! touched. Trees are merged without one either, object by object, and the branch moves only if nobody else has
//! moved it meanwhile, so any number of workers may finish at the same time.
//!
//! Dying at any moment loses nothing and repeats no merge: the commit of a merge names its task, and an attempt that finds
//! one completes with what it says. A worktree stands in the scratch folder of its worker and goes with it.

use std::path::{Path, PathBuf};

use domain::task::record::Failure;
use domain::task::spec::Json;
use serde::Serialize;

use super::git::{self, Git};
use crate::engine::Engine;
use crate::execute::{Finish, Job};

/// Names the task that a merge is of.
const TASK: &str = "Bell-Task";
/// Keeps what the agent answered, for an attempt that finds its work merged.
const ANSWER: &str = "Bell-Answer";
/// How large an answer may be to be kept so.
const ANSWER_BYTES: usize = 8 * 1024;
/// Changed files that are named.
const NAMED: usize = 500;
/// How often a merge is tried when others merge at the same time.
const TRIES: usize = 50;

pub(super) struct Tree<'a> {
    repo: Git,
    /// What all worktrees of the repository have in common.
    common: PathBuf,
    job: &'a Job,
    /// `project/id`, as merges name it.
    task: String,
    /// What merges go into.
    pub(super) into: String,
    pub(super) branch: String,
    /// The reference that keeps the answer until the merge.
    answers: String,
    folder: PathBuf,
    /// Where inside the repository the task works.
    prefix: String,
}

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

impl<'a> Tree<'a> {
    pub(super) async fn new(engine: &Engine, scratch: &Path, job: &'a Job) -> Result<Tree<'a>, Failure> {
        let cwd = job.spec.cwd.as_deref().unwrap_or(".");
        let here = Git::at(Path::new(cwd));
        let top = here
            .say(&["rev-parse", "--show-toplevel"])
            .await
            .map_err(|failure| Failure {
                class: Some("validation".into()),
                ..Failure::new(format!(
                    "{cwd} is in no git repository, where this agent works: {}",
                    failure.message
                ))
            })?;
        let common = here
            .say(&["rev-parse", "--path-format=absolute", "--git-common-dir"])
            .await?;
        let prefix = here.say(&["rev-parse", "--show-prefix"]).await?;
        let (project, seq) = (&engine.project, job.leased.task.seq.0);
        let into = match job.run {
            Some(run) => format!("bell/run-{run}"),
            None => format!("bell/{project}"),
        };
        let tree = Tree {
            repo: Git::at(Path::new(&top)),
            common: PathBuf::from(common),
            job,
            task: format!("{project}/{}", job.leased.task.id),
            into,
            branch: format!("bell-task/{project}-{seq}"),
            answers: format!("refs/bell/answers/{project}-{seq}"),
            folder: scratch.join(format!("{seq}-{}.tree", job.attempt())),
            prefix,
        };
        tree.prepare().await?;
        Ok(tree)
    }

    /// The branch that merges go into, where it is not there yet.
    async fn prepare(&self) -> Result<(), Failure> {
        self.worktrees(&["prune"]).await?;
        let reference = format!("refs/heads/{}", self.into);
        if self
            .repo
            .is(&["show-ref", "--verify", "--quiet", &reference])
            .await?
        {
            return Ok(());
        }
        let head = self
            .repo
            .say(&["rev-parse", "--verify", "HEAD^{commit}"])
            .await
            .map_err(|_| Failure {
                class: Some("validation".into()),
                ..Failure::new(format!(
                    "the repository {} has no commit to begin from",
                    self.repo.folder.display()
                ))
            })?;
        // Somebody else may make it at the same moment: it is the same branch.
        let made = self.repo.output(&["update-ref", &reference, &head, ""]).await?;
        match made.status.success()
            || self
                .repo
                .is(&["show-ref", "--verify", "--quiet", &reference])
                .await?
        {
            true => Ok(()),
            false => Err(git::refusal(&["update-ref"], &made)),
        }
    }

    /// What an earlier attempt has merged and could not report.
    pub(super) async fn merged_before(&self) -> Result<Option<Merged>, Failure> {
        if self.job.attempt() < 2 {
            return Ok(None);
        }
        let line = format!("{TASK}: {}", self.task);
        let format = format!(
            "%H%x00%(trailers:key={TASK},valueonly,separator=)%x00%(trailers:key={ANSWER},valueonly,separator=)%x01"
        );
        let found = self
            .repo
            .say(&[
                "log",
                "--first-parent",
                "--fixed-strings",
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

    /// `git worktree` reads what all worktrees of a repository have written, also one that is just being made, and fails over
    /// it: one at a time, whichever process asks. The lock goes with its holder.
    async fn worktrees(&self, args: &[&str]) -> Result<String, Failure> {
        let path = self.common.join("bell-worktrees.lock");
        let shown = path.display().to_string();
        let locked = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::create(&path)?;
            file.lock().map(|()| file)
        });
        let locked = locked.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        let _alone = locked.map_err(|e| Failure::new(format!("{shown} cannot be locked: {e}")))?;
        self.repo.say(&[&["worktree"], args].concat()).await
    }

    /// Makes the worktree, on a fresh branch or on the one that an attempt before has left. Returns the folder to work in.
    pub(super) async fn open(&self, goes_on: bool) -> Result<PathBuf, Failure> {
        let folder = self.folder.to_string_lossy().into_owned();
        let reference = format!("refs/heads/{}", self.branch);
        let mut args = vec!["add", "--quiet"];
        if goes_on
            && self
                .repo
                .is(&["show-ref", "--verify", "--quiet", &reference])
                .await?
        {
            args.extend([folder.as_str(), &self.branch]);
        } else {
            args.extend(["-B", &self.branch, &folder, &self.into]);
        }
        self.worktrees(&args).await?;
        let inside = self.folder.join(&self.prefix);
        // The folder may be new, or ignored, and so not be part of what is checked out.
        std::fs::create_dir_all(&inside)
            .map_err(|e| Failure::new(format!("{} cannot be made: {e}", inside.display())))?;
        Ok(inside)
    }

    /// Commits what was left uncommitted, and takes the worktree away. What a failed attempt has written stays on its branch
    /// until the next one.
    pub(super) async fn close(&self, finish: &Result<Finish, Failure>) -> Result<(), Failure> {
        let tree = Git::at(&self.folder);
        let committed = async {
            tree.say(&["add", "--all"]).await?;
            if !tree.is(&["diff", "--cached", "--quiet"]).await? {
                let unfinished = !matches!(finish, Ok(Finish::Completed { .. }));
                let note = if unfinished { " (unfinished)" } else { "" };
                let message = format!("{}{note}", self.subject());
                tree.say(&["commit", "--quiet", "--no-verify", "-m", &message])
                    .await?;
            }
            Ok(())
        };
        let committed = committed.await;
        let folder = self.folder.to_string_lossy().into_owned();
        let removed = self.worktrees(&["remove", "--force", "--force", &folder]).await;
        if removed.is_err() {
            let _ = std::fs::remove_dir_all(&self.folder);
            let _ = self.worktrees(&["prune"]).await;
        }
        committed
    }

    fn subject(&self) -> String {
        let name = self.job.spec.name.lines().next().unwrap_or_default();
        let subject: String = name.chars().filter(|c| !c.is_control()).take(70).collect();
        if subject.is_empty() {
            self.task.clone()
        } else {
            subject
        }
    }

    /// Keeps the answer beside the branch, for the merge, which may come much later: the message of a commit of its own.
    pub(super) async fn keep_answer(&self, answer: Option<&Json>) -> Result<(), Failure> {
        let Some(answer) = answer.map(one_line).filter(|answer| answer.len() <= ANSWER_BYTES) else {
            return self.drop_ref(&self.answers).await;
        };
        let tree = format!("{}^{{tree}}", self.branch);
        let kept = self.repo.say(&["commit-tree", &tree, "-m", &answer]).await?;
        self.repo
            .say(&["update-ref", &self.answers, &kept])
            .await
            .map(drop)
    }

    async fn answer(&self) -> Result<Option<Json>, Failure> {
        let said = self
            .repo
            .output(&["show", "--no-patch", "--format=%B", &self.answers])
            .await?;
        Ok(serde_json::from_slice::<Json>(&said.stdout).ok())
    }

    /// Nothing happens if there is none. Branches are removed so too: `git branch -D` would lock the configuration, which
    /// other workers need at the same time.
    async fn drop_ref(&self, reference: &str) -> Result<(), Failure> {
        if self
            .repo
            .is(&["show-ref", "--verify", "--quiet", reference])
            .await?
        {
            self.repo.say(&["update-ref", "-d", reference]).await?;
        }
        Ok(())
    }

    /// Merges the branch of the task. A conflict is told in a sentence for whoever shall settle it.
    pub(super) async fn merge(&self) -> Result<Result<Merged, String>, Failure> {
        let answer = self.answer().await?;
        let reference = format!("refs/heads/{}", self.into);
        for _ in 0..TRIES {
            let base = self.repo.say(&["rev-parse", &self.into]).await?;
            let head = self.repo.say(&["rev-parse", &self.branch]).await?;
            if self
                .repo
                .is(&["merge-base", "--is-ancestor", &head, &base])
                .await?
            {
                // Nothing was changed, or somebody has merged it by hand.
                self.forget().await;
                return Ok(Ok(self.told(&base, &base, answer).await?));
            }
            let merged = self
                .repo
                .output(&[
                    "merge-tree",
                    "--write-tree",
                    "--name-only",
                    "--no-messages",
                    &base,
                    &head,
                ])
                .await?;
            let said = git::text(&merged.stdout);
            let mut lines = said.lines();
            let tree = lines.next().unwrap_or_default();
            match merged.status.code() {
                Some(0) => {}
                Some(1) => return Ok(Err(self.conflict(lines))),
                _ => return Err(git::refusal(&["merge-tree"], &merged)),
            }
            self.nowhere_checked_out().await?;
            let kept = answer
                .as_ref()
                .map(|answer| format!("\n{ANSWER}: {}", one_line(answer)));
            let message = format!(
                "{}\n\n{TASK}: {}{}\n",
                self.subject(),
                self.task,
                kept.unwrap_or_default()
            );
            let commit = self
                .repo
                .say(&["commit-tree", tree, "-p", &base, "-p", &head, "-m", &message])
                .await?;
            if self
                .repo
                .output(&["update-ref", &reference, &commit, &base])
                .await?
                .status
                .success()
            {
                self.forget().await;
                return Ok(Ok(self.told(&base, &commit, answer).await?));
            }
        }
        Err(Failure {
            class: Some("unavailable".into()),
            ..Failure::new(format!(
                "{} moves all the time: {TRIES} merges were overtaken",
                self.into
            ))
        })
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

    /// The branch is part of another now.
    async fn forget(&self) {
        for reference in [&format!("refs/heads/{}", self.branch), &self.answers] {
            if let Err(failure) = self.drop_ref(reference).await {
                tracing::warn!(
                    reference,
                    why = failure.message,
                    "what was merged could not be removed"
                );
            }
        }
    }
}

/// JSON has no line breaks that mean anything.
fn one_line(json: &Json) -> String {
    let value: serde_json::Value = serde_json::from_str(json.get()).unwrap_or_default();
    value.to_string()
}
