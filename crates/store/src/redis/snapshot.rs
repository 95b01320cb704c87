//! What a reader sees of one project, all at one moment: if anybody commits meanwhile, the reading is done again.

use std::sync::Arc;

use domain::event::Event;
use domain::id::{EventNo, Key, RunId, Seq, TaskId};
use domain::run::RunNo;
use domain::store::{Neighbour, Neighbours, Result, Seen, Upstream, View};
use domain::task::record::{Body, Class, ClassNo, Task};
use domain::task::spec::When;
use rustc_hash::FxHashMap;

use super::base::{Base, from_end};
use super::batch::Batch;
use super::fault::Fault;
use super::pack::corrupt;
use super::rows::{self, HeadRow};

pub(super) type Found<T> = std::result::Result<T, Fault>;

pub(super) struct Snapshot<'a> {
    pub(super) base: Base<'a>,
    pub(super) head: HeadRow,
    pub(super) classes: Arc<Vec<(ClassNo, Class)>>,
}

impl Snapshot<'_> {
    /// A task that must exist, by its id.
    pub(super) fn task(&mut self, id: &TaskId) -> Found<Option<Task>> {
        let seq = self.base.find(std::slice::from_ref(id))?.pop().flatten();
        match seq {
            Some(seq) => Ok(self.base.listed(&[seq])?.pop()),
            None => Ok(None),
        }
    }

    fn class(&self, no: ClassNo) -> Result<Class> {
        let found = self.classes.iter().find(|(known, _)| *known == no);
        found
            .map(|(_, class)| class.clone())
            .ok_or_else(|| corrupt(format!("class number {} is missing", no.0)))
    }

    fn run_ids(&mut self, numbers: impl Iterator<Item = RunNo>) -> Found<FxHashMap<RunNo, RunId>> {
        let mut numbers: Vec<RunNo> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return Ok(FxHashMap::default());
        }
        let runs = self.base.runs(&numbers)?;
        Ok(runs.into_iter().map(|run| (run.no, run.id)).collect())
    }

    /// In the order of the tasks.
    pub(super) fn views(&mut self, tasks: Vec<Task>) -> Found<Vec<View>> {
        let seqs: Vec<Seq> = tasks.iter().map(|task| task.seq).collect();
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let bodies: FxHashMap<Seq, Body> = self.base.bodies(&seqs)?.into_iter().collect();
        let outcomes: FxHashMap<Seq, _> = self.base.outcomes(&seqs)?.into_iter().collect();
        let runs = self.run_ids(tasks.iter().filter_map(|task| task.run))?;
        let mut views = Vec::with_capacity(tasks.len());
        for task in tasks {
            // Taken out, it would be missed by a task that is asked for twice.
            let body = bodies.get(&task.seq).cloned();
            views.push(View {
                body: body.ok_or_else(|| corrupt(format!("{} has no body", task.id)))?,
                outcome: outcomes.get(&task.seq).cloned(),
                run: task.run.and_then(|no| runs.get(&no).copied()),
                class: self.class(task.class)?,
                task,
            });
        }
        Ok(views)
    }

    fn keys(&mut self, seqs: &[Seq]) -> Found<FxHashMap<Seq, Option<Key>>> {
        let bodies = self.base.bodies(seqs)?;
        Ok(bodies.into_iter().map(|(seq, body)| (seq, body.key)).collect())
    }

    /// `count` events from this number on, or from the beginning of the log if that is later.
    pub(super) fn raw_events(&mut self, first: EventNo, count: usize) -> Found<Vec<Event>> {
        let last = self.head.head.chain.last;
        let first = EventNo(first.0.max(1));
        if count == 0 || first > last {
            return Ok(Vec::new());
        }
        let mut batch = Batch::default();
        let key = self.base.keys.of("e");
        let to = EventNo(first.0.saturating_add(count as u64 - 1).min(last.0));
        batch.put(&[b"LLEN", &key]);
        batch.put(&[b"LRANGE", &key, &from_end(first, last), &from_end(to, last)]);
        let mut answers = self.base.ask(&batch)?;
        let begin = EventNo(last.0.saturating_sub(answers.int()?.cast_unsigned()) + 1);
        if first < begin {
            return self.raw_events(begin, count);
        }
        let members = answers.members()?;
        let events = members
            .iter()
            .zip(first.0..)
            .map(|(bytes, no)| rows::unpack_event(EventNo(no), bytes));
        Ok(events.collect::<Result<_>>()?)
    }

    pub(super) fn seen(&mut self, events: Vec<Event>) -> Found<Vec<Seen>> {
        let mut seqs: Vec<Seq> = events.iter().filter_map(|event| event.fact.task).collect();
        seqs.sort_unstable();
        seqs.dedup();
        let tasks = if seqs.is_empty() {
            Vec::new()
        } else {
            self.base.tasks(&seqs)?
        };
        let ids: FxHashMap<Seq, TaskId> = tasks.into_iter().map(|task| (task.seq, task.id)).collect();
        let keys = self.keys(&seqs)?;
        let runs = self.run_ids(events.iter().filter_map(|event| event.fact.run))?;
        let name = |event: Event| Seen {
            task: event.fact.task.and_then(|seq| ids.get(&seq).cloned()),
            key: event.fact.task.and_then(|seq| keys.get(&seq).cloned().flatten()),
            run: event.fact.run.and_then(|no| runs.get(&no).copied()),
            event,
        };
        Ok(events.into_iter().map(name).collect())
    }

    pub(super) fn neighbours(&mut self, task: &Task, limit: usize) -> Found<Neighbours> {
        let mut after: Vec<(Seq, When)> = Vec::new();
        for (_, body) in self.base.bodies(&[task.seq])? {
            after = body.after;
        }
        let cut = [after.len(), task.dependents as usize, task.children as usize];
        after.truncate(limit);
        let below = self.base.dependents(&[(task.seq, Seq(0))], limit)?;
        let below: Vec<(Seq, When)> = below.into_iter().flatten().collect();
        let children = self.base.children(task.seq, limit)?;
        let children: Vec<_> = children.into_iter().map(|seq| (seq, When::Finished)).collect();
        Ok(Neighbours {
            cut: cut.iter().any(|count| *count > limit),
            after: self.neighbour(&after)?,
            dependents: self.neighbour(&below)?,
            children: self.neighbour(&children)?,
        })
    }

    fn neighbour(&mut self, edges: &[(Seq, When)]) -> Found<Vec<Neighbour>> {
        let seqs: Vec<Seq> = edges.iter().map(|(seq, _)| *seq).collect();
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = self.base.listed(&seqs)?;
        let mut keys = self.keys(&seqs)?;
        let pairs = tasks.into_iter().zip(edges);
        Ok(pairs
            .map(|(task, (seq, when))| Neighbour {
                seq: *seq,
                id: task.id,
                key: keys.remove(seq).flatten(),
                when: *when,
                state: task.state,
                reason: task.reason,
            })
            .collect())
    }

    pub(super) fn upstream(&mut self, seqs: &[Seq]) -> Found<Vec<Upstream>> {
        let tasks = self.base.tasks(seqs)?;
        let keys = self.keys(seqs)?;
        let outcomes: FxHashMap<Seq, _> = self.base.outcomes(seqs)?.into_iter().collect();
        let upstream = |task: Task| Upstream {
            seq: task.seq,
            key: keys.get(&task.seq).cloned().flatten(),
            state: task.state,
            outcome: outcomes.get(&task.seq).cloned(),
            id: task.id,
        };
        Ok(tasks.into_iter().map(upstream).collect())
    }
}
