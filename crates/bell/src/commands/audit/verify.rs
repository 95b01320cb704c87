//! `bell audit verify`

use std::fs::File;
use std::io::Read;

use api::project::{Proof, Proofs};
use domain::anchor::Anchor;
use domain::limits::TEXT_BYTES;
use engine::engine::Engine;

use super::projects;
use crate::context::Context;
use crate::error::{Result, invalid};
use crate::exit::Exit;
use crate::output::theme::{self, paint};

/// Follow the chain of digests from the first event to the last
///
/// Finds events that were edited, removed or moved, and names the first; then the exit status is 1. Covers every
/// project, unless --project names one. With an anchor that was kept elsewhere it also finds a log that was rewritten whole.
/// Where the beginning was pruned the proof begins behind it, at the point that the log itself tells of.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell audit verify
  bell audit verify --project web --json
  bell audit verify --anchor /mnt/elsewhere/anchors")]
pub(super) struct Verify {
    /// Prove that the log leads through this too: what `bell audit anchor` printed, or a file of such lines
    #[arg(long, value_name = "FILE|TEXT")]
    anchor: Vec<String>,
}

impl Verify {
    pub(super) async fn run(self, context: &Context, engine: &Engine) -> Result {
        let anchors = self.anchors()?;
        let mut projects = projects(context, engine).await?;
        let anchored = anchors.iter().map(|anchor| &anchor.project);
        projects.extend(
            anchored
                .filter(|_| context.settings.is_default("project"))
                .cloned(),
        );
        projects.sort_unstable();
        projects.dedup();
        let verdict = desk::audit::verify(engine, projects, &anchors).await?;
        context.ui.answer(&verdict, people)?;
        Ok(Exit::of(verdict.intact))
    }

    /// What was given: a file is one that exists, everything else is taken for the text itself.
    fn anchors(&self) -> Result<Vec<Anchor>> {
        let mut anchors = Vec::new();
        for given in &self.anchor {
            if given.starts_with("bell-anchor:") {
                anchors.push(given.parse()?);
                continue;
            }
            let wrong = |why: String| invalid(format!("--anchor {}: {why}", given.escape_debug()));
            let mut text = String::new();
            let file = File::open(given).map_err(|e| wrong(e.to_string()))?;
            file.take(TEXT_BYTES as u64 + 1)
                .read_to_string(&mut text)
                .map_err(|e| wrong(e.to_string()))?;
            if text.len() > TEXT_BYTES {
                return Err(wrong(format!("more than {TEXT_BYTES} bytes")).into());
            }
            let read = domain::anchor::anchors(&text)?;
            if read.is_empty() {
                return Err(wrong("no anchor stands in it".to_owned()).into());
            }
            anchors.extend(read);
        }
        Ok(anchors)
    }
}

fn people(verdict: &Proofs) -> String {
    if verdict.projects.is_empty() {
        return "no events\n".to_owned();
    }
    let line = |proof: &Proof| match &proof.detail {
        None => format!(
            "{}  {}: {} events proven{}{}, head {}\n",
            paint(theme::GOOD, "✓ intact"),
            proof.project,
            proof.proven_to.0 - proof.begins_with.map_or(0, |first| first.0 - 1),
            proof
                .begins_with
                .map_or_else(String::new, |first| format!(" from event {} on", first.0)),
            match proof.anchors.len() {
                0 => "",
                1 => " through the anchor",
                _ => " through the anchors",
            },
            proof.digest
        ),
        Some(detail) => format!(
            "{}  {}: {detail}; proven up to event {}\n",
            paint(theme::BAD, "✗ broken"),
            proof.project,
            proof.proven_to.0
        ),
    };
    verdict.projects.iter().map(line).collect()
}
