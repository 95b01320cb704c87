//! `bell audit anchor`

use api::project::Anchors;
use engine::engine::Engine;

use super::projects;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Print where the log stands, to be kept elsewhere
///
/// One line for each project, with the number and the digest of its newest event. Keep it where nobody who can write to
/// the store can write: later `bell audit verify --anchor` proves that the log still leads through it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell audit anchor >> /mnt/elsewhere/anchors
  bell audit verify --anchor /mnt/elsewhere/anchors")]
pub(super) struct Anchor {}

impl Anchor {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let projects = projects(context, engine).await?;
        let anchors = desk::audit::anchors(engine, projects).await?;
        let text = |list: &Anchors| {
            let lines = list.anchors.iter();
            lines.map(|line| format!("{}\n", line.anchor)).collect()
        };
        context.ui.answer(&anchors, text)?;
        Ok(Exit::DONE)
    }
}
