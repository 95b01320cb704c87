//! Taking leave: new leases are refused at once, and the listener stays open while attempts are under way, of this server and of those
//! who were given leases by it: so that they can renew and settle them, and `/readyz` can say that nobody shall come any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::id::{Project, WorkerId};
use domain::store::Result;

use crate::app::App;

/// Those that are remembered; further ones are not waited for.
const GUESTS: usize = 10_000;
/// Between two looks whether anything is under way.
const LOOK: Duration = Duration::from_millis(100);

/// Who was given leases by this server.
#[derive(Debug, Default)]
pub(crate) struct Guests(Mutex<BTreeMap<Project, BTreeSet<String>>>);

impl Guests {
    pub(crate) fn note(&self, project: &Project, worker: &WorkerId) {
        let mut known = self.lock();
        if known.values().map(BTreeSet::len).sum::<usize>() < GUESTS {
            let of_project = known.entry(project.clone()).or_default();
            of_project.insert(worker.to_string());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Project, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses what would begin while the server takes its leave.
pub(crate) fn check(app: &App) -> Result<()> {
    match *app.leaving.borrow() {
        false => Ok(()),
        true => Err(Refusal::new(
            Code::ServerLeaving,
            "the server takes its leave and gives out no more leases",
        )
        .help("ask again in a moment: another server, or this one when it is back")),
    }
}

/// Resolves when nothing is under way.
pub(crate) async fn idle(app: &App) {
    let guests = app.guests.lock().clone();
    while !app.keepers.ended() || is_busy(app, &guests).await {
        tokio::time::sleep(LOOK).await;
    }
}

/// A store that cannot be read keeps nobody here.
async fn is_busy(app: &App, guests: &BTreeMap<Project, BTreeSet<String>>) -> bool {
    for (project, workers) in guests {
        let held = app.engine.store.leased(project, None).await.unwrap_or_default();
        if held.iter().any(|held| workers.contains(held.worker.as_str())) {
            return true;
        }
    }
    false
}
