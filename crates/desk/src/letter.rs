//! Dead letters: counted by cause, listed, tried again, dropped.

use api::answer::Moved;
use api::ask;
use api::letter::{Changed, Group, Groups};
use api::list::Tasks;
use domain::book::Book;
use domain::code::{Code, Refusal};
use domain::id::{Seq, TaskId};
use domain::limits::{PAGE_MAX, SIGNATURES};
use domain::store::{Command, Filter, Request, Result, Target, View};
use domain::task::signature::{OTHER, Signature};
use domain::task::state::State;
use domain::time::Timestamp;
use engine::engine::Engine;

use crate::task::{self, Page};
use crate::{find, invalid, limit};

/// Tasks changed in one transaction.
const BATCH: usize = 250;

pub async fn groups(engine: &Engine) -> Result<Groups> {
    find::catch_up(engine).await?;
    let (store, project) = (&engine.store, &engine.project);
    let entries = store
        .entries(project, Book::Signature, "", SIGNATURES + 1)
        .await?;
    let mut groups = Vec::with_capacity(entries.len());
    for entry in &entries {
        groups.push(Group::new(&entry.key, entry.read()?));
    }
    groups.sort_by_key(|group| std::cmp::Reverse((group.count, group.fell, group.last_seen.0)));
    Ok(Groups {
        count: groups.len(),
        groups,
    })
}

pub async fn list(engine: &Engine, asked: ask::Letters) -> Result<Tasks> {
    task::whole(engine, first(engine, asked).await?).await
}

/// The first dead letters asked for, as they are stored. Filters beside the store's own leave nothing to go on from.
pub async fn first(engine: &Engine, asked: ask::Letters) -> Result<Page> {
    find::catch_up(engine).await?;
    let limit = limit(asked.limit)?;
    let mut letters = Letters::new(engine, asked).await?;
    let mut views = Vec::new();
    while views.len() < limit
        && let Some(page) = letters.page().await?
    {
        views.extend(page);
    }
    views.truncate(limit);
    Ok(Page { views, next: None })
}

/// All dead letters asked for, however many.
pub async fn all(engine: &Engine, asked: ask::Letters) -> Result<Vec<TaskId>> {
    find::catch_up(engine).await?;
    Letters::new(engine, asked).await?.ids().await
}

/// Tries dead letters again, or takes them out for good.
pub async fn change(engine: &Engine, asked: ask::Requeue, command: &Command) -> Result<Changed> {
    find::catch_up(engine).await?;
    let filtered = asked.kind.is_some()
        || asked.reason.is_some()
        || asked.signature.is_some()
        || asked.older_than.is_some()
        || asked.run.is_some();
    let ids = match &asked.task {
        Some(_) if filtered || asked.all => return Err(invalid("`task` goes without filters")),
        Some(text) => vec![dead(find::view(engine, text).await?)?.task.id],
        None if !filtered && !asked.all => {
            return Err(invalid("it is not said which dead letters").help("send `task`, a filter, or `all`"));
        }
        None => {
            let asked = ask::Letters {
                kind: asked.kind,
                reason: asked.reason,
                signature: asked.signature,
                older_than: asked.older_than,
                run: asked.run,
                limit: None,
            };
            all(engine, asked).await?
        }
    };
    change_all(engine, &ids, command).await
}

/// Batch by batch; who is no dead letter any more by then is left alone.
pub async fn change_all(engine: &Engine, ids: &[TaskId], command: &Command) -> Result<Changed> {
    let mut changed = Changed::default();
    for batch in ids.chunks(BATCH) {
        let request = |id: &TaskId| Request {
            target: Target::Id(id.clone()),
            command: command.clone(),
            actor: engine.actor.clone(),
            idempotency_key: None,
        };
        let requests = batch.iter().map(request).collect();
        for reply in engine
            .store
            .change(&engine.project, requests, engine.now())
            .await?
        {
            match reply {
                Ok(reply) => {
                    changed.count += 1;
                    if changed.tasks.len() < PAGE_MAX {
                        changed.tasks.push(Moved::from(reply));
                    }
                }
                Err(refusal) if ids.len() == 1 => return Err(refusal),
                Err(_) => changed.refused += 1,
            }
        }
    }
    Ok(changed)
}

/// A task that is in the dead letters; another is refused.
pub fn dead(view: View) -> Result<View> {
    let task = &view.task;
    if task.dead_letter {
        return Ok(view);
    }
    let detail = format!("task {} is {} and not in the dead letters", task.id, task.state);
    Err(Refusal::new(Code::InvalidTransition, detail).help("`bell dlq list` shows what is"))
}

/// The cause that a dead letter is counted under.
pub fn signature(view: &View) -> Signature {
    let failure = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
    Signature::of(view.task.reason, failure)
}

/// The dead letters asked for, page by page.
struct Letters<'a> {
    engine: &'a Engine,
    filter: Filter,
    asked: ask::Letters,
    before: Option<Timestamp>,
    /// Signatures that are counted apart, where those that are not were asked for.
    apart: Option<Vec<String>>,
    after: Option<Seq>,
}

impl Letters<'_> {
    async fn new(engine: &Engine, asked: ask::Letters) -> Result<Letters<'_>> {
        let run = match &asked.run {
            Some(run) => Some(find::run(engine, run).await?.id),
            None => None,
        };
        let filter = Filter {
            states: vec![State::Failed],
            kind: asked.kind.clone(),
            run,
            dead_letters: true,
            superseded: true,
            ..Filter::default()
        };
        let apart = match asked.signature.as_deref() {
            Some(OTHER) => {
                let (store, project) = (&engine.store, &engine.project);
                let entries = store
                    .entries(project, Book::Signature, "", SIGNATURES + 1)
                    .await?;
                Some(entries.iter().map(|entry| entry.key.to_string()).collect())
            }
            _ => None,
        };
        let now = engine.now().wall.0;
        let ago = |span: api::time::Span| Timestamp(now.saturating_sub(domain::time::millis(span.0)));
        Ok(Letters {
            engine,
            filter,
            before: asked.older_than.map(ago),
            apart,
            asked,
            after: Some(Seq(0)),
        })
    }

    /// The next ones; `None` after the last.
    async fn page(&mut self) -> Result<Option<Vec<View>>> {
        let Some(after) = self.after else {
            return Ok(None);
        };
        let (engine, filter) = (self.engine, self.filter.clone());
        let mut page = engine
            .store
            .list(&engine.project, filter, after, PAGE_MAX)
            .await?;
        let last = page.last().filter(|_| page.len() == PAGE_MAX);
        self.after = last.map(|view| view.task.seq);
        page.retain(|view| self.takes(view));
        Ok(Some(page))
    }

    fn takes(&self, view: &View) -> bool {
        let in_time = |before| view.task.finished_at.is_some_and(|at| at <= before);
        self.asked
            .reason
            .is_none_or(|reason| view.task.reason == Some(reason))
            && self.before.is_none_or(in_time)
            && self.asked.signature.as_ref().is_none_or(|asked| {
                let key = signature(view).key();
                match &self.apart {
                    Some(apart) => !apart.iter().any(|known| **known == *key),
                    None => key.starts_with(asked.as_str()),
                }
            })
    }

    async fn ids(mut self) -> Result<Vec<TaskId>> {
        let mut ids = Vec::new();
        while let Some(page) = self.page().await? {
            ids.extend(page.into_iter().map(|view| view.task.id));
        }
        Ok(ids)
    }
}
