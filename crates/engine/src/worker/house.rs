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
    lease: Duration,
}

/// The last part of a lease that was not renewed: commands are told to end, and then killed. Renewals come at least
/// twice in a lease, so a single late one ends nothing.
pub(super) fn notice(lease: Duration) -> Duration {
    lease / 4
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
                let grace = options.grace.min(notice(options.lease));
                Some(Guard::start(exe, &presence, grace).map_err(|e| io("starting the guard", &e))?)
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
            lease: options.lease,
        })
    }

    /// Every lease holds for its whole length from `begun` on (milliseconds since boot). Unless the guard is told so
    /// again in time, it ends the worker's commands, so that all are dead when the first lease may be given to others.
    pub(super) fn promise(&self, begun: i64) {
        if let Some(guard) = &self.guard {
            let begun = Duration::from_millis(begun.max(0).unsigned_abs());
            guard.renew(begun + self.lease - notice(self.lease));
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
