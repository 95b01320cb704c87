//! Random sequences of commands for as long as one likes: the tests of the stores draw a few hundred, and some faults
//! show once in ten thousands.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use crate::repo::Repo;
use crate::servers::Servers;
use crate::step::{capture, cargo};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this kind of store.
    #[arg(long, value_enum)]
    store: Option<Kind>,
    /// How long to go on; the round under way is finished.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Sequences of one round; each round draws others.
    #[arg(long, default_value_t = 1_000)]
    sequences: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Memory,
    Sqlite,
    Postgres,
    Redis,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Memory => "memory",
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgres",
            Kind::Redis => "redis",
        }
    }

    /// The test that draws the sequences.
    fn test(self) -> &'static str {
        match self {
            Kind::Memory => "model::memory_keeps_its_word",
            Kind::Sqlite => "model::sqlite_agrees_with_memory",
            Kind::Postgres => "model::postgres_agrees_with_memory",
            Kind::Redis => "model::redis_agrees_with_memory",
        }
    }
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let servers = Servers::start()?;
    let end = Instant::now() + Duration::from_secs(options.minutes * 60);
    let all = options
        .store
        .map_or_else(|| Kind::value_variants().to_vec(), |only| vec![only]);
    let mut sound = all.clone();
    while !sound.is_empty() {
        for kind in sound.clone() {
            if !round(repo, &servers, kind, options.sequences)? {
                // What it shrank to is to be mended before there is more to see.
                sound.retain(|other| *other != kind);
            }
        }
        if Instant::now() >= end {
            break;
        }
    }
    Ok(sound.len() == all.len())
}

/// Whether a store gave the answers of the store in memory, sequence after sequence.
fn round(repo: &Repo, servers: &Servers, kind: Kind, sequences: u64) -> Result<bool> {
    let began = Instant::now();
    let said = capture(
        cargo(&repo.root)
            .args(["test", "--workspace", "--locked", "--quiet", "--test", "it"])
            .args(["--", "--exact", kind.test()])
            .env("PROPTEST_CASES", sequences.to_string())
            .envs(servers.variables()),
    )?;
    let seconds = began.elapsed().as_secs_f64();
    let done = said.ok && said.stdout.contains("1 passed");
    let verdict = if done { "ok" } else { "FAILED" };
    println!(
        "{:<10}{verdict:<7}{seconds:>7.1} s   {sequences} sequences",
        kind.name()
    );
    if !done {
        let all = said.all();
        let kept = tempfile::Builder::new()
            .prefix("bell-sequences-")
            .suffix(".log")
            .tempfile()?
            .keep()?
            .1;
        fs::write(&kept, &all)?;
        let story = all.rfind("minimal failing input").unwrap_or(0);
        for line in all[story..]
            .lines()
            .take_while(|line| !line.contains("successes: "))
            .take(200)
        {
            println!("    {line}");
        }
        println!("    everything it said is in {}", kept.display());
    }
    Ok(done)
}
