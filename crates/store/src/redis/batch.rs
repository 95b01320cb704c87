//! Commands on their way to the server, and what it answers.

use std::io::Write;

use domain::id::Seq;
use domain::store::Result;
use redis::Value;

use super::pack::corrupt;

/// Arguments of one command at most: the server reads a command whole before it runs it.
const ARGUMENTS: usize = 4_000;

/// Commands that travel together, already in the form in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    count: usize,
}

impl Batch {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn begin(&mut self, parts: usize) {
        self.count += 1;
        self.bytes.push(b'*');
        self.number(parts);
    }

    fn number(&mut self, number: usize) {
        write!(self.bytes, "{number}\r\n").expect("memory takes all");
    }

    fn part(&mut self, part: &[u8]) {
        self.bytes.push(b'$');
        self.number(part.len());
        self.bytes.extend_from_slice(part);
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(super) fn put(&mut self, parts: &[&[u8]]) -> &mut Self {
        self.begin(parts.len());
        parts.iter().for_each(|part| self.part(part));
        self
    }

    /// One command for all of `rest`, or several where they are too many for one; `size` of them belong together.
    /// Returns how many commands it became.
    pub(super) fn put_all<T: AsRef<[u8]>>(&mut self, first: &[&[u8]], rest: &[T], size: usize) -> usize {
        let chunks = rest.chunks(ARGUMENTS / size * size);
        let commands = chunks.len();
        for chunk in chunks {
            self.begin(first.len() + chunk.len());
            first.iter().for_each(|part| self.part(part));
            chunk.iter().for_each(|part| self.part(part.as_ref()));
        }
        commands
    }
}

/// The answers to a batch, taken one after the other.
#[derive(Debug)]
pub(super) struct Answers(std::vec::IntoIter<Value>);

impl Answers {
    pub(super) fn new(values: Vec<Value>) -> Answers {
        Answers(values.into_iter())
    }

    pub(super) fn value(&mut self) -> Result<Value> {
        self.0
            .next()
            .ok_or_else(|| corrupt("the server gave fewer answers than it was asked for"))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.value().map(drop))
    }

    pub(super) fn bytes(&mut self) -> Result<Option<Vec<u8>>> {
        bytes(self.value()?)
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        int(&self.value()?)
    }

    /// A list whose elements may be missing.
    pub(super) fn list(&mut self) -> Result<Vec<Option<Vec<u8>>>> {
        array(self.value()?)?.into_iter().map(bytes).collect()
    }

    /// A list without gaps.
    pub(super) fn members(&mut self) -> Result<Vec<Vec<u8>>> {
        array(self.value()?)?.into_iter().map(whole).collect()
    }

    /// A list of numbers of tasks.
    pub(super) fn seqs(&mut self) -> Result<Vec<Seq>> {
        let seq = |member: Vec<u8>| number(&member).map(|number| Seq(number.cast_unsigned()));
        self.members()?.into_iter().map(seq).collect()
    }

    /// Members with their scores.
    pub(super) fn scored(&mut self) -> Result<Vec<(Vec<u8>, i64)>> {
        let mut values = array(self.value()?)?.into_iter();
        let mut found = Vec::with_capacity(values.len() / 2);
        while let (Some(member), Some(score)) = (values.next(), values.next()) {
            found.push((whole(member)?, score_of(&whole(score)?)?));
        }
        Ok(found)
    }

    /// Fields with their values.
    pub(super) fn pairs(&mut self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut values = array(self.value()?)?.into_iter();
        let mut found = Vec::with_capacity(values.len() / 2);
        while let (Some(field), Some(value)) = (values.next(), values.next()) {
            found.push((whole(field)?, whole(value)?));
        }
        Ok(found)
    }

    /// The server's clock in microseconds.
    pub(super) fn micros(&mut self) -> Result<i64> {
        let parts = self.members()?;
        match &parts[..] {
            [seconds, micros] => Ok(number(seconds)? * 1_000_000 + number(micros)?),
            _ => Err(corrupt("the server does not tell the time")),
        }
    }
}

/// Every whole number that a score of ours can be is written without a fraction or an exponent.
fn score_of(text: &[u8]) -> Result<i64> {
    number(text).or_else(|_| {
        let text = std::str::from_utf8(text).map_err(corrupt)?;
        let score: f64 = text.parse().map_err(corrupt)?;
        Ok(score as i64)
    })
}

pub(super) fn number(text: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(text).map_err(corrupt)?;
    text.parse()
        .map_err(|_| corrupt(format!("`{text}` is no number")))
}

pub(super) fn bytes(value: Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Okay => Ok(Some(b"OK".to_vec())),
        Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
        other => Err(strange(&other)),
    }
}

fn whole(value: Value) -> Result<Vec<u8>> {
    bytes(value)?.ok_or_else(|| corrupt("the server left an element out"))
}

pub(super) fn int(value: &Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(strange(other)),
    }
}

pub(super) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        other => Err(strange(&other)),
    }
}

fn strange(value: &Value) -> domain::code::Refusal {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Array(_) => "a list",
        Value::Int(_) => "a number",
        _ => "something else",
    };
    corrupt(format!(
        "the server answers with {kind} where that makes no sense"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_cut_between_pairs() {
        let mut batch = Batch::default();
        batch.put(&[b"GET", b"k"]);
        assert_eq!(batch.bytes(), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
        let rest = vec!["x"; ARGUMENTS + 2];
        assert_eq!(batch.put_all(&[b"HSET", b"k"], &rest, 2), 2);
        assert_eq!(batch.put_all::<&str>(&[b"DEL"], &[], 1), 0);
        assert_eq!(batch.count(), 3);
    }
}
