//! From fault to fault.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::crew::{OwnClock, Worker};
use super::ground::Ground;
use super::ledger::Ledger;
use super::{Fault, Options, Survived};

/// Attempts of one worker at the same time.
const JOBS: &str = "4";
/// Short, so that taking over need not be waited for.
const LEASE: [(&str, &str); 2] = [
    ("BELLWETHER_WORKER_LEASE", "2s"),
    ("BELLWETHER_WORKER_HEARTBEAT", "500ms"),
];
/// How long anything may take that must happen. A process alone waits half a minute for its store.
const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: i64 = 3_600;
/// Bytes of a task that shall find no room, and plans of those at most. A log that was emptied has room for some.
const PADDING: usize = 60_000;
const MOST_PLANS: usize = 12;
/// A copy of the store, of whatever kind, made when something is wrong.
const KEPT: &str = "store.db";
/// A path for the files of attempts, which lie beside a store that is a file.
const HOME: &str = "XDG_STATE_HOME";

pub(super) struct Script {
    options: Options,
    ground: Ground,
    /// Kept when something is wrong.
    folder: TempDir,
    clock: OwnClock,
    ledger: Ledger,
    crew: Vec<Worker>,
    dice: u64,
    plans: usize,
    began: Instant,
}

impl Script {
    pub(super) fn start(options: &Options) -> Result<Script> {
        let folder = tempfile::Builder::new().prefix("bell-chaos-").tempdir()?;
        fs::create_dir(folder.path().join("held"))?;
        fs::write(folder.path().join("task.sh"), TASK)?;
        Ok(Script {
            ground: Ground::start(options.engine)?,
            clock: OwnClock::new(folder.path())?,
            folder,
            ledger: Ledger::default(),
            crew: Vec::new(),
            dice: options.seed,
            plans: 0,
            options: options.clone(),
            began: Instant::now(),
        })
    }

    pub(super) fn play(mut self, tell: &mut dyn FnMut(&Survived)) -> Result<()> {
        for _ in 0..self.options.rounds {
            for fault in Fault::ALL {
                if !fault.strikes(self.options.engine) {
                    continue;
                }
                match self.step(fault) {
                    Ok(survived) => tell(&survived),
                    Err(error) => {
                        let after = self.began.elapsed().as_secs();
                        let engine = self.options.engine.name();
                        let kept = self.keep();
                        return Err(error.context(format!("{engine}, {fault}, after {after} s; {kept}")));
                    }
                }
            }
        }
        Ok(())
    }

    /// What tells afterwards how it came: logs, and a copy of the store, which otherwise ends with its server or disk.
    fn keep(&mut self) -> String {
        self.crew.clear();
        self.folder.disable_cleanup(true);
        let copy = format!("sqlite:{}", self.path(KEPT).display());
        let store = match self.ask(&["store", "copy", &self.ground.url(), &copy]) {
            Ok(_) => format!("the store is {KEPT}"),
            Err(error) => format!("the store could not be copied: {error:#}"),
        };
        format!("everything is kept in {}, {store}", self.folder.path().display())
    }

    fn step(&mut self, fault: Fault) -> Result<Survived> {
        let lost = self.ledger.lost;
        self.hand_in()?;
        self.hire(false)?;
        let before = self.ledger.completed();
        self.wait("the work to begin", |script| {
            Ok(script.ledger.completed() >= before + script.options.workers)
        })?;
        self.inflict(fault)?;
        let over = Instant::now();
        // Whatever was committed until now was begun before, and proves nothing.
        self.read()?;
        let mark = self.ledger.read;
        self.hire(false)?;
        self.hand_in()?;
        self.wait("the work to go on", |script| {
            Ok(script.ledger.went_on_after(mark))
        })?;
        let recovery = over.elapsed();
        self.finish()?;
        self.judge()?;
        Ok(Survived {
            fault,
            recovery,
            lost: self.ledger.lost - lost,
            completed: self.ledger.completed(),
        })
    }

    fn inflict(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Kills => {
                for _ in 0..2 * self.options.workers {
                    let victim = self.throw(self.crew.len());
                    drop(self.crew.swap_remove(victim));
                    self.hire(false)?;
                    sleep(Duration::from_millis(150));
                }
            }
            Fault::Crash => {
                if !self.ground.crash()? {
                    self.crew.clear();
                }
            }
            Fault::Cuts => self.ground.cut()?,
            Fault::Pause => self.pause()?,
            Fault::Clock => {
                self.hire(true)?;
                for offset in [HOUR, -HOUR, 0] {
                    self.clock.set(offset)?;
                    sleep(Duration::from_secs(1));
                }
            }
            Fault::Full => {
                self.ground.fill()?;
                let refused = self.overfill();
                sleep(Duration::from_secs(1));
                self.ground.relieve()?;
                refused?;
            }
            Fault::Crowd => self.ground.crowd()?,
        }
        Ok(())
    }

    /// Stops the worker that holds something until others have all of it, and lets it go on.
    fn pause(&mut self) -> Result<()> {
        self.wait("somebody to work", |script| {
            let busy = script
                .crew
                .iter()
                .position(|worker| script.ledger.holds(worker.id()));
            if let Some(busy) = busy {
                script.crew.swap(0, busy);
            } else if script.ledger.completed() >= script.plans * script.options.tasks {
                // On a slow machine everything may be done before it is seen that it was begun.
                script.hand_in()?;
            }
            Ok(busy.is_some())
        })?;
        let stopped = self.crew[0].id();
        self.crew[0].signal(Signal::STOP);
        let taken = self.wait("the leases to be taken over", |script| {
            Ok(!script.ledger.holds(stopped))
        });
        self.crew[0].signal(Signal::CONT);
        taken
    }

    /// As many workers as there are to be; what has ended by itself is replaced.
    fn hire(&mut self, own_clock: bool) -> Result<()> {
        self.crew.retain_mut(|worker| !worker.has_ended());
        let wanted = self.options.workers + usize::from(own_clock);
        while self.crew.len() < wanted {
            let log = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.path("workers.log"))?;
            let mut command = self.bell(&["worker", "--jobs", JOBS]);
            if own_clock {
                self.clock.govern(&mut command);
            }
            command.stdout(Stdio::null()).stderr(log);
            self.crew.push(Worker::start(&mut command)?);
        }
        Ok(())
    }

    fn hand_in(&mut self) -> Result<()> {
        let refused = self.submit(0)?;
        ensure!(
            refused.is_none(),
            "a plan is refused: {}",
            refused.unwrap_or_default()
        );
        Ok(())
    }

    /// More and more is handed in until there is no room: that is refused as a whole.
    fn overfill(&mut self) -> Result<()> {
        for _ in 0..MOST_PLANS {
            if let Some(answer) = self.submit(PADDING)? {
                ensure!(
                    answer["code"] == "store-full",
                    "a plan that finds no room is answered {answer}"
                );
                return Ok(());
            }
        }
        bail!("there is room for {MOST_PLANS} plans where there should be none")
    }

    /// A new plan, with so many bytes in each task: chains side by side, so that every end lets somebody begin; some
    /// tasks need the same lock. Gives the answer when it is refused.
    fn submit(&mut self, padding: usize) -> Result<Option<Value>> {
        let (plan, tasks) = (self.plans + 1, self.options.tasks);
        let lanes = (tasks / 4).max(1);
        let mut text =
            format!("name: chaos-{plan}\ndefaults: {{ retry: {{ attempts: 50, initial: 50ms }} }}\ntasks:\n");
        let padding = "x".repeat(padding);
        for task in 0..tasks {
            let name = format!("t{plan}x{task}");
            let pause = 50 + self.throw(250);
            let after = match task.checked_sub(lanes) {
                Some(before) => format!(", after: [t{plan}x{before}]"),
                None => String::new(),
            };
            let lock = match task % 10 {
                0 => format!(", locks: [\"path:l{}\"]", task % 3),
                _ => String::new(),
            };
            writeln!(
                text,
                "  {name}: {{ run: [sh, task.sh, {name}, \"0.{pause:03}\"], env: {{ PADDING: \"{padding}\" }}{after}{lock} }}"
            )?;
        }
        let name = format!("plan{plan}.yaml");
        fs::write(self.path(&name), text)?;
        let output = self.bell(&["submit", &name, "--json"]).output()?;
        if !output.status.success() {
            return Ok(Some(serde_json::from_slice(&output.stdout)?));
        }
        self.plans = plan;
        Ok(None)
    }

    /// Lets everything come to its end and the workers go. What was with dying workers too often is tried again.
    fn finish(&mut self) -> Result<()> {
        let goal = self.plans * self.options.tasks;
        let deadline =
            Instant::now() + PATIENCE + Duration::from_millis(100) * u32::try_from(self.options.tasks)?;
        while self.ledger.completed() < goal {
            ensure!(
                Instant::now() < deadline,
                "only {} of {goal} tasks are completed",
                self.ledger.completed()
            );
            self.hire(false)?;
            self.read()?;
            let status = self.ask(&["queue", "status"])?;
            if status["failed"] != 0 {
                self.ask(&["dlq", "requeue", "--all", "--yes"])?;
            }
            sleep(Duration::from_millis(50));
        }
        self.crew.drain(..).try_for_each(Worker::end)
    }

    fn judge(&mut self) -> Result<()> {
        let goal = self.plans * self.options.tasks;
        self.read()?;
        let status = self.ask(&["queue", "status"])?;
        ensure!(
            status["total_tasks"] == goal && status["completed"] == goal && self.ledger.completed() == goal,
            "of {goal} tasks {} are completed by the log, and the store counts {status}",
            self.ledger.completed()
        );
        let overlaps = fs::read_to_string(self.path("overlaps.log")).unwrap_or_default();
        ensure!(overlaps.is_empty(), "two at once: {}", overlaps.trim_end());
        let done = fs::read_to_string(self.path("done.log")).unwrap_or_default();
        let mut done: Vec<&str> = done.lines().collect();
        done.sort_unstable();
        done.dedup();
        ensure!(
            done.len() == goal,
            "{} of {goal} tasks did their work",
            done.len()
        );
        self.ask(&["audit", "verify"])?;
        self.ask(&["store", "check"])?;
        Ok(())
    }

    /// Reads the log until `there`.
    fn wait(&mut self, what: &str, mut there: impl FnMut(&mut Script) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read()?;
            if there(self)? {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "waited in vain for {what}");
            sleep(Duration::from_millis(20));
        }
    }

    fn read(&mut self) -> Result<()> {
        loop {
            let after = self.ledger.read.to_string();
            let page = self.ask(&["events", "--limit", "1000", "--after", &after])?;
            let events = page["events"]
                .as_array()
                .context("`bell events` lists no events")?;
            if events.is_empty() {
                return Ok(());
            }
            self.ledger.take(events)?;
        }
    }

    fn ask(&self, args: &[&str]) -> Result<Value> {
        let output = self.bell(&[args, &["--json"]].concat()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!(
                "`bell {}`: {text}{}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn bell(&self, args: &[&str]) -> Command {
        let folder = self.folder.path();
        let mut command = self.ground.command(&self.options.bell, folder);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BELL")) {
            command.env_remove(name);
        }
        command
            .args(args)
            .args(["--store", &self.ground.url()])
            .envs(LEASE)
            .env(HOME, folder)
            .stdin(Stdio::null());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A number below `bound` that looks random (splitmix64).
    fn throw(&mut self, bound: usize) -> usize {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

/// `sh task.sh NAME SECONDS`: works for a while, alone, and notes that it is done. The system itself tells whether two
/// attempts overlap, and lets go when a process dies.
const TASK: &str = r#"set -eu
exec 9>>"held/$1"
flock -n 9 || { echo "$1: $BELL_ATTEMPT beside $(tail -n 1 "held/$1")" >> overlaps.log; exit 3; }
echo "$BELL_ATTEMPT" >&9
sleep "$2"
echo "$1" >> done.log
"#;
