//! What ended long ago leaves the store, and what its attempts have put out leaves this machine.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::id::Seq;
use domain::prune::{Prune, Pruned, RETENTION, Retention, Stage};
use domain::store::Result;
use domain::time::Timestamp;

use crate::engine::Engine;

/// What the project keeps.
pub async fn setting(engine: &Engine) -> Result<Retention> {
    let found = engine
        .store
        .entries_of(&engine.project, Book::Setting, &[RETENTION.into()])
        .await?;
    let kept = found.first().map(Entry::read).transpose()?;
    Ok(kept.unwrap_or_default())
}

/// Takes one piece out, or counts it.
pub async fn piece(engine: &Engine, prune: Prune, actor: Arc<str>) -> Result<Pruned> {
    let store = &engine.store;
    let pruned = store.prune(&engine.project, prune, actor, engine.now()).await?;
    if !pruned.gone.is_empty() {
        let (home, project) = (engine.home.clone(), engine.project.clone());
        let seqs: Vec<Seq> = pruned.gone.iter().map(|(_, seq)| *seq).collect();
        let removed = tokio::task::spawn_blocking(move || home.forget(&project, &seqs)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "the output of old attempts could not be removed");
        }
    }
    Ok(pruned)
}

/// Takes out all that ended at `before` or earlier, or counts it. Between two pieces others have their turn.
pub async fn all(
    engine: &Engine,
    before: Timestamp,
    dry: bool,
    mut tell: impl FnMut(&Pruned) + Send,
) -> Result<Pruned> {
    let mut sum = Pruned::default();
    let mut next = Some(Stage::FIRST);
    while let Some(stage) = next {
        let prune = Prune { before, stage, dry };
        let done = piece(engine, prune, engine.actor.clone()).await?;
        sum.tasks += done.tasks;
        sum.runs += done.runs;
        sum.answers += done.answers;
        sum.events += done.events;
        next = done.next;
        tell(&sum);
        tokio::task::yield_now().await;
    }
    Ok(sum)
}
