//! What each kind of row holds.

use std::time::Duration;

use domain::book::{Book, Entry};
use domain::event::{ChainHead, Digest, Draft, Event, Kind};
use domain::id::{EventNo, Project, RunId, Seq};
use domain::run::{Counts, Run, RunNo, RunState};
use domain::store::{CacheEntry, Result};
use domain::task::record::{Body, ClassNo, Join, Lease, Outcome, Task, Wait};
use domain::task::score::Score;
use domain::task::spec::{Json, OnUpstreamFailure, Priority, Source, When};
use domain::task::state::{Reason, State};
use domain::time::millis;
use uuid::Uuid;

use super::pack::{Pack, Unpack, corrupt};
use crate::kernel::tx::{Head, Remembered};

/// The head of a project with what the driver itself keeps there. Every commit writes it, so it is what a
/// transaction watches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeadRow {
    /// Grows with every commit.
    pub(super) version: u64,
    /// Drawn when the project was made: what is remembered of another project of the same name is not of this one.
    pub(super) birth: u64,
    pub(super) head: Head,
    pub(super) last_seq: Seq,
    pub(super) last_run: RunNo,
    pub(super) classes: u32,
    pub(super) unsettled: u64,
    /// The latest moment that any transaction acted in, so that a server's clock that is set back moves nothing.
    pub(super) latest: i64,
}

impl HeadRow {
    /// Of a project in which nothing has happened.
    pub(super) fn empty(project: &Project, birth: u64) -> HeadRow {
        HeadRow {
            version: 0,
            birth,
            head: Head {
                chain: ChainHead {
                    last: EventNo(0),
                    digest: Digest::root(project),
                },
                counts: Counts::default(),
                dead_letters: 0,
                score_sum: 0,
                max_depth: 0,
                newest: None,
                books: 0,
            },
            last_seq: Seq(0),
            last_run: RunNo(0),
            classes: 0,
            unsettled: 0,
            latest: i64::MIN,
        }
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let mut pack = Pack::new();
        let head = &self.head;
        pack.uint(self.version)
            .uint(self.birth)
            .uint(head.chain.last.0)
            .raw(&head.chain.digest.0)
            .counts(&head.counts)
            .uint(head.dead_letters)
            .int(head.score_sum)
            .uint(head.max_depth.into())
            .or(head.newest, Pack::time)
            .uint(head.books.into())
            .uint(self.last_seq.0)
            .uint(self.last_run.0)
            .uint(self.classes.into())
            .uint(self.unsettled)
            .int(self.latest);
        pack.done()
    }

    pub(super) fn unpack(bytes: &[u8]) -> Result<HeadRow> {
        let mut row = Unpack::new(bytes)?;
        Ok(HeadRow {
            version: row.uint()?,
            birth: row.uint()?,
            head: Head {
                chain: ChainHead {
                    last: row.event_no()?,
                    digest: Digest(row.digest()?),
                },
                counts: row.counts()?,
                dead_letters: row.uint()?,
                score_sum: row.int()?,
                max_depth: row.count()?,
                newest: row.or(Unpack::time)?,
                books: row.count()?,
            },
            last_seq: row.seq()?,
            last_run: row.run_no()?,
            classes: row.count()?,
            unsettled: row.uint()?,
            latest: row.int()?,
        })
    }
}

/// A bit for each part of a task that may be missing, in the order in which they are written.
mod has {
    pub(super) const RUN: u64 = 1;
    pub(super) const PARENT: u64 = 1 << 1;
    pub(super) const REASON: u64 = 1 << 2;
    pub(super) const LEFT: u64 = 1 << 3;
    pub(super) const PATH_SHARE: u64 = 1 << 4;
    pub(super) const RUN_AT: u64 = 1 << 5;
    pub(super) const DEADLINE: u64 = 1 << 6;
    pub(super) const ESTIMATE: u64 = 1 << 7;
    pub(super) const STARTED: u64 = 1 << 8;
    pub(super) const FINISHED: u64 = 1 << 9;
    pub(super) const TIMER: u64 = 1 << 10;
    pub(super) const EDGES: u64 = 1 << 11;
    pub(super) const CHILDREN: u64 = 1 << 12;
    pub(super) const TRIES: u64 = 1 << 13;
    pub(super) const THING: u64 = 1 << 14;
    pub(super) const LEASE: u64 = 1 << 15;
    pub(super) const JOIN_COMPLETE: u64 = 1 << 16;
    pub(super) const JOIN_CONTINUE: u64 = 1 << 17;
    pub(super) const DEAD_LETTER: u64 = 1 << 18;
    pub(super) const SUPERSEDED: u64 = 1 << 19;
    pub(super) const GUARDED: u64 = 1 << 20;
    pub(super) const ASKS: u64 = 1 << 21;
    /// The thing is a baton.
    pub(super) const BATON: u64 = 1 << 22;
    /// It waits for its turn.
    pub(super) const TURN: u64 = 1 << 23;
}

pub(super) fn pack_task(task: &Task) -> Vec<u8> {
    let mut flags = 0;
    let mut note = |fact: bool, flag: u64| flags |= if fact { flag } else { 0 };
    note(task.run.is_some(), has::RUN);
    note(task.parent.is_some(), has::PARENT);
    note(task.reason.is_some(), has::REASON);
    note(task.left.is_some(), has::LEFT);
    note(task.path_share.is_some(), has::PATH_SHARE);
    note(task.run_at.is_some(), has::RUN_AT);
    note(task.deadline.is_some(), has::DEADLINE);
    note(task.estimate.is_some(), has::ESTIMATE);
    note(task.started_at.is_some(), has::STARTED);
    note(task.finished_at.is_some(), has::FINISHED);
    note(task.timer.is_some(), has::TIMER);
    note((task.open, task.dead, task.dependents) != (0, 0, 0), has::EDGES);
    note(task.children > 0, has::CHILDREN);
    note((task.attempts, task.failures, task.lost) != (0, 0, 0), has::TRIES);
    note(task.wait != Wait::No, has::THING);
    note(task.lease.is_some(), has::LEASE);
    note(task.join == Some(Join::Complete), has::JOIN_COMPLETE);
    note(task.join == Some(Join::Continue), has::JOIN_CONTINUE);
    note(task.dead_letter, has::DEAD_LETTER);
    note(task.superseded, has::SUPERSEDED);
    note(task.guarded, has::GUARDED);
    note(task.asks, has::ASKS);
    note(matches!(task.wait, Wait::Baton(_)), has::BATON);
    note(matches!(task.wait, Wait::Turn(..)), has::TURN);
    let mut pack = Pack::new();
    pack.uint(flags)
        .task_id(&task.id)
        .uint(task.class.0.into())
        .byte(task.state as u8)
        .byte(task.priority.value())
        .byte(task.source as u8)
        .byte(task.upstream as u8)
        .uint(task.depth.into())
        .int(task.score.0.into())
        .time(task.submitted_at)
        .uint(task.last_event.0);
    if let Some(run) = task.run {
        pack.uint(run.0);
    }
    if let Some(parent) = task.parent {
        pack.uint(parent.0);
    }
    if let Some(reason) = task.reason {
        pack.byte(reason as u8);
    }
    if let Some(left) = task.left {
        pack.byte(left as u8);
    }
    if let Some(share) = task.path_share {
        pack.uint(share.into());
    }
    for at in [task.run_at, task.deadline].into_iter().flatten() {
        pack.time(at);
    }
    if let Some(estimate) = task.estimate {
        pack.int(millis(estimate));
    }
    for at in [task.started_at, task.finished_at, task.timer]
        .into_iter()
        .flatten()
    {
        pack.time(at);
    }
    if flags & has::EDGES != 0 {
        pack.uint(task.open.into())
            .uint(task.dead.into())
            .uint(task.dependents.into());
    }
    if flags & has::CHILDREN != 0 {
        pack.uint(task.children.into());
    }
    if flags & has::TRIES != 0 {
        pack.uint(task.attempts.into())
            .uint(task.failures.into())
            .uint(task.lost.into());
    }
    if let (_, Some(thing)) = task.wait.parts() {
        pack.text(&thing);
    }
    if let Some(lease) = &task.lease {
        pack_lease(&mut pack, lease);
    }
    pack.done()
}

fn pack_lease(pack: &mut Pack, lease: &Lease) {
    pack.uint(lease.fence.0)
        .raw(&lease.secret.to_le_bytes())
        .text(lease.worker.as_str())
        .uint(lease.attempt.into())
        .time(lease.claimed_at)
        .int(lease.expires)
        .int(millis(lease.ttl))
        .or(lease.progress.as_ref(), |pack, json| pack.text(json.get()));
}

pub(super) fn unpack_task(seq: Seq, bytes: &[u8]) -> Result<Task> {
    let mut row = Unpack::new(bytes)?;
    let flags = row.uint()?;
    let is = |flag: u64| flags & flag != 0;
    let id = row.task_id()?;
    let class = ClassNo(row.count()?);
    let state = row.variant(State::from_u8)?;
    let priority = row.byte()?;
    let priority = Priority::try_from(priority).map_err(|_| corrupt(format!("the priority {priority}")))?;
    let source = row.variant(|n| Source::ALL.get(usize::from(n)).copied())?;
    let upstream = row.variant(|n| OnUpstreamFailure::ALL.get(usize::from(n)).copied())?;
    let depth = row.count()?;
    let score = i32::try_from(row.int()?).map_err(corrupt)?;
    let mut task = Task {
        state,
        priority,
        source,
        upstream,
        depth,
        score: Score(score),
        ..Task::new(seq, id, class, row.time()?)
    };
    task.last_event = row.event_no()?;
    task.dead_letter = is(has::DEAD_LETTER);
    task.superseded = is(has::SUPERSEDED);
    task.guarded = is(has::GUARDED);
    task.asks = is(has::ASKS);
    task.run = is(has::RUN).then(|| row.run_no()).transpose()?;
    task.parent = is(has::PARENT).then(|| row.seq()).transpose()?;
    task.reason = is(has::REASON)
        .then(|| row.variant(Reason::from_u8))
        .transpose()?;
    task.left = is(has::LEFT).then(|| row.variant(State::from_u8)).transpose()?;
    task.path_share = is(has::PATH_SHARE).then(|| row.count()).transpose()?;
    task.run_at = is(has::RUN_AT).then(|| row.time()).transpose()?;
    task.deadline = is(has::DEADLINE).then(|| row.time()).transpose()?;
    task.estimate = is(has::ESTIMATE).then(|| span(&mut row)).transpose()?;
    task.started_at = is(has::STARTED).then(|| row.time()).transpose()?;
    task.finished_at = is(has::FINISHED).then(|| row.time()).transpose()?;
    task.timer = is(has::TIMER).then(|| row.time()).transpose()?;
    if is(has::EDGES) {
        (task.open, task.dead, task.dependents) = (row.count()?, row.count()?, row.count()?);
    }
    if is(has::CHILDREN) {
        task.children = row.count()?;
    }
    if is(has::TRIES) {
        (task.attempts, task.failures, task.lost) = (row.count()?, row.count()?, row.count()?);
    }
    if is(has::THING) {
        let number = 1 + u8::from(is(has::BATON)) + 2 * u8::from(is(has::TURN));
        let wait = Wait::of_parts(number, Some(row.text()?));
        task.wait = wait.ok_or_else(|| corrupt("a task waits in an unknown way"))?;
    }
    task.lease = is(has::LEASE).then(|| unpack_lease(&mut row)).transpose()?;
    task.join = match (is(has::JOIN_COMPLETE), is(has::JOIN_CONTINUE)) {
        (true, _) => Some(Join::Complete),
        (_, true) => Some(Join::Continue),
        _ => None,
    };
    Ok(task)
}

fn unpack_lease(row: &mut Unpack<'_>) -> Result<Lease> {
    Ok(Lease {
        fence: row.event_no()?,
        secret: u64::from_le_bytes(row.raw(8)?.try_into().map_err(corrupt)?),
        worker: row.name()?,
        attempt: row.count()?,
        claimed_at: row.time()?,
        expires: row.int()?,
        ttl: span(row)?,
        progress: row.or(Unpack::json)?,
    })
}

fn span(row: &mut Unpack<'_>) -> Result<Duration> {
    Ok(Duration::from_millis(u64::try_from(row.int()?).map_err(corrupt)?))
}

fn when(number: u8) -> Option<When> {
    When::ALL.get(usize::from(number)).copied()
}

pub(super) fn pack_body(body: &Body) -> Vec<u8> {
    let mut pack = Pack::new();
    pack.or(body.key.as_ref(), |pack, key| pack.text(key.as_str()))
        .raw(&body.digest)
        .uint(body.after.len() as u64);
    for (seq, when) in &body.after {
        pack.uint(seq.0).byte(*when as u8);
    }
    pack.text(&body.spec);
    pack.done()
}

pub(super) fn unpack_body(bytes: &[u8]) -> Result<Body> {
    let mut row = Unpack::new(bytes)?;
    let key = row.or(Unpack::name)?;
    let digest = row.digest()?;
    let count: usize = row.count()?;
    let mut after = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        after.push((row.seq()?, row.variant(when)?));
    }
    Ok(Body {
        key,
        digest,
        after,
        spec: row.text()?.into(),
    })
}

pub(super) fn pack_outcome(outcome: &Outcome) -> Result<Vec<u8>> {
    let error = outcome.error.as_ref().map(serde_json::to_string).transpose();
    let mut pack = Pack::new();
    pack.or(error.map_err(corrupt)?, |pack, text| pack.text(&text))
        .or(outcome.usage.as_ref(), |pack, json| pack.text(json.get()))
        .or(outcome.result.as_ref(), |pack, json| pack.text(json.get()));
    Ok(pack.done())
}

pub(super) fn unpack_outcome(bytes: &[u8]) -> Result<Outcome> {
    let mut row = Unpack::new(bytes)?;
    let error = row.or(Unpack::text)?;
    Ok(Outcome {
        error: error.map(serde_json::from_str).transpose().map_err(corrupt)?,
        usage: row.or(Unpack::json)?,
        result: row.or(Unpack::json)?,
    })
}

pub(super) fn pack_run(run: &Run) -> Vec<u8> {
    let mut pack = Pack::new();
    pack.raw(run.id.0.as_bytes())
        .text(&run.plan)
        .raw(&run.digest)
        .byte(run.state as u8)
        .counts(&run.counts)
        .uint(run.skipped)
        .time(run.submitted_at)
        .or(run.finished_at, Pack::time);
    pack.done()
}

pub(super) fn unpack_run(no: RunNo, bytes: &[u8]) -> Result<Run> {
    let mut row = Unpack::new(bytes)?;
    Ok(Run {
        no,
        id: RunId(Uuid::from_slice(row.raw(16)?).map_err(corrupt)?),
        plan: row.text()?.to_owned(),
        digest: row.digest()?,
        state: row.variant(RunState::from_u8)?,
        counts: row.counts()?,
        skipped: row.uint()?,
        submitted_at: row.time()?,
        finished_at: row.or(Unpack::time)?,
    })
}

/// The number is the place in the list.
pub(super) fn pack_event(event: &Event) -> Vec<u8> {
    let fact = &event.fact;
    let mut pack = Pack::new();
    pack.byte(fact.kind.number())
        .byte(fact.reason.map_or(u8::MAX, |reason| reason as u8))
        .time(fact.at)
        .uint(fact.task.map_or(0, |seq| seq.0))
        .uint(fact.run.map_or(0, |no| no.0))
        .uint(event.prev.0)
        .text(&fact.actor)
        .text(fact.data.as_ref().map_or("", Json::get))
        .raw(&event.digest.0);
    pack.done()
}

pub(super) fn unpack_event(no: EventNo, bytes: &[u8]) -> Result<Event> {
    let mut row = Unpack::new(bytes)?;
    let kind = row.variant(Kind::from_number)?;
    let reason = match row.byte()? {
        u8::MAX => None,
        n => Some(Reason::from_u8(n).ok_or_else(|| corrupt(format!("a row has the unknown reason {n}")))?),
    };
    let at = row.time()?;
    let (task, run, prev) = (row.uint()?, row.uint()?, row.event_no()?);
    let actor = row.text()?.into();
    let data = row.text()?;
    let data = (!data.is_empty())
        .then(|| Json::parse(data))
        .transpose()
        .map_err(corrupt)?;
    Ok(Event {
        no,
        fact: Draft {
            at,
            kind,
            task: (task != 0).then_some(Seq(task)),
            run: (run != 0).then_some(RunNo(run)),
            actor,
            reason,
            data,
        },
        prev,
        digest: Digest(row.digest()?),
    })
}

pub(super) fn pack_remembered(remembered: &Remembered) -> Vec<u8> {
    let mut pack = Pack::new();
    pack.raw(&remembered.digest)
        .time(remembered.at)
        .text(&remembered.answer);
    pack.done()
}

pub(super) fn unpack_remembered(bytes: &[u8]) -> Result<Remembered> {
    let mut row = Unpack::new(bytes)?;
    Ok(Remembered {
        digest: row.digest()?,
        at: row.time()?,
        answer: row.text()?.to_owned(),
    })
}

pub(super) fn pack_entry(entry: &Entry) -> Vec<u8> {
    let mut pack = Pack::new();
    pack.or(entry.due, Pack::time).text(entry.value.get());
    pack.done()
}

pub(super) fn unpack_entry(book: Book, key: &str, bytes: &[u8]) -> Result<Entry> {
    let mut row = Unpack::new(bytes)?;
    Ok(Entry {
        book,
        key: key.into(),
        due: row.or(Unpack::time)?,
        value: row.json()?,
    })
}

pub(super) fn pack_cached(entry: &CacheEntry) -> Vec<u8> {
    let mut pack = Pack::new();
    pack.or(entry.result.as_ref(), |pack, json| pack.text(json.get()))
        .time(entry.stored_at)
        .or(entry.expires_at, Pack::time)
        .task_id(&entry.made_by);
    pack.done()
}

pub(super) fn unpack_cached(key: [u8; 32], bytes: &[u8]) -> Result<CacheEntry> {
    let mut row = Unpack::new(bytes)?;
    Ok(CacheEntry {
        key,
        result: row.or(Unpack::json)?,
        stored_at: row.time()?,
        expires_at: row.or(Unpack::time)?,
        made_by: row.task_id()?,
    })
}

/// Which task goes by a key: the newest run that has it wins, and any run wins over none.
pub(super) type Named = (Option<RunNo>, Seq);

pub(super) fn pack_named((run, seq): Named) -> Vec<u8> {
    let mut pack = Pack::new();
    pack.or(run, |pack, run| pack.uint(run.0)).uint(seq.0);
    pack.done()
}

pub(super) fn unpack_named(bytes: &[u8]) -> Result<Named> {
    let mut row = Unpack::new(bytes)?;
    Ok((row.or(Unpack::run_no)?, row.seq()?))
}
