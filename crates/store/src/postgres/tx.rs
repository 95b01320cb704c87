//! The writing transaction as the kernel sees it.
//!
//! The first thing it does for a project is to lock the project's head, so that transactions of one project go one after
//! the other on all machines. Writes are sent without waiting and are answered for before the next question.

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
use domain::time::{Now, Timestamp};
use rustc_hash::FxHashMap;
use tokio_postgres::Row;

use super::Clock;
use super::apply;
use super::cells::{Cells, collect, first};
use super::desk::Desk;
use super::fault::{Fault, Sql, corrupt};
use super::link::{Link, Order, Param, Params};
use super::names::{CLASS_ADD, CLASSES_AFTER, Names};
use super::own::Own;
use super::query::{self, bound};
use super::rows;
use crate::kernel::tx::{Group, Head, Name, ProjectNo, Remembered, Tx, WriteSet};
use crate::tables::records;
use crate::uses::Uses;

pub(super) struct PgTx<'a> {
    pub(super) link: &'a mut Link,
    pub(super) names: &'a mut Names,
    pub(super) uses: &'a Uses,
    pub(super) clock: Clock,
    pub(super) desks: Vec<Desk>,
    /// Of the project that was named last.
    current: usize,
    own: &'a mut Own,
    /// What there is to do in tasks that were read with their place in line; it never changes.
    pub(super) bodies: FxHashMap<Seq, Body>,
    /// Sent with the next question, or the commit.
    pub(super) orders: Vec<Order>,
    /// A transaction is open at the server.
    pub(super) begun: bool,
    pub(super) written: usize,
    /// Something failed in here, and the transaction with it. Everything after is refused in the same words.
    pub(super) broken: Option<Fault>,
}

impl<'a> PgTx<'a> {
    pub(super) fn new(
        link: &'a mut Link,
        names: &'a mut Names,
        own: &'a mut Own,
        uses: &'a Uses,
        clock: Clock,
    ) -> PgTx<'a> {
        PgTx {
            link,
            names,
            uses,
            clock,
            desks: Vec::new(),
            current: 0,
            own,
            bodies: FxHashMap::default(),
            orders: Vec::new(),
            begun: false,
            written: 0,
            broken: None,
        }
    }

    /// Whether there is anything to commit.
    pub(super) fn is_dirty(&self) -> bool {
        self.written > 0 || self.desks.iter().any(|desk| desk.dirty)
    }

    /// Keeps a fault for the driver, and says to the kernel what it needs to know: that the transaction is over.
    fn got<T>(&mut self, done: Sql<T>) -> Result<T> {
        done.map_err(|fault| {
            let refusal = match &fault {
                Fault::Refused(refusal) => refusal.clone(),
                Fault::Lost(why) | Fault::Later(why) => {
                    Refusal::new(domain::code::Code::StoreUnavailable, why.clone())
                }
            };
            self.broken.get_or_insert(fault);
            refusal
        })
    }

    fn sound(&self) -> Result<()> {
        match &self.broken {
            None => Ok(()),
            Some(Fault::Refused(refusal)) => Err(refusal.clone()),
            Some(Fault::Lost(why) | Fault::Later(why)) => {
                Err(Refusal::new(domain::code::Code::StoreUnavailable, why.clone()))
            }
        }
    }

    fn enter(&mut self) {
        if !self.begun {
            self.begun = true;
            self.orders.insert(0, self.link.begin());
        }
    }

    /// Locks the head of a project, once in a transaction.
    pub(super) fn open(&mut self, name: &Project, create: bool) -> Sql<Option<usize>> {
        if let Some(at) = self.desks.iter().position(|desk| desk.name == *name) {
            return Ok(Some(at));
        }
        self.enter();
        let desk = Desk::open(self.link, &mut self.orders, name, create)?;
        Ok(desk.map(|desk| {
            self.own.opened(&desk);
            self.desks.push(desk);
            self.desks.len() - 1
        }))
    }

    pub(super) fn desk(&mut self, project: ProjectNo) -> Sql<&mut Desk> {
        let found = self.desks.iter_mut().find(|desk| desk.number() == project);
        found.ok_or_else(|| corrupt(format!("project number {} was not opened", project.0)))
    }

    pub(super) fn rows(&mut self, sql: &'static str, params: Params<'_>) -> Sql<Vec<Row>> {
        self.enter();
        let orders = std::mem::take(&mut self.orders);
        self.link.ask(&orders, sql, params)
    }

    /// Asks, and collects what `read` makes of each row.
    fn ask<T>(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
        read: impl FnMut(&mut Cells<'_>) -> Sql<T>,
    ) -> Result<Vec<T>> {
        self.sound()?;
        let done = self.rows(sql, params).and_then(|rows| collect(&rows, read));
        self.got(done)
    }

    /// For each of `count` that are asked for, the task at its place (from 1), if there is any.
    fn places(&mut self, sql: &'static str, params: Params<'_>, count: usize) -> Result<Vec<Option<Seq>>> {
        let mut found = vec![None; count];
        let places = self.ask(sql, params, |cells| Ok((cells.count::<usize>()?, cells.seq()?)))?;
        for (at, seq) in places {
            found[at - 1] = Some(seq);
        }
        Ok(found)
    }

    fn ask_one<T>(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
        read: impl FnOnce(&mut Cells<'_>) -> Sql<T>,
    ) -> Result<Option<T>> {
        self.sound()?;
        let done = self.rows(sql, params).and_then(|rows| first(&rows, read));
        self.got(done)
    }

    /// Brings the classes that are known up to what the head says.
    fn learn(&mut self, project: ProjectNo) -> Sql<()> {
        let (no, count) = {
            let desk = self.desk(project)?;
            (desk.no, desk.classes as usize)
        };
        let known = self.names.of(no).all.len();
        if known > count {
            return Err(corrupt("there are fewer classes than there were"));
        }
        if known < count {
            let rows = self.rows(CLASSES_AFTER, &[&no, &(known as i32)])?;
            for (class_no, found) in collect(&rows, records::class)? {
                self.names.of(no).add(class_no, found);
            }
        }
        Ok(())
    }

    fn number_class(&mut self, project: ProjectNo, class: &Class) -> Sql<ClassNo> {
        self.learn(project)?;
        let no = self.desk(project)?.no;
        let known = self.names.of(no);
        if let Some(number) = known.numbers.get(class) {
            return Ok(*number);
        }
        let number = ClassNo(u32::try_from(known.all.len()).map_err(corrupt)? + 1);
        let text = serde_json::to_string(class).map_err(corrupt)?;
        known.add(number, class.clone());
        self.names.unsure = true;
        let params: Vec<Param> = vec![Box::new(no), Box::new(number.0 as i32), Box::new(text)];
        self.orders.push(Order::write(CLASS_ADD, params));
        let desk = self.desk(project)?;
        desk.classes = number.0;
        desk.dirty = true;
        Ok(number)
    }

    pub(super) fn load(&mut self, no: i32, seqs: &[Seq]) -> Sql<Vec<Task>> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let asked = numbers(seqs);
        let found = self.rows(&query::TASKS, &[&no, &asked])?;
        let found = collect(&found, records::task)?;
        Ok(in_order(seqs, found.into_iter().map(|task| (task.seq, task))))
    }
}

fn numbers(seqs: &[Seq]) -> Vec<i64> {
    let mut numbers: Vec<i64> = seqs.iter().map(|seq| seq.0 as i64).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// What was found, in the order asked.
fn in_order<T: Clone>(asked: &[Seq], found: impl Iterator<Item = (Seq, T)>) -> Vec<T> {
    let found: FxHashMap<Seq, T> = found.collect();
    asked.iter().filter_map(|seq| found.get(seq).cloned()).collect()
}

pub(super) fn no(project: ProjectNo) -> i32 {
    project.0 as i32
}

impl Tx for PgTx<'_> {
    fn now(&mut self, asked: Now) -> Result<Now> {
        if self.clock == Clock::Caller {
            return Ok(asked);
        }
        let at = match self.desks.get(self.current) {
            Some(desk) => desk.clock,
            None => {
                let found = self.ask_one(query::CLOCK, &[], |cells| cells.int())?;
                found.unwrap_or_default()
            }
        };
        Ok(Now {
            wall: Timestamp(at),
            mono: at,
        })
    }

    fn project(&mut self, name: &Project, create: bool) -> Result<Option<ProjectNo>> {
        self.sound()?;
        let found = self.open(name, create);
        let found = self.got(found)?;
        Ok(found.map(|at| {
            self.current = at;
            self.desks[at].number()
        }))
    }

    fn head(&mut self, project: ProjectNo) -> Result<Head> {
        self.sound()?;
        let head = self.desk(project).map(|desk| desk.head.clone());
        self.got(head)
    }

    fn find(&mut self, project: ProjectNo, ids: &[TaskId]) -> Result<Vec<Option<Seq>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: Vec<Vec<u8>> = ids.iter().map(rows::id_bytes).collect();
        self.places(query::FIND, &[&no(project), &bytes], ids.len())
    }

    /// The key tells when the task is written, which saves an exchange.
    fn taken(&mut self, _: ProjectNo, _: &[TaskId]) -> Result<Option<TaskId>> {
        Ok(None)
    }

    fn named(&mut self, project: ProjectNo, names: &[Name]) -> Result<Vec<Option<Seq>>> {
        let keys: Vec<&str> = names.iter().map(|(_, key)| key.as_str()).collect();
        let runs: Vec<i64> = (names.iter())
            .map(|(run, _)| rows::run(*run).unwrap_or(0))
            .collect();
        self.places(query::NAMED, &[&no(project), &keys, &runs], names.len())
    }

    fn tasks(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<Task>> {
        self.sound()?;
        let kept = std::mem::take(&mut self.own.kept);
        let found = kept.or_load(project, seqs, |seqs| self.load(no(project), &seqs));
        self.own.kept = kept;
        self.got(found)
    }

    fn bodies(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Body)>> {
        let missing = seqs.iter().filter(|seq| !self.bodies.contains_key(seq));
        let missing: Vec<Seq> = missing.copied().collect();
        if !missing.is_empty() {
            let params: Params<'_> = &[&no(project), &numbers(&missing)];
            let read = self.ask(&query::BODIES, params, |cells| {
                Ok((cells.seq()?, records::body(cells)?))
            })?;
            self.bodies.extend(read);
        }
        let found = |seq: &Seq| Some((*seq, self.bodies.get(seq)?.clone()));
        Ok(seqs.iter().filter_map(found).collect())
    }

    fn outcomes(&mut self, project: ProjectNo, seqs: &[Seq]) -> Result<Vec<(Seq, Outcome)>> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.ask(&query::OUTCOMES, &[&no(project), &numbers(seqs)], |cells| {
            Ok((cells.seq()?, records::outcome(cells)?))
        })?;
        let found = found
            .into_iter()
            .filter_map(|(seq, outcome)| Some((seq, (seq, outcome?))));
        Ok(in_order(seqs, found))
    }

    fn children(&mut self, project: ProjectNo, parent: Seq, limit: usize) -> Result<Vec<Seq>> {
        let params: Params<'_> = &[&no(project), &(parent.0 as i64), &bound(limit)];
        self.ask(query::CHILDREN, params, |cells| cells.seq())
    }

    fn members(&mut self, project: ProjectNo, run: RunNo, before: Seq, limit: usize) -> Result<Vec<Seq>> {
        let (run, before) = (run.0 as i64, i64::try_from(before.0).unwrap_or(i64::MAX));
        let params: Params<'_> = &[&no(project), &run, &before, &bound(limit)];
        self.ask(query::MEMBERS, params, |cells| cells.seq())
    }

    fn dependents(
        &mut self,
        project: ProjectNo,
        parent: Seq,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, When)>> {
        let params: Params<'_> = &[&no(project), &(parent.0 as i64), &(after.0 as i64), &bound(limit)];
        self.ask(query::DEPENDENTS, params, |cells| {
            Ok((cells.seq()?, cells.when()?))
        })
    }

    fn next_seq(&mut self, project: ProjectNo) -> Result<Seq> {
        let last = self.desk(project).map(|desk| desk.last_task);
        self.got(last).map(|last| Seq(last + 1))
    }

    fn class(&mut self, project: ProjectNo, class: &Class) -> Result<ClassNo> {
        self.sound()?;
        let number = self.number_class(project, class);
        self.got(number)
    }

    fn classes(&mut self, project: ProjectNo) -> Result<Arc<Vec<(ClassNo, Class)>>> {
        self.sound()?;
        let learned = self.learn(project);
        self.got(learned)?;
        Ok(self.names.of(no(project)).all.clone())
    }

    fn line(
        &mut self,
        project: ProjectNo,
        run: Option<RunNo>,
        classes: &[ClassNo],
        limit: usize,
    ) -> Result<Vec<Task>> {
        self.sound()?;
        if classes.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let found = self.first_in_line(project, run, classes, limit);
        self.got(found)
    }

    fn holders(&mut self, project: ProjectNo, name: &str) -> Result<Vec<(Seq, Mode)>> {
        self.ask(query::HOLDERS, &[&no(project), &name], |cells| {
            Ok((cells.seq()?, cells.mode()?))
        })
    }

    fn holders_between(
        &mut self,
        project: ProjectNo,
        start: &str,
        end: &str,
    ) -> Result<Vec<(String, Seq, Mode)>> {
        self.ask(query::HOLDERS_BETWEEN, &[&no(project), &start, &end], |cells| {
            Ok((cells.text()?.to_owned(), cells.seq()?, cells.mode()?))
        })
    }

    fn held_by(&mut self, project: ProjectNo, holder: Seq) -> Result<Vec<(String, Mode)>> {
        self.ask(query::HELD_BY, &[&no(project), &(holder.0 as i64)], |cells| {
            Ok((cells.text()?.to_owned(), cells.mode()?))
        })
    }

    fn parked(&mut self, project: ProjectNo, thing: &str, group: Option<Group>) -> Result<Vec<Task>> {
        let seqs = match group {
            Some((class, run)) => {
                let (class, run) = (class.0 as i32, rows::run(run).unwrap_or(0));
                let params: Params<'_> = &[&no(project), &thing, &class, &run];
                self.ask(query::PARKED_FIRST, params, |cells| cells.seq())?
            }
            None => self.ask(query::PARKED_GROUPS, &[&no(project), &thing], |cells| cells.seq())?,
        };
        self.tasks(project, &seqs)
    }

    fn expired(&mut self, project: ProjectNo, mono: i64, limit: usize) -> Result<Vec<Seq>> {
        self.ask(query::EXPIRED, &[&no(project), &mono, &bound(limit)], |cells| {
            cells.seq()
        })
    }

    fn leased_by(&mut self, project: ProjectNo, worker: &WorkerId) -> Result<Vec<Seq>> {
        self.ask(query::LEASED_BY, &[&no(project), &worker.as_str()], |cells| {
            cells.seq()
        })
    }

    fn due(
        &mut self,
        project: ProjectNo,
        at: Timestamp,
        limit: usize,
    ) -> Result<(Vec<Seq>, Option<Timestamp>)> {
        let found = self.ask(query::DUE, &[&no(project), &at.0, &bound(limit)], |cells| {
            Ok((cells.time()?, cells.seq()?))
        })?;
        let next = found
            .iter()
            .find(|(timer, _)| *timer > at)
            .map(|(timer, _)| *timer);
        let due = found.into_iter().filter(|(timer, _)| *timer <= at);
        Ok((due.map(|(_, seq)| seq).collect(), next))
    }

    fn run(&mut self, project: ProjectNo, run: RunNo) -> Result<Option<Run>> {
        self.ask_one(&query::RUN_BY_NO, &[&no(project), &(run.0 as i64)], records::run)
    }

    fn find_run(&mut self, project: ProjectNo, id: RunId) -> Result<Option<Run>> {
        self.ask_one(
            &query::RUN_BY_ID,
            &[&no(project), &&id.0.as_bytes()[..]],
            records::run,
        )
    }

    fn newest_run(&mut self, project: ProjectNo, plan: &str) -> Result<Option<Run>> {
        self.ask_one(&query::RUNS_OF, &[&no(project), &1i64, &plan], records::run)
    }

    fn next_run(&mut self, project: ProjectNo) -> Result<RunNo> {
        let last = self.desk(project).map(|desk| desk.last_run);
        self.got(last).map(|last| RunNo(last + 1))
    }

    fn unsettled(&mut self, project: ProjectNo, limit: usize) -> Result<Vec<(Seq, Seq)>> {
        let found = self.ask(query::UNSETTLED, &[&no(project), &bound(limit)], |cells| {
            Ok((cells.seq()?, cells.seq()?))
        })?;
        let desk = self.desk(project).map(|desk| desk.unsettled |= !found.is_empty());
        self.got(desk)?;
        Ok(found)
    }

    /// Asks only if something in here has come across such tasks: the question would be an exchange of its own.
    fn leaves_unsettled(&mut self, project: ProjectNo) -> Result<bool> {
        let desk = self.desk(project).map(|desk| desk.unsettled);
        Ok(self.got(desk)? && !self.unsettled(project, 1)?.is_empty())
    }

    fn event(&mut self, project: ProjectNo, number: EventNo) -> Result<Option<Event>> {
        let at = i64::try_from(number.0).unwrap_or(i64::MAX);
        self.ask_one(&query::EVENT, &[&no(project), &at], rows::event)
    }

    fn remembered(&mut self, project: ProjectNo, key: &str) -> Result<Option<Remembered>> {
        self.ask_one(query::REMEMBERED, &[&no(project), &key], |cells| {
            Ok(Remembered {
                digest: cells.digest()?,
                answer: cells.text()?.to_owned(),
                at: cells.time()?,
            })
        })
    }

    fn remembered_page(
        &mut self,
        project: ProjectNo,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Remembered)>> {
        self.ask(
            query::REMEMBERED_PAGE,
            &[&no(project), &after, &bound(limit)],
            |cells| {
                let key = cells.text()?.to_owned();
                let seen = Remembered {
                    digest: cells.digest()?,
                    answer: cells.text()?.to_owned(),
                    at: cells.time()?,
                };
                Ok((key, seen))
            },
        )
    }

    fn entries(&mut self, project: ProjectNo, book: Book, keys: &[Arc<str>]) -> Result<Vec<Entry>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let params: Params<'_> = &[&no(project), &i16::from(book.number()), &asked];
        let found = self.ask(query::ENTRIES, params, |cells| records::entry(cells, book))?;
        Ok(query::entries_in_order(keys, found))
    }

    fn entry_page(
        &mut self,
        project: ProjectNo,
        book: Book,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let params: Params<'_> = &[&no(project), &i16::from(book.number()), &after, &bound(limit)];
        self.ask(query::ENTRY_PAGE, params, |cells| records::entry(cells, book))
    }

    fn entries_due(
        &mut self,
        project: ProjectNo,
        book: Book,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let params: Params<'_> = &[&no(project), &i16::from(book.number()), &at.0, &bound(limit)];
        self.ask(query::ENTRIES_DUE, params, |cells| records::entry(cells, book))
    }

    fn apply(&mut self, writes: &WriteSet) -> Result<()> {
        self.sound()?;
        let project = writes.project;
        let at = self.desks.iter().position(|desk| desk.number() == project);
        let done = match at {
            Some(at) => apply::apply(&mut self.desks[at], writes, &mut self.orders),
            None => Err(corrupt(format!("project number {} was not opened", project.0))),
        };
        let rows = self.got(done)?;
        self.written += rows;
        self.own.kept.follow(writes);
        Ok(())
    }

    fn cache_put(&mut self, project: ProjectNo, entry: &CacheEntry, bound: usize) -> Result<()> {
        self.sound()?;
        let used = self.uses.take(project);
        apply::cache_put(no(project), used, entry, bound, &mut self.orders);
        self.written += 1;
        Ok(())
    }
}
