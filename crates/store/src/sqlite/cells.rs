//! Values to and from rows, column after column in the order of the statement.

use std::str::FromStr;
use std::time::Duration;

use domain::code::Refusal;
use domain::id::{EventNo, RunId, Seq, TaskId};
use domain::run::{Counts, RunNo};
use domain::task::record::ClassNo;
use domain::task::spec::Json;
use domain::time::{Timestamp, millis};
use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Row, Statement, ToSql};
use uuid::Uuid;

use super::fault::{Sql, corrupt};
use crate::kernel::tx::ProjectNo;

/// Reads one row from left to right.
pub(super) struct Cells<'r> {
    row: &'r Row<'r>,
    at: usize,
}

impl<'r> Cells<'r> {
    pub(super) fn of(row: &'r Row<'r>) -> Cells<'r> {
        Cells { row, at: 0 }
    }

    pub(super) fn get<T: FromSql>(&mut self) -> Sql<T> {
        self.at += 1;
        Ok(self.row.get(self.at - 1)?)
    }

    pub(super) fn raw(&mut self) -> Sql<ValueRef<'r>> {
        self.at += 1;
        Ok(self.row.get_ref(self.at - 1)?)
    }

    /// Leaves columns out.
    pub(super) fn skip(&mut self, columns: usize) {
        self.at += columns;
    }

    pub(super) fn int(&mut self) -> Sql<i64> {
        self.get()
    }

    pub(super) fn int_or(&mut self) -> Sql<Option<i64>> {
        self.get()
    }

    pub(super) fn count<T: TryFrom<i64>>(&mut self) -> Sql<T> {
        let number = self.int()?;
        T::try_from(number).map_err(|_| corrupt(format!("the number {number} is out of range")))
    }

    pub(super) fn seq(&mut self) -> Sql<Seq> {
        Ok(Seq(self.int()? as u64))
    }

    pub(super) fn event_no(&mut self) -> Sql<EventNo> {
        Ok(EventNo(self.int()? as u64))
    }

    pub(super) fn run_no(&mut self) -> Sql<Option<RunNo>> {
        Ok(self.int_or()?.map(|no| RunNo(no as u64)))
    }

    pub(super) fn class_no(&mut self) -> Sql<ClassNo> {
        self.count().map(ClassNo)
    }

    pub(super) fn time(&mut self) -> Sql<Timestamp> {
        self.int().map(Timestamp)
    }

    pub(super) fn time_or(&mut self) -> Sql<Option<Timestamp>> {
        Ok(self.int_or()?.map(Timestamp))
    }

    pub(super) fn span_or(&mut self) -> Sql<Option<Duration>> {
        Ok(self.int_or()?.map(|ms| Duration::from_millis(ms as u64)))
    }

    pub(super) fn flag(&mut self) -> Sql<bool> {
        Ok(self.int()? != 0)
    }

    /// A variant by its number.
    pub(super) fn variant<T>(&mut self, from: impl FnOnce(u8) -> Option<T>) -> Sql<T> {
        let number = self.int()?;
        let known = u8::try_from(number).ok().and_then(from);
        known.ok_or_else(|| {
            corrupt(format!(
                "the variant {number} of {} is unknown",
                short_name::<T>()
            ))
        })
    }

    pub(super) fn variant_or<T>(&mut self, from: impl FnOnce(u8) -> Option<T>) -> Sql<Option<T>> {
        if self.row.get_ref(self.at)? == ValueRef::Null {
            self.at += 1;
            return Ok(None);
        }
        self.variant(from).map(Some)
    }

    pub(super) fn text(&mut self) -> Sql<&'r str> {
        self.raw()?.as_str().map_err(corrupt)
    }

    pub(super) fn text_or(&mut self) -> Sql<Option<&'r str>> {
        self.raw()?.as_str_or_null().map_err(corrupt)
    }

    pub(super) fn name<T: FromStr<Err = Refusal>>(&mut self) -> Sql<T> {
        self.text()?.parse().map_err(corrupt)
    }

    pub(super) fn name_or<T: FromStr<Err = Refusal>>(&mut self) -> Sql<Option<T>> {
        self.text_or()?.map(str::parse).transpose().map_err(corrupt)
    }

    pub(super) fn json_or(&mut self) -> Sql<Option<Json>> {
        self.text_or()?.map(Json::parse).transpose().map_err(corrupt)
    }

    pub(super) fn digest(&mut self) -> Sql<[u8; 32]> {
        self.get()
    }

    pub(super) fn task_id(&mut self) -> Sql<TaskId> {
        match self.raw()? {
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).map(TaskId::Uuid).map_err(corrupt),
            ValueRef::Text(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(corrupt)?;
                Ok(TaskId::Text(text.into()))
            }
            _ => Err(corrupt("a task has no id")),
        }
    }

    pub(super) fn task_id_or(&mut self) -> Sql<Option<TaskId>> {
        if self.row.get_ref(self.at)? == ValueRef::Null {
            self.at += 1;
            return Ok(None);
        }
        self.task_id().map(Some)
    }

    pub(super) fn run_id_or(&mut self) -> Sql<Option<RunId>> {
        let bytes = self.raw()?.as_blob_or_null().map_err(corrupt)?;
        let id = bytes.map(Uuid::from_slice).transpose().map_err(corrupt)?;
        Ok(id.map(RunId))
    }

    pub(super) fn run_id(&mut self) -> Sql<RunId> {
        self.run_id_or()?.ok_or_else(|| corrupt("a run has no id"))
    }

    pub(super) fn counts(&mut self) -> Sql<Counts> {
        let mut counts = Counts::default();
        for count in &mut counts.0 {
            *count = self.count()?;
        }
        Ok(counts)
    }
}

fn short_name<T>() -> &'static str {
    std::any::type_name::<T>().rsplit(':').next().unwrap_or_default()
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
