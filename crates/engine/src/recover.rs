//! What a dead process leaves behind is taken back, once, and only after nothing of it runs any more.

use std::time::Duration;

use domain::id::{RunId, WorkerId};
use domain::store::Result;
use serde_json::Value;

use crate::engine::{Engine, trouble};
use crate::process::presence::{self, Dead};
use crate::worker::pool;

/// How long strays of a dead worker may take to end before they are killed.
const GRACE: Duration = Duration::from_secs(2);

/// Looks for workers of this machine that have died, ends what is left of their processes, and hands their leases
/// back. Returns how many tasks were recovered.
///
/// A worker's lock file is free only when the worker and its guard are gone, and whoever recovers holds the lock
/// meanwhile: so a living worker is never robbed, and two rescuers do not meet. When this process dies half
/// way, the next one begins again; so it does with a worker of which something could not be ended.
pub async fn recover(engine: &Engine) -> Result<usize> {
    let folder = engine.home.workers();
    let found = tokio::task::spawn_blocking(move || {
        let dead = presence::dead(&folder).unwrap_or_default();
        gone(dead, |worker| worker.reap(GRACE))
    });
    let mut recovered = 0;
    for worker in found.await.unwrap_or_default() {
        if let Ok(id) = WorkerId::new(&worker.incarnation) {
            for project in engine.store.projects().await? {
                recovered += engine.store.lose(&project, &id, engine.now()).await?.len();
                let engine = Engine {
                    project,
                    ..engine.clone()
                };
                pool::forget(&engine, &id).await?;
            }
        }
        let scratch = engine.home.scratch(&worker.incarnation);
        let _ = std::fs::remove_dir_all(scratch);
        if let Err(e) = worker.remove() {
            tracing::warn!(error = %e, "a dead worker's lock file could not be removed");
        }
    }
    Ok(recovered)
}

/// Those of whom nothing runs any more. The others keep their leases and their files, for the next rescuer.
fn gone(dead: Vec<Dead>, reap: impl Fn(&Dead) -> bool) -> Vec<Dead> {
    let is_gone = |worker: &Dead| {
        let is_gone = reap(worker);
        if !is_gone {
            let worker = worker.incarnation.as_str();
            tracing::warn!(worker, "what is left of a dead worker could not be ended");
        }
        is_gone
    };
    dead.into_iter().filter(is_gone).collect()
}

/// Whether another living process of this machine works on the run.
pub fn is_worked_on(engine: &Engine, run: RunId) -> bool {
    let own = u64::from(std::process::id());
    let live = presence::live(&engine.home.workers()).unwrap_or_default();
    live.iter().any(|worker| {
        let info = &worker.info;
        info["run"] == Value::String(run.to_string()) && info["pid"].as_u64() != Some(own)
    })
}

/// Looks after the dead while this process goes on: others on the same store may be killed at any time.
#[derive(Debug)]
pub struct Rescue(tokio::task::JoinHandle<()>);

impl Rescue {
    const EVERY: Duration = Duration::from_secs(2);

    pub fn start(engine: Engine) -> Rescue {
        Rescue(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Rescue::EVERY).await;
                match recover(&engine).await {
                    Ok(0) => {}
                    Ok(tasks) => tracing::info!(tasks, "took over from a worker that died"),
                    Err(refusal) => trouble(&refusal, "could not look after dead workers"),
                }
            }
        }))
    }
}

impl Drop for Rescue {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::presence::Presence;

    #[test]
    fn a_worker_of_which_something_runs_is_left_to_the_next_rescuer() {
        let folder = tempfile::tempdir().unwrap();
        for worker in ["w-quiet", "w-stuck"] {
            drop(Presence::enter(folder.path(), worker, &Value::Null).unwrap());
        }
        let dead = presence::dead(folder.path()).unwrap();
        let mut rescued = gone(dead, |worker| worker.incarnation == "w-quiet");
        assert_eq!(rescued.len(), 1);
        rescued.pop().unwrap().remove().unwrap();
        let left = presence::dead(folder.path()).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].incarnation, "w-stuck");
    }
}
