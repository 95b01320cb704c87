//! Rows as SQLite gives them, and values bound to a statement from left to right.

use std::time::Duration;

use domain::id::{Seq, TaskId};
use domain::run::{Counts, RunNo};
use domain::task::spec::Json;
use domain::time::{Timestamp, millis};
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement, ToSql};
use uuid::Uuid;

use super::fault::{Fault, Sql, corrupt};
use crate::kernel::tx::ProjectNo;
use crate::tables::cells;

pub(super) type Cells<'r> = cells::Cells<'r, Row<'r>>;

impl cells::Row for Row<'_> {
    type Fault = Fault;

    fn int(&self, column: usize) -> Sql<Option<i64>> {
        Ok(self.get(column)?)
    }

    fn text(&self, column: usize) -> Sql<Option<&str>> {
        self.get_ref(column)?.as_str_or_null().map_err(corrupt)
    }

    fn bytes(&self, column: usize) -> Sql<Option<&[u8]>> {
        self.get_ref(column)?.as_blob_or_null().map_err(corrupt)
    }

    /// Those made by us are blobs of 16 bytes, those of callers are texts.
    fn task_id(&self, column: usize) -> Sql<Option<TaskId>> {
        let id = match self.get_ref(column)? {
            ValueRef::Null => return Ok(None),
            ValueRef::Blob(bytes) => TaskId::Uuid(Uuid::from_slice(bytes).map_err(corrupt)?),
            text => TaskId::Text(text.as_str().map_err(corrupt)?.into()),
        };
        Ok(Some(id))
    }
}

/// Binds the parameters of one statement from left to right.
pub(super) struct Binds<'s, 'c> {
    statement: &'s mut Statement<'c>,
    at: usize,
}

impl<'s, 'c> Binds<'s, 'c> {
    pub(super) fn of(statement: &'s mut Statement<'c>) -> Binds<'s, 'c> {
        Binds { statement, at: 0 }
    }

    pub(super) fn put<T: ToSql>(&mut self, value: T) -> Sql<&mut Self> {
        self.at += 1;
        self.statement.raw_bind_parameter(self.at, &value)?;
        Ok(self)
    }

    pub(super) fn seq(&mut self, seq: Seq) -> Sql<&mut Self> {
        self.put(seq.0 as i64)
    }

    pub(super) fn project(&mut self, project: ProjectNo) -> Sql<&mut Self> {
        self.put(project.0)
    }

    pub(super) fn time(&mut self, at: Timestamp) -> Sql<&mut Self> {
        self.put(at.0)
    }

    pub(super) fn time_or(&mut self, at: Option<Timestamp>) -> Sql<&mut Self> {
        self.put(at.map(|at| at.0))
    }

    pub(super) fn span_or(&mut self, span: Option<Duration>) -> Sql<&mut Self> {
        self.put(span.map(millis))
    }

    pub(super) fn run_or(&mut self, run: Option<RunNo>) -> Sql<&mut Self> {
        self.put(run.map(|no| no.0 as i64))
    }

    pub(super) fn json_or(&mut self, json: Option<&Json>) -> Sql<&mut Self> {
        self.put(json.map(Json::get))
    }

    pub(super) fn task_id(&mut self, id: &TaskId) -> Sql<&mut Self> {
        match id {
            TaskId::Uuid(uuid) => self.put(&uuid.as_bytes()[..]),
            TaskId::Text(text) => self.put(&**text),
        }
    }

    pub(super) fn counts(&mut self, counts: &Counts) -> Sql<&mut Self> {
        for count in counts.0 {
            self.put(count as i64)?;
        }
        Ok(self)
    }

    pub(super) fn run(&mut self) -> Sql<usize> {
        Ok(self.statement.raw_execute()?)
    }

    /// Runs a query; the rows end with the borrow.
    pub(super) fn rows(self) -> rusqlite::Rows<'s> {
        self.statement.raw_query()
    }
}

/// Collects what `read` makes of each row.
pub(super) fn collect<T>(
    binds: Binds<'_, '_>,
    mut read: impl FnMut(&mut Cells<'_>) -> Sql<T>,
) -> Sql<Vec<T>> {
    let mut rows = binds.rows();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&mut Cells::of(row))?);
    }
    Ok(found)
}

/// What `read` makes of the first row, if there is one.
pub(super) fn first<T>(binds: Binds<'_, '_>, read: impl FnOnce(&mut Cells<'_>) -> Sql<T>) -> Sql<Option<T>> {
    let mut rows = binds.rows();
    match rows.next()? {
        Some(row) => read(&mut Cells::of(row)).map(Some),
        None => Ok(None),
    }
}
