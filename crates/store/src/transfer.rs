//! A live project moves from one store to another.
//!
//! The source is closed first, so that what is copied does not change under the copy; then everything is carried over
//! in pieces, compared, and the target is opened. Each piece is a transaction and loading one twice is as good as once:
//! after an interruption at any point the same call goes on. The source stays closed and says where the project is now.

use domain::book::{Book, Entry};
use domain::code::{Code, Refusal};
use domain::event::{Broken, Verifier};
use domain::id::{EventNo, Project};
use domain::limits::PAGE_MAX;
use domain::prune::{BEGINNING, Beginning};
use domain::store::{Result, Store};
use domain::time::Now;
use domain::transfer::{Closed, MOVED, Next, Piece, Totals};

/// How far a move has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub tasks: u64,
    pub events: u64,
    pub of_tasks: u64,
    pub of_events: u64,
}

/// What has been moved, and by what it was found to be the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    pub project: Project,
    pub tasks: u64,
    pub events: u64,
    /// The digest at the end of the chain, the same on both sides.
    pub digest: String,
}

async fn closed(store: &dyn Store, project: &Project) -> Result<Option<Closed>> {
    let found = store.entries_of(project, Book::Setting, &[MOVED.into()]).await?;
    found.first().map(Entry::read).transpose()
}

/// Moves a project, or goes on with it.
pub async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    project: &Project,
    now: impl Fn() -> Now,
    mut tell: impl FnMut(Progress),
) -> Result<Moved> {
    let (from_url, to_url) = (from.info().url, to.info().url);
    let arriving = Closed::Arriving {
        from: from_url.clone(),
    };
    let leaving = Closed::Leaving { to: to_url.clone() };
    let (here, there) = (closed(from, project).await?, closed(to, project).await?);
    if here.as_ref().is_some_and(|closed| *closed != leaving) {
        return Err(Refusal::new(
            Code::ProjectMoved,
            format!("project {project} is not open in {from_url}: it is on its way elsewhere"),
        ));
    }
    match (&there, to.totals(project).await?) {
        (Some(closed), _) if *closed == arriving => {}
        (None, None) => {}
        (None, Some(totals)) if totals.chain.last == EventNo(0) => {}
        (None, Some(_)) if here.is_some() && same(from, to, project).await? => {
            return finish(to, project, &totals_of(from, project).await?).await;
        }
        _ => {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!("{to_url} has a project {project} of its own"),
            )
            .help("copy into an empty store, or another project's"));
        }
    }
    from.close(project, Some(leaving)).await?;
    to.close(project, Some(arriving)).await?;
    let totals = totals_of(from, project).await?;
    let mut progress = Progress {
        of_tasks: totals.counts.total(),
        of_events: totals.chain.last.0,
        ..Progress::default()
    };
    let mut next = Some(Next::FIRST);
    while let Some(at) = next {
        let (piece, then) = from.dump(project, at).await?;
        progress.tasks += piece.tasks.len() as u64;
        to.load(project, piece, None, now()).await?;
        tell(progress);
        next = then;
    }
    loop {
        let after = totals_of(to, project).await?.chain.last;
        progress.events = after.0;
        tell(progress);
        let page = from.events(project, after, PAGE_MAX).await?;
        if page.is_empty() {
            break;
        }
        let piece = Piece {
            events: page.into_iter().map(|seen| seen.event).collect(),
            ..Piece::default()
        };
        to.load(project, piece, None, now()).await?;
    }
    to.load(project, Piece::default(), Some(totals.clone()), now())
        .await?;
    verify(to, project, &totals).await?;
    to.close(project, None).await?;
    finish(to, project, &totals).await
}

async fn totals_of(store: &dyn Store, project: &Project) -> Result<Totals> {
    let totals = store.totals(project).await?;
    totals.ok_or_else(|| {
        let url = store.info().url;
        Refusal::new(Code::InvalidArgument, format!("{url} has no project {project}"))
    })
}

async fn same(from: &dyn Store, to: &dyn Store, project: &Project) -> Result<bool> {
    let (here, there) = (totals_of(from, project).await?, totals_of(to, project).await?);
    if there.chain.last < here.chain.last {
        return Ok(false);
    }
    // The target may have gone on since: the source's last event must still be in it.
    let last = EventNo(here.chain.last.0.saturating_sub(1));
    let event = to.events(project, last, 1).await?;
    Ok(event
        .first()
        .is_none_or(|seen| seen.event.digest == here.chain.digest))
}

/// Recomputes the chain, and compares everything that the target keeps twice.
async fn verify(to: &dyn Store, project: &Project, totals: &Totals) -> Result<()> {
    let wrong = |what: String| Refusal::new(Code::StoreCorrupt, format!("after the copy, {what}"));
    let found = to.entries_of(project, Book::Cursor, &[BEGINNING.into()]).await?;
    let from = Beginning::read(project, &found)?;
    let mut verifier = Verifier::after(from.after);
    let mut after = EventNo(0);
    loop {
        let page = to.events(project, after, PAGE_MAX).await?;
        let Some(last) = page.last() else { break };
        after = last.event.no;
        for seen in &page {
            let followed = verifier.follow(&seen.event);
            followed.map_err(|broken: Broken| wrong(format!("the chain is broken: {broken:?}")))?;
        }
    }
    let finished = verifier.finish(&totals.chain);
    finished.map_err(|broken| wrong(format!("the chain ends elsewhere: {broken:?}")))?;
    match to.check(project).await?.first() {
        Some(finding) => Err(wrong(finding.clone())),
        None => Ok(()),
    }
}

async fn finish(to: &dyn Store, project: &Project, totals: &Totals) -> Result<Moved> {
    if let Some(closed) = closed(to, project).await? {
        return Err(Refusal::new(Code::Internal, format!("the target is {closed:?}")));
    }
    Ok(Moved {
        project: project.clone(),
        tasks: totals.counts.total(),
        events: totals.chain.last.0,
        digest: totals.chain.digest.to_string(),
    })
}

/// Opens a project again that was to be moved. What has arrived in the target stays there, closed; copying into another
/// store, or into this one again, is possible.
pub async fn abort(from: &dyn Store, to: &dyn Store, project: &Project) -> Result<()> {
    let leaving = Closed::Leaving { to: to.info().url };
    if closed(from, project).await? != Some(leaving) {
        return Err(Refusal::new(
            Code::InvalidArgument,
            format!("project {project} is not on its way to {}", to.info().url),
        ));
    }
    let arrived = to.totals(project).await?.is_some() && closed(to, project).await?.is_none();
    if arrived {
        return Err(Refusal::new(
            Code::ProjectMoved,
            format!(
                "project {project} has arrived in {} and may have gone on there",
                to.info().url
            ),
        ));
    }
    from.close(project, None).await
}
