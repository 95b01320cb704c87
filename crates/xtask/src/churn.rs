//! A great many tasks through one server, to see whether anything grows that should not.

use anyhow::Result;
use rig::{postgres, redis};

use crate::repo::Repo;
use crate::step::cargo;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A server to go through; one of each kind is started and ended again if there is none.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Tasks that go through.
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u64,
}

pub(crate) fn run(repo: &Repo, options: &Options) -> Result<bool> {
    if let Some(url) = &options.store {
        return through(repo, url, options.tasks);
    }
    let server = postgres::Server::start(&[])?;
    let mut sound = through(repo, &server.url(), options.tasks)?;
    drop(server);
    let server = redis::Server::durable()?;
    sound &= through(repo, &server.url(), options.tasks)?;
    Ok(sound)
}

fn through(repo: &Repo, url: &str, tasks: u64) -> Result<bool> {
    let (engine, _) = url.split_once(':').unwrap_or((url, ""));
    println!("\n{engine}, durability full\n");
    let mut program = cargo(&repo.root);
    program
        .args([
            "run",
            "--quiet",
            "--release",
            "--locked",
            "-p",
            "bench",
            "--example",
            "bench",
            "--",
        ])
        .args(["--churn", &tasks.to_string(), "--store", url]);
    Ok(program.status()?.success())
}
