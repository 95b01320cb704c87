//! The transaction as the kernel sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::book::{Book, Entry};
use domain::event::Event;
use domain::id::{EventNo, Key, Project, RunId, Seq, TaskId, WorkerId};
use domain::run::{Run, RunNo};
use domain::store::{CacheEntry, Result};
use domain::task::lock::Mode;
use domain::task::record::{Body, Class, ClassNo, Outcome, Place, Task};
use domain::task::spec::When;
use domain::time::{Now, Timestamp};
use rustc_hash::FxHashSet;

use super::Clock;
use super::batch::Batch;
use super::desk::{Desk, Listing};
use super::keys::{self, before, beyond, from};
use super::overlay::RedisTx;
use crate::kernel::tx::{Group, Head, Name, ProjectNo, Remembered, Tx, WriteSet};

impl Tx for RedisTx<'_> {
    fn now(&mut self, asked: Now) -> Result<Now> {
        if self.writer.clock == Clock::Caller {
            return Ok(asked);
        }
        let at = match self.desks.get_mut(self.current) {
            Some(desk) => {
                desk.head.latest = desk.head.latest.max(desk.clock);
                desk.clock
            }
            None => {
                let time = self.writer.time();
                self.got(time)?
            }
        };
        Ok(Now {
            wall: Timestamp(at),
            mono: at,
        })
    }

    fn project(&mut self, name: &Project, create: bool) -> Result<Option<ProjectNo>> {
        let at = self.open(name)?;
        self.current = at;
        let desk = &mut self.desks[at];
        desk.created |= create && desk.stored.is_none();
        let there = desk.created || desk.stored.is_some();
        Ok(there.then_some(ProjectNo(at as u32)))
    }

    fn head(&mut self, project: ProjectNo) -> Result<Head> {
        Ok(self.desk(project).head.head.clone())
    }

    fn find(&mut self, project: ProjectNo, ids: &[TaskId]) -> Result<Vec<Option<Seq>>> {
        let desk = self.desk(project);
        let mut found: Vec<Option<Seq>> = ids.iter().map(|id| desk.ids.get(id).copied()).collect();
        if desk.stored.is_none() {
            return Ok(found);
        }
        let unknown: Vec<usize> = (0..ids.len()).filter(|at| found[*at].is_none()).collect();
        if !unknown.is_empty() {
            let asked: Vec<TaskId> = unknown.iter().map(|at| ids[*at].clone()).collect();
            let stored = self.ask(project, |base| base.find(&asked))?;
            for (at, seq) in unknown.into_iter().zip(stored) {
                found[at] = seq;
            }
        }
        Ok(found)
    }

    fn named(&mut self, project: ProjectNo, names: &[Name]) -> Result<Vec<Option<Seq>>> {
        let keys: Vec<Key> = names.iter().map(|(_, key)| key.clone()).collect();
        let stored = self.stored_names(project, &keys)?;
        let desk = self.desk(project);
        let named = names.iter().zip(stored).map(|((run, key), stored)| {
            let (of, seq) = desk.named.get(key).copied().or(stored)?;
            (of == *run).then_some(seq)
        });
        Ok(named.collect())
    }

    fn tasks(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<Task>> {
        let written = self.own;
        let own = |desk: &Desk, seq| match desk.rows.get(&seq) {
            Some(row) => Some(row.now.clone()),
            None => written.get(desk, seq).cloned(),
        };
        let rows = self.rows(project, seqs, own, |base, seqs| {
            let tasks = base.tasks(seqs)?;
            Ok(tasks.into_iter().map(|task| (task.seq, task)).collect())
        })?;
        Ok(rows.into_iter().map(|(_, task)| task).collect())
    }

    fn bodies(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Body)>> {
        let own = |desk: &Desk, seq| desk.bodies.get(&seq).or_else(|| desk.seen.get(&seq)).cloned();
        self.rows(project, seqs, own, |base, seqs| base.bodies(seqs))
    }

    fn outcomes(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Outcome)>> {
        let own = |desk: &Desk, seq| desk.outcomes.get(&seq).cloned();
        self.rows(project, seqs, own, |base, seqs| base.outcomes(seqs))
    }

    fn children(&mut self, project: ProjectNo, parent: Seq, limit: usize) -> Result<Vec<Seq>> {
        let mut children = self.ask(project, |base| base.children(parent, limit))?;
        let new = self.desk(project).rows.values();
        let new = new.filter(|row| row.stored.is_none() && row.now.parent == Some(parent));
        children.extend(new.map(|row| row.now.seq));
        children.sort_unstable();
        children.truncate(limit);
        Ok(children)
    }

    fn members(&mut self, project: ProjectNo, run: RunNo, before: Seq, limit: usize) -> Result<Vec<Seq>> {
        let mut members = self.ask(project, |base| base.members(run, before, limit))?;
        let new = self.desk(project).rows.values();
        let new = new.filter(|row| row.stored.is_none() && row.now.run == Some(run));
        members.extend(new.map(|row| row.now.seq));
        members.retain(|seq| *seq < before);
        members.sort_unstable_by(|one, other| other.cmp(one));
        members.truncate(limit);
        Ok(members)
    }

    fn dependents(
        &mut self,
        project: ProjectNo,
        parent: Seq,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, When)>> {
        let stored = self.desk(project).rows.get(&parent);
        let new = stored.is_some_and(|row| row.stored.is_none());
        let mut edges: BTreeMap<Seq, When> = if new {
            BTreeMap::new()
        } else {
            let found = self.ask(project, |base| base.dependents(&[(parent, after)], limit))?;
            found.into_iter().flatten().collect()
        };
        let later = (parent, Seq(after.0.saturating_add(1)))..=(parent, Seq(u64::MAX));
        let own = self.desk(project).edges.range(later);
        edges.extend(own.map(|((_, child), when)| (*child, *when)));
        Ok(edges.into_iter().take(limit).collect())
    }

    fn next_seq(&mut self, project: ProjectNo) -> Result<Seq> {
        Ok(Seq(self.desk(project).head.last_seq.0 + 1))
    }

    fn class(&mut self, project: ProjectNo, class: &Class) -> Result<ClassNo> {
        let known = self.load_names(project)?;
        if let Some(no) = known {
            let names = self.names.of(&self.desk(project).project);
            if let Some(no) = names.and_then(|names| names.numbers.get(class)) {
                return Ok(*no);
            }
            debug_assert!(no <= self.desk(project).head.classes);
        }
        let desk = self.desk_mut(project);
        if let Some((no, _)) = desk.classes.iter().find(|(_, known)| known == class) {
            return Ok(*no);
        }
        desk.head.classes += 1;
        let no = ClassNo(desk.head.classes);
        desk.classes.push((no, class.clone()));
        desk.dirty = true;
        Ok(no)
    }

    fn classes(&mut self, project: ProjectNo) -> Result<Arc<Vec<(ClassNo, Class)>>> {
        self.load_names(project)?;
        let desk = self.desk(project);
        let stored = self.names.of(&desk.project).map(|names| names.list.clone());
        let stored = stored.filter(|_| desk.stored.is_some()).unwrap_or_default();
        if desk.classes.is_empty() {
            return Ok(stored);
        }
        Ok(Arc::new(stored.iter().chain(&desk.classes).cloned().collect()))
    }

    fn line(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        classes: &[ClassNo],
        limit: usize,
    ) -> Result<Vec<Task>> {
        let desk = self.desk(project);
        let lines: Vec<_> = classes
            .iter()
            .map(|class| {
                let touched = desk.taken_out(|task| in_line(task, run, *class));
                (desk.keys.line(*class, run), limit.saturating_add(touched))
            })
            .collect();
        let stored = self.ask(project, |base| base.places(&lines))?;
        let desk = self.desk(project);
        let untouched = stored
            .into_iter()
            .filter(|place| !desk.rows.contains_key(&place.seq));
        let own = desk.put_in(|task| classes.iter().any(|class| in_line(task, run, *class)));
        let mut places: Vec<Place> = untouched.chain(own.map(Task::place)).collect();
        places.sort_unstable();
        let seqs: Vec<Seq> = places.into_iter().take(limit).map(|place| place.seq).collect();
        self.with_bodies(project, &seqs)
    }

    fn holders(&mut self, project: ProjectNo, name: &str) -> Result<Vec<(Seq, Mode)>> {
        let start = keys::under(name);
        let stored = self.ask(project, |base| base.holders(&from(&start), &beyond(&start)))?;
        let all = self.desk(project).overlay(stored, |other| other == name);
        Ok(all.into_iter().map(|(_, seq, mode)| (seq, mode)).collect())
    }

    fn holders_between(
        &mut self,
        project: ProjectNo,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Seq, Mode)>> {
        let stored = self.ask(project, |base| {
            base.holders(&from(start.as_bytes()), &before(end.as_bytes()))
        })?;
        Ok(self
            .desk(project)
            .overlay(stored, |name| start <= name && name < end))
    }

    fn held_by(&mut self, project: ProjectNo, holder: Seq) -> Result<Vec<(String, Mode)>> {
        let stored = self.ask(project, |base| base.held_by(&[holder]))?;
        let stored = stored.into_iter().map(|(seq, name, mode)| (name, seq, mode));
        let all = self.desk(project).overlay(stored.collect(), |_| true);
        let held = all.into_iter().filter(|(_, seq, _)| *seq == holder);
        Ok(held.map(|(name, _, mode)| (name, mode)).collect())
    }

    fn parked(&mut self, project: ProjectNo, thing: &str, group: Option<Group>) -> Result<Vec<Task>> {
        let stored = self.parked_heads(project, thing, group)?;
        let seqs: Vec<Seq> = stored.iter().map(|(_, seq)| *seq).collect();
        let stored = self.tasks(project, &seqs)?;
        let own = self.desk(project).put_in(|task| {
            task.parked_under().is_some_and(|under| **under == *thing)
                && group.is_none_or(|group| group == (task.class, task.run))
        });
        let mut heads: BTreeMap<Group, Task> = BTreeMap::new();
        for task in stored.into_iter().chain(own.cloned()) {
            let group = (task.class, task.run);
            let better = heads.get(&group).is_none_or(|head| task.place() < head.place());
            if better {
                heads.insert(group, task);
            }
        }
        Ok(heads.into_values().collect())
    }

    fn expired(&mut self, project: ProjectNo, mono: i64, limit: usize) -> Result<Vec<Seq>> {
        let ends = |task: &Task| task.lease.as_ref().map(|lease| lease.expires);
        self.up_to(project, "x", mono, limit, ends)
    }

    fn leased_by(&mut self, project: ProjectNo, worker: &WorkerId) -> Result<Vec<Seq>> {
        let stored = self.ask(project, |base| base.leased_by(worker))?;
        let desk = self.desk(project);
        let untouched = stored.into_iter().filter(|seq| !desk.rows.contains_key(seq));
        let own = desk.put_in(|task| task.lease.as_ref().is_some_and(|lease| lease.worker == *worker));
        let mut all: Vec<Seq> = untouched.chain(own.map(|task| task.seq)).collect();
        all.sort_unstable();
        Ok(all)
    }

    fn due(
        &mut self,
        project: ProjectNo,
        at: Timestamp,
        limit: usize,
    ) -> Result<(Vec<Seq>, Option<Timestamp>)> {
        let timer = |task: &Task| task.timer.map(|at| at.0);
        let due = self.up_to(project, "tm", at.0, limit, timer)?;
        let desk = self.desk(project);
        let (key, room) = (
            desk.keys.of("tm"),
            1 + desk.taken_out(|task| task.timer.is_some()),
        );
        let after = before(at.0.to_string().as_bytes());
        let stored = self.ask(project, |base| base.scored(&key, &after, b"+inf", room))?;
        let desk = self.desk(project);
        let untouched = stored.into_iter().find(|(_, seq)| !desk.rows.contains_key(seq));
        let own = desk.put_in(|task| task.timer.is_some_and(|timer| timer > at));
        let own = own.filter_map(|task| task.timer).min();
        let next = untouched
            .map(|(at, _)| Timestamp(at))
            .into_iter()
            .chain(own)
            .min();
        Ok((due, next))
    }

    fn run(&mut self, project: ProjectNo, no: RunNo) -> Result<Option<Run>> {
        if let Some(run) = self.desk(project).runs.get(&no) {
            return Ok(Some(run.clone()));
        }
        Ok(self.ask(project, |base| base.runs(&[no]))?.pop())
    }

    fn find_run(&mut self, project: ProjectNo, id: RunId) -> Result<Option<Run>> {
        let own = self.desk(project).new_runs.iter().find(|(_, known)| *known == id);
        let no = match own {
            Some((no, _)) => Some(*no),
            None => self.ask(project, |base| base.run_no(id))?,
        };
        no.map_or(Ok(None), |no| self.run(project, no))
    }

    fn newest_run(&mut self, project: ProjectNo, plan: &str) -> Result<Option<Run>> {
        let desk = self.desk(project);
        let own = desk.new_runs.iter().map(|(no, _)| *no);
        let own = own.filter(|no| desk.runs.get(no).is_some_and(|run| run.plan == plan));
        let no = match own.max() {
            Some(no) => Some(no),
            None => self.ask(project, |base| base.plan_runs(plan, 1))?.pop(),
        };
        no.map_or(Ok(None), |no| self.run(project, no))
    }

    fn next_run(&mut self, project: ProjectNo) -> Result<RunNo> {
        Ok(RunNo(self.desk(project).head.last_run.0 + 1))
    }

    fn unsettled(&mut self, project: ProjectNo, limit: usize) -> Result<Vec<(Seq, Seq)>> {
        self.load_unsettled(project)?;
        let all = self.desk(project).unsettled.iter().flatten();
        Ok(all.take(limit).map(|(seq, last)| (*seq, *last)).collect())
    }

    fn event(&mut self, project: ProjectNo, no: EventNo) -> Result<Option<Event>> {
        let desk = self.desk(project);
        if let Some(own) = desk.events.iter().find(|event| event.no == no) {
            return Ok(Some(own.clone()));
        }
        let Some(stored) = &desk.stored else {
            return Ok(None);
        };
        let last = stored.head.chain.last;
        self.ask(project, |base| base.event(no, last))
    }

    fn remembered(&mut self, project: ProjectNo, key: &str) -> Result<Option<Remembered>> {
        match self.desk(project).remembered.get(key) {
            Some(own) => Ok(Some(own.clone())),
            None => self.ask(project, |base| base.remembered(key)),
        }
    }

    fn remembered_page(
        &mut self,
        project: ProjectNo,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Remembered)>> {
        let stored = self.ask(project, |base| base.remembered_page(after, limit))?;
        let mut page: BTreeMap<String, Remembered> = stored.into_iter().collect();
        let own = self.desk(project).remembered.iter();
        let own = own.filter(|(key, _)| key.as_str() > after);
        page.extend(own.map(|(key, seen)| (key.clone(), seen.clone())));
        Ok(page.into_iter().take(limit).collect())
    }

    fn entries(&mut self, project: ProjectNo, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        let own = |desk: &Desk, key: &Arc<str>| desk.entries.get(&(book, key.clone())).cloned();
        let desk = self.desk(project);
        let unknown: Vec<Arc<str>> = keys
            .iter()
            .filter(|key| own(desk, key).is_none())
            .cloned()
            .collect();
        let stored = if unknown.is_empty() {
            Vec::new()
        } else {
            self.ask(project, |base| base.entries(book, &unknown))?
        };
        let desk = self.desk(project);
        let entry = |key: &Arc<str>| match own(desk, key) {
            Some(entry) => entry,
            None => stored.iter().find(|entry| entry.key == *key).cloned(),
        };
        Ok(keys.iter().filter_map(entry).collect())
    }

    fn entry_page(
        &mut self,
        project: ProjectNo,
        book: Book,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let room = limit.saturating_add(self.desk(project).entries.len());
        let mut keys = self.ask(project, |base| base.entry_keys(book, after, room))?;
        let own = self.desk(project).entries.keys().filter(|(of, _)| *of == book);
        keys.extend(own.map(|(_, key)| key.clone()).filter(|key| **key > *after));
        keys.sort_unstable();
        keys.dedup();
        let mut page = self.entries(project, book, &keys)?;
        page.truncate(limit);
        Ok(page)
    }

    fn entries_due(
        &mut self,
        project: ProjectNo,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let room = limit.saturating_add(self.desk(project).entries.len());
        let mut keys = self.ask(project, |base| base.entry_keys_due(book, at.0, room))?;
        let own = self.desk(project).entries.keys().filter(|(of, _)| *of == book);
        keys.extend(own.map(|(_, key)| key.clone()));
        keys.sort_unstable();
        keys.dedup();
        let mut due = self.entries(project, book, &keys)?;
        due.retain(|entry| entry.due.is_some_and(|due| due <= at));
        due.sort_by(|one, other| (one.due, &one.key).cmp(&(other.due, &other.key)));
        due.truncate(limit);
        Ok(due)
    }

    fn apply(&mut self, writes: &WriteSet) -> Result<()> {
        let project = writes.project;
        let held = if writes.released.is_empty() {
            Vec::new()
        } else {
            self.ask(project, |base| base.held_by(&writes.released))?
        };
        if !writes.settled.is_empty() {
            self.load_unsettled(project)?;
        }
        let keys: Vec<_> = writes.keys.iter().map(|((_, key), _)| key.clone()).collect();
        let named = self.stored_names(project, &keys)?;
        let desk = self.desk_mut(project);
        desk.apply(writes, held);
        for (((run, key), seq), stored) in writes.keys.iter().zip(named) {
            desk.name(key, *run, *seq, stored);
        }
        let gone = writes.gone.tasks.iter();
        let (tasks, keys): (Vec<_>, Vec<_>) =
            gone.filter_map(|(task, key)| Some((task, key.clone()?))).unzip();
        if !keys.is_empty() {
            let stored = self.ask(project, |base| base.named(&keys))?;
            let desk = self.desk_mut(project);
            for ((task, key), stored) in tasks.into_iter().zip(&keys).zip(stored) {
                desk.unname(key, task, stored);
            }
        }
        Ok(())
    }

    fn cache_put(&mut self, project: ProjectNo, entry: &CacheEntry, bound: usize) -> Result<()> {
        let used = {
            let time = self.writer.micros();
            self.got(time)?
        };
        let desk = self.desk_mut(project);
        desk.dirty = true;
        desk.cached.retain(|(other, _)| other.key != entry.key);
        desk.cached.push((entry.clone(), used));
        let own: Vec<[u8; 32]> = desk.cached.iter().map(|(entry, _)| entry.key).collect();
        let gone = desk.outdated.len();
        let key = desk.keys.of("qu");
        let mut batch = Batch::default();
        batch.put(&[b"ZCARD", &key]);
        let commands = batch.put_all(&[b"ZMSCORE", &key], &own, 1);
        let stored = self.ask(project, |base| {
            let mut answers = base.ask(&batch)?;
            let count = answers.int()?;
            let mut known = 0;
            for _ in 0..commands {
                known += answers.list()?.iter().flatten().count();
            }
            Ok(usize::try_from(count).unwrap_or(0).saturating_sub(known))
        })?;
        let over = (stored.saturating_sub(gone) + own.len()).saturating_sub(bound);
        if over == 0 {
            return Ok(());
        }
        let mut batch = Batch::default();
        let last = (over + gone + own.len()).to_string();
        batch.put(&[b"ZRANGE", &key, b"0", last.as_bytes()]);
        let oldest = self.ask(project, |base| Ok(base.ask(&batch)?.members()?))?;
        let desk = self.desk_mut(project);
        let kept: FxHashSet<&[u8]> = own.iter().map(|key| &key[..]).collect();
        let free = |member: &Vec<u8>| !kept.contains(&member[..]) && !desk.outdated.contains(member);
        let going: Vec<_> = oldest.into_iter().filter(free).take(over).collect();
        let rest = over - going.len();
        desk.outdated.extend(going);
        let dropped = desk.cached.drain(..rest.min(own.len()));
        let dropped: Vec<_> = dropped.map(|(entry, _)| entry.key.to_vec()).collect();
        desk.outdated.extend(dropped);
        Ok(())
    }
}

/// Whether the row stands in the line of this class, and of this run if one is given.
fn in_line(task: &Task, run: Option<RunNo>, class: ClassNo) -> bool {
    Listing::of(task).iter().any(|listing| match (listing, run) {
        (Listing::Line(of, _), None) => *of == class,
        (Listing::RunLine(of_run, of, _), Some(run)) => *of_run == run && *of == class,
        _ => false,
    })
}
