//! One script of faults for every store that processes share: the real binary works under load while something is
//! done to it, and after each fault nothing is lost, nothing is completed twice, and the log holds together.
//!
//! In reading order: what is done ([`Fault`]) and by whom (`script`), to which store (`ground`), with which processes
//! (`crew`), and how the log is judged (`ledger`).

mod crew;
mod ground;
mod hog;
mod ledger;
mod script;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

/// What is measured and judged is the same on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
    Redis,
}

impl Engine {
    pub const ALL: [Engine; 3] = [Engine::Sqlite, Engine::Postgres, Engine::Redis];

    pub fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
            Engine::Redis => "redis",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Workers are killed, one after the other.
    Kills,
    /// The server is killed and started again; where there is none, every process dies at once.
    Crash,
    /// All connections are cut, again and again.
    Cuts,
    /// A worker is stopped until others have its tasks, and then goes on.
    Pause,
    /// The clock of one worker jumps an hour ahead, and two back.
    Clock,
    /// There is no room left for what is written.
    Full,
    /// Whoever comes finds no connection left; on a file, somebody holds the right to write.
    Crowd,
}

impl Fault {
    pub const ALL: [Fault; 7] = [
        Fault::Kills,
        Fault::Crash,
        Fault::Cuts,
        Fault::Pause,
        Fault::Clock,
        Fault::Full,
        Fault::Crowd,
    ];

    /// A file has no connections that could be cut.
    fn strikes(self, engine: Engine) -> bool {
        self != Fault::Cuts || engine != Engine::Sqlite
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Fault::Kills => "workers killed",
            Fault::Crash => "server killed",
            Fault::Cuts => "connections cut",
            Fault::Pause => "worker stopped",
            Fault::Clock => "clock jumps",
            Fault::Full => "no room",
            Fault::Crowd => "no connection",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub engine: Engine,
    /// The program.
    pub bell: PathBuf,
    /// Processes that work at the same time.
    pub workers: usize,
    /// Tasks that are handed in before each fault.
    pub tasks: usize,
    /// How often all faults come.
    pub rounds: usize,
    /// What pauses and victims are drawn from.
    pub seed: u64,
}

/// A fault that was survived.
#[derive(Clone, Debug)]
pub struct Survived {
    pub fault: Fault,
    /// From the end of the fault until a task that was begun after it was completed.
    pub recovery: Duration,
    /// Attempts that did not come to their end.
    pub lost: usize,
    /// Tasks completed so far.
    pub completed: usize,
}

impl fmt::Display for Survived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<16} recovered in {:>5} ms, {:>3} attempts lost, {:>6} tasks completed once",
            self.fault,
            self.recovery.as_millis(),
            self.lost,
            self.completed
        )
    }
}

/// Runs the whole script; an error tells what was not as it must be, and where everything is kept.
pub fn run(options: &Options, tell: &mut dyn FnMut(&Survived)) -> Result<()> {
    script::Script::start(options)?.play(tell)
}
