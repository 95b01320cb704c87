//! `bell limit`

use api::curb::{LimitShown, Limits};
use clap::Subcommand;
use domain::book::{Book, Edit};
use domain::code::{Code, Refusal};
use domain::curb::Scope;
use domain::curb::limit::{Limit, Rate, Used};
use domain::event::Kind;

use super::curbs;
use crate::context::{Access, Context};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::{lookup, parse};

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
        lookup::catch_up(&engine).await?;
        match self.command {
            Command::List(_) => {}
            Command::Set(set) => {
                if matches!(set.name, Scope::Key(_) | Scope::Run(_)) {
                    let detail = format!("a limit cannot be for `{}`", set.name);
                    return Err(Refusal::new(Code::InvalidArgument, detail)
                        .help("tasks bound a key of their own with `concurrency: {key, limit}`")
                        .into());
                }
                let now = curbs::settings::<Limit>(&engine, Book::Limit, &set.name).await?;
                let now = now.unwrap_or_default();
                let limit = Limit {
                    concurrency: set.concurrency.or(now.concurrency),
                    rate: set.rate.or(now.rate),
                };
                curbs::set(&engine, Book::Limit, &set.name, &limit, Some(Kind::LimitSet)).await?;
            }
            Command::Remove(remove) => {
                if curbs::settings::<Limit>(&engine, Book::Limit, &remove.name)
                    .await?
                    .is_none()
                {
                    let detail = format!("there is no limit for `{}`", remove.name);
                    return Err(Refusal::new(Code::InvalidArgument, detail).into());
                }
                curbs::write(&engine, Edit::remove(Book::Limit, &remove.name.to_string())).await?;
            }
        }
        let found: Vec<(Scope, Limit, Used)> = curbs::all(&engine, Book::Limit, "limit:").await?;
        let now = engine.now();
        let limits: Vec<LimitShown> = found
            .into_iter()
            .map(|(name, limit, used)| LimitShown::new(name, limit, &used, now))
            .collect();
        let list = Limits {
            count: limits.len(),
            limits,
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
