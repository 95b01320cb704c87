//! What computes for long: off the threads that answer, a few at a time, each within its time.

use std::sync::Arc;
use std::time::Duration;

use domain::caught::caught;
use domain::code::{Code, Refusal};
use domain::store::Result;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::frame::defect;

/// At the same time; more would only fight over the same processors with whoever works.
const AT_ONCE: usize = 2;

#[derive(Debug)]
pub(crate) struct Toil {
    room: Arc<Semaphore>,
    /// How long a turn is waited for, and how long it may take.
    patience: Duration,
}

impl Toil {
    pub(crate) fn new(patience: Duration) -> Toil {
        Toil {
            room: Arc::new(Semaphore::new(AT_ONCE)),
            patience,
        }
    }

    /// Carries something out on a thread of its own. What takes too long is given up where it next waits for anything; who
    /// asked is answered in time, and its room is only free when it has really ended.
    pub(crate) async fn carry_out<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        let patience = self.patience;
        let late = || {
            let detail = format!("it was not computed within {} s", patience.as_secs());
            Refusal::new(Code::RequestTimeout, detail)
                .help("ask for less: fewer samples, fewer rules, a smaller plan")
        };
        let Ok(Ok(room)) = timeout(patience, Arc::clone(&self.room).acquire_owned()).await else {
            let detail = format!("{AT_ONCE} others are computed, and none of them has ended");
            return Err(Refusal::new(Code::TooManyRequests, detail));
        };
        let runtime = Handle::current();
        let begun = spawn_blocking(move || {
            let _room = room;
            runtime.block_on(timeout(patience, caught(async { work().await })))
        });
        match timeout(patience, begun).await {
            Ok(Ok(Ok(Ok(done)))) => done,
            Ok(Ok(Ok(Err(panic)))) => Err(defect(&*panic)),
            Ok(Err(_)) => Err(Refusal::new(Code::Internal, "the computation was given up")),
            Ok(Ok(Err(_))) | Err(_) => Err(late()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_long_is_given_up_and_makes_room() {
        let toil = Toil::new(Duration::from_millis(50));
        for _ in 0..=AT_ONCE {
            let endless = toil.carry_out(std::future::pending::<Result<()>>).await;
            assert_eq!(endless.unwrap_err().code, Code::RequestTimeout);
        }
        let toil = Toil::new(Duration::from_secs(30));
        assert_eq!(toil.carry_out(|| async { Ok(7) }).await.unwrap(), 7);
        let defect = toil.carry_out(|| async { if true { panic!("a defect") } else { Ok(()) } });
        assert_eq!(defect.await.unwrap_err().code, Code::Internal);
    }
}
