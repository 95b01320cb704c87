//! `bell audit anchor`

use domain::anchor;
use domain::id::{EventNo, Project};
use engine::engine::Engine;
use serde::Serialize;

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

#[derive(Debug, Serialize)]
struct Anchors {
    anchors: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    project: Project,
    number: EventNo,
    digest: String,
    /// What `bell audit verify --anchor` takes.
    anchor: String,
}

impl Anchor {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let mut anchors = Vec::new();
        for project in projects(context, engine).await? {
            let head = engine.store.chain(&project).await?;
            let anchor = anchor::Anchor {
                project: project.clone(),
                head,
            };
            anchors.push(Line {
                project,
                number: head.last,
                digest: head.digest.to_string(),
                anchor: anchor.to_string(),
            });
        }
        let text = |list: &Anchors| {
            list.anchors
                .iter()
                .map(|line| format!("{}\n", line.anchor))
                .collect()
        };
        context.ui.answer(&Anchors { anchors }, text)?;
        Ok(Exit::DONE)
    }
}
