//! Who may move the references of a task: the attempt that holds its lease.
//!
//! The store alone knows that, and git cannot ask it. So an attempt leaves a mark of its own in the repository when it
//! begins, and everything it moves is moved in one transaction with that mark being its own still. Whoever finds another's
//! mark asks the store whose the task is.

use std::time::Duration;

use domain::task::record::Failure;

use super::Trouble;
use super::git::Git;
use crate::engine::Engine;
use crate::execute::Job;

/// Between two questions to a store that is away.
const PAUSE: Duration = Duration::from_millis(500);
/// How often references are moved when others move them at the same time.
pub(super) const TRIES: usize = 50;

pub(super) struct Claim<'a> {
    engine: &'a Engine,
    job: &'a Job,
    repo: Git,
    reference: String,
    /// What the reference is at while it is ours.
    mark: String,
}

impl<'a> Claim<'a> {
    pub(super) async fn new(engine: &'a Engine, job: &'a Job, repo: Git) -> Result<Claim<'a>, Trouble> {
        let (project, task) = (&engine.project, &job.leased.task);
        let token = &job.leased.token;
        let mark = format!("{project}/{} {} {}", task.id, task.submitted_at.0, token.fence.0);
        let claim = Claim {
            engine,
            job,
            reference: format!("refs/bell/claims/{project}-{}", token.seq.0),
            mark: repo.store(&mark).await?,
            repo,
        };
        claim.take().await?;
        Ok(claim)
    }

    async fn take(&self) -> Result<(), Trouble> {
        self.still_ours().await?;
        let taken = self
            .repo
            .transaction(&[format!("update {} {}", self.reference, self.mark)])
            .await?;
        match taken {
            true => Ok(()),
            false => Err(self.busy()),
        }
    }

    /// Asks the store, as long as it takes: the guard of the worker cancels an attempt whose lease is over.
    pub(super) async fn still_ours(&self) -> Result<(), Trouble> {
        let (job, ids) = (self.job, [self.job.leased.task.id.clone()]);
        while !job.steering.is_cancelled() {
            if let Ok(views) = self.engine.store.views(&self.engine.project, &ids).await {
                let lease = views
                    .into_iter()
                    .flatten()
                    .next()
                    .and_then(|view| view.task.lease);
                return match lease.is_some_and(|lease| lease.fence == job.leased.token.fence) {
                    true => Ok(()),
                    false => Err(Trouble::Overtaken),
                };
            }
            let _ = tokio::time::timeout(PAUSE, job.steering.cancelled()).await;
        }
        Err(Trouble::Overtaken)
    }

    /// Moves references as `lines` say. Whether it did; if not, others move them too, and it may be tried again.
    pub(super) async fn moves(&self, lines: Vec<String>) -> Result<bool, Trouble> {
        self.together(format!("verify {} {}", self.reference, self.mark), lines)
            .await
    }

    /// The same for the last time: the mark goes with it.
    pub(super) async fn ends(&self, lines: Vec<String>) -> Result<bool, Trouble> {
        self.still_ours().await?;
        self.together(format!("delete {} {}", self.reference, self.mark), lines)
            .await
    }

    async fn together(&self, first: String, lines: Vec<String>) -> Result<bool, Trouble> {
        let all = [vec![first], lines].concat();
        let moved = self.repo.transaction(&all).await?;
        if !moved {
            self.keep().await?;
        }
        Ok(moved)
    }

    /// Another attempt that was about to end may have taken our place.
    async fn keep(&self) -> Result<(), Trouble> {
        match self.repo.at_ref(&self.reference).await? {
            Some(mark) if mark == self.mark => Ok(()),
            _ => self.take().await,
        }
    }

    pub(super) fn busy(&self) -> Trouble {
        Trouble::Failed(Failure {
            class: Some("unavailable".into()),
            ..Failure::new(format!(
                "the references of {} move all the time: {TRIES} attempts to move them were overtaken",
                self.repo.folder.display()
            ))
        })
    }
}
