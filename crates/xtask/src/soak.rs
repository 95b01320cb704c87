//! Chaos for a while: several workers on one store, killed at random, on plans drawn from a seed. Nothing may be lost,
//! done by two at once, or completed twice.
//!
//! Each task holds an advisory file lock of its own name while it works, and one for each lock of its plan: the system
//! itself then tells whether two attempts overlap, and lets go when a process dies.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use domain::task::retry::mix;
use serde_json::Value;

use crate::repo::Repo;
use crate::step::{Said, capture, unmarked};
use crate::{examples, race};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long to go on; the round under way is finished.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// What the plans and the kills are drawn from; printed, so that a failure can be repeated.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Processes that work at the same time.
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Tasks of each plan.
    #[arg(long, default_value_t = 500)]
    tasks: u64,
    /// First let so many agents race for tasks over MCP; 0 leaves that out.
    #[arg(long, default_value_t = 30)]
    agents: u64,
    /// Tasks that the agents race for.
    #[arg(long, default_value_t = 3_000)]
    race: u64,
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let bell = examples::build(repo)?;
    if options.agents > 0 {
        let folder = tempfile::Builder::new().prefix("bell-race-").tempdir()?;
        println!(
            "race       ok     {}",
            race::run(&bell, folder.path(), options.agents, options.race)?
        );
    }
    let end = Instant::now() + Duration::from_secs(options.minutes * 60);
    let mut seed = options.seed;
    let (mut passed, mut failed) = (0, 0);
    loop {
        let began = Instant::now();
        let folder = tempfile::Builder::new().prefix("bell-soak-").tempdir()?.keep();
        let round = Round::prepare(&bell, &folder, seed, options)?;
        print!("seed {seed:<6}");
        match round.run() {
            Ok(kills) => {
                let seconds = began.elapsed().as_secs_f64();
                println!("ok     {seconds:>6.1} s   {} tasks, {kills} kills", options.tasks);
                fs::remove_dir_all(&folder)?;
                passed += 1;
            }
            Err(error) => {
                println!("FAILED {error:#}\n    everything is kept in {}", folder.display());
                failed += 1;
            }
        }
        if Instant::now() >= end {
            break;
        }
        seed += 1;
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// One plan from beginning to end.
struct Round<'a> {
    bell: &'a Path,
    folder: &'a Path,
    seed: u64,
    workers: usize,
    tasks: u64,
}

/// Numbers that look random, from a seed (see [`mix`]).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % bound.max(1)
    }
}

/// A run that is not done after so many starts without any kill is stuck.
const LAST_STARTS: usize = 5;

impl<'a> Round<'a> {
    fn prepare(bell: &'a PathBuf, folder: &'a Path, seed: u64, options: &Options) -> Result<Round<'a>> {
        let round = Round {
            bell,
            folder,
            seed,
            workers: options.workers,
            tasks: options.tasks,
        };
        fs::create_dir(folder.join("held"))?;
        fs::write(folder.join("task.sh"), TASK)?;
        fs::write(folder.join("plan.yaml"), round.plan())?;
        Ok(round)
    }

    /// Each task waits for up to three of the fifty before it; some take a while, some fail at first, some need a lock.
    fn plan(&self) -> String {
        let mut dice = Dice(mix(self.seed));
        let retry = "{ attempts: 4, initial: 50ms, jitter: 0.5 }";
        let mut plan = format!("name: soak\ndefaults: {{ retry: {retry} }}\ntasks:\n");
        for task in 0..self.tasks {
            let mut after: Vec<u64> = Vec::new();
            for _ in 0..dice.below(4).min(task) {
                after.push(task - 1 - dice.below(task.min(50)));
            }
            after.sort_unstable();
            after.dedup();
            let after: Vec<String> = after.iter().map(|on| format!("t{on}")).collect();
            let (pause, fails) = (dice.below(300), u64::from(dice.below(10) == 0));
            let lock = (dice.below(5) == 0).then(|| format!("l{}", dice.below(4)));
            let _ = write!(
                plan,
                "  t{task}:\n    run: [sh, task.sh, t{task}, \"0.{pause:03}\", \"{fails}\", \"{}\"]\n    after: [{}]\n",
                lock.as_deref().unwrap_or(""),
                after.join(", ")
            );
            if let Some(lock) = lock {
                let _ = writeln!(plan, "    locks: [\"path:{lock}\"]");
            }
        }
        plan
    }

    fn bell(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.bell);
        command
            .current_dir(self.folder)
            .args(args)
            .args(["--json", "--store", "sqlite:bell.db"]);
        unmarked(&mut command);
        command
    }

    fn answer(&self, args: &[&str]) -> Result<Value> {
        let Said {
            ok, stdout, stderr, ..
        } = capture(&mut self.bell(args))?;
        ensure!(ok, "`bell {}`: {stderr}{stdout}", args.join(" "));
        Ok(serde_json::from_str(&stdout)?)
    }

    /// Returns how many workers were killed.
    fn run(&self) -> Result<usize> {
        ensure!(
            capture(&mut self.bell(&["submit", "plan.yaml"]))?.ok,
            "the plan was not admitted"
        );
        let kills = self.chaos()?;
        self.finish()?;
        self.verify()?;
        Ok(kills)
    }

    fn worker(&self) -> Result<Worker> {
        let log = self.folder.join("workers.log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let run = &mut self.bell(&["run", "plan.yaml", "--jobs", "6"]);
        let run = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        run.spawn().map(Worker).context("starting a worker")
    }

    /// Keeps so many workers going and kills one now and then, until about half of the tasks are done. All are dead at
    /// the end.
    fn chaos(&self) -> Result<usize> {
        let mut dice = Dice(mix(!self.seed));
        let mut workers: Vec<Worker> = Vec::new();
        let mut kills = 0;
        while self.done()? < self.tasks / 2 {
            while workers.len() < self.workers {
                workers.push(self.worker()?);
            }
            thread::sleep(Duration::from_millis(100 + dice.below(900)));
            drop(workers.swap_remove(dice.below(workers.len() as u64) as usize));
            kills += 1;
            ensure!(
                kills < 1_000,
                "half of the tasks are not done after {kills} kills"
            );
        }
        Ok(kills + workers.len())
    }

    /// Tasks whose work was done at least once.
    fn done(&self) -> Result<u64> {
        let log = fs::read_to_string(self.folder.join("done.log")).unwrap_or_default();
        let mut names: Vec<&str> = log.lines().collect();
        names.sort_unstable();
        names.dedup();
        Ok(names.len() as u64)
    }

    /// One worker, undisturbed. Tasks that were lost three times failed; the next start tries them again.
    fn finish(&self) -> Result<()> {
        for _ in 0..LAST_STARTS {
            if self.worker()?.0.wait()?.success() {
                return Ok(());
            }
        }
        bail!("the run did not succeed in {LAST_STARTS} undisturbed starts");
    }

    fn verify(&self) -> Result<()> {
        let violations = fs::read_to_string(self.folder.join("violations.log")).unwrap_or_default();
        ensure!(violations.is_empty(), "two at once: {}", violations.trim_end());
        ensure!(
            self.done()? == self.tasks,
            "{} of {} tasks did their work",
            self.done()?,
            self.tasks
        );
        let status = self.answer(&["queue", "status"])?;
        ensure!(
            status["completed"] == self.tasks && status["total_tasks"] == self.tasks,
            "the store counts {status}"
        );
        ensure!(
            self.completions()? == self.tasks,
            "the log has not one completion for each task"
        );
        self.answer(&["audit", "verify"])?;
        self.answer(&["store", "check"])?;
        Ok(())
    }

    /// Tasks that completed by the log; an error if one did so twice.
    fn completions(&self) -> Result<u64> {
        let mut seen = HashSet::new();
        let mut after = 0;
        loop {
            let page = [
                "events",
                "--type",
                "task.completed",
                "--after",
                &after.to_string(),
            ];
            let page = self.answer(&page)?;
            let events = page["events"]
                .as_array()
                .context("`bell events` lists no events")?;
            let Some(last) = events.last() else {
                return Ok(seen.len() as u64);
            };
            after = last["number"].as_u64().context("an event has no number")?;
            for event in events {
                let fresh = seen.insert(event["task"].to_string());
                ensure!(fresh, "{} completed twice", event["key"]);
            }
        }
    }
}

/// A process that is killed without warning when it is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `sh task.sh NAME SECONDS FAILS LOCK`: fails so many times, then works for a while and notes that it is done.
const TASK: &str = r#"set -eu
alone() { exec 9>"held/$1"; flock -n 9 || { echo "$1" >> violations.log; exit 3; }; }
alone "$1"
[ -z "$4" ] || { exec 8>"held/$4"; flock -n 8 || { echo "$4" >> violations.log; exit 3; }; }
[ "$BELL_ATTEMPT" -gt "$3" ] || { echo "fails on purpose" >&2; exit 1; }
sleep "$2"
echo "$1" >> done.log
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_one_plan_and_it_can_be_run() {
        let round = |seed| Round {
            bell: Path::new("bell"),
            folder: Path::new("."),
            seed,
            workers: 1,
            tasks: 200,
        };
        let text = round(7).plan();
        assert_eq!(text, round(7).plan());
        assert_ne!(text, round(8).plan());
        let plan = domain::plan::read(text.as_bytes(), domain::plan::Format::Yaml, "plan.yaml").unwrap();
        assert_eq!(plan.tasks.len(), 200);
        assert!(plan.tasks.iter().any(|task| !task.spec.locks.is_empty()));
    }
}
