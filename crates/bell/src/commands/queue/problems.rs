//! `bell queue problems`

use domain::problem::Problem;
use engine::engine::Engine;
use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::Table;

/// List what is stuck, why, and what to do about it
///
/// Looks and changes nothing. The exit status is 1 when something is stuck.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bell queue problems --json")]
pub(super) struct Args {}

#[derive(Debug, Serialize)]
struct Problems {
    problems: Vec<Problem>,
    count: usize,
}

impl Args {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let problems = engine::health::stuck(engine).await?;
        let count = problems.len();
        context
            .ui
            .answer(&Problems { problems, count }, |answer| table(&answer.problems))?;
        Ok(Exit::of(count == 0))
    }
}

fn table(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "nothing is stuck\n".to_owned();
    }
    let mut table = Table::new(&["WHAT", "CAUSE", "CURE"]);
    for problem in problems {
        table.row([
            problem.subject.as_str().into(),
            problem.cause.as_str().into(),
            problem.cure.as_str().into(),
        ]);
    }
    table.render()
}
