//! `bell store`

mod check;
mod prune;

use std::io::IsTerminal;

use clap::Subcommand;
use domain::code::{Code, Refusal};
use domain::id::Project;
use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::theme::{self, paint};

/// Look after the store itself
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Copy(Copy),
    Migrate(Migrate),
    Prune(prune::Prune),
}

/// Bring the store to the version of this program
///
/// Whatever opens a store does so by itself; this command does nothing else, for those who choose the moment. A SQLite
/// store is backed up first, in the folder `backups` beside it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell store migrate --store postgres://HOST/DATABASE")]
struct Migrate {}

#[derive(Debug, Serialize)]
struct Migrated {
    store: String,
    schema: u32,
}

impl Migrate {
    async fn run(self, context: &Context) -> Result {
        let info = context.engine().await?.store.info();
        let answer = Migrated {
            store: info.url,
            schema: info.schema,
        };
        context.ui.answer(&answer, |answer| {
            format!("{} is at schema {}\n", answer.store, answer.schema)
        })?;
        Ok(Exit::DONE)
    }
}

/// Move a live queue to another store
///
/// Closes the source, carries everything over with its log, compares both sides, and opens the target. Writes to the
/// source are refused from then on, naming the target. After an interruption the same command goes on. Covers every
/// project, unless --project names one. Leases move too, with their whole time ahead of them; cached results stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell store copy .bellwether/bell.db archive/bell.db
  bell store copy .bellwether/bell.db archive/bell.db --project web
  bell store copy .bellwether/bell.db archive/bell.db --abort")]
struct Copy {
    /// The store to move from
    from: String,
    /// The store to move to; made when it is not there
    to: String,
    /// Open the source again; only as long as the target has not been opened
    #[arg(long)]
    abort: bool,
}

#[derive(Debug, Serialize)]
struct Copied {
    from: String,
    to: String,
    projects: Vec<CopiedProject>,
}

#[derive(Debug, Serialize)]
struct CopiedProject {
    project: Project,
    tasks: u64,
    events: u64,
    /// Where the chain of events ends, on both sides.
    digest: String,
}

impl Copy {
    async fn run(self, context: &Context) -> Result {
        let open = |url: &str, create: bool| {
            let options = store::Options {
                durability: context.settings.durability(),
                create,
                accept_volatile: context.accept_volatile,
            };
            store::open(url, options)
        };
        let from = open(&self.from, false)?;
        let to = open(&self.to, !self.abort)?;
        let (from_url, to_url) = (from.info().url, to.info().url);
        if from_url == to_url {
            let detail = format!("{from_url} cannot be copied into itself");
            return Err(Refusal::new(Code::InvalidArgument, detail).into());
        }
        let projects = match context.settings.is_default("project") {
            true => from.projects().await?,
            false => vec![context.settings.project()],
        };
        let mut copied = Vec::with_capacity(projects.len());
        for project in projects {
            if self.abort {
                store::transfer::abort(&*from, &*to, &project).await?;
                continue;
            }
            let bar = Bar::new(context, &project);
            let moved = store::transfer::copy(
                &*from,
                &*to,
                &project,
                || context.now(),
                |at| {
                    bar.show(at.tasks + at.events, at.of_tasks + at.of_events);
                },
            )
            .await?;
            bar.end();
            copied.push(CopiedProject {
                project,
                tasks: moved.tasks,
                events: moved.events,
                digest: moved.digest,
            });
        }
        let answer = Copied {
            from: from_url,
            to: to_url,
            projects: copied,
        };
        context
            .ui
            .answer(&answer, |answer| copied_text(answer, self.abort))?;
        Ok(Exit::DONE)
    }
}

fn copied_text(answer: &Copied, abort: bool) -> String {
    if abort {
        return format!("{} is open again\n", answer.from);
    }
    let mut text = String::new();
    for moved in &answer.projects {
        let done = paint(theme::GOOD, "✓ moved");
        let (project, tasks, events) = (&moved.project, moved.tasks, moved.events);
        let digest = &moved.digest[..16];
        text += &format!("{done}  {project}  {tasks} tasks, {events} events; the chain ends at {digest}\n");
    }
    text + &format!("use --store {} from now on\n", answer.to)
}

/// How far a project has come, on a terminal.
struct Bar(Option<indicatif::ProgressBar>);

impl Bar {
    fn new(context: &Context, project: &Project) -> Bar {
        if context.ui.json || context.quiet || !std::io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = indicatif::ProgressBar::new(0);
        let style = indicatif::ProgressStyle::with_template("{msg} {bar:30} {percent} %, {eta} left");
        bar.set_style(style.expect("the template is right"));
        bar.set_message(project.to_string());
        Bar(Some(bar))
    }

    fn show(&self, done: u64, of: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(of);
            bar.set_position(done);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Check(check) => check.run(context).await,
            Command::Copy(copy) => copy.run(context).await,
            Command::Migrate(migrate) => migrate.run(context).await,
            Command::Prune(prune) => prune.run(context).await,
        }
    }
}
