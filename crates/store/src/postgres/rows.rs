//! How things look as rows: the columns of each table, and values to and from them.

use std::sync::LazyLock;

use domain::event::Event;
use domain::id::{Seq, TaskId};
use domain::run::{Run, RunNo};
use domain::task::record::{Body, Lease, Outcome, Task};
use domain::task::spec::Json;
use domain::task::state::Reason;
use domain::time::{Timestamp, millis};

use super::cells::Cells;
use super::fault::{Sql, corrupt};
use super::table::Kind::{Bytes, Int, Text};
use super::table::{Column, Rows, insert, replace, update};
use crate::tables::records::{
    self, body_columns, event_columns, lease_columns, outcome_columns, run_columns, task_columns,
};
use crate::tables::split::{pack, row_state};

pub(super) const SEQ: &[Column] = &[("seq", Int)];

// ---- tasks ----

/// What a task is known by; never changes.
const KNOWN: &[Column] = &[("seq", Int), ("id", Bytes), ("run", Int), ("parent", Int)];
const CHANGEABLE: &[Column] = &[
    ("class", Int),
    ("state", Int),
    ("reason", Int),
    ("last_event", Int),
    ("started_at", Int),
    ("left_state", Int),
    ("dead_letter", Int),
    ("superseded", Int),
    ("priority", Int),
    ("source", Int),
    ("depth", Int),
    ("path_share", Int),
    ("score", Int),
    ("submitted_at", Int),
    ("run_at", Int),
    ("deadline", Int),
    ("estimate", Int),
    ("finished_at", Int),
    ("timer", Int),
    ("open", Int),
    ("dead", Int),
    ("upstream", Int),
    ("dependents", Int),
    ("children", Int),
    ("join_mode", Int),
    ("attempts", Int),
    ("failures", Int),
    ("lost", Int),
    ("guarded", Int),
    ("asks", Int),
    ("wait", Int),
    ("thing", Text),
];
/// What the plain end of an attempt changes.
const END: &[Column] = &[
    ("state", Int),
    ("reason", Int),
    ("last_event", Int),
    ("started_at", Int),
    ("finished_at", Int),
    ("attempts", Int),
];
const LEASE: &[Column] = &[
    ("state", Int),
    ("reason", Int),
    ("last_event", Int),
    ("started_at", Int),
    ("fence", Int),
    ("secret", Int),
    ("worker", Text),
    ("attempt", Int),
    ("claimed_at", Int),
    ("expires", Int),
    ("ttl", Int),
    ("progress", Text),
];

pub(super) static TASK_INSERT: LazyLock<String> = LazyLock::new(|| insert("task", &[KNOWN, CHANGEABLE]));
pub(super) static TASK_UPDATE: LazyLock<String> = LazyLock::new(|| update("task", SEQ, CHANGEABLE));
pub(super) static TASK_END: LazyLock<String> = LazyLock::new(|| update("task", SEQ, END));
pub(super) static LEASE_INSERT: LazyLock<String> = LazyLock::new(|| insert("lease", &[SEQ, LEASE]));
pub(super) static LEASE_UPDATE: LazyLock<String> = LazyLock::new(|| update("lease", SEQ, LEASE));

pub(super) const FREE_TASK_COLUMNS: &str = task_columns!();
pub(super) const LEASE_COLUMNS: &str = lease_columns!();

pub(super) fn new_tasks() -> Rows {
    Rows::of(&[KNOWN, CHANGEABLE])
}

pub(super) fn new_task(rows: &mut Rows, task: &Task) {
    rows.wide(task.seq.0).bytes_or(Some(id_bytes(&task.id)));
    rows.int_or(run(task.run))
        .int_or(task.parent.map(|seq| seq.0 as i64));
    changeable(rows, task);
}

pub(super) fn changed_tasks() -> Rows {
    Rows::of(&[SEQ, CHANGEABLE])
}

pub(super) fn changed_task(rows: &mut Rows, task: &Task) {
    rows.wide(task.seq.0);
    changeable(rows, task);
}

fn changeable(rows: &mut Rows, task: &Task) {
    let (wait, thing) = task.wait.parts();
    rows.int(task.class.0).int(row_state(task) as u8);
    rows.int_or(reason(task.reason))
        .wide(task.last_event.0)
        .int_or(time(task.started_at));
    rows.int_or(task.left.map(|state| i64::from(state as u8)));
    rows.int(task.dead_letter).int(task.superseded);
    rows.int(task.priority.value()).int(task.source as u8);
    rows.int(task.depth)
        .int_or(task.path_share.map(i64::from))
        .int(task.score.0);
    rows.int(task.submitted_at.0)
        .int_or(time(task.run_at))
        .int_or(time(task.deadline));
    rows.int_or(task.estimate.map(millis))
        .int_or(time(task.finished_at))
        .int_or(time(task.timer));
    rows.int(task.open).int(task.dead).int(task.upstream as u8);
    rows.int(task.dependents).int(task.children);
    rows.int_or(task.join.map(|join| i64::from(join as u8)));
    rows.int(task.attempts).int(task.failures).int(task.lost);
    rows.int(task.guarded).int(task.asks);
    rows.int(wait).text_or(thing.as_deref());
}

pub(super) fn ended_tasks() -> Rows {
    Rows::of(&[SEQ, END])
}

pub(super) fn ended_task(rows: &mut Rows, task: &Task) {
    rows.wide(task.seq.0)
        .int(row_state(task) as u8)
        .int_or(reason(task.reason));
    rows.wide(task.last_event.0).int_or(time(task.started_at));
    rows.int_or(time(task.finished_at)).int(task.attempts);
}

pub(super) fn leases() -> Rows {
    Rows::of(&[SEQ, LEASE])
}

pub(super) fn lease(rows: &mut Rows, task: &Task, lease: &Lease) {
    rows.wide(task.seq.0)
        .int(task.state as u8)
        .int_or(reason(task.reason));
    rows.wide(task.last_event.0).int_or(time(task.started_at));
    rows.wide(lease.fence.0)
        .wide(lease.secret)
        .text(lease.worker.as_str())
        .int(lease.attempt);
    rows.int(lease.claimed_at.0)
        .int(lease.expires)
        .int(millis(lease.ttl));
    rows.text_or(lease.progress.as_ref().map(Json::get));
}

/// A task's id as it is stored.
pub(super) fn id_bytes(id: &TaskId) -> Vec<u8> {
    let (mark, bytes) = match id {
        TaskId::Uuid(uuid) => (0, &uuid.as_bytes()[..]),
        TaskId::Text(text) => (1, text.as_bytes()),
    };
    [&[mark], bytes].concat()
}

pub(super) fn run(no: Option<RunNo>) -> Option<i64> {
    no.map(|no| no.0 as i64)
}

fn reason(reason: Option<Reason>) -> Option<i64> {
    reason.map(|reason| i64::from(reason as u8))
}

pub(super) fn time(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.0)
}

// ---- bodies and outcomes ----

const BODY: &[Column] = &[("key", Text), ("digest", Bytes), ("after", Bytes), ("spec", Text)];
const OUTCOME: &[Column] = &[("error", Text), ("usage", Text), ("result", Text)];

pub(super) static BODY_INSERT: LazyLock<String> = LazyLock::new(|| insert("body", &[SEQ, BODY]));
pub(super) static OUTCOME_WRITE: LazyLock<String> = LazyLock::new(|| replace("outcome", SEQ, OUTCOME));

pub(super) const BODY_COLUMNS: &str = body_columns!();
pub(super) const OUTCOME_COLUMNS: &str = outcome_columns!();

pub(super) fn bodies() -> Rows {
    Rows::of(&[SEQ, BODY])
}

pub(super) fn new_body(rows: &mut Rows, seq: Seq, body: &Body) {
    rows.wide(seq.0)
        .text_or(body.key.as_ref().map(domain::id::Key::as_str));
    rows.bytes(&body.digest)
        .bytes_or(pack(&body.after))
        .text(&body.spec);
}

pub(super) fn outcomes() -> Rows {
    Rows::of(&[SEQ, OUTCOME])
}

pub(super) fn new_outcome(rows: &mut Rows, seq: Seq, outcome: &Outcome) -> Sql<()> {
    let error = outcome.error.as_ref().map(serde_json::to_string).transpose();
    rows.wide(seq.0).text_or(error.map_err(corrupt)?);
    rows.text_or(outcome.usage.as_ref().map(Json::get));
    rows.text_or(outcome.result.as_ref().map(Json::get));
    Ok(())
}

// ---- events ----

const EVENT: &[Column] = &[
    ("n", Int),
    ("at", Int),
    ("kind", Int),
    ("task", Int),
    ("run", Int),
    ("reason", Int),
    ("prev", Int),
    ("actor", Text),
    ("digest", Bytes),
    ("data", Text),
];

pub(super) static EVENT_INSERT: LazyLock<String> = LazyLock::new(|| insert("event", &[EVENT]));

pub(super) const EVENT_COLUMNS: &str = event_columns!();

/// Reads [`EVENT_COLUMNS`].
pub(super) fn event(cells: &mut Cells<'_>) -> Sql<Event> {
    let no = cells.event_no()?;
    records::event(no, cells)
}

pub(super) fn events() -> Rows {
    Rows::of(&[EVENT])
}

pub(super) fn new_event(rows: &mut Rows, event: &Event) {
    let fact = &event.fact;
    rows.wide(event.no.0).int(fact.at.0).int(fact.kind.number());
    rows.int_or(fact.task.map(|seq| seq.0 as i64))
        .int_or(run(fact.run));
    rows.int_or(reason(fact.reason)).wide(event.prev.0);
    rows.text(&fact.actor)
        .bytes(&event.digest.0)
        .text_or(fact.data.as_ref().map(Json::get));
}

// ---- runs ----

const RUN_KNOWN: &[Column] = &[("no", Int), ("id", Bytes)];
const RUN_NO: &[Column] = &[("no", Int)];
const RUN: &[Column] = &[
    ("plan", Text),
    ("digest", Bytes),
    ("state", Int),
    ("pending", Int),
    ("blocked", Int),
    ("ready", Int),
    ("assigned", Int),
    ("running", Int),
    ("suspended", Int),
    ("awaiting", Int),
    ("retrying", Int),
    ("completed", Int),
    ("failed", Int),
    ("cancelled", Int),
    ("skipped", Int),
    ("submitted_at", Int),
    ("finished_at", Int),
];

pub(super) static RUN_INSERT: LazyLock<String> = LazyLock::new(|| insert("run", &[RUN_KNOWN, RUN]));
pub(super) static RUN_UPDATE: LazyLock<String> = LazyLock::new(|| update("run", RUN_NO, RUN));

pub(super) const RUN_COLUMNS: &str = run_columns!();

pub(super) fn new_runs(runs: &[Run]) -> Rows {
    let mut rows = Rows::of(&[RUN_KNOWN, RUN]);
    for run in runs {
        rows.wide(run.no.0).bytes(run.id.0.as_bytes());
        run_row(&mut rows, run);
    }
    rows
}

pub(super) fn changed_runs(runs: &[Run]) -> Rows {
    let mut rows = Rows::of(&[RUN_NO, RUN]);
    for run in runs {
        rows.wide(run.no.0);
        run_row(&mut rows, run);
    }
    rows
}

fn run_row(rows: &mut Rows, run: &Run) {
    rows.text(&run.plan).bytes(&run.digest).int(run.state as u8);
    for count in run.counts.0 {
        rows.wide(count);
    }
    rows.wide(run.skipped)
        .int(run.submitted_at.0)
        .int_or(time(run.finished_at));
}
