//! `bell breaker`

use std::time::Duration;

use api::ask;
use api::curb::Breakers;
use api::time::Span;
use clap::Subcommand;
use desk::curb;
use domain::curb::Scope;
use domain::curb::breaker::State;

use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::time;
use crate::parse;

/// Hold work back while what it calls is failing
///
/// A breaker opens when too many attempts fail, holds its tasks without spending their tries, then lets a few probes
/// through. A task names one with `breaker: NAME`; others are set up here, for a kind, an agent or an executor.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Set(Set),
    Reset(Reset),
    Remove(Remove),
}

/// List the breakers and how they stand
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell breaker list")]
struct List {}

/// Set up a breaker, or change one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell breaker set kind:deploy --failures 3 --timeout 5m
  bell breaker set work:http --threshold 0.3 --window 20
  bell breaker set agent:coder --identical 5 --spend 20")]
struct Set {
    /// What it is for: kind:NAME, agent:NAME, work:EXECUTOR, key:NAME or project
    #[arg(value_parser = parse::name::<Scope>)]
    name: Scope,
    /// Open at this share of failures, from 0 to 1 [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    threshold: Option<f64>,
    /// Look at so many results [default: 10]
    #[arg(long, value_name = "N")]
    window: Option<usize>,
    /// Look once there are so many results [default: 5]
    #[arg(long, value_name = "N")]
    min: Option<usize>,
    /// Open after so many failures in a row
    #[arg(long, value_name = "N")]
    failures: Option<u32>,
    /// Close after so many probes went well [default: 3]
    #[arg(long, value_name = "N")]
    successes: Option<u32>,
    /// Stay open for this long [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse::span)]
    timeout: Option<Duration>,
    /// Open after so many equal results in a row
    #[arg(long, value_name = "N")]
    identical: Option<u32>,
    /// Open when the results looked at have cost more money than this
    #[arg(long, value_name = "AMOUNT")]
    spend: Option<f64>,
}

/// Close a breaker and forget its results
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell breaker reset key:payments")]
struct Reset {
    #[arg(value_parser = parse::name::<Scope>)]
    name: Scope,
}

/// Take a breaker away
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell breaker remove kind:deploy")]
struct Remove {
    #[arg(value_parser = parse::name::<Scope>)]
    name: Scope,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.open(Access::Existing).await?;
        let list = match self.command {
            Command::List(_) => curb::breakers(&engine).await?,
            Command::Set(set) => curb::set_breaker(&engine, &set.name, &set.asked()).await?,
            Command::Reset(reset) => curb::reset_breaker(&engine, &reset.name).await?,
            Command::Remove(remove) => curb::remove_breaker(&engine, &remove.name).await?,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

impl Set {
    fn asked(&self) -> ask::Breaker {
        ask::Breaker {
            threshold: self.threshold,
            window: self.window,
            min: self.min,
            failures: self.failures,
            successes: self.successes,
            timeout: self.timeout.map(Span),
            identical: self.identical,
            spend: self.spend,
        }
    }
}

fn people(list: &Breakers) -> String {
    if list.breakers.is_empty() {
        return "there are no breakers\n".to_owned();
    }
    let mut table = Table::new(&["STATE", "NAME", ">ERRORS", ">OPENED", "UNTIL", "WHY"]);
    for breaker in &list.breakers {
        let state = match breaker.state {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half open",
        };
        let until = breaker.until.map(|until| time::clock(until.0));
        let why = breaker.why.as_deref().filter(|_| breaker.state != State::Closed);
        table.row([
            state.into(),
            breaker.name.to_string().into(),
            format!("{} %", breaker.error_rate).into(),
            breaker.times_opened.to_string().into(),
            until.unwrap_or_default().into(),
            why.unwrap_or_default().into(),
        ]);
    }
    table.render()
}
