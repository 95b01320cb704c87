use std::io::{self, PipeReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::exit::Exit;
use super::group::Group;
use super::leash::Leash;
use super::life::{Life, Seen, Wish};
use super::mark::Mark;
use super::output::Mask;
use super::output::{Captured, Pump};
use super::strays::{self, Groups};

/// How often members that outlive their leader are counted.
const COUNT_EVERY: Duration = Duration::from_millis(25);
/// How long members may take to vanish after `KILL`; only one stuck in the kernel takes longer.
const KILLED_WAIT_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Exit(i32),
    Signal(i32),
    TimedOut,
    Cancelled,
    /// The system kept no status, because somebody else reaped the process.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub how: How,
    /// The time in which it was free to run: suspension is left out, as in the timeout.
    pub elapsed: Duration,
    pub output: Captured,
    /// The guard may have ended it, because this process seemed to hang: how it ended says nothing of the command then.
    pub by_guard: bool,
}

/// A started command. Dropping it before [`Running::wait`] returned kills its group at once.
#[derive(Debug)]
pub struct Running {
    leash: Leash,
    exit: Exit,
    life: Life,
    control: Control,
    wishes: watch::Receiver<Wish>,
    pump: Pump,
    mark: Mark,
    grace: Duration,
}

pub(super) struct Parts {
    pub(super) leash: Leash,
    pub(super) output: PipeReader,
    pub(super) record: PathBuf,
    pub(super) watcher: Option<mpsc::Sender<Vec<u8>>>,
    pub(super) mask: Option<Mask>,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) mark: Mark,
}

/// Steers a command from elsewhere; cheap to clone. Asking twice, or too late, is harmless.
#[derive(Clone, Debug)]
pub struct Control {
    wish: Arc<watch::Sender<Wish>>,
}

impl Control {
    /// Stops the whole group and the clock of its timeout.
    pub fn suspend(&self) {
        self.ask(Wish::Suspend);
    }

    pub fn resume(&self) {
        self.ask(Wish::Run);
    }

    /// Ends the whole group: `TERM`, then `KILL` after the grace. Cannot be taken back.
    pub fn cancel(&self) {
        self.ask(Wish::Cancel);
    }

    fn ask(&self, wish: Wish) {
        self.wish.send_if_modified(|current| {
            let is_news = *current != Wish::Cancel && *current != wish;
            if is_news {
                *current = wish;
            }
            is_news
        });
    }
}

impl Running {
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let (wish, wishes) = watch::channel(Wish::Run);
        Ok(Self {
            exit: Exit::of(parts.leash.group().leader())?,
            leash: parts.leash,
            life: Life::new(parts.timeout, parts.grace, Instant::now()),
            control: Control { wish: Arc::new(wish) },
            wishes,
            pump: Pump::new(parts.output, parts.record, parts.watcher, parts.mask)?,
            mark: parts.mark,
            grace: parts.grace,
        })
    }

    /// The number of the process, which is also that of its group.
    pub fn pid(&self) -> u32 {
        self.leash.group().as_raw().unsigned_abs()
    }

    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Watches over the command until its leader has ended and its group is dead, and takes its
    /// output meanwhile.
    ///
    /// Members that outlive the leader but still hold its output get half a second, then `TERM` and
    /// the grace; silent ones are killed with it. When the end was forced, processes that had left the
    /// group are ended as well; after an end of its own choice they are left to the guard.
    pub async fn wait(mut self) -> Ended {
        let how = self.follow().await;
        let elapsed = self.life.elapsed(Instant::now());
        let group = self.leash.group();
        let by_guard = self.leash.release();
        await_vanished(group).await;
        if self.life.is_forced() {
            let (mark, grace) = (self.mark, self.grace);
            let _ = spawn_blocking(move || strays::end(&Groups::new(), &mark, grace)).await;
        }
        Ended {
            how,
            elapsed,
            output: self.pump.finish().await,
            by_guard,
        }
    }

    async fn follow(&mut self) -> How {
        loop {
            if let Some(how) = self.life.verdict() {
                return how;
            }
            let seen = self.look().await;
            self.leash.group().signal(self.life.step(seen, Instant::now()));
        }
    }

    /// Waits for the next thing that matters. Cancel safe, as are its parts.
    async fn look(&mut self) -> Seen {
        let (due, group) = (self.life.due(), self.leash.group());
        let mut count_at = Instant::now() + COUNT_EVERY;
        loop {
            tokio::select! {
                biased;
                how = self.exit.wait(), if self.life.has_leader() => return Seen::Exited(how),
                Ok(()) = self.wishes.changed() => return Seen::Wish(*self.wishes.borrow_and_update()),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => return Seen::Time,
                () = sleep_until(count_at), if self.life.depends_on_members() => {
                    count_at = Instant::now() + COUNT_EVERY;
                    if !group.is_alive() {
                        return Seen::Alone;
                    }
                }
                () = self.pump.step(), if self.pump.is_open() => {
                    if !self.pump.is_open() {
                        return Seen::OutputClosed;
                    }
                }
            }
        }
    }
}

/// Waits until nobody of a killed group is left. Its number is free by then, so it is only looked at.
async fn await_vanished(group: Group) {
    let start = Instant::now();
    while group.exists() && start.elapsed() < KILLED_WAIT_MAX {
        sleep(Duration::from_millis(2)).await;
        if !group.is_alive() {
            return;
        }
    }
}
