//! `bell runs mine`

use api::ask;
use api::mine::Mined;
use clap::ValueEnum;
use engine::engine::Engine;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Propose plans from steps that came again in runs that succeeded
///
/// Prints them as a plan's file, what was seen most often first, with how often that was. A step is a task by its kind and its
/// title without numbers; one waits for another if it did in every run. Where runs asked for different things, the latest stands
/// there and a comment says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell runs mine
  bell runs mine --support 5 --limit 1 > plan.yaml
  bell runs mine --by kind --json")]
pub(super) struct Args {
    /// What this many runs have in common, at the least
    #[arg(long, value_name = "N", default_value_t = 3)]
    support: usize,
    /// And has this many steps, at the least
    #[arg(long, value_name = "N", default_value_t = 2)]
    steps: usize,
    /// Only runs of this plan
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// By what steps are told apart
    #[arg(long, value_enum, default_value_t = By::Title)]
    by: By,
    /// Also what is all of a plan that there is already
    #[arg(long)]
    known: bool,
    /// Propose at most this many
    #[arg(long, value_name = "N", default_value_t = 5)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Title,
    Kind,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let asked = ask::Mine {
            support: Some(self.support),
            steps: Some(self.steps),
            plan: self.plan,
            by: match self.by {
                By::Title => ask::By::Title,
                By::Kind => ask::By::Kind,
            },
            known: self.known,
            limit: Some(self.limit),
        };
        let mined = desk::mine::mine(engine, &asked).await?;
        context.ui.answer(&mined, people)?;
        if mined.cut {
            context
                .ui
                .hint("there was more than is looked at: older runs, very long ones, or too much variety")?;
        }
        if mined.proposals.is_empty() {
            context.ui.hint(&format!(
                "nothing new came again among runs that succeeded ({}); --support 2 and --known ask for less",
                mined.runs
            ))?;
        } else {
            context
                .ui
                .hint("`bell runs mine --limit 1 > plan.yaml` keeps the first, `bell plan check plan.yaml` reads it")?;
        }
        Ok(Exit::DONE)
    }
}

fn people(mined: &Mined) -> String {
    let plans: Vec<&str> = mined
        .proposals
        .iter()
        .map(|proposal| proposal.yaml.as_str())
        .collect();
    plans.join("---\n")
}
