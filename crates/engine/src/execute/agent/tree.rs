//! A git worktree for one task: where its agent works, and what becomes of what it has written.
//!
//! All tasks of a run are merged into one branch, `bell/run-<id>` (`bell/<project>` outside of runs), made from what was
//! checked out when the first of them began; each task starts from the tip of it. The user's own checkout is never
//! touched.
//!
//! Dying at any moment loses nothing and repeats no merge: the commit of a merge names its task, and an attempt that finds
//! one completes with what it says. An attempt that was overtaken (frozen past its lease, taken back, cancelled) changes
//! nothing any more: every reference moves together with the [`Claim`] of the attempt that moves it. A worktree
//! stands in the scratch folder of its worker and goes with it.

use std::path::{Path, PathBuf};

use domain::task::record::Failure;

use super::Trouble;
use super::claim::{Claim, TRIES};
use super::git::{self, Git};
use super::merge::one_line;
use crate::engine::Engine;
use crate::execute::{Finish, Job};

/// How large an answer may be to be kept so.
const ANSWER_BYTES: usize = 8 * 1024;
pub(super) struct Tree<'a> {
    pub(super) repo: Git,
    /// What all worktrees of the repository have in common.
    common: PathBuf,
    pub(super) job: &'a Job,
    pub(super) claim: Claim<'a>,
    /// `project/id`, as merges name it.
    pub(super) task: String,
    /// What merges go into.
    pub(super) into: String,
    pub(super) branch: String,
    /// The reference that keeps the answer until the merge.
    pub(super) answers: String,
    folder: PathBuf,
    /// Where inside the repository the task works.
    prefix: String,
}

impl<'a> Tree<'a> {
    /// Finds the repository and claims the task's references in it.
    pub(super) async fn new(engine: &'a Engine, scratch: &Path, job: &'a Job) -> Result<Tree<'a>, Trouble> {
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
        let repo = Git::at(Path::new(&top));
        let tree = Tree {
            claim: Claim::new(engine, job, repo.clone()).await?,
            repo,
            common: PathBuf::from(common),
            job,
            task: format!("{project}/{}", job.leased.task.id),
            into,
            branch: format!("bell-task/{project}-{seq}"),
            answers: format!("refs/bell/answers/{project}-{seq}"),
            folder: scratch.join(format!("{}.tree", job.scratch_name())),
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

    /// `git worktree` reads what all worktrees of a repository have written, also one that is just being made, and fails over
    /// it: one at a time, whichever process asks. The lock goes with its holder.
    pub(super) async fn worktrees(&self, args: &[&str]) -> Result<String, Failure> {
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

    /// Makes the worktree, from the tip of what is merged or from what an attempt before has left. Returns the folder to work in.
    pub(super) async fn open(&self, goes_on: bool) -> Result<PathBuf, Failure> {
        let folder = self.folder.to_string_lossy().into_owned();
        let reference = format!("refs/heads/{}", self.branch);
        let left = match goes_on {
            true => self.repo.at_ref(&reference).await?,
            false => None,
        };
        let start = left.as_deref().unwrap_or(&self.into);
        // On no branch: an attempt that was overtaken commits into nobody's way.
        self.worktrees(&["add", "--quiet", "--detach", &folder, start])
            .await?;
        let inside = self.folder.join(&self.prefix);
        // The folder may be new, or ignored, and so not be part of what is checked out.
        std::fs::create_dir_all(&inside)
            .map_err(|e| Failure::new(format!("{} cannot be made: {e}", inside.display())))?;
        Ok(inside)
    }

    /// Commits what was left uncommitted to the task's branch, beside it the answer, which may be merged much later, and takes
    /// the worktree away. What a failed attempt has written stays on the branch until the next one.
    pub(super) async fn close(&self, finish: &Result<Finish, Failure>) -> Result<(), Trouble> {
        let answer = match finish {
            Ok(Finish::Completed { outcome, .. }) => Some(outcome.result.as_ref()),
            _ => None,
        };
        let committed = self.commit(answer.is_some()).await;
        let folder = self.folder.to_string_lossy().into_owned();
        let removed = self.worktrees(&["remove", "--force", "--force", &folder]).await;
        if removed.is_err() {
            let _ = std::fs::remove_dir_all(&self.folder);
            let _ = self.worktrees(&["prune"]).await;
        }
        let head = committed?;
        let kept = answer
            .flatten()
            .map(one_line)
            .filter(|answer| answer.len() <= ANSWER_BYTES);
        let kept = match &kept {
            Some(answer) => Some(self.repo.store(answer).await?),
            None => None,
        };
        for _ in 0..TRIES {
            let mut lines = vec![format!("update refs/heads/{} {head}", self.branch)];
            match &kept {
                Some(kept) => lines.push(format!("update {} {kept}", self.answers)),
                None => lines.extend(self.without(&self.answers).await?),
            }
            if self.claim.moves(lines).await? {
                return Ok(());
            }
        }
        Err(self.claim.busy())
    }

    async fn commit(&self, finished: bool) -> Result<String, Failure> {
        let tree = Git::at(&self.folder);
        tree.say(&["add", "--all"]).await?;
        if !tree.is(&["diff", "--cached", "--quiet"]).await? {
            let note = if finished { "" } else { " (unfinished)" };
            let message = format!("{}{note}", self.subject());
            tree.say(&["commit", "--quiet", "--no-verify", "-m", &message])
                .await?;
        }
        tree.say(&["rev-parse", "HEAD"]).await
    }

    /// The line of a transaction that removes a reference, where there is one.
    pub(super) async fn without(&self, reference: &str) -> Result<Option<String>, Failure> {
        let at = self.repo.at_ref(reference).await?;
        Ok(at.map(|at| format!("delete {reference} {at}")))
    }

    pub(super) fn subject(&self) -> String {
        let name = self.job.spec.name.lines().next().unwrap_or_default();
        let subject: String = name.chars().filter(|c| !c.is_control()).take(70).collect();
        if subject.is_empty() {
            self.task.clone()
        } else {
            subject
        }
    }
}
