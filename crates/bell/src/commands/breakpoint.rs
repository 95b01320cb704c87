//! `bell breakpoint`

use api::answer::Completed;
use api::list::{Breakpoint, Breakpoints};
use clap::Subcommand;
use domain::id::Seq;
use domain::limits::PAGE_MAX;
use domain::store::{Command as Asked, Filter, Request, Target};
use domain::task::record::{Failure, Outcome};
use domain::task::spec::Json;
use domain::task::state::State;

use crate::context::{Context, actor};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{Table, one_line};
use crate::output::theme;
use crate::{lookup, parse};

/// Answer the tasks that wait for a person
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Resolve(Resolve),
}

/// List what waits for a person
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell breakpoint list")]
struct List {}

/// Let a task that waits for a person go on, or reject it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell breakpoint resolve approve
  bell breakpoint resolve approve --answer '{\"go\": true}'
  bell breakpoint resolve approve --reject --answer '\"the tests are red\"'")]
struct Resolve {
    /// The task's id or key
    id: String,
    /// The answer: tasks that wait for this one get it as its result; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "JSON", value_parser = parse::document)]
    answer: Option<Json>,
    /// Fail it; what waits for its success is cancelled
    #[arg(long)]
    reject: bool,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::List(_) => list(context).await,
            Command::Resolve(resolve) => resolve.run(context).await,
        }
    }
}

async fn list(context: &Context) -> Result {
    let engine = context.engine().await?;
    lookup::catch_up(&engine).await?;
    let filter = Filter {
        states: vec![State::Awaiting],
        ..Filter::default()
    };
    let views = engine
        .store
        .list(&engine.project, filter, Seq(0), PAGE_MAX)
        .await?;
    let breakpoints: Vec<Breakpoint> = views.into_iter().map(Breakpoint::from).collect();
    let list = Breakpoints {
        count: breakpoints.len(),
        breakpoints,
    };
    context.ui.answer(&list, people)?;
    Ok(Exit::DONE)
}

fn people(list: &Breakpoints) -> String {
    if list.breakpoints.is_empty() {
        return "nothing waits for a person\n".to_owned();
    }
    let mut table = Table::new(&["TASK", "NAME", "ASKS"]);
    for waits in &list.breakpoints {
        table.row([
            waits.task.to_string().into(),
            one_line(waits.key.as_ref().map_or(waits.name.as_str(), |key| key.as_str())).into(),
            one_line(&waits.asks).into(),
        ]);
    }
    table.render()
}

impl Resolve {
    async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let id = lookup::id(&engine, &self.id).await?;
        let outcome = if self.reject {
            let why = self.answer.as_ref().map_or("rejected", Json::get);
            let message = serde_json::from_str::<String>(why).unwrap_or_else(|_| why.to_owned());
            Outcome {
                error: Some(Failure::new(message)),
                ..Outcome::default()
            }
        } else {
            Outcome {
                result: self.answer,
                ..Outcome::default()
            }
        };
        let request = Request {
            target: Target::Id(id),
            command: Asked::Resolve {
                accept: !self.reject,
                outcome,
            },
            actor: actor(),
            idempotency_key: None,
        };
        let mut replies = engine
            .store
            .change(&engine.project, vec![request], engine.now())
            .await?;
        let reply = replies.pop().expect("one request has one reply")?;
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
