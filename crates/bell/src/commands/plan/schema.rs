//! `bell plan schema`

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Print the JSON Schema of plans
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  bell plan schema > plan.schema.json
Editors use it with this first line in a plan:
  # yaml-language-server: $schema=plan.schema.json")]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let text = serde_json::to_string_pretty(&domain::plan::schema()).expect("a schema serialises");
        context.ui.line(&text)?;
        Ok(Exit::DONE)
    }
}
