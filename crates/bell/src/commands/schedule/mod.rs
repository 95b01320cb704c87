//! `bell schedule`: work that is handed in at given times.

mod add;
mod edit;
mod list;
mod times;

use std::path::Path;

use clap::Subcommand;
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal, nearest};
use domain::event::Kind;
use domain::id::ScheduleName;
use domain::limits::PAGE_MAX;
use domain::schedule::{Schedule, Work};
use engine::engine::Engine;
use serde::Serialize;

use super::plan::file::load_text;
use super::task::Asked;
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::output::theme;

/// Hand work in at given times
///
/// Schedules fire while a worker of the project, or a plan, is running somewhere: `bell worker` stays up for them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Box<add::Args>),
    List(list::List),
    Edit(Box<edit::Edit>),
    Remove(edit::Remove),
    Next(list::Next),
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        match self.command {
            Command::Add(args) => args.run(context).await,
            Command::List(args) => args.run(context).await,
            Command::Edit(args) => args.run(context).await,
            Command::Remove(args) => args.run(context).await,
            Command::Next(args) => args.run(context).await,
        }
    }
}

async fn find(engine: &Engine, name: &ScheduleName) -> Result<Option<Entry>> {
    let keys = [name.as_str().into()];
    let mut found = engine
        .store
        .entries_of(&engine.project, Book::Schedule, &keys)
        .await?;
    Ok(found.pop())
}

async fn existing(engine: &Engine, name: &ScheduleName) -> Result<(Entry, Schedule)> {
    if let Some(entry) = find(engine, name).await? {
        let schedule = entry.read()?;
        return Ok((entry, schedule));
    }
    let page = engine
        .store
        .entries(&engine.project, Book::Schedule, "", PAGE_MAX)
        .await?;
    let detail = format!("project {} has no schedule `{name}`", engine.project);
    let refusal = Refusal::new(Code::ScheduleNotFound, detail);
    Err(
        match nearest(name.as_str(), page.iter().map(|entry| &*entry.key)) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None => refusal.help("`bell schedule list` shows the schedules"),
        }
        .into(),
    )
}

/// Writes a schedule in place of what was read, or takes it away.
async fn write(
    engine: &Engine,
    name: &ScheduleName,
    before: Option<&Entry>,
    then: Option<&Schedule>,
    kind: Kind,
) -> Result<()> {
    #[derive(Serialize)]
    struct Named<'a> {
        schedule: &'a ScheduleName,
        when: Option<String>,
    }
    let edit = match then {
        Some(schedule) => Edit::put(Entry::new(Book::Schedule, name.as_str(), schedule).due(schedule.next)),
        None => Edit::remove(Book::Schedule, name.as_str()),
    };
    let data = Named {
        schedule: name,
        when: then.map(|schedule| schedule.when.to_string()),
    };
    let edits = vec![edit.instead_of(before).with_event(kind, &data)];
    let (store, project) = (&engine.store, &engine.project);
    store
        .edit(project, edits, engine.actor.clone(), engine.now())
        .await?;
    Ok(())
}

/// The work that a plan's file describes. It must be without faults now, for nobody watches when it fires.
pub(super) fn plan(context: &Context, path: &Path, asked: &Asked) -> Result<Work> {
    only_a_plan(context, asked)?;
    let (loaded, text) = load_text(context, path)?;
    if !loaded.plan.unsupported.is_empty() {
        return Err(Refusal::from(loaded.plan.unsupported).into());
    }
    let file = loaded.path.display().to_string();
    Ok(Work::Plan { file, text })
}

/// Flags of a task would be ignored beside a plan.
fn only_a_plan(context: &Context, asked: &Asked) -> Result<()> {
    match asked.is_empty(context)? {
        true => Ok(()),
        false => {
            let refusal = invalid("a plan says itself what its tasks ask for");
            Err(refusal.help("write it into the plan").into())
        }
    }
}

/// A schedule in a line.
fn line(schedule: &api::schedule::Schedule) -> String {
    let next = schedule
        .next
        .map_or_else(|| "no time is left".to_owned(), |next| format!("next {}", next.0));
    format!("{}  {}\n", theme::paint(theme::GOOD, &schedule.name), next)
}

/// When it fires, as people read it.
fn when(schedule: &api::schedule::Schedule) -> String {
    match (&schedule.cron, &schedule.tz, schedule.every, schedule.at) {
        (Some(cron), Some(tz), _, _) => format!("{cron} ({tz})"),
        (_, _, Some(seconds), _) => {
            let span = std::time::Duration::from_secs_f64(seconds);
            format!("every {}", domain::time::show_duration(span))
        }
        (_, _, _, Some(at)) => format!("at {}", at.0),
        _ => String::new(),
    }
}
