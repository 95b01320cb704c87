//! The columns that statements ask for, in which order, and what they mean. The tables go by one letter: `t`ask, `l`ease,
//! `b`ody, `o`utcome, `e`vent, `p`roject.

use std::time::Duration;

use domain::book::{Book, Entry};
use domain::event::{ChainHead, Draft, Event, Kind};
use domain::id::{EventNo, Token};
use domain::run::{Run, RunNo, RunState};
use domain::store::{Held, Seen};
use domain::task::record::{Body, Class, ClassNo, Join, Lease, Outcome, Task, Wait};
use domain::task::score::Score;
use domain::task::spec::{OnUpstreamFailure, Priority, Source};
use domain::task::state::{Reason, State};

use super::cells::{Cells, Row, corrupt};
use super::split::unpack;
use crate::kernel::tx::Head;

type Read<T, R> = Result<T, <R as Row>::Fault>;

/// Columns of a lease.
const LEASE_CELLS: usize = 12;

/// What [`task`] reads behind [`task_columns`].
macro_rules! lease_columns {
    () => {
        "l.fence, l.secret, l.worker, l.attempt, l.claimed_at, l.expires, l.ttl, l.progress, \
         l.state, l.reason, l.last_event, l.started_at"
    };
}

/// A task and the columns of its lease, which are NULL where there is none. A lease tells what its task's row leaves as it
/// was, see [`super::split`].
pub(crate) fn task<R: Row>(cells: &mut Cells<'_, R>) -> Read<Task, R> {
    let mut task = free_task(cells)?;
    let Some(fence) = cells.int_or()? else {
        cells.skip(LEASE_CELLS - 1);
        return Ok(task);
    };
    task.lease = Some(Lease {
        fence: EventNo(fence as u64),
        secret: cells.int()? as u64,
        worker: cells.name()?,
        attempt: cells.count()?,
        claimed_at: cells.time()?,
        expires: cells.int()?,
        ttl: Duration::from_millis(cells.count()?),
        progress: cells.json_or()?,
    });
    task.state = cells.variant(State::from_u8)?;
    task.reason = cells.variant_or(Reason::from_u8)?;
    task.last_event = cells.event_no()?;
    task.started_at = cells.time_or()?;
    Ok(task)
}

/// What [`free_task`] reads.
macro_rules! task_columns {
    () => {
        "t.seq, t.id, t.class, t.run, t.parent, t.left_state, t.dead_letter, t.superseded, t.priority, t.source, \
         t.depth, t.path_share, t.score, t.submitted_at, t.run_at, t.deadline, t.estimate, t.finished_at, t.timer, \
         t.open, t.dead, t.upstream, t.dependents, t.children, t.join_mode, t.attempts, t.failures, t.lost, \
         t.guarded, t.asks, t.wait, t.thing, t.state, t.reason, t.last_event, t.started_at"
    };
}

/// The row of a task without a lease.
pub(crate) fn free_task<R: Row>(cells: &mut Cells<'_, R>) -> Read<Task, R> {
    Ok(Task {
        seq: cells.seq()?,
        id: cells.task_id()?,
        class: cells.class_no()?,
        run: cells.run_no()?,
        parent: cells.seq_or()?,
        left: cells.variant_or(State::from_u8)?,
        dead_letter: cells.flag()?,
        superseded: cells.flag()?,
        priority: cells.variant(|number| Priority::try_from(number).ok())?,
        source: cells.variant(|number| Source::ALL.get(usize::from(number)).copied())?,
        depth: cells.count()?,
        path_share: cells.int_or()?.map(|share| share as u16),
        score: Score(cells.count()?),
        submitted_at: cells.time()?,
        run_at: cells.time_or()?,
        deadline: cells.time_or()?,
        estimate: cells.span_or()?,
        finished_at: cells.time_or()?,
        timer: cells.time_or()?,
        open: cells.count()?,
        dead: cells.count()?,
        upstream: cells.variant(|number| OnUpstreamFailure::ALL.get(usize::from(number)).copied())?,
        dependents: cells.count()?,
        children: cells.count()?,
        join: cells
            .variant_or(|number| [Join::Complete, Join::Continue].get(usize::from(number)).copied())?,
        attempts: cells.count()?,
        failures: cells.count()?,
        lost: cells.count()?,
        guarded: cells.flag()?,
        asks: cells.flag()?,
        wait: wait(cells)?,
        state: cells.variant(State::from_u8)?,
        reason: cells.variant_or(Reason::from_u8)?,
        last_event: cells.event_no()?,
        started_at: cells.time_or()?,
        lease: None,
    })
}

fn wait<R: Row>(cells: &mut Cells<'_, R>) -> Read<Wait, R> {
    let number = cells.int()?;
    let wait = u8::try_from(number).ok();
    wait.zip(Some(cells.text_or()?))
        .and_then(|(number, text)| Wait::of_parts(number, text))
        .ok_or_else(|| corrupt::<R>(format!("a task waits in the unknown way {number}")))
}

macro_rules! body_columns {
    () => {
        "b.key, b.digest, b.after, b.spec"
    };
}

pub(crate) fn body<R: Row>(cells: &mut Cells<'_, R>) -> Read<Body, R> {
    Ok(Body {
        key: cells.name_or()?,
        digest: cells.digest()?,
        after: unpack(cells.bytes_or()?.unwrap_or_default())
            .ok_or_else(|| corrupt::<R>("a list of prerequisites is damaged"))?,
        spec: cells.text()?.into(),
    })
}

macro_rules! outcome_columns {
    () => {
        "o.seq, o.error, o.usage, o.result"
    };
}

/// `None` when a join found no row.
pub(crate) fn outcome<R: Row>(cells: &mut Cells<'_, R>) -> Read<Option<Outcome>, R> {
    if cells.int_or()?.is_none() {
        cells.skip(3);
        return Ok(None);
    }
    let error = cells.text_or()?;
    Ok(Some(Outcome {
        error: error
            .map(serde_json::from_str)
            .transpose()
            .map_err(corrupt::<R>)?,
        usage: cells.json_or()?,
        result: cells.json_or()?,
    }))
}

/// The number, and what [`event`] reads.
macro_rules! event_columns {
    () => {
        "e.n, e.at, e.kind, e.task, e.run, e.reason, e.prev, e.actor, e.digest, e.data"
    };
}

/// An event behind its number, which stores keep in ways of their own.
pub(crate) fn event<R: Row>(no: EventNo, cells: &mut Cells<'_, R>) -> Read<Event, R> {
    let fact = Draft {
        at: cells.time()?,
        kind: cells.variant(Kind::from_number)?,
        task: cells.seq_or()?,
        run: cells.run_no()?,
        reason: cells.variant_or(Reason::from_u8)?,
        actor: "".into(),
        data: None,
    };
    let prev = cells.event_no()?;
    let actor = cells.text()?.into();
    let digest = cells.chain_digest()?;
    let data = cells.json_or()?;
    Ok(Event {
        no,
        fact: Draft { actor, data, ..fact },
        prev,
        digest,
    })
}

/// An event as it is told: with the names of what it is about.
pub(crate) fn seen<R: Row>(event: Event, cells: &mut Cells<'_, R>) -> Read<Seen, R> {
    Ok(Seen {
        event,
        task: cells.task_id_or()?,
        key: cells.name_or()?,
        run: cells.run_id_or()?,
    })
}

macro_rules! head_columns {
    () => {
        "p.last_event, p.digest, p.pending, p.blocked, p.ready, p.assigned, p.running, p.suspended, p.awaiting, \
         p.retrying, p.completed, p.failed, p.cancelled, p.dead_letters, p.score_sum, p.max_depth, p.newest, p.books"
    };
}

pub(crate) fn head<R: Row>(cells: &mut Cells<'_, R>) -> Read<Head, R> {
    Ok(Head {
        chain: ChainHead {
            last: cells.event_no()?,
            digest: cells.chain_digest()?,
        },
        counts: cells.counts()?,
        dead_letters: cells.count()?,
        score_sum: cells.int()?,
        max_depth: cells.count()?,
        newest: cells.time_or()?,
        books: cells.count()?,
    })
}

macro_rules! run_columns {
    () => {
        "no, id, plan, digest, state, pending, blocked, ready, assigned, running, suspended, awaiting, retrying, \
         completed, failed, cancelled, skipped, submitted_at, finished_at"
    };
}

pub(crate) fn run<R: Row>(cells: &mut Cells<'_, R>) -> Read<Run, R> {
    Ok(Run {
        no: RunNo(cells.int()? as u64),
        id: cells.run_id()?,
        plan: cells.text()?.to_owned(),
        digest: cells.digest()?,
        state: cells.variant(RunState::from_u8)?,
        counts: cells.counts()?,
        skipped: cells.count()?,
        submitted_at: cells.time()?,
        finished_at: cells.time_or()?,
    })
}

pub(crate) fn class<R: Row>(cells: &mut Cells<'_, R>) -> Read<(ClassNo, Class), R> {
    let no = cells.class_no()?;
    let class = serde_json::from_str(cells.text()?).map_err(corrupt::<R>)?;
    Ok((no, class))
}

pub(crate) fn entry<R: Row>(cells: &mut Cells<'_, R>, book: Book) -> Read<Entry, R> {
    Ok(Entry {
        book,
        key: cells.text()?.into(),
        value: cells
            .json_or()?
            .ok_or_else(|| corrupt::<R>("an entry is empty"))?,
        due: cells.time_or()?,
    })
}

pub(crate) fn held<R: Row>(cells: &mut Cells<'_, R>) -> Read<Held, R> {
    Ok(Held {
        id: cells.task_id()?,
        token: Token {
            seq: cells.seq()?,
            fence: cells.event_no()?,
            secret: cells.int()? as u64,
        },
        state: cells.variant(State::from_u8)?,
        worker: cells.name()?,
        attempt: cells.count()?,
        run: cells.run_no()?,
        started_at: cells.time_or()?,
        expires: cells.int()?,
    })
}

pub(crate) use {
    body_columns, event_columns, head_columns, lease_columns, outcome_columns, run_columns, task_columns,
};
