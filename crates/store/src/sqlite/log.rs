//! A project's head and its log.

use domain::event::{ChainHead, Digest, Draft, Event, Kind};
use domain::id::EventNo;
use domain::task::state::Reason;
use rusqlite::Connection;

use super::cells::{Binds, Cells, first};
use super::fault::{Sql, corrupt};
use super::together::{Insertion, insertion};
use crate::kernel::tx::{Head, ProjectNo};

pub(super) const HEAD: &str = "SELECT last_event, digest, pending, blocked, ready, assigned, running, suspended, \
     awaiting, retrying, completed, failed, cancelled, dead_letters, score_sum, max_depth, newest, books \
     FROM project WHERE no = ?1";
pub(super) const HEAD_WRITE: &str = "UPDATE project SET last_event = ?2, digest = ?3, pending = ?4, blocked = ?5, \
     ready = ?6, assigned = ?7, running = ?8, suspended = ?9, awaiting = ?10, retrying = ?11, completed = ?12, \
     failed = ?13, cancelled = ?14, dead_letters = ?15, score_sum = ?16, max_depth = ?17, newest = ?18, \
     books = ?19 WHERE no = ?1";
pub(super) static APPEND: Insertion = insertion!(
    "INSERT INTO event (n, at, kind, task, run, reason, prev, actor, digest, data) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
);

/// The columns of `event` in the order of [`read`].
macro_rules! columns {
    () => {
        "e.n, e.at, e.kind, e.task, e.run, e.reason, e.prev, e.actor, e.digest, e.data"
    };
}
pub(super) use columns;

pub(super) const ONE: &str = concat!("SELECT ", columns!(), " FROM event e WHERE e.n = ?1");

/// A project has room for 2⁴⁰ events: at 100,000 a second, for four months without a pause; at one a
/// millisecond, for 34 years.
const NUMBER_BITS: u32 = 40;

/// The key of an event; the keys of one project are a range.
pub(super) fn key(project: ProjectNo, no: EventNo) -> i64 {
    (i64::from(project.0) << NUMBER_BITS) | no.0.min((1 << NUMBER_BITS) - 1) as i64
}

pub(super) fn head(conn: &Connection, project: ProjectNo) -> Sql<Head> {
    let mut statement = conn.prepare_cached(HEAD)?;
    let mut binds = Binds::of(&mut statement);
    binds.project(project)?;
    let head = first(binds, |cells| {
        Ok(Head {
            chain: ChainHead {
                last: cells.event_no()?,
                digest: Digest(cells.digest()?),
            },
            counts: cells.counts()?,
            dead_letters: cells.count()?,
            score_sum: cells.int()?,
            max_depth: cells.count()?,
            newest: cells.time_or()?,
            books: cells.count()?,
        })
    })?;
    head.ok_or_else(|| corrupt(format!("there is no project number {}", project.0)))
}

pub(super) fn write_head(conn: &Connection, project: ProjectNo, head: &Head) -> Sql<()> {
    let mut statement = conn.prepare_cached(HEAD_WRITE)?;
    let mut binds = Binds::of(&mut statement);
    binds.project(project)?.put(head.chain.last.0 as i64)?;
    binds.put(&head.chain.digest.0[..])?.counts(&head.counts)?;
    binds.put(head.dead_letters as i64)?.put(head.score_sum)?;
    binds.put(head.max_depth)?.time_or(head.newest)?.put(head.books)?;
    binds.run()?;
    Ok(())
}

pub(super) fn append(conn: &Connection, project: ProjectNo, events: &[Event]) -> Sql<()> {
    if events.last().is_some_and(|event| event.no.0 >= 1 << NUMBER_BITS) {
        return Err(corrupt("the log of this project is at its end"));
    }
    APPEND.all(conn, events, |binds, event| {
        let fact = &event.fact;
        binds
            .put(key(project, event.no))?
            .time(fact.at)?
            .put(fact.kind.number())?;
        binds.put(fact.task.map(|seq| seq.0 as i64))?.run_or(fact.run)?;
        binds
            .put(fact.reason.map(|reason| reason as u8))?
            .put(event.prev.0 as i64)?;
        binds
            .put(&*fact.actor)?
            .put(&event.digest.0[..])?
            .json_or(fact.data.as_ref())?;
        Ok(())
    })
}

/// Reads `columns!`.
pub(super) fn read(cells: &mut Cells<'_>) -> Sql<Event> {
    let no = EventNo(cells.int()? as u64 & ((1 << NUMBER_BITS) - 1));
    let fact = Draft {
        at: cells.time()?,
        kind: cells.variant(Kind::from_number)?,
        task: cells.int_or()?.map(|seq| domain::id::Seq(seq as u64)),
        run: cells.run_no()?,
        reason: cells.variant_or(Reason::from_u8)?,
        actor: "".into(),
        data: None,
    };
    let prev = cells.event_no()?;
    let actor = cells.text()?.into();
    let digest = Digest(cells.digest()?);
    let data = cells.json_or()?;
    Ok(Event {
        no,
        fact: Draft { actor, data, ..fact },
        prev,
        digest,
    })
}
