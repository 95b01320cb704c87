//! The script of faults for as long as one likes; the tests run a short one.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rig::chaos::{self, Engine};

use crate::examples;
use crate::repo::Repo;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this kind of store: sqlite, postgres or redis.
    #[arg(long, value_parser = engine)]
    store: Option<Engine>,
    /// How often all faults come.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What pauses and victims are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Processes that work at the same time.
    #[arg(long, default_value_t = 6)]
    workers: usize,
    /// Tasks that are handed in before each fault.
    #[arg(long, default_value_t = 600)]
    tasks: usize,
    /// The program to do it to, instead of one that is built now.
    #[arg(long, value_name = "PATH")]
    bell: Option<PathBuf>,
}

fn engine(name: &str) -> Result<Engine, String> {
    let found = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    found.ok_or_else(|| "stores are sqlite, postgres and redis".to_owned())
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    let bell = match &options.bell {
        Some(bell) => bell.canonicalize().with_context(|| bell.display().to_string())?,
        None => examples::build(repo)?,
    };
    let mut sound = true;
    for engine in Engine::ALL {
        if options.store.is_some_and(|only| only != engine) {
            continue;
        }
        println!("{}", engine.name());
        let script = chaos::Options {
            engine,
            bell: bell.clone(),
            workers: options.workers,
            tasks: options.tasks,
            rounds: options.rounds,
            seed: options.seed,
        };
        if let Err(error) = chaos::run(&script, &mut |survived| println!("  {survived}")) {
            println!("  FAILED {error:#}");
            sound = false;
        }
    }
    Ok(sound)
}
