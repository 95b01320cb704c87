//! Writing one set: row after row with prepared statements, table after table, since pages are what costs.

use domain::id::Seq;
use domain::store::CacheEntry;
use domain::task::lock::Mode;
use domain::task::record::Task;
use domain::task::spec::When;
use rusqlite::{CachedStatement, Connection};

use super::cells::Binds;
use super::fault::Sql;
use super::line::Front;
use super::together::{Insertion, insertion};
use super::{body, books, gone, line, log, runs, task};
use crate::kernel;
use crate::kernel::tx::{Name, NewRow, ProjectNo, Remembered, WriteSet};
use crate::tables::split::{Rewrite, rewrite};

pub(super) static EDGE_INSERT: Insertion =
    insertion!("INSERT OR REPLACE INTO edge (parent, child, condition) VALUES (?1, ?2, ?3)");
pub(super) const NAME_WRITE: &str =
    "INSERT OR REPLACE INTO name (project, key, run, seq) VALUES (?1, ?2, ?3, ?4)";
pub(super) const HOLD: &str =
    "INSERT OR REPLACE INTO held (project, name, seq, mode) VALUES (?1, ?2, ?3, ?4)";
pub(super) const RELEASE: &str = "DELETE FROM held WHERE seq = ?1";
pub(super) const SETTLE_WRITE: &str =
    "INSERT OR REPLACE INTO settle (project, seq, dependent) VALUES (?1, ?2, ?3)";
pub(super) const SETTLE_DELETE: &str = "DELETE FROM settle WHERE project = ?1 AND seq = ?2";
pub(super) const REMEMBER: &str =
    "INSERT OR REPLACE INTO idem (project, key, digest, answer, at) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const CACHE_WRITE: &str = "INSERT OR REPLACE INTO cache (project, key, used, stored_at, expires_at, made_by, \
     result) VALUES (?1, ?2, (SELECT ifnull(max(used), 0) + 1 FROM cache WHERE project = ?1), ?3, ?4, ?5, ?6)";
pub(super) const CACHE_USE: &str = "UPDATE cache SET used = (SELECT max(used) + 1 FROM cache WHERE project = ?1) \
     WHERE project = ?1 AND key = ?2";
pub(super) const CACHE_COUNT: &str = "SELECT count(*) FROM cache WHERE project = ?1";
pub(super) const CACHE_SHRINK: &str = "DELETE FROM cache WHERE rowid IN \
     (SELECT rowid FROM cache WHERE project = ?1 ORDER BY used LIMIT ?2)";

pub(super) fn apply(conn: &Connection, writes: &WriteSet, fronts: &[Front]) -> Sql<()> {
    let project = writes.project;
    create(conn, project, &writes.new_tasks)?;
    edges(conn, &writes.new_edges)?;
    change(conn, project, fronts, &writes.tasks)?;
    if !writes.outcomes.is_empty() {
        let mut statement = conn.prepare_cached(body::OUTCOME_WRITE)?;
        for (seq, outcome) in &writes.outcomes {
            let mut binds = Binds::of(&mut statement);
            body::write_outcome(&mut binds, *seq, outcome)?;
            binds.run()?;
        }
    }
    hold(conn, project, &writes.released, &writes.acquired)?;
    runs::insert(conn, project, &writes.new_runs)?;
    runs::update(conn, &writes.runs)?;
    names(conn, project, &writes.keys)?;
    log::append(conn, project, &writes.events)?;
    settle(conn, project, &writes.settled)?;
    remember(conn, project, &writes.remember)?;
    books::write(conn, project, &writes.entries, &writes.erased)?;
    if !writes.gone.is_empty() {
        gone::take_out(conn, project, &writes.gone)?;
    }
    if writes.head.0 != writes.head.1 {
        log::write_head(conn, project, &writes.head.1)?;
    }
    Ok(())
}

fn create(conn: &Connection, project: ProjectNo, rows: &[NewRow]) -> Sql<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(task::INSERT)?;
    for NewRow { task, .. } in rows {
        let mut binds = Binds::of(&mut statement);
        task::insert(&mut binds, project, task)?;
        binds.run().map_err(|fault| match fault {
            super::fault::Fault::Sql(error) if is_duplicate(&error) => kernel::exists(&task.id).into(),
            fault => fault,
        })?;
    }
    body::INSERT.all(conn, rows, |binds, row| {
        body::insert(binds, row.task.seq, &row.body)
    })?;
    lease(conn, project, rows.iter().map(|row| &row.task))?;
    line::shift(conn, project, &[], rows.iter().map(|row| (None, &row.task)))
}

fn is_duplicate(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}

fn change(conn: &Connection, project: ProjectNo, fronts: &[Front], rows: &[(Task, Task)]) -> Sql<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let moved = rows.iter().map(|(old, new)| (Some(old), new));
    line::shift(conn, project, fronts, moved)?;
    let ended = rows
        .iter()
        .filter(|(old, new)| old.lease.is_some() && new.lease.is_none());
    let mut delete = Lazy::new(conn, task::LEASES_DELETE);
    let ended: Vec<Seq> = ended.map(|(_, new)| new.seq).collect();
    for row in ended.chunk_by(|seq, next| seq.0 + 1 == next.0) {
        delete.bind()?.seq(row[0])?.seq(row[row.len() - 1])?.run()?;
    }
    let mut update = Lazy::new(conn, task::LEASE_UPDATE);
    for (old, new) in rows {
        if let (Some(_), Some(lease)) = (&old.lease, &new.lease) {
            let mut binds = update.bind()?;
            task::update_lease(&mut binds, new, lease)?;
            binds.run()?;
        }
    }
    let free = rows.iter().filter(|(old, _)| old.lease.is_none());
    lease(conn, project, free.map(|(_, new)| new))?;
    let mut end = Lazy::new(conn, task::END);
    let mut all = Lazy::new(conn, task::UPDATE);
    for (old, new) in rows {
        match rewrite(old, new) {
            Rewrite::Nothing => {}
            Rewrite::End => {
                let mut binds = end.bind()?;
                task::end(&mut binds, new)?;
                binds.run()?;
            }
            Rewrite::All => {
                let mut binds = all.bind()?;
                task::update(&mut binds, new)?;
                binds.run()?;
            }
        }
    }
    Ok(())
}

/// Writes the leases of tasks that had none.
fn lease<'t>(conn: &Connection, project: ProjectNo, tasks: impl Iterator<Item = &'t Task>) -> Sql<()> {
    let leased: Vec<_> = tasks
        .filter_map(|task| Some((task, task.lease.as_ref()?)))
        .collect();
    task::LEASE_INSERT.all(conn, &leased, |binds, (task, lease)| {
        task::insert_lease(binds, project, task, lease)
    })
}

/// A statement that is fetched from the cache when it is first needed, and then kept for the whole batch.
pub(super) struct Lazy<'c> {
    conn: &'c Connection,
    sql: &'static str,
    statement: Option<CachedStatement<'c>>,
}

impl<'c> Lazy<'c> {
    pub(super) fn new(conn: &'c Connection, sql: &'static str) -> Lazy<'c> {
        Lazy {
            conn,
            sql,
            statement: None,
        }
    }

    pub(super) fn bind(&mut self) -> Sql<Binds<'_, 'c>> {
        let statement = match self.statement.take() {
            Some(statement) => statement,
            None => self.conn.prepare_cached(self.sql)?,
        };
        Ok(Binds::of(self.statement.insert(statement)))
    }
}

fn edges(conn: &Connection, edges: &[(Seq, Seq, When)]) -> Sql<()> {
    EDGE_INSERT.all(conn, edges, |binds, (parent, child, when)| {
        binds.seq(*parent)?.seq(*child)?.put(*when as u8)?;
        Ok(())
    })
}

fn hold(
    conn: &Connection,
    project: ProjectNo,
    released: &[Seq],
    acquired: &[(String, Seq, Mode)],
) -> Sql<()> {
    let mut release = Lazy::new(conn, RELEASE);
    for seq in released {
        release.bind()?.seq(*seq)?.run()?;
    }
    let mut hold = Lazy::new(conn, HOLD);
    for (name, seq, mode) in acquired {
        hold.bind()?
            .project(project)?
            .put(&**name)?
            .seq(*seq)?
            .put(*mode as u8)?
            .run()?;
    }
    Ok(())
}

fn names(conn: &Connection, project: ProjectNo, keys: &[(Name, Seq)]) -> Sql<()> {
    let mut write = Lazy::new(conn, NAME_WRITE);
    for ((run, key), seq) in keys {
        let run = run.map_or(0, |no| no.0 as i64);
        write
            .bind()?
            .project(project)?
            .put(key.as_str())?
            .put(run)?
            .seq(*seq)?
            .run()?;
    }
    Ok(())
}

fn settle(conn: &Connection, project: ProjectNo, settled: &[(Seq, Option<Seq>)]) -> Sql<()> {
    for (seq, dependent) in settled {
        let mut statement = conn.prepare_cached(if dependent.is_some() {
            SETTLE_WRITE
        } else {
            SETTLE_DELETE
        })?;
        let mut binds = Binds::of(&mut statement);
        binds.project(project)?.seq(*seq)?;
        if let Some(dependent) = dependent {
            binds.seq(*dependent)?;
        }
        binds.run()?;
    }
    Ok(())
}

fn remember(conn: &Connection, project: ProjectNo, answers: &[(String, Remembered)]) -> Sql<()> {
    let mut write = Lazy::new(conn, REMEMBER);
    for (key, Remembered { digest, answer, at }) in answers {
        let mut binds = write.bind()?;
        binds
            .project(project)?
            .put(&**key)?
            .put(&digest[..])?
            .put(&**answer)?
            .time(*at)?
            .run()?;
    }
    Ok(())
}

/// Stores an entry as the one used last, after noting uses since then; drops what is beyond `bound`.
pub(super) fn cache_put(
    conn: &Connection,
    project: ProjectNo,
    used: &[[u8; 32]],
    entry: &CacheEntry,
    bound: usize,
) -> Sql<()> {
    let mut statement = conn.prepare_cached(CACHE_USE)?;
    for key in used {
        Binds::of(&mut statement).project(project)?.put(&key[..])?.run()?;
    }
    let mut statement = conn.prepare_cached(CACHE_WRITE)?;
    let mut binds = Binds::of(&mut statement);
    binds
        .project(project)?
        .put(&entry.key[..])?
        .time(entry.stored_at)?
        .time_or(entry.expires_at)?;
    binds
        .task_id(&entry.made_by)?
        .json_or(entry.result.as_ref())?
        .run()?;
    let count: i64 = conn
        .prepare_cached(CACHE_COUNT)?
        .query_row([project.0], |row| row.get(0))?;
    let excess = count.saturating_sub(i64::try_from(bound).unwrap_or(i64::MAX));
    if excess > 0 {
        let mut statement = conn.prepare_cached(CACHE_SHRINK)?;
        Binds::of(&mut statement).project(project)?.put(excess)?.run()?;
    }
    Ok(())
}
