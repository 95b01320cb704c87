//! `bell queue`

mod problems;
mod stale;
mod stats;

use api::queue::{Plan, Status};
use clap::Subcommand;
use desk::find;
use domain::task::state::State;
use domain::time::Timestamp;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::{table::fields, theme, time};

/// See where everything stands
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(StatusArgs),
    Plan(PlanArgs),
    Stale(stale::Args),
    Stats(stats::Args),
    Problems(problems::Args),
}

/// Count the tasks of a project by state
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell queue status --json")]
struct StatusArgs {}

/// Tell in which order some tasks can be done
///
/// Tasks of one batch can be done side by side. A task comes after another also when it waits for it through tasks that are not
/// named.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell queue plan build test ship")]
struct PlanArgs {
    /// Ids, or keys in the newest run
    ids: Vec<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let engine = context.engine().await?;
        if let Command::Problems(args) = self.command {
            // Before anything is caught up with: that something has to be is a problem too.
            return args.run(context, &engine).await;
        }
        find::catch_up(&engine).await?;
        match self.command {
            Command::Status(_) => {
                let status = engine.store.status(&engine.project).await?;
                let answer = Status::from(status.clone());
                context
                    .ui
                    .answer(&answer, |answer| people(answer, &status, engine.now().wall))?;
            }
            Command::Plan(args) => {
                let mut tasks = Vec::with_capacity(args.ids.len());
                for text in &args.ids {
                    let view = find::typed(&engine, text).await?;
                    tasks.push((view.task.seq, view.task.id));
                }
                let plan = desk::queue::batches(&engine, tasks).await?;
                context.ui.answer(&plan, order)?;
            }
            Command::Stale(args) => return args.run(context, &engine).await,
            Command::Stats(args) => return args.run(context, &engine).await,
            Command::Problems(_) => {}
        }
        Ok(Exit::DONE)
    }
}

fn people(answer: &Status, status: &domain::store::Status, now: Timestamp) -> String {
    if answer.total_tasks == 0 {
        return "no tasks\n".to_owned();
    }
    let there = State::ALL
        .into_iter()
        .filter(|state| status.counts.of(*state) > 0);
    let mut text: String = there
        .map(|state| {
            let (word, style) = theme::state(state, None);
            format!(
                "{}{:>8}\n",
                theme::paint(style, &format!("{word:<14}")),
                status.counts.of(state)
            )
        })
        .collect();
    text += &format!("{:<14}{:>8}\n\n", "total", answer.total_tasks);
    text + &fields(&[
        ("mean score", Some(answer.avg_priority.to_string())),
        ("longest chain", Some(answer.max_depth.to_string())),
        (
            "dead letters",
            (answer.dead_letters > 0).then(|| answer.dead_letters.to_string()),
        ),
        (
            "oldest waiting",
            answer.oldest_pending.map(|at| time::both(at, now)),
        ),
        ("newest", answer.newest_task.map(|at| time::both(at, now))),
    ])
}

fn order(plan: &Plan) -> String {
    if plan.batches.is_empty() {
        return "no tasks\n".to_owned();
    }
    let mut text = String::new();
    for (number, batch) in plan.batches.iter().enumerate() {
        let ids: Vec<String> = batch.iter().map(ToString::to_string).collect();
        text += &format!("{:>3}  {}\n", number + 1, ids.join("  "));
    }
    text
}
