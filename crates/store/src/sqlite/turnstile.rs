//! The queue of the processes that want to write.
//!
//! SQLite's own lock knows no queue: who asks again at the right moment wins, and under load somebody never does.
//! So writers of ours queue on two lock files beside the store, as at a turnstile: take the first, take the second,
//! let the first go, work, let the second go. Whoever lets the second go cannot pass the one who already holds the
//! first, so nobody is overtaken twice. SQLite's own lock then only meets foreign programs.
//!
//! The file of the second lock also holds how often something was committed. Whoever holds it counts on before letting
//! go, which is how the others notice (`watch`).
//!
//! The system frees the locks of a process that dies. One that is stopped (Ctrl-Z) keeps its turn, and holds up the
//! other writers, though not the readers. A lock of the system cannot be waited for with a limit, so a thread of ours
//! queues where the turn is not free at once, and who asked gives up when nobody has committed for too long.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};
use domain::store::Result;

use super::fault::refuse_io;
use super::open::PATIENCE;

/// What the name of the second file ends with.
pub(super) const WRITER: &str = ".write";

/// How long one who works may keep its turn while others wait: it may be rewriting the whole file.
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Turnstile {
    store: PathBuf,
    gates: Arc<Gates>,
    queue: OnceLock<Sender<Asker>>,
}

type Asker = SyncSender<io::Result<Turn>>;

#[derive(Debug)]
struct Gates {
    entry: File,
    writer: File,
    own: Arc<AtomicU64>,
}

impl Turnstile {
    /// The two files are made if they are missing, and never deleted: whoever has one open would otherwise
    /// queue for another file than those who come later.
    pub(super) fn open(store: &Path) -> Result<Turnstile> {
        let open = |ending| {
            let path = beside(store, ending);
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            file.map_err(|error| refuse_io(&path, &error))
        };
        let gates = Gates {
            entry: open(".turn")?,
            writer: open(WRITER)?,
            own: Arc::default(),
        };
        Ok(Turnstile {
            store: store.to_owned(),
            gates: Arc::new(gates),
            queue: OnceLock::new(),
        })
    }

    /// How often others have committed, for another thread.
    pub(super) fn others(&self) -> io::Result<Others> {
        Ok(Others {
            count: self.gates.writer.try_clone()?,
            own: Arc::clone(&self.gates.own),
        })
    }

    /// Waits for our turn to write. Refused with [`Code::StoreLocked`] when who has it was stopped, or keeps it for more
    /// than a minute.
    pub(super) fn enter(&self) -> Result<Turn> {
        if let Some(turn) = self.try_enter() {
            return Ok(turn);
        }
        let refuse = |error| refuse_io(&self.store, &error);
        let turn = self.wait(&self.line_up().map_err(refuse)?)?;
        turn.map_err(refuse)
    }

    /// Our turn, if nobody else writes or waits.
    pub(super) fn try_enter(&self) -> Option<Turn> {
        self.gates.entry.try_lock().ok()?;
        let locked = self.gates.writer.try_lock().ok();
        let turn = locked.map(|()| Turn(Arc::clone(&self.gates)));
        self.gates.entry.unlock().ok()?;
        turn
    }

    /// Asks the thread that queues for us; it starts with the first time that we have to wait.
    fn line_up(&self) -> io::Result<Receiver<io::Result<Turn>>> {
        let (answer, turn) = mpsc::sync_channel(1);
        let queue = match self.queue.get() {
            Some(queue) => queue,
            None => {
                let (queue, askers) = mpsc::channel();
                let gates = Arc::clone(&self.gates);
                thread::Builder::new()
                    .name("bell-turn".to_owned())
                    .spawn(move || wait_in_line(&gates, &askers))?;
                self.queue.get_or_init(|| queue)
            }
        };
        queue.send(answer).map_err(|_| ended())?;
        Ok(turn)
    }

    fn wait(&self, turn: &Receiver<io::Result<Turn>>) -> Result<io::Result<Turn>> {
        let mut commits = count(&self.gates.writer);
        let mut since = Instant::now();
        loop {
            match turn.recv_timeout(PATIENCE) {
                Ok(turn) => return Ok(turn),
                Err(RecvTimeoutError::Disconnected) => return Ok(Err(ended())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = count(&self.gates.writer);
            if now != commits {
                (commits, since) = (now, Instant::now());
                continue;
            }
            let holder = [&self.gates.writer, &self.gates.entry].map(Holder::of);
            let stopped = holder.iter().flatten().find(|holder| holder.stopped);
            if stopped.is_some() || since.elapsed() >= LONGEST {
                return Err(self.held(stopped.or(holder[0].as_ref())));
            }
        }
    }

    fn held(&self, holder: Option<&Holder>) -> Refusal {
        let store = self.store.display();
        let Some(Holder { pid, stopped }) = holder else {
            return Refusal::new(
                Code::StoreLocked,
                format!("{store}: another process keeps it locked"),
            );
        };
        if *stopped {
            let detail = format!("{store}: process {pid} was stopped while it wrote");
            return Refusal::new(Code::StoreLocked, detail).help(format!(
                "`kill -CONT {pid}` lets it go on, `kill -9 {pid}` ends it; neither loses anything"
            ));
        }
        let detail = format!(
            "{store}: process {pid} has kept it locked for {} s",
            LONGEST.as_secs()
        );
        Refusal::new(Code::StoreLocked, detail)
            .help("it may be rewriting the whole file, which ends; try again then")
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that waits for the turn to write has ended")
}

/// Takes the turn for each that asks, in order. A turn that is not waited for any more is dropped, which ends it.
fn wait_in_line(gates: &Arc<Gates>, askers: &Receiver<Asker>) {
    for asker in askers {
        let turn = patiently(|| gates.entry.lock()).and_then(|()| {
            let turn = patiently(|| gates.writer.lock()).map(|()| Turn(Arc::clone(gates)));
            gates.entry.unlock()?;
            turn
        });
        // Whoever has given up has dropped its end.
        let _ = asker.send(turn);
    }
}

/// Locks again when a signal came in between.
fn patiently(lock: impl Fn() -> io::Result<()>) -> io::Result<()> {
    loop {
        match lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// While it lives, no other process of ours writes.
#[derive(Debug)]
pub(super) struct Turn(Arc<Gates>);

impl Turn {
    /// Counts a commit. Where that fails, or is not reached, the others find the commit by looking.
    pub(super) fn committed(&self) {
        self.0.own.fetch_add(1, Ordering::Relaxed);
        let count = count(&self.0.writer).unwrap_or_default().wrapping_add(1);
        let _ = self.0.writer.write_at(&count.to_le_bytes(), 0);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Unlocking a file that is open fails for no reason that could be mended here; closing it unlocks too.
        let _ = self.0.writer.unlock();
    }
}

/// Who has locked a file, as Linux tells it.
#[derive(Debug, PartialEq)]
struct Holder {
    pid: u32,
    stopped: bool,
}

impl Holder {
    fn of(gate: &File) -> Option<Holder> {
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        let pid = holder(&locks, gate.metadata().ok()?.ino())?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Holder {
            pid,
            stopped: is_stopped(&stat),
        })
    }
}

/// Who holds the lock of this file: `1: FLOCK ADVISORY WRITE 4242 fe:00:1234567 0 EOF`. Those who wait have an arrow
/// behind the number. Devices are left out of account: some file systems tell another one than they give to files.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields[..] else {
            return None;
        };
        let (_, of) = file.rsplit_once(':')?;
        (of.parse() == Ok(inode)).then(|| pid.parse().ok()).flatten()
    })
}

/// Whether `/proc/PID/stat` is of a process that was stopped. The name before the state may contain anything.
fn is_stopped(stat: &str) -> bool {
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['T', 't']))
}

/// Counts the commits of other processes.
#[derive(Debug)]
pub(super) struct Others {
    count: File,
    own: Arc<AtomicU64>,
}

impl Others {
    /// Changes when another process has committed, and seldom otherwise.
    pub(super) fn count(&self) -> u64 {
        let all = count(&self.count).unwrap_or_default();
        all.wrapping_sub(self.own.load(Ordering::Relaxed))
    }
}

/// `None` before the first commit.
fn count(file: &File) -> Option<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// The file whose name is the store's with this ending.
pub(super) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_told_from_who_waits() {
        let locks = "1: POSIX  ADVISORY  WRITE 77 fe:00:1234 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 88 fe:00:99 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 4242 fe:00:1234 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 4243 fe:00:1234 0 EOF\n";
        assert_eq!(holder(locks, 1234), Some(4242));
        assert_eq!(holder(locks, 99), Some(88));
        assert_eq!(holder(locks, 7), None);
        assert_eq!(holder("4: -> FLOCK ADVISORY WRITE 9 fe:00:7 0 EOF", 7), None);
    }

    #[test]
    fn a_stopped_process_is_told_by_its_state_alone() {
        assert!(is_stopped("4242 (bell) T 1 4242 4242 0"));
        assert!(is_stopped("4242 (a ) S (b) t 1"));
        assert!(!is_stopped("4242 (T) T) S 1 4242"));
        assert!(!is_stopped("4242"));
    }

    #[test]
    fn a_turn_that_nobody_waits_for_any_more_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bell.db");
        let (one, two) = (Turnstile::open(&path).unwrap(), Turnstile::open(&path).unwrap());
        let turn = one.enter().unwrap();
        drop(two.line_up().unwrap());
        let asked = two.line_up().unwrap();
        drop(turn);
        drop(asked.recv().unwrap().unwrap());
        one.enter().unwrap();
    }
}
