//! `bell rule letters`: what rules could not do.

use api::rule::{ChangedLetters, Letter, Letters};
use clap::Subcommand;
use domain::book::{Book, Edit, Entry};
use domain::id::{EventNo, RuleName};
use domain::rule::Delivery;
use engine::engine::Engine;
use engine::rules;

use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::time;
use crate::parse;

/// See what rules could not do, try it again, or throw it away
///
/// What a rule does is tried three times, with pauses of 2 s and 4 s. What fails then is put here, and an event
/// `rule.failed` tells it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Retry(Retry),
    Drop(Drop),
}

/// List what rules could not do
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule letters list")]
struct List {
    /// Only of this rule
    #[arg(long, value_parser = parse::name::<RuleName>)]
    rule: Option<RuleName>,
}

/// Try letters again, with all their tries
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell rule letters retry page
  bell rule letters retry page --event 120
  bell rule letters retry --all")]
struct Retry {
    #[command(flatten)]
    which: Which,
}

/// Throw letters away
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell rule letters drop page")]
struct Drop {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The rule's name
    #[arg(value_parser = parse::name::<RuleName>, required_unless_present = "all", conflicts_with = "all")]
    rule: Option<RuleName>,
    /// Only about the event with this number
    #[arg(long, value_name = "NUMBER", requires = "rule")]
    event: Option<u64>,
    /// Of all rules
    #[arg(long)]
    all: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(list) => list.run(context, &engine).await,
            Command::Retry(retry) => {
                let now = engine.now().wall;
                let again = |entry: &Entry, letter: &Delivery| {
                    let fresh = Delivery {
                        tries: 0,
                        error: None,
                        ..letter.clone()
                    };
                    let put = fresh.put(now);
                    vec![remove(entry), put]
                };
                retry.which.change(context, &engine, again, "tried again").await
            }
            Command::Drop(drop) => {
                let gone = |entry: &Entry, _: &Delivery| vec![remove(entry)];
                drop.which.change(context, &engine, gone, "dropped").await
            }
        }
    }
}

fn remove(entry: &Entry) -> Edit {
    Edit::remove(Book::Delivery, &entry.key).instead_of(Some(entry))
}

impl List {
    async fn run(self, context: &Context, engine: &Engine) -> Result {
        let letters = rules::letters(engine).await?.into_values();
        let wanted = |rule: &RuleName| self.rule.as_ref().is_none_or(|asked| asked == rule);
        let letters: Vec<Letter> = letters
            .map(|(_, letter)| Letter::from(&letter))
            .filter(|letter| wanted(&letter.rule))
            .collect();
        let list = Letters {
            count: letters.len(),
            letters,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

fn people(list: &Letters) -> String {
    if list.letters.is_empty() {
        return "no letters\n".to_owned();
    }
    let mut table = Table::new(&["RULE", ">EVENT", "SINCE", ">TRIES", "ERROR"]);
    for letter in &list.letters {
        table.row([
            letter.rule.as_str().into(),
            letter.event.0.to_string().into(),
            time::clock(letter.since.0).into(),
            letter.tries.to_string().into(),
            letter.error.as_deref().unwrap_or_default().into(),
        ]);
    }
    table.render()
}

impl Which {
    async fn change(
        self,
        context: &Context,
        engine: &Engine,
        edits: impl Fn(&Entry, &Delivery) -> Vec<Edit>,
        done: &str,
    ) -> Result {
        let letters = rules::letters(engine).await?.into_values();
        let meant = |letter: &Delivery| {
            self.rule.as_ref().is_none_or(|rule| *rule == letter.rule)
                && self.event.is_none_or(|event| EventNo(event) == letter.event)
        };
        let chosen: Vec<_> = letters.filter(|(_, letter)| meant(letter)).collect();
        if chosen.is_empty() && !self.all {
            let refusal = invalid("there is no such letter");
            return Err(refusal
                .help("`bell rule letters list` shows those there are")
                .into());
        }
        let edits: Vec<Edit> = chosen
            .iter()
            .flat_map(|(entry, letter)| edits(entry, letter))
            .collect();
        let (store, project) = (&engine.store, &engine.project);
        store
            .edit(project, edits, engine.actor.clone(), engine.now())
            .await?;
        let answer = ChangedLetters { count: chosen.len() };
        context
            .ui
            .answer(&answer, |answer| format!("{} {done}\n", answer.count))?;
        Ok(Exit::DONE)
    }
}
