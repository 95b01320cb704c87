//! What is stored of one project: each method is one exchange with the server.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::event::Event;
use domain::id::{EventNo, Key, Seq, TaskId, WorkerId};
use domain::run::{Run, RunNo};
use domain::task::lock::Mode;
use domain::task::record::{Body, Class, ClassNo, Outcome, Place, Task};
use domain::task::spec::When;

use super::batch::{Answers, Batch, number};
use super::fault::Fault;
use super::keys::{self, Keys, before, beyond, field, from, sorted};
use super::link::Link;
use super::pack::{Pack, corrupt};
use super::rows::{self, HeadRow};
use crate::kernel::tx::Remembered;

type Found<T> = Result<T, Fault>;
type Bodies = Vec<(Seq, Body)>;

pub(super) struct Base<'a> {
    pub(super) link: &'a mut Link,
    pub(super) keys: Keys,
}

/// Sequence numbers as members of sorted sets.
pub(super) fn edge(child: Seq, when: When) -> Vec<u8> {
    field(child.0 * 4 + when as u64)
}

fn edge_of(member: &[u8]) -> domain::store::Result<(Seq, When)> {
    let number = number(member)?.cast_unsigned();
    let when = When::ALL.get((number % 4) as usize);
    Ok((
        Seq(number / 4),
        *when.ok_or_else(|| corrupt("an edge has an unknown condition"))?,
    ))
}

/// The bytes under which an id is kept.
pub(super) fn id_bytes(id: &TaskId) -> Vec<u8> {
    let mut pack = Pack::new();
    pack.task_id(id);
    pack.done()
}

impl Base<'_> {
    pub(super) fn ask(&mut self, batch: &Batch) -> Found<Answers> {
        self.link.ask(self.keys.tag(), batch)
    }

    pub(super) fn head(&mut self) -> Found<Option<HeadRow>> {
        let mut batch = Batch::default();
        batch.put(&[b"GET", &self.keys.of("h")]);
        let bytes = self.link.fetch(self.keys.tag(), &batch)?.bytes()?;
        Ok(bytes.map(|bytes| HeadRow::unpack(&bytes)).transpose()?)
    }

    /// The values of these fields, in the order asked.
    pub(super) fn fields<T: AsRef<[u8]>>(&mut self, hash: &str, fields: &[T]) -> Found<Vec<Option<Vec<u8>>>> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = Batch::default();
        let commands = batch.put_all(&[b"HMGET", &self.keys.of(hash)], fields, 1);
        let mut answers = self.ask(&batch)?;
        let mut found = Vec::with_capacity(fields.len());
        for _ in 0..commands {
            found.extend(answers.list()?);
        }
        Ok(found)
    }

    fn numbered(&mut self, hash: &str, seqs: &[Seq]) -> Found<Vec<Option<Vec<u8>>>> {
        let fields: Vec<_> = seqs.iter().map(|seq| field(seq.0)).collect();
        self.fields(hash, &fields)
    }

    pub(super) fn find(&mut self, ids: &[TaskId]) -> Found<Vec<Option<Seq>>> {
        let fields: Vec<_> = ids.iter().map(id_bytes).collect();
        let found = self.fields("i", &fields)?;
        let seq = |bytes: Option<Vec<u8>>| bytes.map(|bytes| number(&bytes)).transpose();
        let numbers = found
            .into_iter()
            .map(seq)
            .collect::<domain::store::Result<Vec<_>>>()?;
        Ok(numbers
            .into_iter()
            .map(|number| number.map(|number| Seq(number.cast_unsigned())))
            .collect())
    }

    /// In the order asked; unknown numbers are left out.
    pub(super) fn tasks(&mut self, seqs: &[Seq]) -> Found<Vec<Task>> {
        let found = self.numbered("t", seqs)?;
        read(seqs, found, rows::unpack_task)
    }

    pub(super) fn tasks_and_bodies(&mut self, seqs: &[Seq]) -> Found<(Vec<Task>, Bodies)> {
        let fields: Vec<_> = seqs.iter().map(|seq| field(seq.0)).collect();
        let mut batch = Batch::default();
        let commands = ["t", "b"].map(|hash| batch.put_all(&[b"HMGET", &self.keys.of(hash)], &fields, 1));
        let mut answers = self.ask(&batch)?;
        let mut both = Vec::with_capacity(2);
        for commands in commands {
            let mut found = Vec::with_capacity(fields.len());
            for _ in 0..commands {
                found.extend(answers.list()?);
            }
            both.push(found);
        }
        let (bodies, tasks) = (both.pop().unwrap_or_default(), both.pop().unwrap_or_default());
        let bodies = read(seqs, bodies, |seq, bytes| Ok((seq, rows::unpack_body(bytes)?)))?;
        Ok((read(seqs, tasks, rows::unpack_task)?, bodies))
    }

    /// As `tasks`, for numbers that an index has named.
    pub(super) fn listed(&mut self, seqs: &[Seq]) -> Found<Vec<Task>> {
        let tasks = self.tasks(seqs)?;
        if tasks.len() == seqs.len() {
            return Ok(tasks);
        }
        let missing = seqs.iter().find(|seq| tasks.iter().all(|task| task.seq != **seq));
        let number = missing.map_or(0, |seq| seq.0);
        Err(corrupt(format!("task number {number} is missing")).into())
    }

    pub(super) fn bodies(&mut self, seqs: &[Seq]) -> Found<Bodies> {
        let found = self.numbered("b", seqs)?;
        read(seqs, found, |seq, bytes| Ok((seq, rows::unpack_body(bytes)?)))
    }

    pub(super) fn outcomes(&mut self, seqs: &[Seq]) -> Found<Vec<(Seq, Outcome)>> {
        let found = self.numbered("o", seqs)?;
        read(seqs, found, |seq, bytes| Ok((seq, rows::unpack_outcome(bytes)?)))
    }

    /// Members of ordered texts between two ends, at most `limit`.
    pub(super) fn texts(
        &mut self,
        key: &[u8],
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Found<Vec<Vec<u8>>> {
        let mut batch = Batch::default();
        put_texts(&mut batch, key, start, end, limit);
        Ok(self.ask(&batch)?.members()?)
    }

    pub(super) fn children(&mut self, parent: Seq, limit: usize) -> Found<Vec<Seq>> {
        let start = sorted(parent.0);
        let members = self.texts(&self.keys.of("g"), &from(&start), &beyond(&start), limit)?;
        let child = |member: &Vec<u8>| keys::seq_of(member.get(8..).unwrap_or_default());
        Ok(members.iter().map(child).collect::<domain::store::Result<_>>()?)
    }

    /// The last `limit` tasks of a run with numbers below `before`. The list is in order, and the last ones are asked for most.
    pub(super) fn members(&mut self, run: RunNo, before: Seq, limit: usize) -> Found<Vec<Seq>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let last = self.members_at(run, -limit, -1)?;
        if last.iter().all(|seq| *seq < before) {
            return Ok(last);
        }
        match self.place_in_run(run, before)? {
            0 => Ok(Vec::new()),
            end => self.members_at(run, end.saturating_sub(limit).max(0), end - 1),
        }
    }

    pub(super) fn members_at(&mut self, run: RunNo, first: i64, last: i64) -> Found<Vec<Seq>> {
        let (first, last) = (first.to_string(), last.to_string());
        let mut batch = Batch::default();
        batch.put(&[
            b"LRANGE",
            &self.keys.run_tasks(run),
            first.as_bytes(),
            last.as_bytes(),
        ]);
        Ok(self.ask(&batch)?.seqs()?)
    }

    /// Where in the list of a run the first number from `seq` on is.
    pub(super) fn place_in_run(&mut self, run: RunNo, seq: Seq) -> Found<i64> {
        let key = self.keys.run_tasks(run);
        let mut batch = Batch::default();
        batch.put(&[b"LLEN", &key]);
        let (mut low, mut high) = (0, self.ask(&batch)?.int()?);
        while low < high {
            let middle = i64::midpoint(low, high);
            let mut batch = Batch::default();
            batch.put(&[b"LINDEX", &key, middle.to_string().as_bytes()]);
            let found = self.ask(&batch)?.bytes()?.unwrap_or_default();
            if number(&found)?.cast_unsigned() < seq.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The event with this number, in a log that ends with `last`.
    pub(super) fn event(&mut self, no: EventNo, last: EventNo) -> Found<Option<Event>> {
        if no > last {
            return Ok(None);
        }
        let mut batch = Batch::default();
        batch.put(&[b"LINDEX", &self.keys.of("e"), &from_end(no, last)]);
        let found = self.ask(&batch)?.bytes()?;
        Ok(found.map(|bytes| rows::unpack_event(no, &bytes)).transpose()?)
    }

    /// Dependents of each of these, those after the number beside it.
    pub(super) fn dependents(&mut self, of: &[(Seq, Seq)], limit: usize) -> Found<Vec<Vec<(Seq, When)>>> {
        let mut batch = Batch::default();
        for (parent, after) in of {
            let after = before(&field(after.0));
            let key = self.keys.dependents(*parent);
            batch.put(&[
                b"ZRANGE",
                &key,
                &after,
                b"+inf",
                b"BYSCORE",
                b"LIMIT",
                b"0",
                &bound(limit),
            ]);
        }
        let mut answers = self.ask(&batch)?;
        let mut all = Vec::with_capacity(of.len());
        for _ in of {
            let edges = answers.members()?;
            all.push(
                edges
                    .iter()
                    .map(|member| edge_of(member))
                    .collect::<domain::store::Result<_>>()?,
            );
        }
        Ok(all)
    }

    pub(super) fn classes(&mut self) -> Found<Vec<(ClassNo, Class)>> {
        let mut batch = Batch::default();
        batch.put(&[b"HGETALL", &self.keys.of("c")]);
        let mut classes = Vec::new();
        for (no, text) in self.ask(&batch)?.pairs()? {
            let no = u32::try_from(number(&no)?).map_err(corrupt)?;
            let class = serde_json::from_slice(&text).map_err(corrupt)?;
            classes.push((ClassNo(no), class));
        }
        classes.sort_unstable_by_key(|(no, _)| *no);
        Ok(classes)
    }

    /// The first `limit` places of each of these lines.
    pub(super) fn places(&mut self, lines: &[(Vec<u8>, usize)]) -> Found<Vec<Place>> {
        let mut batch = Batch::default();
        for (line, limit) in lines {
            let last = field((*limit as u64).saturating_sub(1).min(i64::MAX as u64));
            batch.put(&[b"ZRANGE", line, b"0", &last, b"WITHSCORES"]);
        }
        let mut answers = self.ask(&batch)?;
        let mut places = Vec::new();
        for _ in lines {
            for (member, score) in answers.scored()? {
                places.push(keys::place_of(&member, score)?);
            }
        }
        Ok(places)
    }

    pub(super) fn holders(&mut self, start: &[u8], end: &[u8]) -> Found<Vec<(String, Seq, Mode)>> {
        let members = self.texts(&self.keys.of("hs"), start, end, usize::MAX)?;
        let holder = |member: &Vec<u8>| keys::holder_of(member);
        Ok(members.iter().map(holder).collect::<domain::store::Result<_>>()?)
    }

    pub(super) fn held_by(&mut self, holders: &[Seq]) -> Found<Vec<(Seq, String, Mode)>> {
        let mut batch = Batch::default();
        for holder in holders {
            let start = sorted(holder.0);
            let key = self.keys.of("hd");
            put_texts(&mut batch, &key, &from(&start), &beyond(&start), usize::MAX);
        }
        let mut answers = self.ask(&batch)?;
        let mut held = Vec::new();
        for _ in holders {
            for member in answers.members()? {
                held.push(keys::held_of(&member)?);
            }
        }
        Ok(held)
    }

    /// What a worker has leased, in no order.
    pub(super) fn leased_by(&mut self, worker: &WorkerId) -> Found<Vec<Seq>> {
        let mut batch = Batch::default();
        batch.put(&[b"SMEMBERS", &self.keys.worker(worker)]);
        Ok(self.ask(&batch)?.seqs()?)
    }

    /// Numbers with a score in a range, with their scores.
    pub(super) fn scored(
        &mut self,
        key: &[u8],
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Found<Vec<(i64, Seq)>> {
        let mut batch = Batch::default();
        batch.put(&[
            b"ZRANGE",
            key,
            start,
            end,
            b"BYSCORE",
            b"LIMIT",
            b"0",
            &bound(limit),
            b"WITHSCORES",
        ]);
        let found = self.ask(&batch)?.scored()?;
        let seq = |(member, score): &(Vec<u8>, i64)| Ok((*score, keys::seq_of(member)?));
        Ok(found.iter().map(seq).collect::<domain::store::Result<_>>()?)
    }

    pub(super) fn runs(&mut self, numbers: &[RunNo]) -> Found<Vec<Run>> {
        let fields: Vec<_> = numbers.iter().map(|no| field(no.0)).collect();
        let found = self.fields("r", &fields)?;
        let mut runs = Vec::with_capacity(numbers.len());
        for (no, bytes) in numbers.iter().zip(found) {
            if let Some(bytes) = bytes {
                runs.push(rows::unpack_run(*no, &bytes)?);
            }
        }
        Ok(runs)
    }

    pub(super) fn run_no(&mut self, id: domain::id::RunId) -> Found<Option<RunNo>> {
        let found = self.fields("ri", &[id.0.as_bytes()])?.pop().flatten();
        let no = found.map(|bytes| number(&bytes)).transpose()?;
        Ok(no.map(|no| RunNo(no.cast_unsigned())))
    }

    /// Numbers of the newest runs of a plan, newest first.
    pub(super) fn plan_runs(&mut self, plan: &str, limit: usize) -> Found<Vec<RunNo>> {
        let start = keys::under(plan);
        let mut batch = Batch::default();
        let (key, end) = (self.keys.of("rp"), beyond(&start));
        batch.put(&[
            b"ZRANGE",
            &key,
            &end,
            &from(&start),
            b"BYLEX",
            b"REV",
            b"LIMIT",
            b"0",
            &bound(limit),
        ]);
        let members = self.ask(&batch)?.members()?;
        let no = |member: &Vec<u8>| keys::seq_of(member.get(start.len()..).unwrap_or_default());
        let numbers = members
            .iter()
            .map(no)
            .collect::<domain::store::Result<Vec<_>>>()?;
        Ok(numbers.into_iter().map(|seq| RunNo(seq.0)).collect())
    }

    pub(super) fn unsettled(&mut self) -> Found<Vec<(Seq, Seq)>> {
        let mut batch = Batch::default();
        batch.put(&[b"HGETALL", &self.keys.of("u")]);
        let mut all = Vec::new();
        for (seq, last) in self.ask(&batch)?.pairs()? {
            let seq_of = |text: &[u8]| number(text).map(|number| Seq(number.cast_unsigned()));
            all.push((seq_of(&seq)?, seq_of(&last)?));
        }
        Ok(all)
    }

    pub(super) fn remembered(&mut self, key: &str) -> Found<Option<Remembered>> {
        let found = self.fields("m", &[key])?.pop().flatten();
        Ok(found.map(|bytes| rows::unpack_remembered(&bytes)).transpose()?)
    }

    /// In order of the keys, those after `after`.
    pub(super) fn remembered_page(&mut self, after: &str, limit: usize) -> Found<Vec<(String, Remembered)>> {
        let key = self.keys.of("mo");
        let keys = texts(self.texts(&key, &before(after.as_bytes()), b"+", limit)?)?;
        let fields: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let found = self.fields("m", &fields)?;
        let mut page = Vec::with_capacity(keys.len());
        for (key, bytes) in fields.iter().zip(found.into_iter().flatten()) {
            page.push(((*key).to_owned(), rows::unpack_remembered(&bytes)?));
        }
        Ok(page)
    }

    pub(super) fn named(&mut self, keys: &[Key]) -> Found<Vec<Option<rows::Named>>> {
        let fields: Vec<_> = keys.iter().map(Key::as_str).collect();
        let found = self.fields("n", &fields)?;
        let named = |bytes: Option<Vec<u8>>| bytes.map(|bytes| rows::unpack_named(&bytes)).transpose();
        Ok(found
            .into_iter()
            .map(named)
            .collect::<domain::store::Result<_>>()?)
    }

    pub(super) fn entries(&mut self, book: Book, keys: &[Arc<str>]) -> Found<Vec<Entry>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let fields: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        let mut batch = Batch::default();
        let commands = batch.put_all(&[b"HMGET", &self.keys.book("bk", book)], &fields, 1);
        let mut answers = self.ask(&batch)?;
        let mut values = Vec::with_capacity(keys.len());
        for _ in 0..commands {
            values.extend(answers.list()?);
        }
        let mut found = Vec::new();
        for (key, value) in keys.iter().zip(values) {
            if let Some(value) = value {
                found.push(rows::unpack_entry(book, key, &value)?);
            }
        }
        Ok(found)
    }

    /// Keys of a book in order, those after `after`.
    pub(super) fn entry_keys(&mut self, book: Book, after: &str, limit: usize) -> Found<Vec<Arc<str>>> {
        let key = self.keys.book("bo", book);
        let members = self.texts(&key, &before(after.as_bytes()), b"+", limit)?;
        texts(members)
    }

    /// Keys of a book that are due, in order of their time and key.
    pub(super) fn entry_keys_due(&mut self, book: Book, at: i64, limit: usize) -> Found<Vec<Arc<str>>> {
        let (key, end) = (self.keys.book("bd", book), at.to_string());
        let mut batch = Batch::default();
        batch.put(&[
            b"ZRANGE",
            &key,
            b"-inf",
            end.as_bytes(),
            b"BYSCORE",
            b"LIMIT",
            b"0",
            &bound(limit),
        ]);
        texts(self.ask(&batch)?.members()?)
    }
}

/// Where an event stands in a log that ends with `last`: its beginning may have gone, so that only the end is known.
pub(super) fn from_end(no: EventNo, last: EventNo) -> Vec<u8> {
    let back = last.0.saturating_sub(no.0).saturating_add(1);
    format!("-{back}").into_bytes()
}

fn texts(members: Vec<Vec<u8>>) -> Found<Vec<Arc<str>>> {
    let text = |member: Vec<u8>| String::from_utf8(member).map(Arc::from);
    let texts: Result<_, _> = members.into_iter().map(text).collect();
    texts.map_err(|error| corrupt(error).into())
}

fn read<T>(
    seqs: &[Seq],
    found: Vec<Option<Vec<u8>>>,
    unpack: impl Fn(Seq, &[u8]) -> domain::store::Result<T>,
) -> Found<Vec<T>> {
    let mut rows = Vec::with_capacity(seqs.len());
    for (seq, bytes) in seqs.iter().zip(found) {
        if let Some(bytes) = bytes {
            rows.push(unpack(*seq, &bytes)?);
        }
    }
    Ok(rows)
}

pub(super) fn put_texts(batch: &mut Batch, key: &[u8], start: &[u8], end: &[u8], limit: usize) {
    batch.put(&[
        b"ZRANGE",
        key,
        start,
        end,
        b"BYLEX",
        b"LIMIT",
        b"0",
        &bound(limit),
    ]);
}

/// A count as the server takes it; -1 means all.
pub(super) fn bound(limit: usize) -> Vec<u8> {
    let limit = i64::try_from(limit).ok().filter(|limit| *limit < i64::MAX);
    limit.unwrap_or(-1).to_string().into_bytes()
}
