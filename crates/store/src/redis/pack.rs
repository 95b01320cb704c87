//! Rows as bytes: numbers in as few bytes as they need, texts behind their length.
//!
//! The first byte of every row is its version, so that later versions can read what this one wrote.

use std::fmt::Display;
use std::str::FromStr;

use domain::code::{Code, Refusal};
use domain::id::{EventNo, Seq, TaskId};
use domain::run::{Counts, RunNo};
use domain::store::Result;
use domain::task::spec::Json;
use domain::time::Timestamp;
use uuid::Uuid;

/// Of all rows that this version writes.
const VERSION: u8 = 1;

pub(super) fn corrupt(what: impl Display) -> Refusal {
    Refusal::new(Code::StoreCorrupt, format!("{what}"))
}

#[derive(Debug)]
pub(super) struct Pack(Vec<u8>);

impl Pack {
    pub(super) fn new() -> Pack {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(VERSION);
        Pack(bytes)
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    /// LEB128.
    pub(super) fn uint(&mut self, number: u64) -> &mut Self {
        let mut rest = number;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    /// Small magnitudes of either sign stay small.
    pub(super) fn int(&mut self, number: i64) -> &mut Self {
        self.uint(((number << 1) ^ (number >> 63)).cast_unsigned())
    }

    pub(super) fn time(&mut self, at: Timestamp) -> &mut Self {
        self.int(at.0)
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.uint(text.len() as u64).raw(text.as_bytes())
    }

    pub(super) fn counts(&mut self, counts: &Counts) -> &mut Self {
        counts.0.iter().fold(self, |pack, count| pack.uint(*count))
    }

    pub(super) fn task_id(&mut self, id: &TaskId) -> &mut Self {
        match id {
            TaskId::Uuid(uuid) => self.byte(0).raw(uuid.as_bytes()),
            TaskId::Text(text) => self.byte(1).text(text),
        }
    }

    /// One value that may be missing.
    pub(super) fn or<T>(
        &mut self,
        value: Option<T>,
        put: impl for<'p> FnOnce(&'p mut Self, T) -> &'p mut Self,
    ) -> &mut Self {
        self.byte(u8::from(value.is_some()));
        match value {
            Some(value) => put(self, value),
            None => self,
        }
    }
}

/// Reads what [`Pack`] wrote, in the same order.
#[derive(Debug)]
pub(super) struct Unpack<'a>(&'a [u8]);

impl<'a> Unpack<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Unpack<'a>> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Unpack(rest)),
            Some((version, _)) => Err(corrupt(format!("a row has the unknown version {version}"))),
            None => Err(corrupt("a row is empty")),
        }
    }

    pub(super) fn raw(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| corrupt("a row ends too soon"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.raw(1)?[0])
    }

    pub(super) fn uint(&mut self) -> Result<u64> {
        let (mut number, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f).checked_shl(shift);
            number |= part.ok_or_else(|| corrupt("a number in a row is too long"))?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    pub(super) fn count<T: TryFrom<u64>>(&mut self) -> Result<T> {
        let number = self.uint()?;
        T::try_from(number).map_err(|_| corrupt(format!("the number {number} is out of range")))
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        let number = self.uint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn seq(&mut self) -> Result<Seq> {
        Ok(Seq(self.uint()?))
    }

    pub(super) fn event_no(&mut self) -> Result<EventNo> {
        Ok(EventNo(self.uint()?))
    }

    pub(super) fn run_no(&mut self) -> Result<RunNo> {
        Ok(RunNo(self.uint()?))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp(self.int()?))
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = self.count()?;
        std::str::from_utf8(self.raw(length)?).map_err(corrupt)
    }

    pub(super) fn name<T: FromStr<Err = Refusal>>(&mut self) -> Result<T> {
        self.text()?.parse().map_err(corrupt)
    }

    pub(super) fn json(&mut self) -> Result<Json> {
        Json::parse(self.text()?).map_err(corrupt)
    }

    pub(super) fn digest(&mut self) -> Result<[u8; 32]> {
        self.raw(32)?.try_into().map_err(corrupt)
    }

    pub(super) fn variant<T>(&mut self, known: impl FnOnce(u8) -> Option<T>) -> Result<T> {
        let number = self.byte()?;
        known(number).ok_or_else(|| corrupt(format!("a row has the unknown variant {number}")))
    }

    pub(super) fn counts(&mut self) -> Result<Counts> {
        let mut counts = Counts::default();
        for count in &mut counts.0 {
            *count = self.uint()?;
        }
        Ok(counts)
    }

    pub(super) fn task_id(&mut self) -> Result<TaskId> {
        match self.byte()? {
            0 => Uuid::from_slice(self.raw(16)?).map(TaskId::Uuid).map_err(corrupt),
            _ => Ok(TaskId::Text(self.text()?.into())),
        }
    }

    pub(super) fn or<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        match self.byte()? {
            0 => Ok(None),
            _ => read(self).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back() {
        let mut pack = Pack::new();
        let (uints, ints) = ([0, 127, 128, u64::MAX], [0, -1, 64, i64::MIN, i64::MAX]);
        for n in uints {
            pack.uint(n);
        }
        for n in ints {
            pack.int(n);
        }
        pack.text("ä").or(None, Pack::byte);
        let bytes = pack.done();
        let mut unpack = Unpack::new(&bytes).unwrap();
        uints.iter().for_each(|n| assert_eq!(unpack.uint().unwrap(), *n));
        ints.iter().for_each(|n| assert_eq!(unpack.int().unwrap(), *n));
        assert_eq!(unpack.text().unwrap(), "ä");
        assert_eq!(unpack.or(Unpack::byte).unwrap(), None);
        assert!(unpack.byte().is_err(), "there is no more");
    }

    #[test]
    fn damaged_rows_are_named() {
        for bytes in [&[][..], &[9], &[1, 0xff], &[1, 5, b'a']] {
            let text = Unpack::new(bytes).and_then(|mut row| row.text().map(str::to_owned));
            assert_eq!(text.unwrap_err().code, Code::StoreCorrupt, "{bytes:?}");
        }
    }
}
