//! The reading half. A project that nothing was written to reads as an empty one.
//!
//! A call that needs several exchanges reads the head before and after them. If it has changed, what was read is
//! not one picture, and is read again; against a crowd of writers the reader finally asks for their courtesy.

use std::sync::Arc;
use std::time::Duration;

use domain::book::{Book, Entry};
use domain::code::{Code, Refusal};
use domain::event::{ChainHead, Digest};
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::limits;
use domain::run::{Run, RunNo};
use domain::store::{CacheEntry, Filter, Held, HeldLock, Neighbours, Result, Seen, Status, Upstream, View};
use domain::task::record::Task;
use domain::task::spec::When;
use domain::time::Timestamp;

use super::base::Base;
use super::batch::Batch;
use super::fault::Fault;
use super::keys::{self, Keys, before, beyond, field, from};
use super::link::Link;
use super::names::Names;
use super::pack::corrupt;
use super::rows;
use super::snapshot::{Found, Snapshot};
use super::{check, list, writer};
use crate::driver::Read;
use crate::patience::Patience;

/// Pictures that fail before the reader asks writers to pause.
const POLITE: usize = 4;
/// How long it asks them to.
const PAUSE: &[u8] = b"250";

pub(super) struct RedisRead {
    link: Link,
    prefix: String,
    names: Names,
    patience: Duration,
}

impl RedisRead {
    pub(super) fn new(link: Link, prefix: String, patience: Duration) -> RedisRead {
        RedisRead {
            link,
            prefix,
            names: Names::default(),
            patience,
        }
    }

    /// Tries again while the server is away or the picture is torn.
    fn again<T>(&mut self, mut read: impl FnMut(&mut Self, usize) -> Found<Option<T>>) -> Result<T> {
        let mut patience = Patience::new(
            self.patience,
            Duration::from_micros(500),
            Duration::from_millis(500),
        );
        let mut torn = 0;
        loop {
            let why = match read(self, torn) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {
                    torn += 1;
                    "others write to this project all the time".to_owned()
                }
                Err(Fault::Lost(why) | Fault::Later(why)) => why,
                Err(Fault::Moved(_)) => "the project is being moved".to_owned(),
                Err(Fault::Refused(refusal)) => return Err(refusal),
            };
            if !patience.wait() {
                return Err(writer::unreachable(&why, self.patience));
            }
        }
    }

    /// One picture of a project; `None` when there is no such project.
    fn on<T>(
        &mut self,
        project: &Project,
        mut read: impl FnMut(&mut Snapshot<'_>) -> Found<T>,
    ) -> Result<Option<T>> {
        let keys = Keys::new(&self.prefix, project);
        self.again(|reader, torn| {
            let mut base = Base {
                link: &mut reader.link,
                keys: keys.clone(),
            };
            if torn >= POLITE {
                let mut batch = Batch::default();
                batch.put(&[b"SET", &keys.of("k"), b"reader", b"NX", b"PX", PAUSE]);
                base.ask(&batch)?;
            }
            let Some(head) = base.head()? else {
                return Ok(Some(None));
            };
            if !reader.names.is_current(project, &head) {
                let list = base.classes()?;
                reader.names.keep(project, &head, list);
            }
            let classes = reader.names.of(project).map(|names| names.list.clone());
            let mut snapshot = Snapshot {
                base,
                classes: classes.unwrap_or_default(),
                head,
            };
            let found = read(&mut snapshot);
            if matches!(found, Err(Fault::Lost(_) | Fault::Later(_) | Fault::Moved(_))) {
                return found.map(|found| Some(Some(found)));
            }
            let after = snapshot.base.head()?;
            if after.is_none_or(|after| after.version != snapshot.head.version) {
                return Ok(None);
            }
            found.map(|found| Some(Some(found)))
        })
    }

    /// As `on`, for reads about one task.
    fn on_task<T>(
        &mut self,
        project: &Project,
        id: &TaskId,
        mut read: impl FnMut(&mut Snapshot<'_>, Task) -> Found<T>,
    ) -> Result<T> {
        let found = self.on(project, |at| match at.task(id)? {
            Some(task) => read(at, task).map(Some),
            None => Ok(None),
        })?;
        let unknown = || Refusal::new(Code::TaskNotFound, format!("there is no task `{id}`"));
        found.flatten().ok_or_else(unknown)
    }
}

impl Read for RedisRead {
    fn projects(&mut self) -> Result<Vec<Project>> {
        self.again(|reader, _| {
            let key = keys::projects(&reader.prefix);
            let mut batch = Batch::default();
            batch.put(&[b"SMEMBERS", &key]);
            let mut answers = reader.link.fetch(&String::from_utf8_lossy(&key), &batch)?;
            let mut projects = Vec::new();
            for name in answers.members()? {
                let name: Project = String::from_utf8_lossy(&name).parse().map_err(corrupt)?;
                let keys = Keys::new(&reader.prefix, &name);
                let mut base = Base {
                    link: &mut reader.link,
                    keys,
                };
                if base.head()?.is_some() {
                    projects.push(name);
                }
            }
            projects.sort_unstable();
            Ok(Some(projects))
        })
    }

    fn views(&mut self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>> {
        let found = self.on(project, |at| {
            let seqs = at.base.find(ids)?;
            let known: Vec<Seq> = seqs.iter().flatten().copied().collect();
            let tasks = at.base.listed(&known)?;
            let mut views = at.views(tasks)?.into_iter();
            Ok(seqs.iter().map(|seq| seq.and_then(|_| views.next())).collect())
        })?;
        Ok(found.unwrap_or_else(|| vec![None; ids.len()]))
    }

    fn by_key(&mut self, project: &Project, key: &Key) -> Result<Option<TaskId>> {
        let found = self.on(project, |at| {
            match at.base.named(std::slice::from_ref(key))?.pop().flatten() {
                Some((_, seq)) => Ok(at.base.listed(&[seq])?.pop().map(|task| task.id)),
                None => Ok(None),
            }
        })?;
        Ok(found.flatten())
    }

    fn list(&mut self, project: &Project, filter: &Filter, after: Seq, limit: usize) -> Result<Vec<View>> {
        let found = self.on(project, |at| list::list(at, filter, after, limit))?;
        Ok(found.unwrap_or_default())
    }

    fn history(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>> {
        self.on_task(project, task, |at, task| {
            let mut newest = Vec::new();
            let mut no = task.last_event;
            while no != EventNo(0) && newest.len() < limit {
                let event = at.raw_events(no, 1)?.pop();
                let event = event.ok_or_else(|| corrupt(format!("event {} is missing", no.0)))?;
                if event.no > no {
                    // The log begins later.
                    break;
                }
                if event.prev >= no {
                    return Err(corrupt(format!("event {} follows a later one", no.0)).into());
                }
                no = event.prev;
                newest.push(event);
            }
            newest.reverse();
            at.seen(newest)
        })
    }

    fn events(&mut self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>> {
        let found = self.on(project, |at| {
            let events = at.raw_events(EventNo(after.0.saturating_add(1)), limit)?;
            at.seen(events)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn chain(&mut self, project: &Project) -> Result<ChainHead> {
        let found = self.on(project, |at| Ok(at.head.head.chain))?;
        Ok(found.unwrap_or_else(|| ChainHead {
            last: EventNo(0),
            digest: Digest::root(project),
        }))
    }

    fn status(&mut self, project: &Project) -> Result<Status> {
        let found = self.on(project, |at| {
            let oldest = list::oldest_waiting(at)?;
            let head = &at.head.head;
            Ok(Status {
                counts: head.counts,
                score_sum: head.score_sum,
                max_depth: head.max_depth,
                oldest_pending: oldest.map(|task| task.submitted_at),
                newest: head.newest,
                dead_letters: head.dead_letters,
                last_event: head.chain.last,
            })
        })?;
        Ok(found.unwrap_or_default())
    }

    fn runs(&mut self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>> {
        let found = self.on(project, |at| {
            if let Some(plan) = plan {
                let numbers = at.base.plan_runs(plan, limit)?;
                return at.base.runs(&numbers);
            }
            // The numbers may have gaps.
            let (mut runs, mut last) = (Vec::new(), at.head.last_run.0);
            while runs.len() < limit && last > 0 {
                let first = last.saturating_sub(limits::PAGE_MAX as u64 - 1).max(1);
                let numbers: Vec<RunNo> = (first..=last).rev().map(RunNo).collect();
                runs.extend(at.base.runs(&numbers)?);
                last = first - 1;
            }
            runs.truncate(limit);
            Ok(runs)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn run(&mut self, project: &Project, id: RunId) -> Result<Option<Run>> {
        let found = self.on(project, |at| match at.base.run_no(id)? {
            Some(no) => Ok(at.base.runs(&[no])?.pop()),
            None => Ok(None),
        })?;
        Ok(found.flatten())
    }

    fn neighbours(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours> {
        self.on_task(project, task, |at, task| at.neighbours(&task, limit))
    }

    fn edges(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>> {
        let mut among = tasks.to_vec();
        among.sort_unstable();
        among.dedup();
        if among.is_empty() {
            return Ok(Vec::new());
        }
        let of: Vec<_> = among.iter().map(|seq| (*seq, Seq(0))).collect();
        let found = self.on(project, |at| {
            let below = at.base.dependents(&of, usize::MAX)?;
            let all = among.iter().zip(below).flat_map(|(parent, edges)| {
                let edge = |(child, when)| (*parent, child, when);
                edges.into_iter().map(edge).collect::<Vec<_>>()
            });
            Ok(all
                .filter(|(_, child, _)| among.binary_search(child).is_ok())
                .collect())
        })?;
        Ok(found.unwrap_or_default())
    }

    fn results(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>> {
        let found = self.on(project, |at| at.upstream(tasks))?;
        Ok(found.unwrap_or_default())
    }

    fn ahead(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<usize> {
        self.on_task(project, task, |at, task| {
            let place = task.place();
            let (rank, most) = (place.rank.to_string(), limit.min(i64::MAX as usize).to_string());
            let better = before(rank.as_bytes());
            let mut batch = Batch::default();
            for (class, _) in at.classes.iter() {
                let line = at.base.keys.line(*class, None);
                batch.put(&[b"ZCOUNT", &line, b"-inf", &better]);
                batch.put(&[
                    b"ZRANGE",
                    &line,
                    rank.as_bytes(),
                    rank.as_bytes(),
                    b"BYSCORE",
                    b"LIMIT",
                    b"0",
                    most.as_bytes(),
                ]);
            }
            let mut answers = at.base.ask(&batch)?;
            let member = keys::place(&place);
            let mut ahead = 0;
            for _ in at.classes.iter() {
                ahead += usize::try_from(answers.int()?).unwrap_or(usize::MAX);
                let equal = answers.members()?;
                ahead += equal.iter().take_while(|other| other[..] < member[..]).count();
            }
            Ok(ahead.min(limit))
        })
    }

    fn locks(&mut self, project: &Project) -> Result<Vec<HeldLock>> {
        let found = self.on(project, |at| {
            let holders = at.base.holders(b"-", b"+")?;
            if holders.is_empty() {
                return Ok(Vec::new());
            }
            let seqs: Vec<Seq> = holders.iter().map(|(_, seq, _)| *seq).collect();
            let tasks = at.base.listed(&seqs)?;
            let mut batch = Batch::default();
            for (name, ..) in &holders {
                let start = keys::under(name);
                batch.put(&[
                    b"ZLEXCOUNT",
                    &at.base.keys.of("p"),
                    &from(&start),
                    &beyond(&start),
                ]);
            }
            let mut answers = at.base.ask(&batch)?;
            let mut held = Vec::with_capacity(holders.len());
            for ((name, _, mode), task) in holders.into_iter().zip(tasks) {
                held.push(HeldLock {
                    name,
                    mode,
                    holder: task.id,
                    waiting: usize::try_from(answers.int()?).unwrap_or(0),
                });
            }
            Ok(held)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn leased(&mut self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>> {
        let found = self.on(project, |at| {
            let mut seqs: Vec<Seq> = match worker {
                Some(worker) => at.base.leased_by(worker)?,
                None => {
                    let key = at.base.keys.of("x");
                    let listed = at.base.scored(&key, b"-inf", b"+inf", usize::MAX)?;
                    listed.into_iter().map(|(_, seq)| seq).collect()
                }
            };
            if seqs.is_empty() {
                return Ok(Vec::new());
            }
            seqs.sort_unstable();
            Ok(at.base.listed(&seqs)?.into_iter().filter_map(held).collect())
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Counts as a use of the entry.
    fn cache_get(&mut self, project: &Project, key: &[u8; 32], now: Timestamp) -> Result<Option<CacheEntry>> {
        let keys = Keys::new(&self.prefix, project);
        self.again(|reader, _| {
            let mut batch = Batch::default();
            batch.put(&[b"HGET", &keys.of("q"), key]).put(&[b"TIME"]);
            let mut answers = reader.link.fetch(keys.tag(), &batch)?;
            let Some(bytes) = answers.bytes()? else {
                return Ok(Some(None));
            };
            let entry = rows::unpack_cached(*key, &bytes)?;
            if entry.expires_at.is_some_and(|end| now >= end) {
                return Ok(Some(None));
            }
            let used = field(answers.micros()?.cast_unsigned());
            let mut batch = Batch::default();
            batch.put(&[b"ZADD", &keys.of("qu"), b"XX", b"GT", &used, key]);
            reader.link.fetch(keys.tag(), &batch)?;
            Ok(Some(Some(entry)))
        })
    }

    fn entries(&mut self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>> {
        let found = self.on(project, |at| {
            let keys = at.base.entry_keys(book, after, limit)?;
            at.base.entries(book, &keys)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn entries_of(&mut self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        let found = self.on(project, |at| at.base.entries(book, keys))?;
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
            let keys = snapshot.base.entry_keys_due(book, at.0, limit)?;
            snapshot.base.entries(book, &keys)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn check(&mut self, project: &Project) -> Result<Vec<String>> {
        let found = self.on(project, |at| check::findings(at, project))?;
        Ok(found.unwrap_or_default())
    }
}

fn held(task: Task) -> Option<Held> {
    let token = task.token()?;
    let lease = task.lease?;
    Some(Held {
        id: task.id,
        token,
        state: task.state,
        worker: lease.worker,
        attempt: lease.attempt,
        run: task.run,
        started_at: task.started_at,
        expires: lease.expires,
    })
}
