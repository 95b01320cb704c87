//! The log as it grows. The newest events are kept, so that many connections cost one reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// An event as it is sent.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) kind: &'static str,
    pub(crate) text: Utf8Bytes,
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

    pub(super) fn grow(&self, page: &[Seen]) {
        let Some(newest) = page.last() else { return };
        let mut recent = self.lock();
        recent.extend(page.iter().map(|seen| Arc::new(told(seen.clone()))));
        let over = recent.len().saturating_sub(RECENT);
        recent.drain(..over);
        drop(recent);
        self.last.send_replace(newest.event.no.0);
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
        Ok(page.into_iter().map(|seen| Arc::new(told(seen))).collect())
    }

    fn kept(&self, after: u64) -> Option<Vec<Arc<Told>>> {
        let recent = self.lock();
        let first = recent.front()?.number;
        let from = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(recent.iter().skip(from).take(BATCH).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Told>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(seen: Seen) -> Told {
    let (number, kind) = (seen.event.no.0, seen.event.fact.kind.as_str());
    let text = json!({ "type": "event", "event": Event::from(seen) }).to_string();
    Told {
        number,
        kind,
        text: text.into(),
    }
}
