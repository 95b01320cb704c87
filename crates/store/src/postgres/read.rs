//! The reading half: each call is one short read transaction on a connection of its own, never left open, since an old
//! snapshot keeps the server from tidying up. A project that nothing was written to reads as an empty one.

use std::sync::Arc;
use std::time::Duration;

use domain::book::{Book, Entry};
use domain::code::{Code, Refusal};
use domain::event::{ChainHead, Digest};
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::Run;
use domain::store::{CacheEntry, Filter, Held, HeldLock, Neighbours, Result, Seen, Status, Upstream, View};
use domain::task::record::Task;
use domain::task::spec::When;
use domain::time::Timestamp;

use super::cells::collect;
use super::fault::{Fault, Sql};
use super::link::{Link, Order, Params, Place};
use super::names::Names;
use super::query::{self, bound};
use super::snapshot::Snapshot;
use super::{check, list, unreachable};
use crate::driver::Read;
use crate::kernel::tx::ProjectNo;
use crate::patience::Patience;
use crate::tables::records;
use crate::uses::Uses;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub(super) const READING: [(&str, &str); 4] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("jit", "off"),
];

const PROJECTS: &str = "SELECT name FROM project ORDER BY name";
const BY_KEY: &str = "SELECT t.id FROM name n JOIN task t ON t.project = n.project AND t.seq = n.seq \
     WHERE n.project = $1 AND n.key = $2 ORDER BY n.run DESC LIMIT 1";
const LOCKS: &str = "SELECT h.name, h.mode, t.id, \
     (SELECT count(*) FROM parked p WHERE p.project = h.project AND p.thing = h.name) \
     FROM held h JOIN task t ON t.project = h.project AND t.seq = h.seq WHERE h.project = $1 ORDER BY h.name, h.seq";
const LEASED: &str = "SELECT t.id, l.seq, l.fence, l.secret, l.state, l.worker, l.attempt, t.run, \
     l.started_at, l.expires FROM lease l JOIN task t ON t.project = l.project AND t.seq = l.seq \
     WHERE l.project = $1 AND ($2::text IS NULL OR l.worker = $2) ORDER BY l.seq";
const CACHE: &str =
    "SELECT result, stored_at, expires_at, made_by FROM cache WHERE project = $1 AND key = $2";

pub(super) struct PgRead {
    link: Link,
    names: Names,
    uses: Uses,
    patience: Duration,
}

impl PgRead {
    pub(super) fn new(place: Place, uses: Uses, patience: Duration) -> PgRead {
        PgRead {
            link: Link::new(place, BEGIN, &READING),
            names: Names::default(),
            uses,
            patience,
        }
    }

    /// Reads inside one transaction; again while the server is away.
    fn again<T>(&mut self, mut read: impl FnMut(&mut Link, &mut Names) -> Sql<T>) -> Result<T> {
        let mut patience = Patience::new(
            self.patience,
            Duration::from_millis(20),
            Duration::from_millis(500),
        );
        loop {
            let found = read(&mut self.link, &mut self.names);
            let over = match &found {
                Err(Fault::Lost(_)) => Ok(()),
                _ => self.link.send(&[Order::RollBack]),
            };
            // What was read is true even when the connection broke behind it.
            let why = match (found, over) {
                (Ok(found), _) => return Ok(found),
                (Err(Fault::Refused(refusal)), _) => return Err(refusal),
                (Err(Fault::Lost(why) | Fault::Later(why)), _) => why,
            };
            if !patience.wait() {
                return Err(unreachable(&why, self.patience));
            }
        }
    }

    /// Reads of a project; of one that does not exist, nothing.
    fn on<T>(
        &mut self,
        project: &Project,
        mut read: impl FnMut(&mut Snapshot<'_>) -> Sql<T>,
    ) -> Result<Option<T>> {
        self.again(|link, names| match Snapshot::of(link, names, project.as_str())? {
            None => Ok(None),
            Some(mut snapshot) => read(&mut snapshot).map(Some),
        })
    }

    /// As `on`, for reads about one task.
    fn on_task<T>(
        &mut self,
        project: &Project,
        id: &TaskId,
        mut read: impl FnMut(&mut Snapshot<'_>, Task) -> Sql<T>,
    ) -> Result<T> {
        let found = self.on(project, |snapshot| match snapshot.task(id)? {
            Some(task) => read(snapshot, task).map(Some),
            None => Ok(None),
        })?;
        let unknown = || Refusal::new(Code::TaskNotFound, format!("there is no task `{id}`"));
        found.flatten().ok_or_else(unknown)
    }
}

impl Read for PgRead {
    fn projects(&mut self) -> Result<Vec<Project>> {
        self.again(|link, _| {
            let begin = [link.begin()];
            let found = link.ask(&begin, PROJECTS, &[])?;
            collect(&found, |cells| cells.name())
        })
    }

    fn views(&mut self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>> {
        let found = self.on(project, |snapshot| {
            let seqs = snapshot.find(ids)?;
            let known: Vec<Seq> = seqs.iter().flatten().copied().collect();
            let views = snapshot.views(&known)?;
            Ok(seqs.iter().map(|seq| views.get(&(*seq)?).cloned()).collect())
        })?;
        Ok(found.unwrap_or_else(|| vec![None; ids.len()]))
    }

    fn by_key(&mut self, project: &Project, key: &Key) -> Result<Option<TaskId>> {
        let found = self.on(project, |snapshot| {
            let params: Params<'_> = &[&snapshot.no.clone(), &key.as_str()];
            Ok(snapshot.ask(BY_KEY, params, |cells| cells.task_id())?.pop())
        })?;
        Ok(found.flatten())
    }

    fn list(&mut self, project: &Project, filter: &Filter, after: Seq, limit: usize) -> Result<Vec<View>> {
        let found = self.on(project, |snapshot| list::list(snapshot, filter, after, limit))?;
        Ok(found.unwrap_or_default())
    }

    fn history(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>> {
        self.on_task(project, task, |snapshot, task| snapshot.history(&task, limit))
    }

    fn events(&mut self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>> {
        let found = self.on(project, |snapshot| snapshot.events(after, limit))?;
        Ok(found.unwrap_or_default())
    }

    fn chain(&mut self, project: &Project) -> Result<ChainHead> {
        let found = self.on(project, |snapshot| Ok(snapshot.chain()))?;
        Ok(found.unwrap_or_else(|| ChainHead {
            last: EventNo(0),
            digest: Digest::root(project),
        }))
    }

    fn status(&mut self, project: &Project) -> Result<Status> {
        let found = self.on(project, |snapshot| {
            let oldest_pending = snapshot.oldest_pending()?;
            let head = &snapshot.head;
            Ok(Status {
                counts: head.counts,
                score_sum: head.score_sum,
                max_depth: head.max_depth,
                oldest_pending,
                newest: head.newest,
                dead_letters: head.dead_letters,
                last_event: head.chain.last,
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    fn runs(&mut self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>> {
        let found = self.on(project, |snapshot| {
            let no = snapshot.no;
            match plan {
                None => snapshot.ask(&query::RUNS, &[&no, &bound(limit)], records::run),
                Some(plan) => snapshot.ask(&query::RUNS_OF, &[&no, &bound(limit), &plan], records::run),
            }
        })?;
        Ok(found.unwrap_or_default())
    }

    fn run(&mut self, project: &Project, id: RunId) -> Result<Option<Run>> {
        let found = self.on(project, |snapshot| {
            let params: Params<'_> = &[&snapshot.no.clone(), &&id.0.as_bytes()[..]];
            Ok(snapshot.ask(&query::RUN_BY_ID, params, records::run)?.pop())
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
        let found = self.on(project, |snapshot| snapshot.upstream(tasks))?;
        Ok(found.unwrap_or_default())
    }

    fn ahead(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<usize> {
        self.on_task(project, task, |snapshot, task| {
            snapshot.learn()?;
            let no = snapshot.no;
            let classes: Vec<i32> = snapshot
                .names
                .of(no)
                .all
                .iter()
                .map(|(no, _)| no.0 as i32)
                .collect();
            let place = task.place();
            let seq = place.seq.0 as i64;
            let params: Params<'_> = &[&no, &classes, &place.rank, &place.at.0, &seq, &bound(limit)];
            let ahead = snapshot.ask(query::AHEAD, params, |cells| cells.count::<usize>())?;
            Ok(ahead.first().map_or(0, |ahead| (*ahead).min(limit)))
        })
    }

    fn locks(&mut self, project: &Project) -> Result<Vec<HeldLock>> {
        let found = self.on(project, |snapshot| {
            let params: Params<'_> = &[&snapshot.no.clone()];
            snapshot.ask(LOCKS, params, |cells| {
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
            let params: Params<'_> = &[&snapshot.no.clone(), &worker.map(WorkerId::as_str)];
            snapshot.ask(LEASED, params, records::held)
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Counts as a use of the entry, see [`Uses`].
    fn cache_get(&mut self, project: &Project, key: &[u8; 32], now: Timestamp) -> Result<Option<CacheEntry>> {
        let found = self.on(project, |snapshot| {
            let no = snapshot.no;
            let mut found = snapshot.ask(CACHE, &[&no, &&key[..]], |cells| {
                Ok(CacheEntry {
                    key: *key,
                    result: cells.json_or()?,
                    stored_at: cells.time()?,
                    expires_at: cells.time_or()?,
                    made_by: cells.task_id()?,
                })
            })?;
            Ok((ProjectNo(no as u32), found.pop()))
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
        let found = self.on(project, |snapshot| {
            let params: Params<'_> = &[
                &snapshot.no.clone(),
                &i16::from(book.number()),
                &after,
                &bound(limit),
            ];
            snapshot.ask(query::ENTRY_PAGE, params, |cells| records::entry(cells, book))
        })?;
        Ok(found.unwrap_or_default())
    }

    fn entries_of(&mut self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        let found = self.on(project, |snapshot| {
            let asked: Vec<&str> = keys.iter().map(|key| &**key).collect();
            let params: Params<'_> = &[&snapshot.no.clone(), &i16::from(book.number()), &asked];
            let found = snapshot.ask(query::ENTRIES, params, |cells| records::entry(cells, book))?;
            Ok(query::entries_in_order(keys, found))
        })?;
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
            let params: Params<'_> = &[
                &snapshot.no.clone(),
                &i16::from(book.number()),
                &at.0,
                &bound(limit),
            ];
            snapshot.ask(query::ENTRIES_DUE, params, |cells| records::entry(cells, book))
        })?;
        Ok(found.unwrap_or_default())
    }

    fn check(&mut self, project: &Project) -> Result<Vec<String>> {
        let found = self.on(project, |snapshot| check::findings(snapshot, project))?;
        Ok(found.unwrap_or_default())
    }
}
