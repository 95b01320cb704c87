//! Takes out what ended long ago, a piece in each round.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use domain::book::{Book, Edit, Entry};
use domain::prune::{BEGINNING, Beginning, LOOK_AGAIN, Prune, Stage};
use domain::store::Result;
use domain::time::Timestamp;

use super::{Duty, Lead};
use crate::engine::Engine;
use crate::retention;

/// After a whole round through the store.
const REST: Duration = Duration::from_secs(3_600);
/// How often a process looks whether anything is old; in between it remembers.
const LOOK: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Retention {
    /// What is being taken out, and where to go on.
    under_way: Option<(Timestamp, Stage)>,
    looked: Mutex<Looked>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    at: Option<Timestamp>,
    /// What ended at this moment or earlier is to go, and there is some.
    before: Option<Timestamp>,
}

#[async_trait]
impl Duty for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    async fn wanted(&self, engine: &Engine, _: Timestamp) -> Result<bool> {
        Ok(self.under_way.is_some() || self.look(engine).await?.is_some())
    }

    async fn run(&mut self, engine: &Engine, _: &Lead) -> Result<Option<Timestamp>> {
        let next = match self.under_way.take() {
            Some(next) => Some(next),
            None => self.look(engine).await?.map(|before| (before, Stage::FIRST)),
        };
        let Some((before, stage)) = next else {
            return Ok(None);
        };
        let prune = Prune {
            before,
            stage,
            dry: false,
        };
        let done = retention::piece(engine, prune, "system".into()).await?;
        if let Some(stage) = done.next {
            self.under_way = Some((before, stage));
            return Ok(Some(engine.now().wall));
        }
        self.remember(Looked {
            at: Some(engine.now().wall),
            before: None,
        });
        let again = engine.now().wall.after(REST);
        let entry = Entry::new(Book::Cursor, LOOK_AGAIN, &again).due(Some(again));
        let (store, project) = (&engine.store, &engine.project);
        let edits = vec![Edit::put(entry)];
        store.edit(project, edits, "system".into(), engine.now()).await?;
        Ok(None)
    }
}

impl Retention {
    fn remember(&self, looked: Looked) {
        *self
            .looked
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = looked;
    }

    /// Whether it is time, and something is old: the first event that is left tells.
    async fn look(&self, engine: &Engine) -> Result<Option<Timestamp>> {
        let now = engine.now().wall;
        let known = *self
            .looked
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.at.is_some_and(|at| at <= now && now.since(at) < LOOK) {
            return Ok(known.before);
        }
        let before = old(engine, now).await?;
        self.remember(Looked {
            at: Some(now),
            before,
        });
        Ok(before)
    }
}

async fn old(engine: &Engine, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(before) = retention::setting(engine).await?.before(now) else {
        return Ok(None);
    };
    let (store, project) = (&engine.store, &engine.project);
    let keys = [LOOK_AGAIN.into(), BEGINNING.into()];
    let found = store.entries_of(project, Book::Cursor, &keys).await?;
    let resting = found.iter().find(|entry| &*entry.key == LOOK_AGAIN);
    let ends = resting.and_then(|entry| entry.due);
    if ends.is_some_and(|ends| ends > now && ends <= now.after(REST)) {
        return Ok(None);
    }
    let begin = Beginning::read(project, &found)?.after.last;
    let first = store.events(project, begin, 1).await?;
    let is_old = first.first().is_some_and(|seen| seen.event.fact.at <= before);
    Ok(is_old.then_some(before))
}
