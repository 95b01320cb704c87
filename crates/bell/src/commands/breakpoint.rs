//! `bell breakpoint`

use api::answer::Completed;
use api::ask;
use api::list::{Breakpoint, Breakpoints};
use clap::Subcommand;
use desk::find;
use domain::code::{Code, Refusal};
use domain::task::spec::Json;
use domain::task::state::State;

use super::task::Once;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{Table, one_line};
use crate::output::{theme, time};
use crate::parse;

/// Answer the tasks that wait for a person
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Resolve(Resolve),
}

/// List what waits for a person
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bell breakpoint list\n  bell breakpoint list --owner ann")]
struct List {
    /// Only what this person is to answer
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
}

/// Show one question, for whom it is, and what holds when nobody answers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell breakpoint show approve")]
struct Show {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
}

/// Let a task that waits for a person go on, or reject it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell breakpoint resolve approve
  bell breakpoint resolve approve --answer '{\"go\": true}'
  bell breakpoint resolve approve --reject --answer '\"the tests are red\"'")]
struct Resolve {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    /// The answer: tasks that wait for this one get it as its result; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    answer: Option<Json>,
    /// Fail it; what waits for its success is cancelled
    #[arg(long)]
    reject: bool,
    #[command(flatten)]
    once: Once,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::List(args) => list(context, args.owner).await,
            Command::Show(args) => show(context, &args.id).await,
            Command::Resolve(resolve) => resolve.run(context).await,
        }
    }
}

async fn show(context: &Context, id: &str) -> Result {
    let engine = context.engine().await?;
    find::catch_up(&engine).await?;
    let view = find::typed(&engine, id).await?;
    if view.task.state != State::Awaiting {
        let detail = format!(
            "task {} is {} and waits for nobody",
            view.task.id, view.task.state
        );
        return Err(Refusal::new(Code::InvalidTransition, detail).into());
    }
    let now = engine.now().wall;
    context.ui.answer(&Breakpoint::from(view), |asked| {
        let mut text = format!("{}\n  task      {}\n", one_line(&asked.asks), asked.task);
        if let Some(owner) = &asked.owner {
            text += &format!("  owner     {}\n", one_line(owner));
        }
        if let Some(deadline) = asked.deadline {
            text += &format!("  deadline  {}\n", time::both(deadline, now));
        }
        if let Some(default) = &asked.default {
            let answer = default
                .answer
                .as_ref()
                .map_or_else(String::new, |json| format!(" {}", json.get()));
            let word = if default.accept { "accepted" } else { "rejected" };
            text += &format!("  then      {word}{answer}\n");
        }
        text
    })?;
    Ok(Exit::DONE)
}

async fn list(context: &Context, owner: Option<String>) -> Result {
    let engine = context.engine().await?;
    let list = desk::change::breakpoints(&engine, &ask::Breakpoints { owner }).await?;
    context.ui.answer(&list, people)?;
    Ok(Exit::DONE)
}

fn people(list: &Breakpoints) -> String {
    if list.breakpoints.is_empty() {
        return "nothing waits for a person\n".to_owned();
    }
    let mut table = Table::new(&["TASK", "NAME", "OWNER", "ASKS"]);
    for waits in &list.breakpoints {
        table.row([
            waits.task.to_string().into(),
            one_line(waits.key.as_ref().map_or(waits.name.as_str(), |key| key.as_str())).into(),
            waits.owner.clone().unwrap_or_default().into(),
            one_line(&waits.asks).into(),
        ]);
    }
    table.render()
}

impl Resolve {
    async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let id = find::typed_id(&engine, &self.id).await?;
        let asked = ask::Resolve {
            accept: !self.reject,
            answer: self.answer,
        };
        let reply = desk::change::resolve(&engine, &id.to_string(), asked, self.once.idempotency_key).await?;
        let state = reply.state;
        context.ui.answer(&Completed::from(reply), |answer| {
            let mut text = format!("{}  {}\n", theme::state_text(state, None), answer.task);
            for id in &answer.unblocked {
                text += &format!("{}  {id}\n", theme::state_text(State::Ready, None));
            }
            text
        })?;
        Ok(Exit::DONE)
    }
}
