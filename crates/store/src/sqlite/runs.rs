//! Runs.

use domain::id::RunId;
use domain::run::{Run, RunNo};
use rusqlite::Connection;

use super::cells::{Binds, collect, first};
use super::fault::Sql;
use crate::kernel::tx::ProjectNo;
use crate::tables::records::{self, run_columns};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", run_columns!(), " FROM run ", $rest)
    };
}

pub(super) const BY_NO: &str = select!("WHERE no = ?1 AND project = ?2");
pub(super) const BY_ID: &str = select!("WHERE project = ?1 AND id = ?2");
pub(super) const NEWEST: &str = select!("WHERE project = ?1 ORDER BY no DESC LIMIT ?2");
pub(super) const NEWEST_OF: &str = select!("WHERE project = ?1 AND plan = ?3 ORDER BY no DESC LIMIT ?2");
const LAST: &str = "SELECT ifnull(max(no), 0) FROM run";
pub(super) const INSERT: &str = "INSERT INTO run (no, project, id, plan, digest, state, pending, blocked, ready, \
     assigned, running, suspended, awaiting, retrying, completed, failed, cancelled, skipped, submitted_at, \
     finished_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
pub(super) const UPDATE: &str = "UPDATE run SET plan = ?2, digest = ?3, state = ?4, pending = ?5, blocked = ?6, \
     ready = ?7, assigned = ?8, running = ?9, suspended = ?10, awaiting = ?11, retrying = ?12, completed = ?13, \
     failed = ?14, cancelled = ?15, skipped = ?16, submitted_at = ?17, finished_at = ?18 WHERE no = ?1";

pub(super) fn by_no(conn: &Connection, project: ProjectNo, no: RunNo) -> Sql<Option<Run>> {
    let mut statement = conn.prepare_cached(BY_NO)?;
    let mut binds = Binds::of(&mut statement);
    binds.put(no.0 as i64)?.project(project)?;
    first(binds, |cells| records::run(cells))
}

pub(super) fn by_id(conn: &Connection, project: ProjectNo, id: RunId) -> Sql<Option<Run>> {
    let mut statement = conn.prepare_cached(BY_ID)?;
    let mut binds = Binds::of(&mut statement);
    binds.project(project)?.put(&id.0.as_bytes()[..])?;
    first(binds, |cells| records::run(cells))
}

/// Newest first.
pub(super) fn newest(
    conn: &Connection,
    project: ProjectNo,
    plan: Option<&str>,
    limit: usize,
) -> Sql<Vec<Run>> {
    let mut statement = conn.prepare_cached(if plan.is_some() { NEWEST_OF } else { NEWEST })?;
    let mut binds = Binds::of(&mut statement);
    binds
        .project(project)?
        .put(i64::try_from(limit).unwrap_or(i64::MAX))?;
    if let Some(plan) = plan {
        binds.put(plan)?;
    }
    collect(binds, |cells| records::run(cells))
}

pub(super) fn next(conn: &Connection) -> Sql<RunNo> {
    let last: i64 = conn.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
    Ok(RunNo(last as u64 + 1))
}

pub(super) fn insert(conn: &Connection, project: ProjectNo, runs: &[Run]) -> Sql<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(INSERT)?;
    for run in runs {
        let mut binds = Binds::of(&mut statement);
        binds
            .put(run.no.0 as i64)?
            .project(project)?
            .put(&run.id.0.as_bytes()[..])?;
        changeable(&mut binds, run)?;
        binds.run()?;
    }
    Ok(())
}

pub(super) fn update(conn: &Connection, runs: &[Run]) -> Sql<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(UPDATE)?;
    for run in runs {
        let mut binds = Binds::of(&mut statement);
        binds.put(run.no.0 as i64)?;
        changeable(&mut binds, run)?;
        binds.run()?;
    }
    Ok(())
}

fn changeable(binds: &mut Binds<'_, '_>, run: &Run) -> Sql<()> {
    binds
        .put(&*run.plan)?
        .put(&run.digest[..])?
        .put(run.state as u8)?;
    binds.counts(&run.counts)?.put(run.skipped as i64)?;
    binds.time(run.submitted_at)?.time_or(run.finished_at)?;
    Ok(())
}
