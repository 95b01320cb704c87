//! The log as it grows. The newest events are kept, so that many connections cost one reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use api::event::Event;
use axum::extract::ws::Utf8Bytes;
use domain::id::EventNo;
use domain::store::{Result, Seen};
use engine::engine::Engine;
use serde_json::json;
use tokio::sync::watch;

/// Events that are kept for those who follow.
const RECENT: usize = 4_096;
/// Events that a connection is given at once.
const BATCH: usize = 256;

/// An event as it is sent. Its words are made when somebody wants them.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) seen: Seen,
    text: OnceLock<Utf8Bytes>,
}

impl Told {
    pub(crate) fn new(seen: Seen) -> Arc<Told> {
        Arc::new(Told {
            seen,
            text: OnceLock::new(),
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.seen.event.no.0
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.seen.event.fact.kind.as_str()
    }

    pub(crate) fn text(&self) -> Utf8Bytes {
        let text = self.text.get_or_init(|| {
            let told = json!({ "type": "event", "event": Event::from(self.seen.clone()) });
            told.to_string().into()
        });
        text.clone()
    }
}

#[derive(Debug)]
pub(crate) struct Tail {
    recent: Mutex<VecDeque<Arc<Told>>>,
    last: watch::Sender<u64>,
}

impl Default for Tail {
    fn default() -> Tail {
        Tail {
            recent: Mutex::default(),
            last: watch::Sender::new(0),
        }
    }
}

impl Tail {
    /// The number of the newest event, as it grows.
    pub(crate) fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Whether anybody listens.
    pub(super) fn is_followed(&self) -> bool {
        self.last.receiver_count() > 0
    }

    pub(super) fn grow(&self, page: &[Arc<Told>]) {
        let Some(newest) = page.last() else { return };
        let mut recent = self.lock();
        match self.is_followed() {
            true => recent.extend(page.iter().cloned()),
            // Who comes next begins in the store, and what is kept from then on has no gap.
            false => recent.clear(),
        }
        let over = recent.len().saturating_sub(RECENT);
        recent.drain(..over);
        drop(recent);
        self.last.send_replace(newest.number());
    }

    /// Some events after a number, in order and without a gap: kept ones, else from the store.
    pub(crate) async fn after(&self, engine: &Engine, after: u64) -> Result<Vec<Arc<Told>>> {
        if let Some(kept) = self.kept(after) {
            return Ok(kept);
        }
        let page = engine
            .store
            .events(&engine.project, EventNo(after), BATCH)
            .await?;
        Ok(page.into_iter().map(Told::new).collect())
    }

    fn kept(&self, after: u64) -> Option<Vec<Arc<Told>>> {
        let recent = self.lock();
        let first = recent.front()?.number();
        let from = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(recent.iter().skip(from).take(BATCH).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Told>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
