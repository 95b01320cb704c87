//! `bell schedule list` and `bell schedule next`

use api::schedule::{Schedule, Schedules, Times};
use api::time::Time;
use domain::book::Book;
use domain::id::ScheduleName;
use domain::limits::PAGE_MAX;

use super::{existing, when};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::time;
use crate::parse;

/// List the schedules with their next times
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell schedule list --json")]
pub(super) struct List {
    /// Go on after this name: the cursor of the page before
    #[arg(long, value_name = "CURSOR", default_value = "")]
    after: String,
    /// List at most this many
    #[arg(long, value_name = "N", value_parser = parse::limit, default_value_t = PAGE_MAX)]
    limit: usize,
}

/// Tell the next times of a schedule
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell schedule next nightly -n 3")]
pub(super) struct Next {
    /// The schedule's name
    #[arg(value_parser = parse::name::<ScheduleName>)]
    name: ScheduleName,
    /// Tell so many
    #[arg(short = 'n', long, value_name = "N", value_parser = parse::limit, default_value = "5")]
    count: usize,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let (store, project) = (&engine.store, &engine.project);
        let entries = store
            .entries(project, Book::Schedule, &self.after, self.limit)
            .await?;
        let cursor = entries
            .last()
            .filter(|_| entries.len() == self.limit)
            .map(|entry| entry.key.to_string());
        let schedules = entries
            .iter()
            .map(Schedule::read)
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let list = Schedules {
            count: schedules.len(),
            schedules,
            cursor,
        };
        context.ui.answer(&list, |list| people(list, engine.now().wall))?;
        Ok(Exit::DONE)
    }
}

fn people(list: &Schedules, now: domain::time::Timestamp) -> String {
    if list.schedules.is_empty() {
        return "no schedules\n".to_owned();
    }
    let mut table = Table::new(&["NAME", "NEXT", "WHEN", ">FIRED", ">MISSED"]);
    for schedule in &list.schedules {
        let next = schedule.next.map(|next| time::relative(next, now));
        table.row([
            schedule.name.as_str().into(),
            next.unwrap_or_else(|| "never".to_owned()).into(),
            when(schedule).into(),
            schedule.fired.to_string().into(),
            schedule.missed.to_string().into(),
        ]);
    }
    table.render()
}

impl Next {
    pub(super) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let (_, schedule) = existing(&engine, &self.name).await?;
        let first = schedule.next.into_iter();
        let times = first.flat_map(|first| schedule.when.from(first));
        let answer = Times {
            name: self.name.to_string(),
            times: times.take(self.count).map(Time).collect(),
        };
        let now = engine.now().wall;
        context.ui.answer(&answer, |answer| {
            let line = |at: &Time| format!("{}\n", time::both(*at, now));
            match answer.times.is_empty() {
                true => "no time is left\n".to_owned(),
                false => answer.times.iter().map(line).collect(),
            }
        })?;
        Ok(Exit::DONE)
    }
}
