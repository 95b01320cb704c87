//! The handle that everything else in this crate works through.

use std::io;
use std::sync::Arc;

use domain::book::Edit;
use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::store::{LeaseClock, Result, Store};
use domain::task::spec::Json;
use domain::time::Now;

use crate::clock::Clock;
use crate::home::Home;

/// A store, a project in it, the clock and the folder of this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub store: Arc<dyn Store>,
    pub project: Project,
    pub clock: Arc<dyn Clock>,
    pub home: Home,
    /// Who acts, as events name it: `user:NAME`.
    pub actor: Arc<str>,
}

/// The store is behind a server that is away, which its connection tells, once, and how long it was; or that is about to go.
pub(crate) fn is_away(refusal: &Refusal) -> bool {
    matches!(refusal.code, Code::ServerUnreachable | Code::ServerLeaving)
}

/// Whether waiting may help. A store that is damaged, newer or refuses this user stays so.
pub(crate) fn may_pass(refusal: &Refusal) -> bool {
    let passes = matches!(
        refusal.code,
        Code::StoreUnavailable
            | Code::StoreLocked
            | Code::StoreFull
            | Code::TooManyRequests
            | Code::RequestTimeout
    );
    passes || is_away(refusal)
}

/// Warns of what could not be done now, and is done later.
pub(crate) fn trouble(refusal: &Refusal, what: &'static str) {
    if !is_away(refusal) {
        tracing::warn!(error = %refusal, "{what}");
    }
}

impl Engine {
    /// The moment, on the clocks that the store's leases and times are told on.
    pub fn now(&self) -> Now {
        let now = self.clock.now();
        match self.store.info().leases {
            LeaseClock::Machine => now,
            LeaseClock::Server => Now {
                mono: now.wall.0,
                ..now
            },
        }
    }

    /// Writes what follows by itself, in one step; `false` when somebody else was there first, and nothing was written.
    pub(crate) async fn write(&self, edits: Vec<Edit>) -> Result<bool> {
        let written = self.store.edit(&self.project, edits, "system".into(), self.now());
        match written.await {
            Ok(()) => Ok(true),
            Err(refusal) if refusal.code == Code::EntryChanged => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// A result with what was set aside of it on this machine; anything else as it is.
    pub async fn whole(&self, result: &Json) -> io::Result<Json> {
        let (home, project, small) = (self.home.clone(), self.project.clone(), result.clone());
        let read = tokio::task::spawn_blocking(move || home.whole(&project, &small)).await;
        let large = read.unwrap_or_else(|e| Err(io::Error::other(e)))?;
        Ok(large.unwrap_or_else(|| result.clone()))
    }
}
