//! `bell plan graph`

use std::path::PathBuf;

use clap::ValueEnum;

use super::check::expected;
use super::file::load;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Draw a plan: who waits for whom, and which way decides how long it takes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell plan graph plan.yaml                        (Mermaid, for Markdown)
  bell plan graph plan.yaml --format svg > plan.svg
  bell plan graph plan.yaml --format dot | dot -Tpng > plan.png")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
    Svg,
    Json,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let loaded = load(context, &self.plan)?;
        let expected = expected(context, &loaded).await;
        let graph = desk::plan::graph(&loaded.plan, &expected, context.now().wall);
        let format = if context.ui.json {
            Format::Json
        } else {
            self.format
        };
        let text = match format {
            Format::Mermaid => draw::mermaid(&graph),
            Format::Dot => draw::dot(&graph),
            Format::Svg => draw::svg(&graph),
            Format::Json => draw::json(&graph).to_string(),
        };
        context.ui.line(text.trim_end())?;
        Ok(Exit::DONE)
    }
}
