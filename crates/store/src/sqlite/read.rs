//! The reading half: each call is one short read transaction on a connection of its own, never left open.
//!
//! A project that nothing was written to reads as an empty one.

use std::path::PathBuf;

use domain::code::{Code, Refusal};
use domain::event::{ChainHead, Digest};
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, Token, WorkerId};
use domain::run::Run;
use domain::store::{
    CacheEntry, Filter, Held, HeldLock, Neighbour, Neighbours, Result, Seen, Status, Upstream, View,
};
use domain::task::record::Task;
use domain::task::spec::When;
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use rusqlite::Connection;

use super::cells::{Binds, Cells, first};
use super::fault::{Fault, Sql, corrupt};
use super::names::Names;
use super::tx::{CHILDREN, DEPENDENTS, FIND, bound, mode, query};
use super::uses::Uses;
use super::{body, check, line, list, log, names, runs, task};
use crate::driver::Read;
use crate::kernel::tx::ProjectNo;

pub(super) const VIEW: &str = concat!(
    "SELECT ",
    task::columns!(),
    ", ",
    task::lease_columns!(),
    ", ",
    body::columns!(),
    ", ",
    body::outcome_columns!(),
    ", r.id FROM task t LEFT JOIN lease l ON l.seq = t.seq JOIN body b ON b.seq = t.seq \
     LEFT JOIN outcome o ON o.seq = t.seq LEFT JOIN run r ON r.no = t.run WHERE t.seq = ?1"
);
pub(super) const BY_KEY: &str = "SELECT t.id FROM name n JOIN task t ON t.seq = n.seq \
     WHERE n.project = ?1 AND n.key = ?2 ORDER BY n.run DESC LIMIT 1";
pub(super) const EVENTS: &str = concat!(
    "SELECT ",
    log::columns!(),
    ", t.id, b.key, r.id FROM event e LEFT JOIN task t ON t.seq = e.task LEFT JOIN body b ON b.seq = e.task \
     LEFT JOIN run r ON r.no = e.run WHERE e.n > ?1 AND e.n <= ?2 ORDER BY e.n LIMIT ?3"
);
pub(super) const OLDEST_OF: [&str; 2] = [
    "SELECT seq, submitted_at FROM task INDEXED BY task_aside WHERE project = ?1 AND state = 0 ORDER BY seq LIMIT 1",
    "SELECT seq, submitted_at FROM task INDEXED BY task_aside WHERE project = ?1 AND state = 1 ORDER BY seq LIMIT 1",
];
pub(super) const NEIGHBOUR: &str = "SELECT t.id, b.key, coalesce(l.state, t.state), \
     CASE WHEN l.seq IS NULL THEN t.reason ELSE l.reason END FROM task t JOIN body b ON b.seq = t.seq \
     LEFT JOIN lease l ON l.seq = t.seq WHERE t.seq = ?1";
pub(super) const CHILDREN_OF: &str = "SELECT child, condition FROM edge WHERE parent = ?1 ORDER BY child";
pub(super) const UPSTREAM: &str = concat!(
    "SELECT t.id, b.key, coalesce(l.state, t.state), ",
    body::outcome_columns!(),
    " FROM task t JOIN body b ON b.seq = t.seq LEFT JOIN lease l ON l.seq = t.seq \
     LEFT JOIN outcome o ON o.seq = t.seq WHERE t.seq = ?1"
);
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

/// What a reading function sees: one snapshot.
pub(super) struct Snapshot<'a> {
    pub(super) conn: &'a Connection,
    pub(super) names: &'a mut Names,
    pub(super) project: ProjectNo,
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

impl Snapshot<'_> {
    pub(super) fn find(&self, id: &TaskId) -> Sql<Option<Seq>> {
        let mut statement = self.conn.prepare_cached(FIND)?;
        let mut binds = Binds::of(&mut statement);
        binds.project(self.project)?.task_id(id)?;
        first(binds, |cells| cells.seq())
    }

    fn task(&self, id: &TaskId) -> Sql<Option<Task>> {
        Ok(task::load(self.conn, self.project, self.find(id)?)?.pop())
    }

    pub(super) fn view(&mut self, seq: Seq) -> Sql<Option<View>> {
        let mut statement = self.conn.prepare_cached(VIEW)?;
        let mut binds = Binds::of(&mut statement);
        binds.seq(seq)?;
        let found = first(binds, |cells| {
            let task = task::read_joined(cells)?;
            Ok((
                task,
                body::read(cells)?,
                body::read_outcome(cells)?,
                cells.run_id_or()?,
            ))
        })?;
        let Some((task, body, outcome, run)) = found else {
            return Ok(None);
        };
        let class = self.names.class_of(self.conn, self.project, task.class)?;
        Ok(Some(View {
            task,
            body,
            outcome,
            run,
            class,
        }))
    }

    /// Events with keys above `after`, up to and with `to`.
    fn events(&self, after: i64, to: i64, limit: usize) -> Sql<Vec<Seen>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.put(after)?.put(to)?.put(bound(limit)).map(drop);
        query(self.conn, EVENTS, bind, |cells| {
            let event = log::read(cells)?;
            let task = event.fact.task.map(|_| cells.task_id()).transpose()?;
            if task.is_none() {
                cells.skip(1);
            }
            Ok(Seen {
                event,
                task,
                key: cells.name_or()?,
                run: cells.run_id_or()?,
            })
        })
    }

    fn neighbour(&self, seq: Seq, when: When) -> Sql<Neighbour> {
        let mut statement = self.conn.prepare_cached(NEIGHBOUR)?;
        let mut binds = Binds::of(&mut statement);
        binds.seq(seq)?;
        let found = first(binds, |cells| {
            Ok(Neighbour {
                seq,
                id: cells.task_id()?,
                key: cells.name_or()?,
                when,
                state: cells.variant(State::from_u8)?,
                reason: cells.variant_or(Reason::from_u8)?,
            })
        })?;
        found.ok_or_else(|| corrupt(format!("task number {} is missing", seq.0)))
    }

    fn neighbours(&self, task: &Task, limit: usize) -> Sql<Neighbours> {
        let bodies = body::load(self.conn, &[task.seq])?;
        let after = bodies
            .into_iter()
            .next()
            .map_or_else(Vec::new, |(_, body)| body.after);
        let bind = |binds: &mut Binds<'_, '_>| binds.seq(task.seq)?.seq(Seq(0))?.put(bound(limit)).map(drop);
        let edge = |cells: &mut Cells<'_>| Ok((cells.seq()?, body::when(cells.count()?)?));
        let dependents = query(self.conn, DEPENDENTS, bind, edge)?;
        let bind = |binds: &mut Binds<'_, '_>| binds.seq(task.seq)?.put(bound(limit)).map(drop);
        let children = query(self.conn, CHILDREN, bind, |cells| {
            Ok((cells.seq()?, When::Finished))
        })?;
        let counts = [after.len(), task.dependents as usize, task.children as usize];
        let all = |list: Vec<(Seq, When)>| {
            let seen = list.into_iter().take(limit);
            seen.map(|(seq, when)| self.neighbour(seq, when))
                .collect::<Sql<Vec<_>>>()
        };
        Ok(Neighbours {
            after: all(after)?,
            dependents: all(dependents)?,
            children: all(children)?,
            cut: counts.into_iter().any(|count| count > limit),
        })
    }

    fn upstream(&self, seq: Seq) -> Sql<Option<Upstream>> {
        let mut statement = self.conn.prepare_cached(UPSTREAM)?;
        let mut binds = Binds::of(&mut statement);
        binds.seq(seq)?;
        first(binds, |cells| {
            Ok(Upstream {
                seq,
                id: cells.task_id()?,
                key: cells.name_or()?,
                state: cells.variant(State::from_u8)?,
                outcome: body::read_outcome(cells)?,
            })
        })
    }

    fn edges(&self, tasks: &[Seq]) -> Sql<Vec<(Seq, Seq, When)>> {
        let mut among = tasks.to_vec();
        among.sort_unstable();
        among.dedup();
        let mut found = Vec::new();
        for parent in &among {
            let below = query(
                self.conn,
                CHILDREN_OF,
                |binds| binds.seq(*parent).map(drop),
                |cells| Ok((cells.seq()?, body::when(cells.count()?)?)),
            )?;
            let inside = below
                .into_iter()
                .filter(|(child, _)| among.binary_search(child).is_ok());
            found.extend(inside.map(|(child, when)| (*parent, child, when)));
        }
        Ok(found)
    }

    fn oldest_pending(&self) -> Sql<Option<Timestamp>> {
        let mut oldest = Vec::new();
        for sql in OLDEST_OF {
            oldest.extend(query(
                self.conn,
                sql,
                |binds| binds.project(self.project).map(drop),
                |cells| Ok((cells.seq()?, cells.time()?)),
            )?);
        }
        Ok(oldest.into_iter().min().map(|(_, submitted)| submitted))
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
                    mode: mode(cells)?,
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
            query(snapshot.conn, LEASED, bind, read_held)
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

    fn check(&mut self, project: &Project) -> Result<Vec<String>> {
        let found = self.on(project, |snapshot| check::findings(snapshot, project))?;
        Ok(found.unwrap_or_default())
    }
}

fn read_held(cells: &mut Cells<'_>) -> Sql<Held> {
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
