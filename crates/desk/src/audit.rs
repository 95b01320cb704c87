//! Proving that the log of events is whole, and that what is kept twice agrees.

use api::project::{self, Anchors, Checked, Findings, Proof, Proofs};
use domain::anchor::Anchor;
use domain::book::Book;
use domain::code::Code;
use domain::event::{Broken, ChainHead, Event, Kind, Verifier};
use domain::id::{EventNo, Project};
use domain::limits::PAGE_MAX;
use domain::prune::{BEGINNING, Beginning};
use domain::store::{Result, Seen};
use engine::engine::Engine;
use serde::Deserialize;

/// Why a log is not proven.
#[derive(Debug)]
enum Fault {
    Broken(Broken),
    /// What stands there is no event that could be read.
    Unreadable(EventNo),
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

/// Follows the chains of digests of these projects, through the anchors that were kept elsewhere.
pub async fn verify(engine: &Engine, projects: Vec<Project>, anchors: &[Anchor]) -> Result<Proofs> {
    let mut proofs = Vec::with_capacity(projects.len());
    for project in projects {
        proofs.push(prove(engine, project, anchors).await?);
    }
    Ok(Proofs {
        intact: proofs.iter().all(|proof| proof.intact),
        projects: proofs,
    })
}

/// Where the logs of these projects stand.
pub async fn anchors(engine: &Engine, projects: Vec<Project>) -> Result<Anchors> {
    let mut anchors = Vec::with_capacity(projects.len());
    for project in projects {
        let head = engine.store.chain(&project).await?;
        let anchor = Anchor {
            project: project.clone(),
            head,
        };
        anchors.push(project::Anchor {
            project,
            number: head.last,
            digest: head.digest.to_string(),
            anchor: anchor.to_string(),
        });
    }
    Ok(Anchors { anchors })
}

/// Compares everything that the store keeps twice.
pub async fn check(engine: &Engine, projects: Vec<Project>) -> Result<Checked> {
    let mut checked = Vec::with_capacity(projects.len());
    for project in projects {
        let findings = engine.store.check(&project).await?;
        checked.push(Findings { project, findings });
    }
    Ok(Checked {
        sound: checked.iter().all(|checked| checked.findings.is_empty()),
        projects: checked,
    })
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
        let Some((page, whole)) = readable(engine, project, reached.last).await? else {
            return Ok(Err(Fault::Unreadable(EventNo(reached.last.0 + 1))));
        };
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

/// The events behind this one, as many as can be read at once, and whether they reach the end; `None` when the very next one cannot
/// be read.
async fn readable(engine: &Engine, project: &Project, after: EventNo) -> Result<Option<(Vec<Seen>, bool)>> {
    let mut limit = PAGE_MAX;
    loop {
        match engine.store.events(project, after, limit).await {
            Ok(page) => {
                let whole = page.len() < limit;
                return Ok(Some((page, whole)));
            }
            Err(refusal) if refusal.code != Code::StoreCorrupt => return Err(refusal),
            Err(_) if limit == 1 => return Ok(None),
            Err(_) => limit /= 2,
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
        Fault::Broken(Broken::Missing(no) | Broken::Edited(no))
        | Fault::Unreadable(no)
        | Fault::Forged(no)
        | Fault::Cut(no) => *no,
        Fault::Broken(Broken::CutOff { last, .. }) => EventNo(last.0 + 1),
    }
}

fn describe(fault: &Fault) -> String {
    let broken = match fault {
        Fault::Unreadable(no) => return format!("event {} cannot be read", no.0),
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
