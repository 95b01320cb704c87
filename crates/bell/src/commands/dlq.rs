//! `bell dlq`: tasks that failed with no try left.

use api::answer::Moved;
use clap::Subcommand;
use domain::code::{Code, Refusal};
use domain::id::{Kind, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::{Command as Ask, Filter, Request, Target, View};
use domain::task::state::State;
use engine::engine::Engine;
use serde::Serialize;

use crate::commands::task;
use crate::context::Context;
use crate::error::{Error, Result, invalid};
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::{theme, time};
use crate::{lookup, parse};

/// Look after tasks that failed with no try left
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Requeue(Requeue),
    Drop(Drop),
}

/// List the dead letters
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell dlq list --kind command")]
struct List {
    /// Only tasks of this kind
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Option<Kind>,
    /// At most this many
    #[arg(long, default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
}

/// Show a dead letter with its tries
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell dlq show build")]
struct Show {
    /// The task's id, or its key in the newest run
    id: String,
}

/// Try dead letters again, with all their tries
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell dlq requeue build
  bell dlq requeue --kind command
  bell dlq requeue --all --yes")]
struct Requeue {
    #[command(flatten)]
    which: Which,
}

/// Take tasks out of the dead letters for good; they stay failed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bell dlq drop build\n  bell dlq drop --all --yes")]
struct Drop {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The task's id, or its key in the newest run
    #[arg(required_unless_present_any = ["all", "kind"], conflicts_with_all = ["all", "kind"])]
    id: Option<String>,
    /// Every dead letter
    #[arg(long)]
    all: bool,
    /// Every dead letter of this kind
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Option<Kind>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        match self.command {
            Command::List(args) => args.run(context, &engine).await,
            Command::Show(args) => args.run(context, &engine).await,
            Command::Requeue(args) => {
                let ask = Ask::Retry { at: None };
                // A task that is tried again can be cancelled: where nobody can be asked, it just happens.
                change(context, &engine, args.which, ask, "try again", true).await
            }
            Command::Drop(args) => change(context, &engine, args.which, Ask::DropLetter, "drop", false).await,
        }
    }
}

fn letters(kind: Option<Kind>) -> Filter {
    Filter {
        states: vec![State::Failed],
        kind,
        dead_letters: true,
        ..Filter::default()
    }
}

impl List {
    async fn run(self, context: &Context, engine: &Engine) -> Result {
        let views = engine
            .store
            .list(&engine.project, letters(self.kind), Seq(0), self.limit)
            .await?;
        if context.ui.json {
            return task::page(context, engine, views, self.limit).await;
        }
        context.ui.text(&table(&views, engine))?;
        if !views.is_empty() {
            context
                .ui
                .hint("`bell dlq requeue ID` tries one again, --all every one")?;
        }
        Ok(Exit::DONE)
    }
}

fn table(views: &[View], engine: &Engine) -> String {
    if views.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let now = engine.now().wall;
    let mut table = Table::new(&["ID", "REASON", "NAME", "ERROR", ">TRIES", ">FAILED"]);
    for view in views {
        let task = &view.task;
        let error = view.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
        let name = match &view.body.key {
            Some(key) => key.to_string(),
            None => api::task::name(&view.body, &task.id),
        };
        table.row([
            task.id.to_string().into(),
            task.reason
                .map_or_else(String::new, |reason| reason.to_string())
                .into(),
            name.into(),
            error.map_or("", |failure| failure.message.as_str()).into(),
            task.attempts.to_string().into(),
            task.finished_at
                .map_or_else(String::new, |at| time::age(at, now))
                .into(),
        ]);
    }
    table.render()
}

fn not_dead(view: &View) -> Refusal {
    let task = &view.task;
    let detail = format!("task {} is {} and not in the dead letters", task.id, task.state);
    Refusal::new(Code::InvalidTransition, detail).help("`bell dlq list` shows what is")
}

impl Show {
    async fn run(self, context: &Context, engine: &Engine) -> Result {
        let view = lookup::view(engine, &self.id).await?;
        if !view.task.dead_letter {
            return Err(not_dead(&view).into());
        }
        let spec = view.body.read_spec().ok();
        let task = lookup::whole(engine, view).await?;
        context
            .ui
            .answer(&task, |task| task::people(task, spec.as_ref(), engine.now().wall))?;
        context
            .ui
            .hint(&format!("`bell dlq requeue {}` tries it again", self.id))?;
        Ok(Exit::DONE)
    }
}

/// What happened to each of many.
#[derive(Debug, Serialize)]
struct Changed {
    tasks: Vec<Moved>,
    count: usize,
}

async fn change(
    context: &Context,
    engine: &Engine,
    which: Which,
    ask: Ask,
    verb: &str,
    mild: bool,
) -> Result {
    let ids = match &which.id {
        Some(id) => {
            let view = lookup::view(engine, id).await?;
            if !view.task.dead_letter {
                return Err(not_dead(&view).into());
            }
            vec![view.task.id]
        }
        None => all(engine, which.kind.clone()).await?,
    };
    if which.id.is_none() && !which.yes {
        confirm(context, ids.len(), verb, mild).await?;
    }
    let mut changed = Changed {
        tasks: Vec::with_capacity(ids.len()),
        count: 0,
    };
    for ids in ids.chunks(BATCH) {
        let request = |id: &TaskId| Request {
            target: Target::Id(id.clone()),
            command: ask.clone(),
            actor: engine.actor.clone(),
            idempotency_key: None,
        };
        let requests = ids.iter().map(request).collect();
        let replies = engine
            .store
            .change(&engine.project, requests, engine.now())
            .await?;
        for reply in replies {
            changed.tasks.push(Moved::from(reply?));
        }
    }
    changed.count = changed.tasks.len();
    context.ui.answer(&changed, people)?;
    Ok(Exit::DONE)
}

/// Tasks changed in one transaction.
const BATCH: usize = 250;

async fn all(engine: &Engine, kind: Option<Kind>) -> Result<Vec<TaskId>> {
    let (mut ids, mut after) = (Vec::new(), Seq(0));
    loop {
        let page = engine
            .store
            .list(&engine.project, letters(kind.clone()), after, PAGE_MAX)
            .await?;
        let whole = page.len() < PAGE_MAX;
        after = page.last().map_or(after, |view| view.task.seq);
        ids.extend(page.into_iter().map(|view| view.task.id));
        if whole {
            return Ok(ids);
        }
    }
}

async fn confirm(context: &Context, count: usize, verb: &str, mild: bool) -> Result<()> {
    if count == 0 || (mild && !context.ui.can_ask()) {
        return Ok(());
    }
    if !context.ui.can_ask() {
        let detail = format!("{count} dead letters would be affected, and nobody can be asked");
        return Err(invalid(detail).help("pass --yes").into());
    }
    let (ui, question) = (context.ui, format!("{verb} {count} tasks?"));
    let asked = tokio::task::spawn_blocking(move || ui.ask(&question)).await;
    match asked.unwrap_or(Ok(false))? {
        true => Ok(()),
        false => Err(Error::Told(Exit::NO)),
    }
}

fn people(changed: &Changed) -> String {
    if changed.tasks.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let line = |moved: &Moved| format!("{}  {}\n", theme::state_text(moved.state, None), moved.task);
    changed.tasks.iter().map(line).collect()
}
