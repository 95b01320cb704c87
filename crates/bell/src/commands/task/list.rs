//! `bell task list`

use api::task::score_in;
use desk::find;
use desk::task::Page;
use domain::id::{AgentName, Kind, Seq, TeamName};
use domain::limits::PAGE_MAX;
use domain::store::{Filter, View};
use domain::task::order::Order;
use domain::task::spec::Source;
use domain::task::state::State;
use domain::time::Now;
use engine::engine::Engine;
use engine::order::order;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::{theme, time};
use crate::parse;

/// List tasks in the order in which they were added
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell task list --state ready --state running
  bell task list --run release --state failed
  bell task list --json --limit 100 --cursor 4711")]
pub(crate) struct Args {
    /// Only tasks in this state; may be repeated
    #[arg(long, value_parser = parse::state)]
    state: Vec<State>,
    /// Only tasks of this kind
    #[arg(long, value_parser = parse::name::<Kind>)]
    kind: Option<Kind>,
    /// Only tasks from this source
    #[arg(long, value_parser = parse::source)]
    source: Option<Source>,
    /// Only tasks of this run, or of the newest run of this plan
    #[arg(long)]
    run: Option<String>,
    /// Only tasks pinned to this agent
    #[arg(long, value_parser = parse::name::<AgentName>)]
    agent: Option<AgentName>,
    /// Only tasks for the members of this team
    #[arg(long, value_parser = parse::name::<TeamName>)]
    team: Option<TeamName>,
    /// Only subtasks of this task
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = PAGE_MAX, value_parser = parse::limit)]
    limit: usize,
    /// Go on where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        find::catch_up(&engine).await?;
        let after = self.cursor.as_deref().map_or(Ok(Seq(0)), desk::task::cursor)?;
        let limit = self.limit;
        let filter = self.filter(&engine).await?;
        let found = desk::task::page(&engine, filter, after, limit).await?;
        page(context, &engine, found).await
    }

    async fn filter(self, engine: &Engine) -> Result<Filter> {
        let run = match &self.run {
            Some(run) => Some(find::typed_run(engine, run).await?.id),
            None => None,
        };
        let parent = match &self.parent {
            Some(id) => Some(find::typed_id(engine, id).await?),
            None => None,
        };
        Ok(Filter {
            states: self.state,
            run,
            kind: self.kind,
            source: self.source,
            agent: self.agent,
            team: self.team,
            parent,
            ..Filter::default()
        })
    }
}

/// Prints a page of tasks.
pub(crate) async fn page(context: &Context, engine: &Engine, page: Page) -> Result {
    if !context.ui.json {
        let now = engine.now();
        context.ui.text(&table(&page.views, &order(engine).await?, now))?;
        if let Some(Seq(next)) = page.next {
            context.ui.hint(&format!("there is more: --cursor {next}"))?;
        }
        return Ok(Exit::DONE);
    }
    let page = desk::task::whole(engine, page).await?;
    context.ui.answer(&page, |_| String::new())?;
    Ok(Exit::DONE)
}

/// Tasks for people.
pub(crate) fn table(views: &[View], order: &Order, now: Now) -> String {
    if views.is_empty() {
        return "no tasks\n".to_owned();
    }
    let mut table = Table::new(&["STATE", "ID", "NAME", "KIND", ">SCORE", ">AGE"]);
    for view in views {
        let task = &view.task;
        let name = match &view.body.key {
            Some(key) => key.to_string(),
            None => api::task::name(&view.body, &task.id),
        };
        table.row([
            theme::state(task.state, task.reason).into(),
            task.id.to_string().into(),
            name.into(),
            view.class.kind.as_str().into(),
            format!("{:.1}", score_in(order, task, now).value()).into(),
            time::age(task.submitted_at, now.wall).into(),
        ]);
    }
    table.render()
}
