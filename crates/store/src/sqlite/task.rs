//! A task's two rows: the narrow one in `task`, and the one in `lease` while somebody holds it.
//!
//! A plain claim leaves the `task` row alone. So while there is a lease, `state`, `reason`, `last_event` and
//! `started_at` are told by the lease row, and the task row keeps what stood there before the claim. Whenever the
//! row is written under a lease, it says `assigned`, so that no index over states ever lists a leased task.

use domain::id::Seq;
use domain::task::record::{Lease, Task};
use domain::time::millis;
use rusqlite::Connection;

use super::cells::{Binds, first};
use super::fault::Sql;
use super::together::{Insertion, insertion};
use crate::kernel::tx::ProjectNo;
use crate::tables::records::{self, lease_columns, task_columns};
use crate::tables::split::row_state;

pub(super) const LOAD: &str = concat!(
    "SELECT ",
    task_columns!(),
    ", ",
    lease_columns!(),
    " FROM task t LEFT JOIN lease l ON l.seq = t.seq WHERE t.seq = ?1 AND t.project = ?2"
);
/// For tasks that are known to have no lease.
pub(super) const LOAD_FREE: &str = concat!("SELECT ", task_columns!(), " FROM task t WHERE t.seq = ?1");

pub(super) const INSERT: &str = "INSERT INTO task (seq, project, id, run, parent, class, state, reason, last_event, \
     started_at, left_state, dead_letter, superseded, priority, source, depth, path_share, score, submitted_at, \
     run_at, deadline, estimate, finished_at, timer, open, dead, upstream, dependents, children, join_mode, \
     attempts, failures, lost, guarded, asks, wait, thing) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, \
     ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, \
     ?33, ?34, ?35, ?36, ?37)";
/// Everything but what a task is known by: seq, project, id, run, parent.
pub(super) const UPDATE: &str = "UPDATE task SET class = ?2, state = ?3, reason = ?4, last_event = ?5, \
     started_at = ?6, left_state = ?7, dead_letter = ?8, superseded = ?9, priority = ?10, source = ?11, \
     depth = ?12, path_share = ?13, score = ?14, submitted_at = ?15, run_at = ?16, deadline = ?17, \
     estimate = ?18, finished_at = ?19, timer = ?20, open = ?21, dead = ?22, upstream = ?23, dependents = ?24, \
     children = ?25, join_mode = ?26, attempts = ?27, failures = ?28, lost = ?29, guarded = ?30, asks = ?31, \
     wait = ?32, thing = ?33 WHERE seq = ?1";
/// What the plain end of an attempt changes.
pub(super) const END: &str = "UPDATE task SET state = ?2, reason = ?3, last_event = ?4, started_at = ?5, \
     finished_at = ?6, attempts = ?7 WHERE seq = ?1";

pub(super) static LEASE_INSERT: Insertion = insertion!(
    "INSERT INTO lease (seq, project, state, reason, last_event, started_at, fence, secret, worker, attempt, \
     claimed_at, expires, ttl, progress) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
);
pub(super) const LEASE_UPDATE: &str = "UPDATE lease SET state = ?2, reason = ?3, last_event = ?4, started_at = ?5, \
     fence = ?6, secret = ?7, worker = ?8, attempt = ?9, claimed_at = ?10, expires = ?11, ttl = ?12, \
     progress = ?13 WHERE seq = ?1";
/// Of a row of tasks that all have one: who claims together usually ends together.
pub(super) const LEASES_DELETE: &str = "DELETE FROM lease WHERE seq BETWEEN ?1 AND ?2";

// ---- reading ----

/// Only of this project: a number may come from a token, and tokens are whatever a caller says.
pub(super) fn load(
    conn: &Connection,
    project: ProjectNo,
    seqs: impl IntoIterator<Item = Seq>,
) -> Sql<Vec<Task>> {
    let mut statement = conn.prepare_cached(LOAD)?;
    let mut found = Vec::new();
    for seq in seqs {
        let mut binds = Binds::of(&mut statement);
        binds.seq(seq)?.project(project)?;
        found.extend(first(binds, |cells| records::task(cells))?);
    }
    Ok(found)
}

/// Rows of tasks without a lease.
pub(super) fn load_free(conn: &Connection, seqs: impl IntoIterator<Item = Seq>) -> Sql<Vec<Task>> {
    let mut statement = conn.prepare_cached(LOAD_FREE)?;
    let mut found = Vec::new();
    for seq in seqs {
        let mut binds = Binds::of(&mut statement);
        binds.seq(seq)?;
        found.extend(first(binds, |cells| records::free_task(cells))?);
    }
    Ok(found)
}

// ---- writing ----

/// Binds [`INSERT`].
pub(super) fn insert(binds: &mut Binds<'_, '_>, project: ProjectNo, task: &Task) -> Sql<()> {
    binds.seq(task.seq)?.project(project)?.task_id(&task.id)?;
    binds.run_or(task.run)?.put(task.parent.map(|seq| seq.0 as i64))?;
    changeable(binds, task)
}

/// Binds [`UPDATE`].
pub(super) fn update(binds: &mut Binds<'_, '_>, task: &Task) -> Sql<()> {
    binds.seq(task.seq)?;
    changeable(binds, task)
}

fn changeable(binds: &mut Binds<'_, '_>, task: &Task) -> Sql<()> {
    let (wait, thing) = task.wait.parts();
    binds.put(task.class.0)?.put(row_state(task) as u8)?;
    binds.put(task.reason.map(|reason| reason as u8))?;
    binds.put(task.last_event.0 as i64)?.time_or(task.started_at)?;
    binds.put(task.left.map(|state| state as u8))?;
    binds.put(task.dead_letter)?.put(task.superseded)?;
    binds.put(task.priority.value())?.put(task.source as u8)?;
    binds.put(task.depth)?.put(task.path_share)?.put(task.score.0)?;
    binds.time(task.submitted_at)?.time_or(task.run_at)?;
    binds.time_or(task.deadline)?.span_or(task.estimate)?;
    binds.time_or(task.finished_at)?.time_or(task.timer)?;
    binds.put(task.open)?.put(task.dead)?.put(task.upstream as u8)?;
    binds.put(task.dependents)?.put(task.children)?;
    binds.put(task.join.map(|join| join as u8))?;
    binds.put(task.attempts)?.put(task.failures)?.put(task.lost)?;
    binds.put(task.guarded)?.put(task.asks)?;
    binds.put(wait)?.put(thing.as_deref())?;
    Ok(())
}

/// Binds [`END`].
pub(super) fn end(binds: &mut Binds<'_, '_>, task: &Task) -> Sql<()> {
    binds.seq(task.seq)?.put(row_state(task) as u8)?;
    binds.put(task.reason.map(|reason| reason as u8))?;
    binds.put(task.last_event.0 as i64)?.time_or(task.started_at)?;
    binds.time_or(task.finished_at)?.put(task.attempts)?;
    Ok(())
}

/// Binds [`LEASE_INSERT`].
pub(super) fn insert_lease(
    binds: &mut Binds<'_, '_>,
    project: ProjectNo,
    task: &Task,
    lease: &Lease,
) -> Sql<()> {
    binds.seq(task.seq)?.project(project)?;
    leased(binds, task, lease)
}

/// Binds [`LEASE_UPDATE`].
pub(super) fn update_lease(binds: &mut Binds<'_, '_>, task: &Task, lease: &Lease) -> Sql<()> {
    binds.seq(task.seq)?;
    leased(binds, task, lease)
}

fn leased(binds: &mut Binds<'_, '_>, task: &Task, lease: &Lease) -> Sql<()> {
    binds.put(task.state as u8)?;
    binds.put(task.reason.map(|reason| reason as u8))?;
    binds.put(task.last_event.0 as i64)?.time_or(task.started_at)?;
    binds.put(lease.fence.0 as i64)?.put(lease.secret as i64)?;
    binds.put(lease.worker.as_str())?.put(lease.attempt)?;
    binds.time(lease.claimed_at)?.put(lease.expires)?;
    binds.put(millis(lease.ttl))?.json_or(lease.progress.as_ref())?;
    Ok(())
}
