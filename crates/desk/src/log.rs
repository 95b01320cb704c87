//! What happened: the log, page by page or as it grows.

use std::time::{Duration, Instant};

use api::ask;
use api::event::Event;
use api::list::Events;
use domain::event::pattern::Pattern;
use domain::id::EventNo;
use domain::limits::PAGE_MAX;
use domain::store::{Result, Seen};
use engine::engine::Engine;

use crate::{invalid, limit};

/// How long a look at the log waits at the most.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Globs of one question.
const TYPES_MAX: usize = 32;

/// Those kinds of events that somebody wants; all, when none is named.
#[derive(Clone, Debug, Default)]
pub struct Types(Vec<Pattern>);

impl Types {
    pub fn new(texts: &[String]) -> Result<Types> {
        if texts.len() > TYPES_MAX {
            return Err(invalid(format!("at most {TYPES_MAX} types at a time")));
        }
        texts
            .iter()
            .map(|text| pattern(text))
            .collect::<Result<_>>()
            .map(Types)
    }

    pub fn takes(&self, seen: &Seen) -> bool {
        self.takes_kind(seen.event.fact.kind.as_str())
    }

    pub fn takes_kind(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(kind))
    }
}

/// The list shows events without their tasks, so a name that is about tasks of one kind cannot be told from the others.
fn pattern(text: &str) -> Result<Pattern> {
    let pattern: Pattern = text.parse()?;
    match pattern.of() {
        None => Ok(pattern),
        Some(kind) => Err(invalid(format!(
            "`{text}` is about tasks of kind {kind}; rules understand it"
        ))),
    }
}

/// Events after a number, or the newest ones. With none to tell it waits as long as was asked.
pub async fn list(engine: &Engine, asked: &ask::Events) -> Result<Events> {
    let types = Types::new(&asked.types)?;
    let limit = limit(asked.limit)?;
    let wait = asked.wait.map_or(Duration::ZERO, |span| span.0).min(WAIT_MAX);
    let end = Instant::now() + wait;
    let last = engine.store.chain(&engine.project).await?.last.0;
    let newest = last.saturating_sub(limit as u64);
    if let Some(after) = asked.after.filter(|after| *after > last) {
        return Err(invalid(format!(
            "there is no event {after}; the last one is {last}"
        )));
    }
    let mut after = EventNo(asked.after.unwrap_or(newest));
    let mut moment = 0;
    loop {
        let changed = engine.store.changed(moment);
        let events = some(engine, &mut after, &types, limit).await?;
        let left = end.saturating_duration_since(Instant::now());
        if !events.is_empty() || left.is_zero() {
            return Ok(Events {
                count: events.len(),
                events,
                cursor: Some(after.0.to_string()),
            });
        }
        if let Ok(now) = tokio::time::timeout(left, changed).await {
            moment = now;
        }
    }
}

/// Up to `limit` events after `after`, which moves on behind what was looked at.
async fn some(engine: &Engine, after: &mut EventNo, types: &Types, limit: usize) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    loop {
        let page = engine.store.events(&engine.project, *after, PAGE_MAX).await?;
        let whole = page.len() < PAGE_MAX;
        for seen in page {
            if events.len() == limit {
                break;
            }
            *after = seen.event.no;
            if types.takes(&seen) {
                events.push(Event::from(seen));
            }
        }
        if whole || events.len() == limit {
            return Ok(events);
        }
    }
}
