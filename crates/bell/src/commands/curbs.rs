//! What `breaker`, `limit` and `budget` have in common: settings under a name, and a state beside them.

use domain::book::{Book, Edit, Entry};
use domain::curb::Scope;
use domain::curb::breaker::{Breaker, Settings};
use domain::curb::limit::{Limit, Used};
use domain::event::Kind;
use domain::limits::PAGE_MAX;
use domain::store::Result;
use domain::task::record::Class;
use engine::engine::Engine;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::actor;

/// Every curb of a book: its name, settings, state. Without settings it has those it has by default.
pub(super) async fn all<S, T>(engine: &Engine, book: Book, prefix: &str) -> Result<Vec<(Scope, S, T)>>
where
    S: DeserializeOwned + Default,
    T: DeserializeOwned + Default,
{
    let settings = engine.store.entries(&engine.project, book, "", PAGE_MAX).await?;
    let states = engine
        .store
        .entries(&engine.project, Book::Gauge, prefix, PAGE_MAX)
        .await?;
    let states: Vec<(&str, &Entry)> = states
        .iter()
        .filter_map(|entry| Some((entry.key.strip_prefix(prefix)?, entry)))
        .collect();
    let mut names: Vec<&str> = settings.iter().map(|entry| &*entry.key).collect();
    names.extend(states.iter().map(|(name, _)| *name));
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let setting = settings.iter().find(|entry| &*entry.key == name);
        let state = states.iter().find(|(known, _)| *known == name);
        found.push((
            name.parse()?,
            setting.map(Entry::read).transpose()?.unwrap_or_default(),
            state
                .map(|(_, entry)| entry.read())
                .transpose()?
                .unwrap_or_default(),
        ));
    }
    Ok(found)
}

/// The breakers and limits that let nothing of this class begin now, in words.
pub(super) async fn holding(engine: &Engine, class: &Class) -> Result<Vec<String>> {
    let now = engine.now();
    let mut words = Vec::new();
    let breakers: Vec<(Scope, Settings, Breaker)> = all(engine, Book::Breaker, "breaker:").await?;
    for (name, settings, breaker) in breakers.iter().filter(|(name, ..)| name.takes(class)) {
        if breaker.room(settings) == 0 {
            let why = breaker.why.as_deref().unwrap_or("probes are under way");
            words.push(format!("breaker {name} is open: {why}"));
        }
    }
    let limits: Vec<(Scope, Limit, Used)> = all(engine, Book::Limit, "limit:").await?;
    for (name, limit, used) in limits.iter().filter(|(name, ..)| name.takes(class)) {
        if used.room(limit, now) == 0 {
            words.push(format!("limit {name} is used up: {} under way", used.held));
        }
    }
    Ok(words)
}

/// The settings that a curb has now.
pub(super) async fn settings<S: DeserializeOwned>(
    engine: &Engine,
    book: Book,
    name: &Scope,
) -> Result<Option<S>> {
    let keys = [name.to_string().into()];
    let found = engine.store.entries_of(&engine.project, book, &keys).await?;
    found.first().map(Entry::read).transpose()
}

/// Writes settings, with the event that tells of them.
pub(super) async fn set(
    engine: &Engine,
    book: Book,
    name: &Scope,
    settings: &(impl Serialize + Sync),
    event: Option<Kind>,
) -> Result<()> {
    let mut edit = Edit::put(Entry::new(book, &name.to_string(), settings));
    if let Some(kind) = event {
        edit = edit.with_event(kind, &serde_json::json!({ "name": name, "settings": settings }));
    }
    write(engine, edit).await
}

pub(super) async fn write(engine: &Engine, edit: Edit) -> Result<()> {
    let edited = engine
        .store
        .edit(&engine.project, vec![edit], actor(), engine.now());
    edited.await
}
