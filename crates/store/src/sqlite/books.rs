//! Small documents.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::time::Timestamp;
use rusqlite::Connection;

use super::cells::{Binds, collect, first};
use super::fault::Sql;
use super::tx::bound;
use crate::kernel::tx::ProjectNo;
use crate::tables::records;

pub(super) const LOAD: &str =
    "SELECT key, value, due FROM entry WHERE project = ?1 AND book = ?2 AND key = ?3";
pub(super) const PAGE: &str = "SELECT key, value, due FROM entry WHERE project = ?1 AND book = ?2 AND key > ?3 \
     ORDER BY key LIMIT ?4";
pub(super) const DUE: &str = "SELECT key, value, due FROM entry WHERE project = ?1 AND book = ?2 AND due <= ?3 \
     ORDER BY due, key LIMIT ?4";
pub(super) const WRITE: &str =
    "INSERT OR REPLACE INTO entry (project, book, key, value, due) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const ERASE: &str = "DELETE FROM entry WHERE project = ?1 AND book = ?2 AND key = ?3";

pub(super) fn load(conn: &Connection, project: ProjectNo, book: Book, keys: &[Arc<str>]) -> Sql<Vec<Entry>> {
    let mut statement = conn.prepare_cached(LOAD)?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let mut binds = Binds::of(&mut statement);
        binds.project(project)?.put(book.number())?.put(&**key)?;
        found.extend(first(binds, |cells| records::entry(cells, book))?);
    }
    Ok(found)
}

pub(super) fn page(
    conn: &Connection,
    project: ProjectNo,
    book: Book,
    after: &str,
    limit: usize,
) -> Sql<Vec<Entry>> {
    let mut statement = conn.prepare_cached(PAGE)?;
    let mut binds = Binds::of(&mut statement);
    binds
        .project(project)?
        .put(book.number())?
        .put(after)?
        .put(bound(limit))?;
    collect(binds, |cells| records::entry(cells, book))
}

pub(super) fn due(
    conn: &Connection,
    project: ProjectNo,
    book: Book,
    at: Timestamp,
    limit: usize,
) -> Sql<Vec<Entry>> {
    let mut statement = conn.prepare_cached(DUE)?;
    let mut binds = Binds::of(&mut statement);
    binds
        .project(project)?
        .put(book.number())?
        .time(at)?
        .put(bound(limit))?;
    collect(binds, |cells| records::entry(cells, book))
}

pub(super) fn write(
    conn: &Connection,
    project: ProjectNo,
    entries: &[Entry],
    erased: &[(Book, Arc<str>)],
) -> Sql<()> {
    for (book, key) in erased {
        let mut statement = conn.prepare_cached(ERASE)?;
        let mut binds = Binds::of(&mut statement);
        binds.project(project)?.put(book.number())?.put(&**key)?.run()?;
    }
    for entry in entries {
        let mut statement = conn.prepare_cached(WRITE)?;
        let mut binds = Binds::of(&mut statement);
        binds
            .project(project)?
            .put(entry.book.number())?
            .put(&*entry.key)?
            .put(entry.value.get())?
            .time_or(entry.due)?
            .run()?;
    }
    Ok(())
}
