//! A project's head and its log.

use domain::event::Event;
use domain::id::EventNo;
use rusqlite::Connection;

use super::cells::{Binds, Cells, first};
use super::fault::{Sql, corrupt};
use super::together::{Insertion, insertion};
use crate::kernel::tx::{Head, ProjectNo};
use crate::tables::records::{self, event_columns, head_columns};

pub(super) const HEAD: &str = concat!("SELECT ", head_columns!(), " FROM project p WHERE p.no = ?1");
pub(super) const HEAD_WRITE: &str = "UPDATE project SET last_event = ?2, digest = ?3, pending = ?4, blocked = ?5, \
     ready = ?6, assigned = ?7, running = ?8, suspended = ?9, awaiting = ?10, retrying = ?11, completed = ?12, \
     failed = ?13, cancelled = ?14, dead_letters = ?15, score_sum = ?16, max_depth = ?17, newest = ?18, \
     books = ?19 WHERE no = ?1";
pub(super) static APPEND: Insertion = insertion!(
    "INSERT INTO event (n, at, kind, task, run, reason, prev, actor, digest, data) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
);

pub(super) const ONE: &str = concat!("SELECT ", event_columns!(), " FROM event e WHERE e.n = ?1");

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
    let head = first(binds, |cells| records::head(cells))?;
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

/// Reads [`event_columns`].
pub(super) fn read(cells: &mut Cells<'_>) -> Sql<Event> {
    let no = EventNo(cells.int()? as u64 & ((1 << NUMBER_BITS) - 1));
    records::event(no, cells)
}
