//! What a worker has on this machine: its lock, its guard, its scratch folder.

use std::path::PathBuf;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::WorkerId;
use domain::store::Result;

use super::Options;
use crate::engine::Engine;
use crate::process::Launcher;
use crate::process::guard::Guard;
use crate::process::presence::Presence;

pub(super) struct House {
    pub(super) presence: Presence,
    pub(super) guard: Option<Guard>,
    pub(super) launcher: Launcher,
    pub(super) scratch: PathBuf,
}

impl House {
    pub(super) fn open(engine: &Engine, options: &Options, id: &WorkerId) -> Result<House> {
        let scratch = engine.home.scratch(id.as_str());
        let io = |what: &str, e: &std::io::Error| {
            let dir = engine.home.dir().display();
            Refusal::new(Code::StoreUnavailable, format!("{what} in {dir} failed: {e}"))
        };
        std::fs::create_dir_all(&scratch).map_err(|e| io("making the scratch folder", &e))?;
        let info = serde_json::json!({
            "worker": id,
            "pid": std::process::id(),
            "project": engine.project,
            "run": options.run,
            "pool": options.pool,
            "jobs": options.jobs,
            "started_at": engine.now().wall.to_string(),
        });
        let presence = Presence::enter(&engine.home.workers(), id.as_str(), &info)
            .map_err(|e| io("registering the worker", &e))?;
        let guard = match &options.guard {
            None => None,
            Some(exe) => {
                Some(Guard::start(exe, &presence, options.grace).map_err(|e| io("starting the guard", &e))?)
            }
        };
        let launcher = guard
            .clone()
            .map_or_else(|| Launcher::unguarded(id.as_str()), Launcher::guarded);
        Ok(House {
            presence,
            guard,
            launcher,
            scratch,
        })
    }

    /// The guard ends the worker's commands unless it is told again before `until` (milliseconds since boot).
    pub(super) fn promise(&self, until: i64) {
        if let Some(guard) = &self.guard {
            guard.renew(Duration::from_millis(until.max(0).unsigned_abs()));
        }
    }

    pub(super) async fn close(self) {
        if let Some(guard) = &self.guard {
            guard.stop().await;
        }
        let _ = self.presence.leave();
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}
