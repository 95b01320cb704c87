//! `bell rule`: what is done by itself when something happens.

mod add;
mod letters;
mod list;

use clap::Subcommand;
use domain::book::Book;
use domain::code::{Code, Refusal, nearest};
use domain::id::RuleName;
use domain::rule::RULES_MAX;
use engine::engine::Engine;
use engine::rules::{self, Known};

use api::rule::RemovedRule;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::parse;

/// Do something by itself when something happens
///
/// A rule waits for events, and hands work in, calls a URL, starts a command, or changes tasks. Rules are carried out
/// while a worker of the project, or a plan, is running somewhere: `bell worker` stays up for them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<add::Args>),
    List(list::List),
    Show(list::Show),
    Remove(Remove),
    Letters(letters::Args),
}

/// Remove a rule, with all that it still owes
///
/// What it has done before stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule remove qa-after-dev")]
struct Remove {
    /// The rule's name
    #[arg(value_parser = parse::name::<RuleName>)]
    name: RuleName,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Add(args) => args.run(context).await,
            Command::List(args) => args.run(context).await,
            Command::Show(args) => args.run(context).await,
            Command::Remove(args) => args.run(context).await,
            Command::Letters(args) => args.run(context).await,
        }
    }
}

impl Remove {
    async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        known(&engine, &self.name).await?;
        let answer = RemovedRule {
            dropped: rules::remove(&engine, &self.name).await?,
            removed: self.name,
        };
        context.ui.answer(&answer, |answer| match answer.dropped {
            0 => format!("removed {}\n", answer.removed),
            more => format!("removed {}, with {more} that it owed\n", answer.removed),
        })?;
        Ok(Exit::DONE)
    }
}

/// Refuses a name that no rule has, whether or not what is stored under it can be read.
async fn known(engine: &Engine, name: &RuleName) -> Result<()> {
    let (store, project) = (&engine.store, &engine.project);
    let keys = [name.as_str().into()];
    if !store.entries_of(project, Book::Rule, &keys).await?.is_empty() {
        return Ok(());
    }
    let all = store.entries(project, Book::Rule, "", RULES_MAX).await?;
    let detail = format!("project {project} has no rule `{name}`");
    let refusal = Refusal::new(Code::RuleNotFound, detail);
    let near = nearest(name.as_str(), all.iter().map(|entry| &*entry.key));
    Err(match near {
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None => refusal.help("`bell rule list` shows the rules"),
    }
    .into())
}

async fn find(engine: &Engine, name: &RuleName) -> Result<Known> {
    known(engine, name).await?;
    let found = rules::rules(engine).await?;
    let found = found.into_iter().find(|known| known.name == *name);
    found.ok_or_else(|| {
        let detail = format!("the rule `{name}` cannot be read");
        let help = format!("`bell rule remove {name}`, and add it again");
        Refusal::new(Code::StoreCorrupt, detail).help(help).into()
    })
}
