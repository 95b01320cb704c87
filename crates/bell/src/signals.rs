//! What a user or the system asks of a process that works.

use domain::code::{Code, Refusal};
use engine::worker::Pace;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::error::Result;

/// The pace that signals ask for: the first lets attempts end, the second hands them back.
pub(crate) fn pace() -> Result<watch::Receiver<Pace>> {
    let (pace, paced) = watch::channel(Pace::Work);
    tokio::spawn(obey(pace, Signals::new()?));
    Ok(paced)
}

/// What asks a process to read its settings anew.
pub(crate) fn hangup() -> Result<Signal> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal> {
    let signal =
        signal(kind).map_err(|e| Refusal::new(Code::Internal, format!("signals cannot be received: {e}")))?;
    Ok(signal)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn obey(pace: watch::Sender<Pace>, mut signals: Signals) {
    signals.next().await;
    pace.send_replace(Pace::Drain);
    signals.next().await;
    pace.send_replace(Pace::Stop);
    // Without its sender the channel would tell that nobody can slow down any more.
    std::future::pending::<()>().await;
}
