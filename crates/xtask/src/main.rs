//! The chores of the repository: `cargo xtask --help` lists them.
//!
//! In reading order: the files that are looked at ([`repo`]), how other programs are run ([`step`]), the house
//! rules ([`tidy`]), what is generated ([`docs`]), the promises of the examples ([`examples`]), what others say about our tools ([`mod@mcp`])
//! and our service ([`service`]), and the one command
//! that runs them all ([`mod@test`]).

mod churn;
mod dist;
mod docs;
mod examples;
mod faults;
mod machine;
mod mcp;
mod race;
mod repo;
mod sequences;
mod servers;
mod service;
mod soak;
mod step;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::Parser;

use crate::repo::Repo;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The chores of the repository"
)]
enum Chore {
    /// Everything that must hold before a change lands; the last line counts what passed and what failed.
    Test {
        /// Leave the slow examples out.
        #[arg(long)]
        quick: bool,
    },
    /// The house rules: crate arrows, file lengths, words, unfinished code, links, proofs.
    Tidy,
    /// Write the generated pages of `docs/`.
    Gen {
        /// Write nothing; fail if a page is stale.
        #[arg(long)]
        check: bool,
    },
    /// Run the plans of `examples/` and check what they promise.
    Examples(examples::Options),
    /// Let the official client and suite of the Model Context Protocol judge `bell mcp`.
    Mcp,
    /// Let workers in other languages, a trier of every operation and Prometheus judge the service.
    Service,
    /// Let agents race, then kill workers at random for a while; nothing may be lost or done by two at once.
    #[command(args_conflicts_with_subcommands = true)]
    Soak {
        #[command(subcommand)]
        other: Option<Soak>,
        #[command(flatten)]
        options: soak::Options,
    },
    /// Keep the servers that tests share, and print where they are.
    Servers,
    /// Build the binary that is handed out.
    Dist,
}

/// What else goes on for long.
#[derive(Debug, clap::Subcommand)]
enum Soak {
    /// Do the worst to stores that processes share: servers that go away, stopped workers, clocks that jump, no room.
    Faults(faults::Options),
    /// Draw random sequences of commands, and let each store answer them beside the store in memory; what fails is told
    /// as the few steps it shrinks to.
    Sequences(sequences::Options),
    /// Let a great many tasks go through a server, and tell with each tenth what a turn takes and what the tables weigh.
    Churn(churn::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    let repo = Repo::find()?;
    let sound = match Chore::parse() {
        Chore::Test { quick } => test::run(&repo, quick)?,
        Chore::Tidy => tidy::run(&repo)?,
        Chore::Gen { check } => docs::run(&repo, check)?,
        Chore::Examples(options) => examples::run(&repo, &options)?,
        Chore::Mcp => mcp::run(&repo)?,
        Chore::Service => service::run(&repo)?,
        Chore::Soak { other, options } => match other {
            None => soak::run(&repo, &options)?,
            Some(Soak::Faults(options)) => faults::run(&repo, &options)?,
            Some(Soak::Sequences(options)) => sequences::run(&repo, &options)?,
            Some(Soak::Churn(options)) => churn::run(&repo, &options)?,
        },
        Chore::Servers => servers::run()?,
        Chore::Dist => dist::run(&repo)?,
    };
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
