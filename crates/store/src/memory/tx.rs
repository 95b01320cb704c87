//! The transaction: a shelf as the kernel sees it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::event::Event;
use domain::id::{EventNo, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::{Run, RunNo};
use domain::store::{CacheEntry, Result};
use domain::task::lock::Mode;
use domain::task::record::{Body, Class, ClassNo, Outcome, Place, Task};
use domain::task::spec::When;
use domain::time::Timestamp;

use super::Data;
use crate::kernel::tx::{Group, Head, Name, ProjectNo, Remembered, Tx, WriteSet};

pub(super) struct MemoryTx<'a>(&'a mut Data);

impl MemoryTx<'_> {
    pub(super) fn new(data: &mut Data) -> MemoryTx<'_> {
        MemoryTx(data)
    }
}

/// Before and after every place in line.
pub(super) const FIRST: Place = Place {
    rank: i32::MIN,
    at: Timestamp(i64::MIN),
    seq: Seq(0),
};
pub(super) const LAST: Place = Place {
    rank: i32::MAX,
    at: Timestamp(i64::MAX),
    seq: Seq(u64::MAX),
};

impl Tx for MemoryTx<'_> {
    fn project(&mut self, name: &Project, create: bool) -> Result<Option<ProjectNo>> {
        let known = self.0.numbers.get(name).copied();
        Ok(known.or_else(|| create.then(|| self.0.create(name))))
    }

    fn head(&mut self, project: ProjectNo) -> Result<Head> {
        Ok(self.0.shelf(project)?.head().clone())
    }

    fn find(&mut self, project: ProjectNo, ids: &[TaskId]) -> Result<Vec<Option<Seq>>> {
        let shelf = self.0.shelf(project)?;
        Ok(ids.iter().map(|id| shelf.ids.get(id).copied()).collect())
    }

    fn named(&mut self, project: ProjectNo, names: &[Name]) -> Result<Vec<Option<Seq>>> {
        let shelf = self.0.shelf(project)?;
        let named = names
            .iter()
            .map(|(run, key)| shelf.keys.get(&(key.clone(), *run)).copied());
        Ok(named.collect())
    }

    fn tasks(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<Task>> {
        let shelf = self.0.shelf(project)?;
        Ok(seqs
            .iter()
            .filter_map(|seq| shelf.tasks.get(seq).cloned())
            .collect())
    }

    fn bodies(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Body)>> {
        let shelf = self.0.shelf(project)?;
        let body = |seq: &Seq| Some((*seq, shelf.bodies.get(seq)?.clone()));
        Ok(seqs.iter().filter_map(body).collect())
    }

    fn outcomes(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Outcome)>> {
        let shelf = self.0.shelf(project)?;
        let outcome = |seq: &Seq| Some((*seq, shelf.outcomes.get(seq)?.clone()));
        Ok(seqs.iter().filter_map(outcome).collect())
    }

    fn children(&mut self, project: ProjectNo, parent: Seq, limit: usize) -> Result<Vec<Seq>> {
        let children = &self.0.shelf(project)?.derived.children;
        let of = children.range((parent, Seq(0))..=(parent, LAST.seq));
        Ok(of.take(limit).map(|((_, child), ())| *child).collect())
    }

    fn members(&mut self, project: ProjectNo, run: RunNo, before: Seq, limit: usize) -> Result<Vec<Seq>> {
        let members = &self.0.shelf(project)?.derived.members;
        let below = members.range((run, Seq(0))..(run, before)).rev();
        Ok(below.take(limit).map(|((_, seq), ())| *seq).collect())
    }

    fn dependents(
        &mut self,
        project: ProjectNo,
        parent: Seq,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, When)>> {
        let shelf = self.0.shelf(project)?;
        let later = shelf.edges.range((parent, Seq(after.0 + 1))..=(parent, LAST.seq));
        Ok(later
            .take(limit)
            .map(|(&(_, child), &when)| (child, when))
            .collect())
    }

    fn next_seq(&mut self, _: ProjectNo) -> Result<Seq> {
        Ok(self.0.next_seq())
    }

    fn class(&mut self, project: ProjectNo, class: &Class) -> Result<ClassNo> {
        let shelf = self.0.shelf_mut(project)?;
        if let Some(no) = shelf.class_nos.get(class) {
            return Ok(*no);
        }
        let no = ClassNo(shelf.classes.len() as u32 + 1);
        shelf.classes.put(no, class.clone());
        shelf.class_nos.put(class.clone(), no);
        shelf.class_list = None;
        Ok(no)
    }

    fn classes(&mut self, project: ProjectNo) -> Result<Arc<Vec<(ClassNo, Class)>>> {
        let shelf = self.0.shelf_mut(project)?;
        let all = || shelf.classes.iter().map(|(no, class)| (*no, class.clone()));
        let list = shelf.class_list.get_or_insert_with(|| Arc::new(all().collect()));
        Ok(list.clone())
    }

    fn line(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        classes: &[ClassNo],
        limit: usize,
    ) -> Result<Vec<Task>> {
        let shelf = self.0.shelf(project)?;
        let line_of = |class: ClassNo| -> Box<dyn Iterator<Item = Place>> {
            match run {
                Some(run) => Box::new(
                    shelf
                        .derived
                        .run_line
                        .range((run, class, FIRST)..=(run, class, LAST))
                        .map(|((_, _, place), ())| *place),
                ),
                None => Box::new(
                    shelf
                        .derived
                        .line
                        .range((class, FIRST)..=(class, LAST))
                        .map(|((_, place), ())| *place),
                ),
            }
        };
        // The lines of the classes, merged: each stands here under the place of its first task.
        let mut lines = BTreeMap::new();
        let wait = |mut line: Box<dyn Iterator<Item = Place>>, lines: &mut BTreeMap<_, _>| {
            if let Some(first) = line.next() {
                lines.insert(first, line);
            }
        };
        for class in classes {
            wait(line_of(*class), &mut lines);
        }
        let mut found = Vec::new();
        while found.len() < limit
            && let Some((place, rest)) = lines.pop_first()
        {
            found.push(shelf.tasks[&place.seq].clone());
            wait(rest, &mut lines);
        }
        Ok(found)
    }

    fn holders(&mut self, project: ProjectNo, name: &str) -> Result<Vec<(Seq, Mode)>> {
        let shelf = self.0.shelf(project)?;
        let all = shelf
            .holders
            .range((name.to_owned(), Seq(0))..=(name.to_owned(), LAST.seq));
        Ok(all.map(|((_, holder), mode)| (*holder, *mode)).collect())
    }

    fn holders_between(
        &mut self,
        project: ProjectNo,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Seq, Mode)>> {
        let shelf = self.0.shelf(project)?;
        let all = shelf
            .holders
            .range((start.to_owned(), Seq(0))..(end.to_owned(), Seq(0)));
        Ok(all
            .map(|((name, holder), mode)| (name.clone(), *holder, *mode))
            .collect())
    }

    fn held_by(&mut self, project: ProjectNo, holder: Seq) -> Result<Vec<(String, Mode)>> {
        Ok(self.0.shelf(project)?.held_by(holder))
    }

    fn parked(&mut self, project: ProjectNo, thing: &str, group: Option<Group>) -> Result<Vec<Task>> {
        let shelf = self.0.shelf(project)?;
        let mut heads = Vec::new();
        let mut from = (Arc::from(thing), group.unwrap_or((ClassNo(0), None)), FIRST);
        // From the head of one group, on behind the last place of the same group.
        while let Some(((under, of, place), ())) = shelf.derived.parked.range(from..).next()
            && **under == *thing
            && group.is_none_or(|group| group == *of)
        {
            heads.push(shelf.tasks[&place.seq].clone());
            from = (under.clone(), *of, LAST);
        }
        Ok(heads)
    }

    fn expired(&mut self, project: ProjectNo, mono: i64, limit: usize) -> Result<Vec<Seq>> {
        let shelf = self.0.shelf(project)?;
        let ended = shelf.derived.expiries.range(..=(mono, LAST.seq));
        Ok(ended.take(limit).map(|((_, seq), ())| *seq).collect())
    }

    fn leased_by(&mut self, project: ProjectNo, worker: &WorkerId) -> Result<Vec<Seq>> {
        let shelf = self.0.shelf(project)?;
        let all = shelf
            .derived
            .workers
            .range((worker.clone(), Seq(0))..=(worker.clone(), LAST.seq));
        Ok(all.map(|((_, seq), ())| *seq).collect())
    }

    fn due(
        &mut self,
        project: ProjectNo,
        at: Timestamp,
        limit: usize,
    ) -> Result<(Vec<Seq>, Option<Timestamp>)> {
        let timers = &self.0.shelf(project)?.derived.timers;
        let due = timers.range(..=(at, LAST.seq)).take(limit);
        let next = timers.range((Timestamp(at.0.saturating_add(1)), Seq(0))..).next();
        Ok((
            due.map(|((_, seq), ())| *seq).collect(),
            next.map(|((at, _), ())| *at),
        ))
    }

    fn run(&mut self, project: ProjectNo, no: RunNo) -> Result<Option<Run>> {
        Ok(self.0.shelf(project)?.runs.get(&no).cloned())
    }

    fn find_run(&mut self, project: ProjectNo, id: RunId) -> Result<Option<Run>> {
        let shelf = self.0.shelf(project)?;
        Ok(shelf.run_nos.get(&id).map(|no| shelf.runs[no].clone()))
    }

    fn newest_run(&mut self, project: ProjectNo, plan: &str) -> Result<Option<Run>> {
        let newest = self
            .0
            .shelf(project)?
            .runs
            .values()
            .rev()
            .find(|run| run.plan == plan);
        Ok(newest.cloned())
    }

    fn next_run(&mut self, _: ProjectNo) -> Result<RunNo> {
        Ok(self.0.next_run())
    }

    fn unsettled(&mut self, project: ProjectNo, limit: usize) -> Result<Vec<(Seq, Seq)>> {
        let all = self.0.shelf(project)?.unsettled.iter();
        Ok(all.take(limit).map(|(seq, last)| (*seq, *last)).collect())
    }

    fn event(&mut self, project: ProjectNo, no: EventNo) -> Result<Option<Event>> {
        Ok(self.0.shelf(project)?.events.get(&no).cloned())
    }

    fn remembered(&mut self, project: ProjectNo, key: &str) -> Result<Option<Remembered>> {
        Ok(self.0.shelf(project)?.remembered.get(key).cloned())
    }

    fn remembered_page(
        &mut self,
        project: ProjectNo,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Remembered)>> {
        let later = (Bound::Excluded(after.to_owned()), Bound::Unbounded);
        let page = self.0.shelf(project)?.remembered.range(later).take(limit);
        Ok(page.map(|(key, seen)| (key.clone(), seen.clone())).collect())
    }

    fn entries(&mut self, project: ProjectNo, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        Ok(self.0.shelf(project)?.entries_of(book, keys))
    }

    fn entry_page(
        &mut self,
        project: ProjectNo,
        book: Book,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        Ok(self.0.shelf(project)?.entry_page(book, after, limit))
    }

    fn entries_due(
        &mut self,
        project: ProjectNo,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        Ok(self.0.shelf(project)?.entries_due(book, at, limit))
    }

    fn apply(&mut self, writes: &WriteSet) -> Result<()> {
        self.0.shelf_mut(writes.project)?.apply(writes);
        Ok(())
    }

    fn cache_put(&mut self, project: ProjectNo, entry: &CacheEntry, bound: usize) -> Result<()> {
        let shelf = self.0.shelf_mut(project)?;
        shelf.use_cache(entry.clone());
        shelf.shrink_cache(bound);
        Ok(())
    }
}
