//! One attempt: from the cache if its result is known there, else by its executor.

use std::time::Duration;

use domain::store::CacheEntry;
use domain::task::spec::Work;

use crate::engine::Engine;
use crate::execute::command::Commands;
use crate::execute::handler::Handlers;
use crate::execute::wait::Waits;
use crate::execute::{Finish, Job, agent, cache, each, http};

pub(super) async fn attempt(
    engine: &Engine,
    commands: &Commands,
    handlers: &Handlers,
    waits: &Waits,
    timeout: Duration,
    bound: usize,
    job: &Job,
) -> Finish {
    let key = content_key(job).await;
    if let Some(key) = key
        && let Ok(Some(entry)) = engine
            .store
            .cache_get(&engine.project, &key, engine.now().wall)
            .await
    {
        let outcome = domain::task::record::Outcome {
            result: entry.result,
            error: None,
            usage: None,
        };
        return Finish::Completed {
            outcome,
            cached: true,
            children: None,
        };
    }
    let finish = match &job.spec.work {
        Work::Handler(_) => handlers.run(job, timeout).await,
        Work::Http(_) => http::run(engine, &waits.outside, timeout, job).await,
        Work::Prompt(_) => agent::run(engine, commands, &waits.outside, job).await,
        Work::Wait(_) => waits.run(engine, job).await,
        Work::Each(over) => each::run(engine, job, over).await,
        _ => commands.run(engine, job).await,
    };
    if let (
        Some(key),
        Finish::Completed {
            outcome,
            children: None,
            ..
        },
    ) = (key, &finish)
    {
        let now = engine.now().wall;
        let ttl = job.spec.cache.as_ref().and_then(|cache| cache.ttl);
        let entry = CacheEntry {
            key,
            result: outcome.result.clone(),
            stored_at: now,
            expires_at: ttl.map(|ttl| now.after(ttl)),
            made_by: job.leased.task.id.clone(),
        };
        if let Err(refusal) = engine.store.cache_put(&engine.project, entry, bound).await {
            tracing::warn!(error = %refusal, "a result could not be cached");
        }
    }
    finish
}

async fn content_key(job: &Job) -> Option<[u8; 32]> {
    let cache = job.spec.cache.clone()?;
    let job = job.clone();
    match tokio::task::spawn_blocking(move || cache::key(&job, &cache)).await {
        Ok(Ok(key)) => Some(key),
        Ok(Err(why)) => {
            tracing::warn!(why, "the content key could not be told; the work is done");
            None
        }
        Err(_) => None,
    }
}
