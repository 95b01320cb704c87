//! The reading half of the store. A project that nothing was written to reads as an empty one.

use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::code::{Code, Refusal};
use domain::event::{ChainHead, Digest, Event};
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::limits;
use domain::run::{Run, RunNo};
use domain::store::{
    CacheEntry, Filter, Held, HeldLock, Neighbour, Neighbours, Result, Seen, Status, Upstream, View,
};
use domain::task::record::Task;
use domain::task::spec::When;
use domain::time::Timestamp;

use super::shelf::Shelf;
use super::tx::LAST;
use super::{Shared, check};
use crate::driver::Read;

pub(super) struct MemoryRead {
    data: Shared,
}

impl MemoryRead {
    pub(super) fn new(data: Shared) -> MemoryRead {
        MemoryRead { data }
    }

    fn on<T: Default>(&self, project: &Project, read: impl FnOnce(&Shelf) -> Result<T>) -> Result<T> {
        let data = self.data.read();
        data.shelf_of(project).map_or_else(|| Ok(T::default()), read)
    }

    /// As `on`, for reads about one task.
    fn on_task<T>(&self, project: &Project, id: &TaskId, read: impl FnOnce(&Shelf, &Task) -> T) -> Result<T> {
        let data = self.data.read();
        let shelf = data.shelf_of(project);
        let task = shelf.and_then(|shelf| Some((shelf, &shelf.tasks[shelf.ids.get(id)?])));
        match task {
            Some((shelf, task)) => Ok(read(shelf, task)),
            None => Err(Refusal::new(
                Code::TaskNotFound,
                format!("there is no task `{id}`"),
            )),
        }
    }
}

impl Shelf {
    fn view(&self, task: &Task) -> View {
        View {
            body: self.bodies[&task.seq].clone(),
            outcome: self.outcomes.get(&task.seq).cloned(),
            run: task.run.map(|no| self.runs[&no].id),
            class: self.classes[&task.class].clone(),
            task: task.clone(),
        }
    }

    fn key(&self, seq: Seq) -> Option<Key> {
        self.bodies[&seq].key.clone()
    }

    fn seen(&self, event: &Event) -> Seen {
        Seen {
            task: event
                .fact
                .task
                .and_then(|seq| Some(self.tasks.get(&seq)?.id.clone())),
            key: event.fact.task.and_then(|seq| self.bodies.get(&seq)?.key.clone()),
            run: event.fact.run.and_then(|no| Some(self.runs.get(&no)?.id)),
            event: event.clone(),
        }
    }

    fn neighbour(&self, seq: Seq, when: When) -> Neighbour {
        let task = &self.tasks[&seq];
        Neighbour {
            seq,
            id: task.id.clone(),
            key: self.key(seq),
            when,
            state: task.state,
            reason: task.reason,
        }
    }

    fn matches(&self, task: &Task, filter: &Filter) -> bool {
        let class = &self.classes[&task.class];
        let run = |id: &RunId| task.run.is_some_and(|no| self.runs[&no].id == *id);
        let parent = |id: &TaskId| task.parent.is_some_and(|seq| self.tasks[&seq].id == *id);
        (filter.states.is_empty() || filter.states.contains(&task.state))
            && filter.run.as_ref().is_none_or(run)
            && filter.wants(class)
            && filter.source.is_none_or(|source| task.source == source)
            && filter.parent.as_ref().is_none_or(parent)
            && (!filter.dead_letters || task.dead_letter)
            && (filter.superseded || !task.superseded)
    }
}

impl Read for MemoryRead {
    fn projects(&mut self) -> Result<Vec<Project>> {
        Ok(self.data.read().numbers.keys().cloned().collect())
    }

    fn views(&mut self, project: &Project, ids: &[TaskId]) -> Result<Vec<Option<View>>> {
        let data = self.data.read();
        let shelf = data.shelf_of(project);
        let view = |id| shelf.and_then(|shelf| Some(shelf.view(&shelf.tasks[shelf.ids.get(id)?])));
        Ok(ids.iter().map(view).collect())
    }

    fn by_key(&mut self, project: &Project, key: &Key) -> Result<Option<TaskId>> {
        self.on(project, |shelf| {
            let last = Some(RunNo(u64::MAX));
            let mut known = shelf.keys.range((key.clone(), None)..=(key.clone(), last));
            Ok(known.next_back().map(|(_, seq)| shelf.tasks[seq].id.clone()))
        })
    }

    fn list(&mut self, project: &Project, filter: &Filter, after: Seq, limit: usize) -> Result<Vec<View>> {
        self.on(project, |shelf| {
            let later = shelf.tasks.range(Seq(after.0.saturating_add(1))..);
            let fitting = later.filter(|(_, task)| shelf.matches(task, filter));
            let page = fitting.take(limit.min(limits::PAGE_MAX));
            Ok(page.map(|(_, task)| shelf.view(task)).collect())
        })
    }

    fn history(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Vec<Seen>> {
        self.on_task(project, task, |shelf, task| {
            let last = shelf.events.get(&task.last_event);
            let back = std::iter::successors(last, |event| shelf.events.get(&event.prev));
            let mut newest: Vec<_> = back.take(limit).map(|event| shelf.seen(event)).collect();
            newest.reverse();
            newest
        })
    }

    fn events(&mut self, project: &Project, after: EventNo, limit: usize) -> Result<Vec<Seen>> {
        self.on(project, |shelf| {
            let later = shelf.events.range(EventNo(after.0.saturating_add(1))..);
            Ok(later.take(limit).map(|(_, event)| shelf.seen(event)).collect())
        })
    }

    fn chain(&mut self, project: &Project) -> Result<ChainHead> {
        let empty = ChainHead {
            last: EventNo(0),
            digest: Digest::root(project),
        };
        let data = self.data.read();
        Ok(data.shelf_of(project).map_or(empty, |shelf| shelf.head().chain))
    }

    fn status(&mut self, project: &Project) -> Result<Status> {
        self.on(project, |shelf| {
            let head = shelf.head();
            let oldest = shelf.derived.waiting.keys().next();
            Ok(Status {
                counts: head.counts,
                score_sum: head.score_sum,
                max_depth: head.max_depth,
                oldest_pending: oldest.map(|seq| shelf.tasks[seq].submitted_at),
                newest: head.newest,
                dead_letters: head.dead_letters,
                last_event: head.chain.last,
            })
        })
    }

    fn runs(&mut self, project: &Project, plan: Option<&str>, limit: usize) -> Result<Vec<Run>> {
        self.on(project, |shelf| {
            let newest = shelf.runs.values().rev();
            let fitting = newest.filter(|run| plan.is_none_or(|plan| run.plan == plan));
            Ok(fitting.take(limit).cloned().collect())
        })
    }

    fn run(&mut self, project: &Project, id: RunId) -> Result<Option<Run>> {
        self.on(project, |shelf| {
            Ok(shelf.run_nos.get(&id).map(|no| shelf.runs[no].clone()))
        })
    }

    fn neighbours(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<Neighbours> {
        self.on_task(project, task, |shelf, task| {
            let after = &shelf.bodies[&task.seq].after;
            let below = (task.seq, Seq(0))..=(task.seq, LAST.seq);
            let dependents = shelf.edges.range(below.clone());
            let children = shelf.derived.children.range(below);
            Neighbours {
                cut: [after.len(), task.dependents as usize, task.children as usize]
                    .iter()
                    .any(|count| *count > limit),
                after: after
                    .iter()
                    .take(limit)
                    .map(|&(seq, when)| shelf.neighbour(seq, when))
                    .collect(),
                dependents: dependents
                    .take(limit)
                    .map(|(&(_, seq), &when)| shelf.neighbour(seq, when))
                    .collect(),
                children: children
                    .take(limit)
                    .map(|(&(_, seq), ())| shelf.neighbour(seq, When::Finished))
                    .collect(),
            }
        })
    }

    fn edges(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<(Seq, Seq, When)>> {
        let mut among = tasks.to_vec();
        among.sort_unstable();
        among.dedup();
        self.on(project, |shelf| {
            let below = |parent: &Seq| shelf.edges.range((*parent, Seq(0))..=(*parent, LAST.seq));
            Ok(among
                .iter()
                .flat_map(below)
                .filter(|((_, child), _)| among.binary_search(child).is_ok())
                .map(|(&(parent, child), &when)| (parent, child, when))
                .collect())
        })
    }

    fn results(&mut self, project: &Project, tasks: &[Seq]) -> Result<Vec<Upstream>> {
        self.on(project, |shelf| {
            let upstream = |task: &Task| Upstream {
                seq: task.seq,
                id: task.id.clone(),
                key: shelf.key(task.seq),
                state: task.state,
                outcome: shelf.outcomes.get(&task.seq).cloned(),
            };
            Ok(tasks
                .iter()
                .filter_map(|seq| shelf.tasks.get(seq))
                .map(upstream)
                .collect())
        })
    }

    fn ahead(&mut self, project: &Project, task: &TaskId, limit: usize) -> Result<usize> {
        self.on_task(project, task, |shelf, task| {
            let line = &shelf.derived.line;
            let in_front = |class| line.range((class, super::tx::FIRST)..(class, task.place()));
            let classes = shelf.classes.keys().copied();
            classes.flat_map(in_front).take(limit).count()
        })
    }

    fn locks(&mut self, project: &Project) -> Result<Vec<HeldLock>> {
        self.on(project, |shelf| {
            let waiting = |name: &str| {
                let parked = shelf.derived.parked.keys();
                parked.filter(|(thing, ..)| **thing == *name).count()
            };
            let held = |((name, holder), mode): (&(String, Seq), &_)| HeldLock {
                name: name.clone(),
                mode: *mode,
                holder: shelf.tasks[holder].id.clone(),
                waiting: waiting(name),
            };
            Ok(shelf.holders.iter().map(held).collect())
        })
    }

    fn leased(&mut self, project: &Project, worker: Option<&WorkerId>) -> Result<Vec<Held>> {
        self.on(project, |shelf| {
            let held = |task: &Task| {
                let lease = task.lease.as_ref()?;
                Some(Held {
                    id: task.id.clone(),
                    token: task.token()?,
                    state: task.state,
                    worker: lease.worker.clone(),
                    attempt: lease.attempt,
                    run: task.run,
                    started_at: task.started_at,
                    expires: lease.expires,
                })
            };
            let mut seqs: Vec<Seq> = (shelf.derived.workers.keys())
                .filter(|(name, _)| worker.is_none_or(|worker| worker == name))
                .map(|(_, seq)| *seq)
                .collect();
            seqs.sort_unstable();
            Ok(seqs.iter().filter_map(|seq| held(&shelf.tasks[seq])).collect())
        })
    }

    /// Counts as a use of the entry.
    fn cache_get(&mut self, project: &Project, key: &[u8; 32], now: Timestamp) -> Result<Option<CacheEntry>> {
        let valid = |entry: &CacheEntry| entry.expires_at.is_none_or(|end| now < end);
        let mut data = self.data.write();
        let Some(no) = data.numbers.get(project).copied() else {
            return Ok(None);
        };
        let shelf = data.shelf_mut(no)?;
        let Some(entry) = shelf.cache.get(key).map(|(_, entry)| entry.clone()).filter(valid) else {
            return Ok(None);
        };
        shelf.use_cache(entry.clone());
        shelf.commit();
        Ok(Some(entry))
    }

    fn entries(&mut self, project: &Project, book: Book, after: &str, limit: usize) -> Result<Vec<Entry>> {
        self.on(project, |shelf| Ok(shelf.entry_page(book, after, limit)))
    }

    fn entries_of(&mut self, project: &Project, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        self.on(project, |shelf| Ok(shelf.entries_of(book, keys)))
    }

    fn entries_due(
        &mut self,
        project: &Project,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.on(project, |shelf| Ok(shelf.entries_due(book, at, limit)))
    }

    fn check(&mut self, project: &Project) -> Result<Vec<String>> {
        self.on(project, |shelf| Ok(check::findings(shelf)))
    }
}
