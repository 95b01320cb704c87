//! `bell audit verify`

use clap::Subcommand;
use domain::event::{Broken, ChainHead, Digest, Verifier};
use domain::id::{EventNo, Project};
use domain::limits::PAGE_MAX;
use engine::engine::Engine;
use serde::Serialize;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::output::theme::{self, paint};

/// Prove that the log of events is whole
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
}

/// Follow the chain of digests from the first event to the last
///
/// Finds events that were edited, removed or moved, and names the first; then the exit status is 1. Covers every
/// project, unless --project names one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bell audit verify\n  bell audit verify --project web --json")]
struct Verify {}

#[derive(Debug, Serialize)]
struct Verdict {
    intact: bool,
    projects: Vec<Proof>,
}

/// How far the log of a project is proven.
#[derive(Debug, Serialize)]
struct Proof {
    project: Project,
    intact: bool,
    /// Up to here every event is what was written.
    proven_to: EventNo,
    /// The digest of that event: the same head proves the same history.
    digest: String,
    first_bad: Option<EventNo>,
    detail: Option<String>,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let Command::Verify(_) = self.command;
        let engine = context.engine().await?;
        let projects = match context.settings.is_default("project") {
            true => engine.store.projects().await?,
            false => vec![engine.project.clone()],
        };
        let mut proofs = Vec::with_capacity(projects.len());
        for project in projects {
            proofs.push(prove(&engine, project).await?);
        }
        let verdict = Verdict {
            intact: proofs.iter().all(|proof| proof.intact),
            projects: proofs,
        };
        context.ui.answer(&verdict, people)?;
        Ok(Exit::of(verdict.intact))
    }
}

async fn prove(engine: &Engine, project: Project) -> Result<Proof> {
    let head = engine.store.chain(&project).await?;
    let mut reached = ChainHead {
        last: EventNo(0),
        digest: Digest::root(&project),
    };
    let ended = follow(engine, &project, &head, &mut reached).await?;
    Ok(Proof {
        intact: ended.is_ok(),
        proven_to: reached.last,
        digest: reached.digest.to_string(),
        first_bad: ended.as_ref().err().map(first_bad),
        detail: ended.err().map(|broken| describe(&broken)),
        project,
    })
}

/// Events that come while we read belong to the next proof.
async fn follow(
    engine: &Engine,
    project: &Project,
    head: &ChainHead,
    reached: &mut ChainHead,
) -> Result<std::result::Result<ChainHead, Broken>> {
    let mut verifier = Verifier::new(project);
    loop {
        let page = engine.store.events(project, reached.last, PAGE_MAX).await?;
        let whole = page.len() < PAGE_MAX;
        for seen in page.iter().take_while(|seen| seen.event.no <= head.last) {
            if let Err(broken) = verifier.follow(&seen.event) {
                return Ok(Err(broken));
            }
            *reached = ChainHead {
                last: seen.event.no,
                digest: seen.event.digest,
            };
        }
        let beyond = page.iter().find(|seen| seen.event.no > head.last);
        if let Some(seen) = beyond
            && engine.store.chain(project).await? == *head
        {
            // Nothing was written meanwhile, so this event stands behind the end of the log.
            return Ok(Err(Broken::Edited(seen.event.no)));
        }
        if whole || beyond.is_some() {
            return Ok(verifier.finish(head));
        }
    }
}

fn first_bad(broken: &Broken) -> EventNo {
    match broken {
        Broken::Missing(no) | Broken::Edited(no) => *no,
        Broken::CutOff { last, .. } => EventNo(last.0 + 1),
    }
}

fn describe(broken: &Broken) -> String {
    match broken {
        Broken::Missing(no) => format!("event {} is missing or stands elsewhere", no.0),
        Broken::Edited(no) => format!("event {} is not what was written", no.0),
        Broken::CutOff { last, head } => {
            format!("the log ends with event {}, but {} were written", last.0, head.0)
        }
    }
}

fn people(verdict: &Verdict) -> String {
    if verdict.projects.is_empty() {
        return "no events\n".to_owned();
    }
    let line = |proof: &Proof| match &proof.detail {
        None => format!(
            "{}  {}: {} events proven, head {}\n",
            paint(theme::GOOD, "✓ intact"),
            proof.project,
            proof.proven_to.0,
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
