//! The writing transaction as the kernel sees it.

use std::path::Path;
use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::code::Refusal;
use domain::event::Event;
use domain::id::{EventNo, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::{Run, RunNo};
use domain::store::{CacheEntry, Result};
use domain::task::lock::Mode;
use domain::task::record::{Body, Class, ClassNo, Outcome, Task};
use domain::task::spec::When;
use domain::time::Timestamp;
use rusqlite::Connection;

use super::cells::{Binds, Cells, collect, first};
use super::fault::Sql;
use super::line::Front;
use super::names::Names;
use super::rows::Rows;
use super::{apply, body, books, line, log, runs, task};
use crate::kernel::tx::{Group, Head, Name, ProjectNo, Remembered, Tx, WriteSet};
use crate::uses::Uses;

pub(super) const FIND: &str = "SELECT seq FROM task WHERE project = ?1 AND id = ?2";
pub(super) const NAMED: &str = "SELECT seq FROM name WHERE project = ?1 AND key = ?2 AND run = ?3";
const LAST: &str = "SELECT ifnull(max(seq), 0) FROM task";
pub(super) const CHILDREN: &str = "SELECT seq FROM task WHERE parent = ?1 ORDER BY seq LIMIT ?2";
pub(super) const MEMBERS: &str =
    "SELECT seq FROM task WHERE run = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
pub(super) const DEPENDENTS: &str =
    "SELECT child, condition FROM edge WHERE parent = ?1 AND child > ?2 ORDER BY child LIMIT ?3";
pub(super) const HOLDERS: &str = "SELECT seq, mode FROM held WHERE project = ?1 AND name = ?2 ORDER BY seq";
pub(super) const HOLDERS_BETWEEN: &str =
    "SELECT name, seq, mode FROM held WHERE project = ?1 AND name >= ?2 AND name < ?3 ORDER BY name, seq";
pub(super) const HELD_BY: &str = "SELECT name, mode FROM held WHERE seq = ?1 ORDER BY name";
pub(super) const EXPIRED: &str =
    "SELECT seq FROM lease WHERE project = ?1 AND expires <= ?2 ORDER BY expires, seq LIMIT ?3";
pub(super) const LEASED_BY: &str = "SELECT seq FROM lease WHERE project = ?1 AND worker = ?2 ORDER BY seq";
pub(super) const DUE: &str =
    "SELECT seq FROM task WHERE project = ?1 AND timer <= ?2 ORDER BY timer, seq LIMIT ?3";
pub(super) const NEXT_DUE: &str =
    "SELECT timer FROM task WHERE project = ?1 AND timer > ?2 ORDER BY timer LIMIT 1";
pub(super) const UNSETTLED: &str =
    "SELECT seq, dependent FROM settle WHERE project = ?1 ORDER BY seq LIMIT ?2";
pub(super) const REMEMBERED: &str = "SELECT digest, answer, at FROM idem WHERE project = ?1 AND key = ?2";
pub(super) const REMEMBERED_PAGE: &str =
    "SELECT key, digest, answer, at FROM idem WHERE project = ?1 AND key > ?2 ORDER BY key LIMIT ?3";

pub(super) struct SqliteTx<'c> {
    pub(super) conn: &'c Connection,
    pub(super) path: &'c Path,
    pub(super) names: &'c mut Names,
    pub(super) rows: &'c mut Rows,
    pub(super) uses: &'c Uses,
    /// Who was first in line, as it was read since the last write.
    pub(super) fronts: Vec<Front>,
    /// Something failed in here, and the transaction with it: a full disk ends it at once, and a set that was
    /// written in part must not be committed. Everything after is refused in the same words.
    pub(super) broken: Option<Refusal>,
}

impl SqliteTx<'_> {
    /// Runs one operation and says of its failure which file it was about.
    fn on<T>(&mut self, work: impl FnOnce(&Connection, &mut Names) -> Sql<T>) -> Result<T> {
        if let Some(refusal) = &self.broken {
            return Err(refusal.clone());
        }
        work(self.conn, self.names).map_err(|fault| {
            let refusal = fault.refuse(self.path, Some(self.conn));
            self.broken = Some(refusal.clone());
            refusal
        })
    }

    /// Runs one query and collects its rows.
    fn query<T>(
        &mut self,
        sql: &str,
        bind: impl FnOnce(&mut Binds<'_, '_>) -> Sql<()>,
        read: impl FnMut(&mut Cells<'_>) -> Sql<T>,
    ) -> Result<Vec<T>> {
        self.on(|conn, _| query(conn, sql, bind, read))
    }
}

pub(super) fn query<T>(
    conn: &Connection,
    sql: &str,
    bind: impl FnOnce(&mut Binds<'_, '_>) -> Sql<()>,
    read: impl FnMut(&mut Cells<'_>) -> Sql<T>,
) -> Sql<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut binds = Binds::of(&mut statement);
    bind(&mut binds)?;
    collect(binds, read)
}

/// Bounds as SQL takes them.
pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Tx for SqliteTx<'_> {
    fn project(&mut self, name: &Project, create: bool) -> Result<Option<ProjectNo>> {
        self.on(|conn, names| names.project(conn, name, create))
    }

    fn head(&mut self, project: ProjectNo) -> Result<Head> {
        self.on(|conn, _| log::head(conn, project))
    }

    fn find(&mut self, project: ProjectNo, ids: &[TaskId]) -> Result<Vec<Option<Seq>>> {
        self.on(|conn, _| {
            let mut statement = conn.prepare_cached(FIND)?;
            let mut find = |id| {
                let mut binds = Binds::of(&mut statement);
                binds.project(project)?.task_id(id)?;
                first(binds, |cells| cells.seq())
            };
            ids.iter().map(&mut find).collect()
        })
    }

    /// The key tells when the task is written.
    fn taken(&mut self, _: ProjectNo, _: &[TaskId]) -> Result<Option<TaskId>> {
        Ok(None)
    }

    fn named(&mut self, project: ProjectNo, names: &[Name]) -> Result<Vec<Option<Seq>>> {
        self.on(|conn, _| {
            let mut statement = conn.prepare_cached(NAMED)?;
            let mut named = |(run, key): &Name| {
                let mut binds = Binds::of(&mut statement);
                let run = run.map_or(0, |no| no.0 as i64);
                binds.project(project)?.put(key.as_str())?.put(run)?;
                first(binds, |cells| cells.seq())
            };
            names.iter().map(&mut named).collect()
        })
    }

    fn tasks(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<Task>> {
        if let Some(refusal) = &self.broken {
            return Err(refusal.clone());
        }
        let (conn, path) = (self.conn, self.path);
        let load = |seqs| task::load(conn, project, seqs);
        self.rows.kept.or_load(project, seqs, load).map_err(|fault| {
            let refusal = fault.refuse(path, Some(conn));
            self.broken = Some(refusal.clone());
            refusal
        })
    }

    fn bodies(&mut self, _: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Body)>> {
        self.on(|conn, _| body::load(conn, seqs))
    }

    fn outcomes(&mut self, _: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Outcome)>> {
        self.on(|conn, _| body::outcomes(conn, seqs))
    }

    fn children(&mut self, _: ProjectNo, parent: Seq, limit: usize) -> Result<Vec<Seq>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.seq(parent)?.put(bound(limit)).map(drop);
        self.query(CHILDREN, bind, |cells| cells.seq())
    }

    fn members(&mut self, _: ProjectNo, run: RunNo, before: Seq, limit: usize) -> Result<Vec<Seq>> {
        let bind = |binds: &mut Binds<'_, '_>| {
            let binds = binds.run_or(Some(run))?.seq(before)?;
            binds.put(bound(limit)).map(drop)
        };
        self.query(MEMBERS, bind, |cells| cells.seq())
    }

    fn dependents(
        &mut self,
        _: ProjectNo,
        parent: Seq,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, When)>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.seq(parent)?.seq(after)?.put(bound(limit)).map(drop);
        self.query(DEPENDENTS, bind, |cells| Ok((cells.seq()?, cells.when()?)))
    }

    fn next_seq(&mut self, _: ProjectNo) -> Result<Seq> {
        self.on(|conn, _| {
            let last: i64 = conn.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
            Ok(Seq(last as u64 + 1))
        })
    }

    fn class(&mut self, project: ProjectNo, class: &Class) -> Result<ClassNo> {
        self.on(|conn, names| names.class(conn, project, class))
    }

    fn classes(&mut self, project: ProjectNo) -> Result<Arc<Vec<(ClassNo, Class)>>> {
        self.on(|conn, names| names.classes(conn, project))
    }

    fn line(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        classes: &[ClassNo],
        limit: usize,
    ) -> Result<Vec<Task>> {
        let found = self.on(|conn, _| line::line(conn, project, run, classes, limit))?;
        self.fronts.extend(Front::of(run, &found));
        Ok(found)
    }

    fn holders(&mut self, project: ProjectNo, name: &str) -> Result<Vec<(Seq, Mode)>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.put(name).map(drop);
        self.query(HOLDERS, bind, |cells| Ok((cells.seq()?, cells.mode()?)))
    }

    fn holders_between(
        &mut self,
        project: ProjectNo,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Seq, Mode)>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.put(start)?.put(end).map(drop);
        self.query(HOLDERS_BETWEEN, bind, |cells| {
            Ok((cells.text()?.to_owned(), cells.seq()?, cells.mode()?))
        })
    }

    fn held_by(&mut self, _: ProjectNo, holder: Seq) -> Result<Vec<(String, Mode)>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.seq(holder).map(drop);
        self.query(HELD_BY, bind, |cells| {
            Ok((cells.text()?.to_owned(), cells.mode()?))
        })
    }

    fn parked(&mut self, project: ProjectNo, thing: &str, group: Option<Group>) -> Result<Vec<Task>> {
        self.on(|conn, _| line::parked(conn, project, thing, group))
    }

    fn expired(&mut self, project: ProjectNo, mono: i64, limit: usize) -> Result<Vec<Seq>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.put(mono)?.put(bound(limit)).map(drop);
        self.query(EXPIRED, bind, |cells| cells.seq())
    }

    fn leased_by(&mut self, project: ProjectNo, worker: &WorkerId) -> Result<Vec<Seq>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.put(worker.as_str()).map(drop);
        self.query(LEASED_BY, bind, |cells| cells.seq())
    }

    fn due(
        &mut self,
        project: ProjectNo,
        at: Timestamp,
        limit: usize,
    ) -> Result<(Vec<Seq>, Option<Timestamp>)> {
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.time(at)?.put(bound(limit)).map(drop);
        let due = self.query(DUE, bind, |cells| cells.seq())?;
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.time(at).map(drop);
        let next = self.query(NEXT_DUE, bind, |cells| cells.time())?;
        Ok((due, next.first().copied()))
    }

    fn run(&mut self, project: ProjectNo, no: RunNo) -> Result<Option<Run>> {
        self.on(|conn, _| runs::by_no(conn, project, no))
    }

    fn find_run(&mut self, project: ProjectNo, id: RunId) -> Result<Option<Run>> {
        self.on(|conn, _| runs::by_id(conn, project, id))
    }

    fn newest_run(&mut self, project: ProjectNo, plan: &str) -> Result<Option<Run>> {
        self.on(|conn, _| Ok(runs::newest(conn, project, Some(plan), 1)?.pop()))
    }

    fn next_run(&mut self, _: ProjectNo) -> Result<RunNo> {
        self.on(|conn, _| runs::next(conn))
    }

    fn unsettled(&mut self, project: ProjectNo, limit: usize) -> Result<Vec<(Seq, Seq)>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.put(bound(limit)).map(drop);
        self.query(UNSETTLED, bind, |cells| Ok((cells.seq()?, cells.seq()?)))
    }

    fn event(&mut self, project: ProjectNo, no: EventNo) -> Result<Option<Event>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.put(log::key(project, no)).map(drop);
        Ok(self.query(log::ONE, bind, log::read)?.pop())
    }

    fn remembered(&mut self, project: ProjectNo, key: &str) -> Result<Option<Remembered>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.put(key).map(drop);
        let found = self.query(REMEMBERED, bind, |cells| {
            Ok(Remembered {
                digest: cells.digest()?,
                answer: cells.text()?.to_owned(),
                at: cells.time()?,
            })
        })?;
        Ok(found.into_iter().next())
    }

    fn remembered_page(
        &mut self,
        project: ProjectNo,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Remembered)>> {
        let bind = |binds: &mut Binds<'_, '_>| {
            let binds = binds.project(project)?.put(after)?;
            binds.put(bound(limit)).map(drop)
        };
        self.query(REMEMBERED_PAGE, bind, |cells| {
            let key = cells.text()?.to_owned();
            let seen = Remembered {
                digest: cells.digest()?,
                answer: cells.text()?.to_owned(),
                at: cells.time()?,
            };
            Ok((key, seen))
        })
    }

    fn entries(&mut self, project: ProjectNo, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        self.on(|conn, _| books::load(conn, project, book, keys))
    }

    fn entry_page(
        &mut self,
        project: ProjectNo,
        book: Book,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.on(|conn, _| books::page(conn, project, book, after, limit))
    }

    fn entries_due(
        &mut self,
        project: ProjectNo,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.on(|conn, _| books::due(conn, project, book, at, limit))
    }

    fn apply(&mut self, writes: &WriteSet) -> Result<()> {
        let fronts = std::mem::take(&mut self.fronts);
        self.on(|conn, _| {
            debug_assert!(!conn.is_autocommit(), "writes happen inside a transaction");
            apply::apply(conn, writes, &fronts)
        })?;
        self.rows.kept.follow(writes);
        Ok(())
    }

    fn cache_put(&mut self, project: ProjectNo, entry: &CacheEntry, bound: usize) -> Result<()> {
        let used = self.uses.take(project);
        self.on(|conn, _| apply::cache_put(conn, project, &used, entry, bound))
    }
}
