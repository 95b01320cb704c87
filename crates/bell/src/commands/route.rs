//! `bell route`

use api::agent::{Balanced, Routed};
use api::ask;
use desk::find;
use domain::agent::route::Strategy;
use domain::id::AgentName;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;
use crate::output::theme::{self, paint};
use crate::parse;

/// Choose the agent for a task, and say why
///
/// Of those that have everything the task needs and room for it, the best by the strategy: `quality` is success less load,
/// `bandit` gives new ones a chance now and then, `capability` looks at what was done of what is needed, `team` at the agent and its
/// team alike. What is for a team goes to a member of it. Nothing is written unless `--assign` gives the task to the chosen one,
/// which keeps the decision with the task.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell route review
  bell route review --strategy bandit --exclude ann --assign
  bell route --rebalance")]
pub(crate) struct Args {
    /// The task's id, or its key in the newest run
    #[arg(required_unless_present = "rebalance")]
    id: Option<String>,
    /// By what to choose: quality, bandit, capability or team
    #[arg(long, value_name = "NAME", default_value = "quality", value_parser = parse::name::<Strategy>)]
    strategy: Strategy,
    /// Not this one
    #[arg(long, value_name = "AGENT", value_parser = parse::name::<AgentName>, conflicts_with = "rebalance")]
    exclude: Vec<AgentName>,
    /// Give the task to the chosen one
    #[arg(long, conflicts_with = "rebalance")]
    assign: bool,
    /// Move routed work that nobody has begun from who has much to who has little
    #[arg(long, conflicts_with = "id")]
    rebalance: bool,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        let Some(id) = &self.id else {
            let strategy = self.strategy;
            let answer = desk::agent::rebalance(&engine, ask::Rebalance { strategy }).await?;
            context.ui.answer(&answer, told)?;
            return Ok(Exit::DONE);
        };
        let view = find::typed(&engine, id).await?;
        let asked = ask::Route {
            strategy: self.strategy,
            exclude: self.exclude,
            assign: self.assign,
        };
        let answer = desk::agent::route(&engine, view, &asked).await?;
        context.ui.answer(&answer, people)?;
        if !self.assign {
            context
                .ui
                .hint("--assign gives it to the chosen one; `bell task why` shows the decision then")?;
        }
        Ok(Exit::DONE)
    }
}

fn people(answer: &Routed) -> String {
    let chosen = paint(theme::BOLD, answer.selected.as_str());
    let mut text = format!("{chosen}, {}\n", answer.reason);
    let mut table = Table::new(&[">SCORE", "AGENT", "BECAUSE"]);
    for candidate in &answer.candidates {
        table.row([
            format!("{:.3}", candidate.score).into(),
            candidate.agent.to_string().into(),
            candidate.reason.clone().into(),
        ]);
    }
    text += &table.render();
    text
}

fn told(answer: &Balanced) -> String {
    let moved = answer.moved.iter();
    let mut text: String = moved
        .map(|moved| format!("{}: from {} to {}\n", moved.task, moved.from, moved.to))
        .collect();
    text += match (answer.moved.is_empty(), answer.uneven) {
        (_, true) => {
            "some agent still has much more to do than another, and nothing that waits can be moved\n"
        }
        (true, false) => "the agents have about as much to do\n",
        (false, false) => "",
    };
    text
}
