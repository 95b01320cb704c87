//! Which dead letters are meant.

use std::time::Duration;

use domain::book::Book;
use domain::id::{Kind, Seq, TaskId};
use domain::limits::{PAGE_MAX, SIGNATURES};
use domain::store::{Filter, View};
use domain::task::signature::OTHER;
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use engine::engine::Engine;

use crate::error::Result;
use crate::{lookup, parse};

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Select {
    /// Only tasks of this kind
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Option<Kind>,
    /// Only tasks that failed for this reason, such as exhausted, timeout or lost
    #[arg(long, value_parser = parse::reason)]
    reason: Option<Reason>,
    /// Only tasks with this signature, or the beginning of it; see `bell dlq groups`
    #[arg(long)]
    signature: Option<String>,
    /// Only tasks that failed longer ago than this
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    older_than: Option<Duration>,
    /// Only tasks of this run, or of the newest run of this plan
    #[arg(long)]
    run: Option<String>,
}

/// The dead letters asked for, page by page.
pub(super) struct Letters<'a> {
    engine: &'a Engine,
    filter: Filter,
    select: Select,
    before: Option<Timestamp>,
    /// Signatures that are counted apart, where those that are not were asked for.
    apart: Option<Vec<String>>,
    after: Option<Seq>,
}

impl Select {
    pub(super) async fn letters(self, engine: &Engine) -> Result<Letters<'_>> {
        let run = match &self.run {
            Some(run) => Some(lookup::run_named(engine, run).await?.id),
            None => None,
        };
        let filter = Filter {
            states: vec![State::Failed],
            kind: self.kind.clone(),
            run,
            dead_letters: true,
            superseded: true,
            ..Filter::default()
        };
        let apart = match self.signature.as_deref() {
            Some(OTHER) => {
                let most = SIGNATURES + 1;
                let entries = engine
                    .store
                    .entries(&engine.project, Book::Signature, "", most)
                    .await?;
                Some(entries.iter().map(|entry| entry.key.to_string()).collect())
            }
            _ => None,
        };
        let now = engine.now().wall.0;
        let before = self
            .older_than
            .map(|age| Timestamp(now.saturating_sub(age.as_millis() as i64)));
        Ok(Letters {
            engine,
            filter,
            before,
            apart,
            select: self,
            after: Some(Seq(0)),
        })
    }
}

impl Letters<'_> {
    /// The next ones; `None` after the last.
    pub(super) async fn page(&mut self) -> Result<Option<Vec<View>>> {
        let Some(after) = self.after else {
            return Ok(None);
        };
        let (engine, filter) = (self.engine, self.filter.clone());
        let mut page = engine
            .store
            .list(&engine.project, filter, after, PAGE_MAX)
            .await?;
        self.after = page
            .last()
            .filter(|_| page.len() == PAGE_MAX)
            .map(|view| view.task.seq);
        page.retain(|view| self.takes(view));
        Ok(Some(page))
    }

    fn takes(&self, view: &View) -> bool {
        let Select {
            reason, signature, ..
        } = &self.select;
        reason.is_none_or(|reason| view.task.reason == Some(reason))
            && self
                .before
                .is_none_or(|before| view.task.finished_at.is_some_and(|at| at <= before))
            && signature.as_ref().is_none_or(|asked| {
                let key = super::signature(view).key();
                match &self.apart {
                    Some(apart) => !apart.iter().any(|known| **known == *key),
                    None => key.starts_with(asked.as_str()),
                }
            })
    }

    pub(super) async fn ids(mut self) -> Result<Vec<TaskId>> {
        let mut ids = Vec::new();
        while let Some(page) = self.page().await? {
            ids.extend(page.into_iter().map(|view| view.task.id));
        }
        Ok(ids)
    }

    pub(super) async fn first(mut self, limit: usize) -> Result<Vec<View>> {
        let mut views = Vec::new();
        while views.len() < limit
            && let Some(page) = self.page().await?
        {
            views.extend(page);
        }
        views.truncate(limit);
        Ok(views)
    }
}
