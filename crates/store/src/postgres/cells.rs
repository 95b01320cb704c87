//! Rows as PostgreSQL gives them.

use domain::id::TaskId;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use super::fault::{Fault, Sql, corrupt};
use crate::tables::cells;

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

pub(super) type Cells<'r> = cells::Cells<'r, Row>;

impl cells::Row for Row {
    type Fault = Fault;

    fn int(&self, column: usize) -> Sql<Option<i64>> {
        let number: Option<Number> = self.try_get(column)?;
        Ok(number.map(|number| number.0))
    }

    fn text(&self, column: usize) -> Sql<Option<&str>> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: usize) -> Sql<Option<&[u8]>> {
        Ok(self.try_get(column)?)
    }

    fn task_id(&self, column: usize) -> Sql<Option<TaskId>> {
        let Some(bytes) = self.bytes(column)? else {
            return Ok(None);
        };
        let id = id_of(bytes).ok_or_else(|| corrupt("the id of a task is damaged"))?;
        Ok(Some(id))
    }
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
