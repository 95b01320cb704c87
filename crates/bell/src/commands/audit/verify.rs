//! `bell audit verify`

use std::fs::File;
use std::io::Read;

use domain::anchor::Anchor;
use domain::book::Book;
use domain::event::{Broken, ChainHead, Event, Kind, Verifier};
use domain::id::{EventNo, Project};
use domain::limits::{PAGE_MAX, TEXT_BYTES};
use domain::prune::{BEGINNING, Beginning};
use engine::engine::Engine;
use serde::{Deserialize, Serialize};

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
    /// The first event that is left, where the beginning has been pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    begins_with: Option<EventNo>,
    /// Up to here every event is what was written.
    proven_to: EventNo,
    /// The digest of that event: the same head proves the same history.
    digest: String,
    /// The anchors that the log leads through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    anchors: Vec<EventNo>,
    /// Anchors of what has been pruned since: nothing can be said of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    anchors_before: Vec<EventNo>,
    first_bad: Option<EventNo>,
    detail: Option<String>,
}

/// Why a log is not proven.
#[derive(Debug)]
enum Fault {
    Broken(Broken),
    /// All up to this number follows, but an anchor says that it was another log.
    Forged(EventNo),
    /// The log begins behind this event, and it does not say itself that it was cut there.
    Cut(EventNo),
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Fault {
        Fault::Broken(broken)
    }
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
        let mut proofs = Vec::with_capacity(projects.len());
        for project in projects {
            proofs.push(prove(engine, project, &anchors).await?);
        }
        let verdict = Verdict {
            intact: proofs.iter().all(|proof| proof.intact),
            projects: proofs,
        };
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

async fn prove(engine: &Engine, project: Project, anchors: &[Anchor]) -> Result<Proof> {
    let mut anchors: Vec<ChainHead> = anchors
        .iter()
        .filter(|anchor| anchor.project == project)
        .map(|anchor| anchor.head)
        .collect();
    anchors.sort_unstable_by_key(|anchor| anchor.last);
    let (begin, reached, ended) = loop {
        let begin = beginning(engine, &project).await?;
        let head = engine.store.chain(&project).await?;
        let mut reached = begin;
        let ended = follow(engine, &project, &head, &anchors, &mut reached).await?;
        // What was cut while we read is no fault.
        if ended.is_ok() || beginning(engine, &project).await? == begin {
            break (begin, reached, ended);
        }
    };
    let numbers = |fits: &dyn Fn(EventNo) -> bool| {
        let mut numbers: Vec<EventNo> = anchors.iter().map(|at| at.last).filter(|no| fits(*no)).collect();
        numbers.dedup();
        numbers
    };
    Ok(Proof {
        intact: ended.is_ok(),
        begins_with: (begin.last > EventNo(0)).then_some(EventNo(begin.last.0 + 1)),
        proven_to: reached.last,
        digest: reached.digest.to_string(),
        anchors: numbers(&|no| begin.last <= no && no <= reached.last),
        anchors_before: numbers(&|no| no < begin.last),
        first_bad: ended.as_ref().err().map(first_bad),
        detail: ended.err().map(|fault| describe(&fault)),
        project,
    })
}

async fn beginning(engine: &Engine, project: &Project) -> Result<ChainHead> {
    let keys = [BEGINNING.into()];
    let found = engine.store.entries_of(project, Book::Cursor, &keys).await?;
    Ok(Beginning::read(project, &found)?.after)
}

/// Events that come while we read belong to the next proof.
async fn follow(
    engine: &Engine,
    project: &Project,
    head: &ChainHead,
    anchors: &[ChainHead],
    reached: &mut ChainHead,
) -> Result<std::result::Result<(), Fault>> {
    let begin = *reached;
    let mut verifier = Verifier::after(begin);
    if let Some(beyond) = anchors.last().filter(|anchor| anchor.last > head.last) {
        // Such a number was given out once.
        let (last, head) = (head.last, beyond.last);
        return Ok(Err(Broken::CutOff { last, head }.into()));
    }
    let forged = |at: &ChainHead| {
        anchors
            .iter()
            .any(|anchor| anchor.last == at.last && anchor != at)
    };
    if forged(reached) {
        return Ok(Err(Fault::Forged(reached.last)));
    }
    // Each cut is told in the log, behind what it has taken.
    let mut is_told = begin.last == EventNo(0);
    loop {
        let page = engine.store.events(project, reached.last, PAGE_MAX).await?;
        let whole = page.len() < PAGE_MAX;
        for seen in page.iter().take_while(|seen| seen.event.no <= head.last) {
            if let Err(broken) = verifier.follow(&seen.event) {
                return Ok(Err(broken.into()));
            }
            let at = ChainHead {
                last: seen.event.no,
                digest: seen.event.digest,
            };
            if forged(&at) {
                return Ok(Err(Fault::Forged(at.last)));
            }
            is_told |= tells(&seen.event, &begin);
            *reached = at;
        }
        let beyond = page.iter().find(|seen| seen.event.no > head.last);
        if let Some(seen) = beyond
            && engine.store.chain(project).await? == *head
        {
            // Nothing was written meanwhile, so this event stands behind the end of the log.
            return Ok(Err(Broken::Edited(seen.event.no).into()));
        }
        if whole || beyond.is_some() {
            let finished = verifier.finish(head).map(drop).map_err(Fault::from);
            return Ok(match is_told {
                true => finished,
                false => finished.and(Err(Fault::Cut(begin.last))),
            });
        }
    }
}

/// Whether the event says that the log was cut there.
fn tells(event: &Event, begin: &ChainHead) -> bool {
    #[derive(Deserialize)]
    struct Cut {
        upto: EventNo,
        digest: String,
    }
    let data = event
        .fact
        .data
        .as_ref()
        .filter(|_| event.fact.kind == Kind::LogCut);
    let cut = data.and_then(|data| serde_json::from_str::<Cut>(data.get()).ok());
    cut.is_some_and(|cut| cut.upto == begin.last && cut.digest == begin.digest.to_string())
}

fn first_bad(fault: &Fault) -> EventNo {
    match fault {
        Fault::Broken(Broken::Missing(no) | Broken::Edited(no)) | Fault::Forged(no) | Fault::Cut(no) => *no,
        Fault::Broken(Broken::CutOff { last, .. }) => EventNo(last.0 + 1),
    }
}

fn describe(fault: &Fault) -> String {
    let broken = match fault {
        Fault::Forged(no) => {
            return format!(
                "the log up to event {} is not the one that the anchor is of",
                no.0
            );
        }
        Fault::Cut(no) => {
            return format!(
                "the log begins behind event {}, and nothing in it tells of a cut there",
                no.0
            );
        }
        Fault::Broken(broken) => broken,
    };
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
