//! What a user or the system asks of a process that works.

use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::time::show_duration;
use engine::engine::Engine;
use engine::worker::Pace;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::error::Result;
use crate::output::progress::Teller;

/// The pace that signals ask for: the first lets attempts end, the second hands them back. `told` is what is said at the
/// first; who has ended before it is said has nothing to say.
pub(crate) fn pace(told: impl Future<Output = ()> + Send + 'static) -> Result<watch::Receiver<Pace>> {
    let (pace, paced) = watch::channel(Pace::Work);
    tokio::spawn(obey(pace, Signals::new()?, told));
    Ok(paced)
}

/// A store that is slow to count must not hold a signal up.
const PATIENCE: Duration = Duration::from_millis(200);

/// Says what becomes of the attempts under way: `drain` is how long they may take to end.
pub(crate) async fn tell_ending(engine: Engine, drain: Duration, teller: Teller) {
    if teller.is_silent() {
        return;
    }
    let counted = tokio::time::timeout(PATIENCE, under_way(&engine)).await;
    teller.say(&ending(counted.ok().flatten(), drain));
}

/// Attempts of this process.
async fn under_way(engine: &Engine) -> Option<usize> {
    let there = desk::pool::workers(engine).await.ok()?;
    let own = Some(u64::from(std::process::id()));
    let own = there.workers.iter().filter(|worker| worker.pid == own);
    Some(own.map(|worker| worker.leases).sum())
}

fn ending(attempts: Option<usize>, drain: Duration) -> String {
    let (who, have) = match attempts {
        Some(0) => return "ending: no attempt is under way".to_owned(),
        Some(1) => ("1 attempt under way".to_owned(), "has"),
        Some(many) => (format!("{many} attempts under way"), "have"),
        None => ("attempts under way".to_owned(), "have"),
    };
    let drain = show_duration(drain);
    format!(
        "ending: {who} {have} up to {drain} to end; what is left is handed back then, or now with another Ctrl-C"
    )
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

async fn obey(pace: watch::Sender<Pace>, mut signals: Signals, told: impl Future<Output = ()>) {
    signals.next().await;
    // Nothing more begins from here on, however long the telling takes.
    pace.send_replace(Pace::Drain);
    told.await;
    signals.next().await;
    pace.send_replace(Pace::Stop);
    // Without its sender the channel would tell that nobody can slow down any more.
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_says_how_long_and_what_then() {
        let drain = Duration::from_secs(10);
        let told = |attempts| ending(attempts, drain);
        assert_eq!(
            told(Some(1)),
            "ending: 1 attempt under way has up to 10.0s to end; what is left is handed back then, or now with another Ctrl-C"
        );
        assert!(told(Some(2)).starts_with("ending: 2 attempts under way have up to 10.0s"));
        assert!(told(None).starts_with("ending: attempts under way have"));
        assert_eq!(told(Some(0)), "ending: no attempt is under way");
    }
}
