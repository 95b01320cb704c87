//! `bell task history`

use api::event::Event;
use api::list::Events;
use desk::find;
use domain::limits::PAGE_MAX;

use crate::commands::events::describe;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::parse;

/// List what happened to a task
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell task history test")]
pub(crate) struct Args {
    /// The task: its id or the beginning of it, or its key in the newest run
    id: String,
    /// Only the newest ones
    #[arg(long, default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let id = find::typed_id(&engine, &self.id).await?;
        let seen = engine.store.history(&engine.project, &id, self.limit).await?;
        let events: Vec<Event> = seen.into_iter().map(Event::from).collect();
        let count = events.len();
        let list = Events {
            events,
            count,
            cursor: None,
        };
        context.ui.answer(&list, people)?;
        Ok(Exit::DONE)
    }
}

fn people(list: &Events) -> String {
    let mut table = Table::new(&["TIME", "EVENT", "DETAIL", "ACTOR"]);
    for event in &list.events {
        table.row([
            event.at.0.to_string().into(),
            event.kind.as_str().into(),
            describe(event).into(),
            event.actor.as_str().into(),
        ]);
    }
    table.render()
}
