//! A few readers, made when they are first needed and used one after another.

use std::sync::{Arc, Mutex, PoisonError};

use domain::caught::{Catcher, catch};
use domain::store::Result;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::{gone, panicked};
use crate::driver::Read;

/// Readers at work at once; more would only fight over the same processors.
const READERS: usize = 4;

pub(super) struct Readers {
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Box<dyn Read>>>,
}

impl Default for Readers {
    fn default() -> Self {
        Readers {
            turns: Arc::new(Semaphore::new(READERS)),
            idle: Mutex::default(),
        }
    }
}

impl Readers {
    /// Waits until fewer than [`READERS`] are at work.
    pub(super) async fn turn(&self) -> OwnedSemaphorePermit {
        let turns = self.turns.clone();
        turns
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    }

    pub(super) fn idle(&self) -> Option<Box<dyn Read>> {
        self.lock().pop()
    }

    /// Runs one read off the runtime's threads. The reader comes back even when the caller does not wait for the
    /// answer; one that panicked does not.
    pub(super) async fn serve<T: Send + 'static>(
        self: &Arc<Self>,
        turn: OwnedSemaphorePermit,
        mut reader: Box<dyn Read>,
        read: impl FnOnce(&mut dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let readers = self.clone();
        let work = move || {
            let answer = catch(Catcher::Answers, || read(&mut *reader));
            if answer.is_ok() {
                readers.lock().push(reader);
            }
            drop(turn);
            answer.unwrap_or_else(|panic| Err(panicked(&*panic)))
        };
        spawn_blocking(work).await.unwrap_or_else(|_| Err(gone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Read>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
