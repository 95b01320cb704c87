//! Values from rows, column after column in the order of the statement.

use std::str::FromStr;
use std::time::Duration;

use domain::code::Refusal;
use domain::event::Digest;
use domain::id::{EventNo, RunId, Seq, TaskId};
use domain::run::{Counts, RunNo};
use domain::task::lock::Mode;
use domain::task::record::ClassNo;
use domain::task::spec::{Json, When};
use domain::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use super::fault::{Sql, corrupt};

/// A whole number of any width.
struct Number(i64);

impl<'r> FromSql<'r> for Number {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Result<Number, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Number(match *kind {
            Type::INT2 => i16::from_sql(kind, raw)?.into(),
            Type::INT4 => i32::from_sql(kind, raw)?.into(),
            Type::BOOL => bool::from_sql(kind, raw)?.into(),
            _ => i64::from_sql(kind, raw)?,
        }))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT2 | Type::INT4 | Type::INT8 | Type::BOOL)
    }
}

/// Reads one row from left to right.
pub(super) struct Cells<'r> {
    row: &'r Row,
    at: usize,
}

impl<'r> Cells<'r> {
    pub(super) fn of(row: &'r Row) -> Cells<'r> {
        Cells { row, at: 0 }
    }

    fn get<T: FromSql<'r>>(&mut self) -> Sql<T> {
        self.at += 1;
        Ok(self.row.try_get(self.at - 1)?)
    }

    /// Leaves columns out.
    pub(super) fn skip(&mut self, columns: usize) {
        self.at += columns;
    }

    pub(super) fn int(&mut self) -> Sql<i64> {
        Ok(self.get::<Number>()?.0)
    }

    pub(super) fn int_or(&mut self) -> Sql<Option<i64>> {
        Ok(self.get::<Option<Number>>()?.map(|number| number.0))
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
        known(number, from)
    }

    pub(super) fn variant_or<T>(&mut self, from: impl FnOnce(u8) -> Option<T>) -> Sql<Option<T>> {
        let number = self.int_or()?;
        number.map(|number| known(number, from)).transpose()
    }

    pub(super) fn text(&mut self) -> Sql<&'r str> {
        self.get()
    }

    pub(super) fn text_or(&mut self) -> Sql<Option<&'r str>> {
        self.get()
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

    pub(super) fn bytes_or(&mut self) -> Sql<Option<&'r [u8]>> {
        self.get()
    }

    pub(super) fn digest(&mut self) -> Sql<[u8; 32]> {
        let bytes: &[u8] = self.get()?;
        bytes.try_into().map_err(|_| corrupt("a digest is damaged"))
    }

    pub(super) fn chain_digest(&mut self) -> Sql<Digest> {
        self.digest().map(Digest)
    }

    pub(super) fn task_id(&mut self) -> Sql<TaskId> {
        self.task_id_or()?.ok_or_else(|| corrupt("a task has no id"))
    }

    pub(super) fn task_id_or(&mut self) -> Sql<Option<TaskId>> {
        let Some(bytes) = self.bytes_or()? else {
            return Ok(None);
        };
        let id = id_of(bytes).ok_or_else(|| corrupt("the id of a task is damaged"))?;
        Ok(Some(id))
    }

    pub(super) fn run_id_or(&mut self) -> Sql<Option<RunId>> {
        let bytes = self.bytes_or()?;
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

    pub(super) fn mode(&mut self) -> Sql<Mode> {
        self.variant(|number| [Mode::Exclusive, Mode::Shared].get(usize::from(number)).copied())
    }

    pub(super) fn when(&mut self) -> Sql<When> {
        self.variant(|number| When::ALL.get(usize::from(number)).copied())
    }
}

fn known<T>(number: i64, from: impl FnOnce(u8) -> Option<T>) -> Sql<T> {
    let found = u8::try_from(number).ok().and_then(from);
    found.ok_or_else(|| {
        let name = std::any::type_name::<T>().rsplit(':').next().unwrap_or_default();
        corrupt(format!("the variant {number} of {name} is unknown"))
    })
}

/// What `read` makes of each row.
pub(super) fn collect<T>(rows: &[Row], mut read: impl FnMut(&mut Cells<'_>) -> Sql<T>) -> Sql<Vec<T>> {
    rows.iter().map(|row| read(&mut Cells::of(row))).collect()
}

/// What `read` makes of the first row, if there is one.
pub(super) fn first<T>(rows: &[Row], read: impl FnOnce(&mut Cells<'_>) -> Sql<T>) -> Sql<Option<T>> {
    rows.first().map(|row| read(&mut Cells::of(row))).transpose()
}

/// An id as it is stored.
pub(super) fn id_of(bytes: &[u8]) -> Option<TaskId> {
    match bytes.split_first()? {
        (0, uuid) => Uuid::from_slice(uuid).map(TaskId::Uuid).ok(),
        (1, text) => Some(TaskId::Text(std::str::from_utf8(text).ok()?.into())),
        _ => None,
    }
}
