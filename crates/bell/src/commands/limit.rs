//! `bell limit`

use api::ask;
use api::curb::Limits;
use clap::Subcommand;
use desk::curb;
use domain::curb::Scope;
use domain::curb::limit::Rate;

use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// Bound how much is done at once, or in a time
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Set(Set),
    Remove(Remove),
}

/// List the limits and how much of them is used
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell limit list")]
struct List {}

/// Set a limit, or change one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell limit set kind:build --concurrency 4
  bell limit set agent:coder --rate 30/1h
  bell limit set project --concurrency 50 --rate 100/m")]
struct Set {
    /// What it is for: project, kind:NAME, agent:NAME or work:EXECUTOR
    #[arg(value_parser = parse::name::<Scope>)]
    name: Scope,
    /// So many attempts at once
    #[arg(long, value_name = "N", required_unless_present = "rate")]
    concurrency: Option<u32>,
    /// So many attempts begun in a time, such as 10/1m
    #[arg(long, value_name = "N/TIME", value_parser = Rate::parse)]
    rate: Option<Rate>,
}

/// Take a limit away
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell limit remove kind:build")]
struct Remove {
    #[arg(value_parser = parse::name::<Scope>)]
    name: Scope,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.open(Access::Existing).await?;
        let list = match self.command {
            Command::List(_) => curb::limits(&engine).await?,
            Command::Set(set) => {
                let asked = ask::Limit {
                    concurrency: set.concurrency,
                    rate: set.rate.map(|rate| rate.to_string()),
                };
                curb::set_limit(&engine, &set.name, &asked).await?
            }
            Command::Remove(remove) => curb::remove_limit(&engine, &remove.name).await?,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

fn people(list: &Limits) -> String {
    if list.limits.is_empty() {
        return "there are no limits\n".to_owned();
    }
    let mut table = Table::new(&["NAME", ">AT ONCE", ">HELD", ">RATE", "OPEN"]);
    for shown in &list.limits {
        let limit = &shown.limit;
        let at_once = limit.concurrency.map(|n| n.to_string());
        table.row([
            shown.name.to_string().into(),
            at_once.unwrap_or_default().into(),
            shown.held.to_string().into(),
            limit.rate.map(|rate| rate.to_string()).unwrap_or_default().into(),
            if shown.open { "yes" } else { "no" }.into(),
        ]);
    }
    table.render()
}
