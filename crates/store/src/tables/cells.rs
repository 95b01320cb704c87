//! Values from rows, column after column in the order of the statement.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::event::Digest;
use domain::id::{EventNo, RunId, Seq, TaskId};
use domain::run::{Counts, RunNo};
use domain::task::lock::Mode;
use domain::task::record::ClassNo;
use domain::task::spec::{Json, When};
use domain::time::Timestamp;
use uuid::Uuid;

/// A row as a driver gives it. `None` stands for NULL.
pub(crate) trait Row {
    type Fault: From<Refusal>;

    /// A whole number of any width.
    fn int(&self, column: usize) -> Result<Option<i64>, Self::Fault>;

    fn text(&self, column: usize) -> Result<Option<&str>, Self::Fault>;

    fn bytes(&self, column: usize) -> Result<Option<&[u8]>, Self::Fault>;

    /// An id as this store writes it.
    fn task_id(&self, column: usize) -> Result<Option<TaskId>, Self::Fault>;
}

/// A stored value that no writer of ours can have written.
pub(crate) fn corrupt<R: Row>(what: impl Display) -> R::Fault {
    Refusal::new(Code::StoreCorrupt, what.to_string()).into()
}

/// Reads one row from left to right.
pub(crate) struct Cells<'r, R> {
    row: &'r R,
    at: usize,
}

impl<'r, R: Row> Cells<'r, R> {
    pub(crate) fn of(row: &'r R) -> Self {
        Cells { row, at: 0 }
    }

    fn next(&mut self) -> usize {
        self.at += 1;
        self.at - 1
    }

    /// Leaves columns out.
    pub(crate) fn skip(&mut self, columns: usize) {
        self.at += columns;
    }

    pub(crate) fn int_or(&mut self) -> Result<Option<i64>, R::Fault> {
        let column = self.next();
        self.row.int(column)
    }

    pub(crate) fn int(&mut self) -> Result<i64, R::Fault> {
        self.int_or()?.ok_or_else(|| corrupt::<R>("a number is missing"))
    }

    pub(crate) fn count<T: TryFrom<i64>>(&mut self) -> Result<T, R::Fault> {
        let number = self.int()?;
        T::try_from(number).map_err(|_| corrupt::<R>(format!("the number {number} is out of range")))
    }

    pub(crate) fn seq_or(&mut self) -> Result<Option<Seq>, R::Fault> {
        Ok(self.int_or()?.map(|seq| Seq(seq as u64)))
    }

    pub(crate) fn seq(&mut self) -> Result<Seq, R::Fault> {
        Ok(Seq(self.int()? as u64))
    }

    pub(crate) fn event_no(&mut self) -> Result<EventNo, R::Fault> {
        Ok(EventNo(self.int()? as u64))
    }

    pub(crate) fn run_no(&mut self) -> Result<Option<RunNo>, R::Fault> {
        Ok(self.int_or()?.map(|no| RunNo(no as u64)))
    }

    pub(crate) fn class_no(&mut self) -> Result<ClassNo, R::Fault> {
        self.count().map(ClassNo)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, R::Fault> {
        self.int().map(Timestamp)
    }

    pub(crate) fn time_or(&mut self) -> Result<Option<Timestamp>, R::Fault> {
        Ok(self.int_or()?.map(Timestamp))
    }

    pub(crate) fn span_or(&mut self) -> Result<Option<Duration>, R::Fault> {
        Ok(self.int_or()?.map(|ms| Duration::from_millis(ms as u64)))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, R::Fault> {
        Ok(self.int()? != 0)
    }

    /// A variant by its number.
    pub(crate) fn variant<T>(&mut self, from: impl FnOnce(u8) -> Option<T>) -> Result<T, R::Fault> {
        let number = self.int()?;
        known::<T, R>(number, from)
    }

    pub(crate) fn variant_or<T>(
        &mut self,
        from: impl FnOnce(u8) -> Option<T>,
    ) -> Result<Option<T>, R::Fault> {
        let number = self.int_or()?;
        number.map(|number| known::<T, R>(number, from)).transpose()
    }

    pub(crate) fn mode(&mut self) -> Result<Mode, R::Fault> {
        self.variant(|number| [Mode::Exclusive, Mode::Shared].get(usize::from(number)).copied())
    }

    pub(crate) fn when(&mut self) -> Result<When, R::Fault> {
        self.variant(|number| When::ALL.get(usize::from(number)).copied())
    }

    pub(crate) fn text_or(&mut self) -> Result<Option<&'r str>, R::Fault> {
        let column = self.next();
        self.row.text(column)
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, R::Fault> {
        self.text_or()?.ok_or_else(|| corrupt::<R>("a text is missing"))
    }

    pub(crate) fn name<T: FromStr<Err = Refusal>>(&mut self) -> Result<T, R::Fault> {
        self.text()?.parse().map_err(corrupt::<R>)
    }

    pub(crate) fn name_or<T: FromStr<Err = Refusal>>(&mut self) -> Result<Option<T>, R::Fault> {
        self.text_or()?.map(str::parse).transpose().map_err(corrupt::<R>)
    }

    pub(crate) fn json_or(&mut self) -> Result<Option<Json>, R::Fault> {
        self.text_or()?.map(Json::parse).transpose().map_err(corrupt::<R>)
    }

    pub(crate) fn bytes_or(&mut self) -> Result<Option<&'r [u8]>, R::Fault> {
        let column = self.next();
        self.row.bytes(column)
    }

    pub(crate) fn digest(&mut self) -> Result<[u8; 32], R::Fault> {
        let bytes = self.bytes_or()?.unwrap_or_default();
        bytes.try_into().map_err(|_| corrupt::<R>("a digest is damaged"))
    }

    pub(crate) fn chain_digest(&mut self) -> Result<Digest, R::Fault> {
        self.digest().map(Digest)
    }

    pub(crate) fn task_id_or(&mut self) -> Result<Option<TaskId>, R::Fault> {
        let column = self.next();
        self.row.task_id(column)
    }

    pub(crate) fn task_id(&mut self) -> Result<TaskId, R::Fault> {
        self.task_id_or()?.ok_or_else(|| corrupt::<R>("a task has no id"))
    }

    pub(crate) fn run_id_or(&mut self) -> Result<Option<RunId>, R::Fault> {
        let id = self.bytes_or()?.map(Uuid::from_slice).transpose();
        Ok(id.map_err(corrupt::<R>)?.map(RunId))
    }

    pub(crate) fn run_id(&mut self) -> Result<RunId, R::Fault> {
        self.run_id_or()?.ok_or_else(|| corrupt::<R>("a run has no id"))
    }

    pub(crate) fn counts(&mut self) -> Result<Counts, R::Fault> {
        let mut counts = Counts::default();
        for count in &mut counts.0 {
            *count = self.count()?;
        }
        Ok(counts)
    }
}

fn known<T, R: Row>(number: i64, from: impl FnOnce(u8) -> Option<T>) -> Result<T, R::Fault> {
    let found = u8::try_from(number).ok().and_then(from);
    found.ok_or_else(|| {
        let name = std::any::type_name::<T>().rsplit(':').next().unwrap_or_default();
        corrupt::<R>(format!("the variant {number} of {name} is unknown"))
    })
}
