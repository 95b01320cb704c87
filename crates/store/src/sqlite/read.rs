//! The reading half: each call is one short read transaction on a connection of its own, never left open.
//!
//! A project that nothing was written to reads as an empty one.

use std::path::PathBuf;
use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::code::{Code, Refusal};
use domain::event::{ChainHead, Digest};
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::prune::{BEGINNING, Beginning};
use domain::run::Run;
use domain::store::{CacheEntry, Filter, Held, HeldLock, Neighbours, Result, Seen, Status, Upstream, View};
use domain::task::record::Task;
use domain::task::spec::When;
use domain::time::Timestamp;
use rusqlite::Connection;

use super::cells::{Binds, first};
use super::fault::{Fault, Sql, corrupt};
use super::names::Names;
use super::snapshot::Snapshot;
use super::tx::query;
use super::{books, check, line, list, log, names, runs};
use crate::driver::Read;
use crate::tables::records;
use crate::uses::Uses;

pub(super) const BY_KEY: &str = "SELECT t.id FROM name n JOIN task t ON t.seq = n.seq \
     WHERE n.project = ?1 AND n.key = ?2 ORDER BY n.run DESC LIMIT 1";
pub(super) const LOCKS: &str = "SELECT h.name, h.mode, t.id, \
     (SELECT count(*) FROM parked p WHERE p.project = h.project AND p.thing = h.name) \
     FROM held h JOIN task t ON t.seq = h.seq WHERE h.project = ?1 ORDER BY h.name, h.seq";
pub(super) const LEASED: &str = "SELECT t.id, l.seq, l.fence, l.secret, l.state, l.worker, l.attempt, t.run, \
     l.started_at, l.expires FROM lease l JOIN task t ON t.seq = l.seq \
     WHERE l.project = ?1 AND (?2 IS NULL OR l.worker = ?2) ORDER BY l.seq";
pub(super) const CACHE: &str =
    "SELECT result, stored_at, expires_at, made_by FROM cache WHERE project = ?1 AND key = ?2";

pub(super) struct SqliteRead {
    conn: Connection,
    path: PathBuf,
    names: Names,
    uses: Uses,
}

impl SqliteRead {
    pub(super) fn new(conn: Connection, path: PathBuf, uses: Uses) -> SqliteRead {
        SqliteRead {
            conn,
            path,
            names: Names::default(),
            uses,
        }
    }

    fn snapshot<T>(&mut self, read: impl FnOnce(&Connection, &mut Names) -> Sql<T>) -> Result<T> {
        let work = || -> Sql<T> {
            let snapshot = Begun::begin(&self.conn)?;
            read(snapshot.0, &mut self.names)
        };
        work().map_err(|fault: Fault| fault.refuse(&self.path, Some(&self.conn)))
    }

    /// Reads of a project; of one that does not exist, nothing.
    fn on<T>(
        &mut self,
        project: &Project,
        read: impl FnOnce(&mut Snapshot<'_>) -> Sql<T>,
    ) -> Result<Option<T>> {
        self.snapshot(|conn, names| match names.project(conn, project, false)? {
            None => Ok(None),
            Some(project) => read(&mut Snapshot { conn, names, project }).map(Some),
        })
    }

    /// As `on`, for reads about one task.
    fn on_task<T>(
        &mut self,
        project: &Project,
        id: &TaskId,
        read: impl FnOnce(&mut Snapshot<'_>, Task) -> Sql<T>,
    ) -> Result<T> {
        let found = self.on(project, |snapshot| match snapshot.task(id)? {
            Some(task) => read(snapshot, task).map(Some),
            None => Ok(None),
        })?;
        let unknown = || Refusal::new(Code::TaskNotFound, format!("there is no task `{id}`"));
        found.flatten().ok_or_else(unknown)
    }
}

/// A read transaction; it ends with this value, whatever happened.
struct Begun<'c>(&'c Connection);

impl<'c> Begun<'c> {
    fn begin(conn: &'c Connection) -> Sql<Begun<'c>> {
        conn.prepare_cached("BEGIN")?.raw_execute()?;
        Ok(Begun(conn))
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let end = || self.0.prepare_cached("ROLLBACK")?.raw_execute();
        // An error that has ended the transaction by itself leaves nothing to end.
        let _ = end();
    }
}

impl Read for SqliteRead {
    fn projects(&mut self) -> Result<Vec<Project>> {
        self.snapshot(|conn, _| names::projects(conn))
    }

    fn views(&mut self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>> {
        let found = self.on(project, |snapshot| {
            let view = |id| match snapshot.find(id)? {
                Some(seq) => snapshot.view(seq),
                None => Ok(None),
            };
            ids.iter().map(view).collect()
        })?;
        Ok(found.unwrap_or_else(|| vec![None; ids.len()]))
    }

    fn by_key(&mut self, project: &Project, key: &Key) -> Result<Option<TaskId>> {
        let found = self.on(project, |snapshot| {
            let mut statement = snapshot.conn.prepare_cached(BY_KEY)?;
            let mut binds = Binds::of(&mut statement);
            binds.project(snapshot.project)?.put(key.as_str())?;
            first(binds, |cells| cells.task_id())
        })?;
        Ok(found.flatten())
    }

    fn list(&mut self, project: &Project, filter: &Filter, after: Seq, limit: usize) -> Result<Vec<View>> {
        let found = self.on(project, |snapshot| list::list(snapshot, filter, after, limit))?;
        Ok(found.unwrap_or_default())
    }

    fn history(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>> {
        self.on_task(project, task, |snapshot, task| {
            let mut newest = Vec::new();
            let mut no = task.last_event;
            while no != EventNo(0) && newest.len() < limit {
                let key = log::key(snapshot.project, no);
                let Some(seen) = snapshot.events(key - 1, key, 1)?.pop() else {
                    let kept = [BEGINNING.into()];
                    let kept = books::load(snapshot.conn, snapshot.project, Book::Cursor, &kept)?;
                    if no <= Beginning::read(project, &kept)?.after.last {
                        break;
                    }
                    return Err(corrupt(format!("event {} is missing", no.0)));
                };
                if seen.event.prev >= no {
                    return Err(corrupt(format!("event {} follows a later one", no.0)));
                }
                no = seen.event.prev;
                newest.push(seen);
            }
            newest.reverse();
            Ok(newest)
        })
    }

    fn events(&mut self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>> {
        let found = self.on(project, |snapshot| {
            let last = log::key(snapshot.project, EventNo(u64::MAX));
            snapshot.events(log::key(snapshot.project, after), last, limit)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn chain(&mut self, project: &Project) -> Result<ChainHead> {
        let found = self.on(project, |snapshot| {
            Ok(log::head(snapshot.conn, snapshot.project)?.chain)
        })?;
        Ok(found.unwrap_or_else(|| ChainHead {
            last: EventNo(0),
            digest: Digest::root(project),
        }))
    }

    fn status(&mut self, project: &Project) -> Result<Status> {
        let found = self.on(project, |snapshot| {
            let head = log::head(snapshot.conn, snapshot.project)?;
            Ok(Status {
                counts: head.counts,
                score_sum: head.score_sum,
                max_depth: head.max_depth,
                oldest_pending: snapshot.oldest_pending()?,
                newest: head.newest,
                dead_letters: head.dead_letters,
                last_event: head.chain.last,
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    fn runs(&mut self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>> {
        let found = self.on(project, |snapshot| {
            runs::newest(snapshot.conn, snapshot.project, plan, limit)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn run(&mut self, project: &Project, id: RunId) -> Result<Option<Run>> {
        let found = self.on(project, |snapshot| {
            runs::by_id(snapshot.conn, snapshot.project, id)
        })?;
        Ok(found.flatten())
    }

    fn neighbours(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours> {
        self.on_task(project, task, |snapshot, task| snapshot.neighbours(&task, limit))
    }

    fn edges(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>> {
        let found = self.on(project, |snapshot| snapshot.edges(tasks))?;
        Ok(found.unwrap_or_default())
    }

    fn results(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>> {
        let found = self.on(project, |snapshot| {
            let results = tasks.iter().map(|seq| snapshot.upstream(*seq));
            Ok(results.collect::<Sql<Vec<_>>>()?.into_iter().flatten().collect())
        })?;
        Ok(found.unwrap_or_default())
    }

    fn ahead(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<usize> {
        self.on_task(project, task, |snapshot, task| {
            let Snapshot { conn, names, project } = snapshot;
            let mut ahead = 0;
            for (class, _) in names.classes(conn, *project)?.iter() {
                if ahead < limit {
                    ahead += line::ahead(conn, *project, *class, task.place(), limit - ahead)?;
                }
            }
            Ok(ahead)
        })
    }

    fn locks(&mut self, project: &Project) -> Result<Vec<HeldLock>> {
        let found = self.on(project, |snapshot| {
            let bind = |binds: &mut Binds<'_, '_>| binds.project(snapshot.project).map(drop);
            query(snapshot.conn, LOCKS, bind, |cells| {
                Ok(HeldLock {
                    name: cells.text()?.to_owned(),
                    mode: cells.mode()?,
                    holder: cells.task_id()?,
                    waiting: cells.count()?,
                })
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    fn leased(&mut self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>> {
        let found = self.on(project, |snapshot| {
            let worker = worker.map(WorkerId::as_str);
            let bind = |binds: &mut Binds<'_, '_>| binds.project(snapshot.project)?.put(worker).map(drop);
            query(snapshot.conn, LEASED, bind, |cells| records::held(cells))
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Counts as a use of the entry, see [`Uses`].
    fn cache_get(&mut self, project: &Project, key: &[u8; 32], now: Timestamp) -> Result<Option<CacheEntry>> {
        let found = self.on(project, |snapshot| {
            let mut statement = snapshot.conn.prepare_cached(CACHE)?;
            let mut binds = Binds::of(&mut statement);
            binds.project(snapshot.project)?.put(&key[..])?;
            let entry = first(binds, |cells| {
                Ok(CacheEntry {
                    key: *key,
                    result: cells.json_or()?,
                    stored_at: cells.time()?,
                    expires_at: cells.time_or()?,
                    made_by: cells.task_id()?,
                })
            })?;
            Ok((snapshot.project, entry))
        })?;
        let Some((no, entry)) = found else {
            return Ok(None);
        };
        let entry = entry.filter(|entry| entry.expires_at.is_none_or(|end| now < end));
        if entry.is_some() {
            self.uses.note(no, *key);
        }
        Ok(entry)
    }

    fn entries(&mut self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>> {
        let found = self.on(project, |at| books::page(at.conn, at.project, book, after, limit))?;
        Ok(found.unwrap_or_default())
    }

    fn entries_of(&mut self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        let found = self.on(project, |at| books::load(at.conn, at.project, book, keys))?;
        Ok(found.unwrap_or_default())
    }

    fn entries_due(
        &mut self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let found = self.on(project, |snapshot| {
            books::due(snapshot.conn, snapshot.project, book, at, limit)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn check(&mut self, project: &Project) -> Result<Vec<String>> {
        let found = self.on(project, |snapshot| check::findings(snapshot, project))?;
        Ok(found.unwrap_or_default())
    }
}
