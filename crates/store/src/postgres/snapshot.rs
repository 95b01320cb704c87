//! What reading functions share: one picture of a project as of one moment.

use std::sync::LazyLock;

use domain::book::Book;
use domain::event::ChainHead;
use domain::id::{EventNo, Seq, TaskId};
use domain::prune::{BEGINNING, Beginning};
use domain::store::{Neighbour, Neighbours, Seen, Upstream, View};
use domain::task::record::{Class, ClassNo, Task};
use domain::task::spec::When;
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use rustc_hash::FxHashMap;

use super::cells::{Cells, collect, first};
use super::fault::{Sql, corrupt};
use super::link::{Link, Params};
use super::names::{CLASSES_AFTER, Names};
use super::query::{self, bound};
use super::rows::{self, BODY_COLUMNS, EVENT_COLUMNS, FREE_TASK_COLUMNS, LEASE_COLUMNS, OUTCOME_COLUMNS};
use crate::kernel::tx::Head;
use crate::tables::records::{self, head_columns};

static VIEWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {FREE_TASK_COLUMNS}, {LEASE_COLUMNS}, {BODY_COLUMNS}, {OUTCOME_COLUMNS}, r.id FROM unnest($2::int8[]) AS s(seq) \
         JOIN task t ON t.project = $1::int4 AND t.seq = s.seq \
         JOIN body b ON b.project = $1::int4 AND b.seq = s.seq \
         LEFT JOIN lease l ON l.project = $1::int4 AND l.seq = s.seq \
         LEFT JOIN outcome o ON o.project = $1::int4 AND o.seq = s.seq \
         LEFT JOIN run r ON r.project = $1::int4 AND r.no = t.run"
    )
});
static EVENTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {EVENT_COLUMNS}, t.id, b.key, r.id FROM \
         (SELECT * FROM event WHERE project = $1::int4 AND n > $2 ORDER BY n LIMIT $3) e \
         LEFT JOIN task t ON t.project = $1::int4 AND t.seq = e.task \
         LEFT JOIN body b ON b.project = $1::int4 AND b.seq = e.task \
         LEFT JOIN run r ON r.project = $1::int4 AND r.no = e.run ORDER BY e.n"
    )
});
/// From the newest event of a task back, each by the number that the one after it tells.
static HISTORY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH RECURSIVE h AS (\
         (SELECT e.*, 1 AS depth FROM event e WHERE e.project = $1::int4 AND e.n = $2::int8) \
         UNION ALL SELECT e.*, h.depth + 1 FROM h, \
         LATERAL (SELECT * FROM event WHERE project = $1::int4 AND n = h.prev AND n < h.n OFFSET 0) e \
         WHERE h.depth < $3::int8) \
         SELECT {EVENT_COLUMNS}, t.id, b.key, r.id FROM h e \
         LEFT JOIN task t ON t.project = $1::int4 AND t.seq = e.task \
         LEFT JOIN body b ON b.project = $1::int4 AND b.seq = e.task \
         LEFT JOIN run r ON r.project = $1::int4 AND r.no = e.run ORDER BY e.n"
    )
});
const PROJECT: &str = concat!(
    "SELECT p.no, p.classes, ",
    head_columns!(),
    " FROM project p WHERE p.name = $1"
);
const OLDEST: &str = "SELECT t.submitted_at FROM (\
     (SELECT seq FROM aside WHERE project = $1::int4 AND state = 0 ORDER BY seq LIMIT 1) UNION ALL \
     (SELECT seq FROM aside WHERE project = $1::int4 AND state = 1 ORDER BY seq LIMIT 1)) a \
     JOIN task t ON t.project = $1::int4 AND t.seq = a.seq ORDER BY t.seq LIMIT 1";
const NEIGHBOURS: &str = "SELECT t.seq, t.id, b.key, coalesce(l.state, t.state), \
     CASE WHEN l.seq IS NULL THEN t.reason ELSE l.reason END FROM unnest($2::int8[]) AS s(seq) \
     JOIN task t ON t.project = $1::int4 AND t.seq = s.seq JOIN body b ON b.project = $1::int4 AND b.seq = s.seq \
     LEFT JOIN lease l ON l.project = $1::int4 AND l.seq = s.seq";
const EDGES: &str = "SELECT e.parent, e.child, e.condition FROM unnest($2::int8[]) AS s(seq) \
     JOIN edge e ON e.project = $1::int4 AND e.parent = s.seq \
     WHERE e.child = ANY($2::int8[]) ORDER BY e.parent, e.child";
static UPSTREAM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT t.seq, t.id, b.key, coalesce(l.state, t.state), {OUTCOME_COLUMNS} \
         FROM unnest($2::int8[]) AS s(seq) \
         JOIN task t ON t.project = $1::int4 AND t.seq = s.seq JOIN body b ON b.project = $1::int4 AND b.seq = s.seq \
         LEFT JOIN lease l ON l.project = $1::int4 AND l.seq = s.seq \
         LEFT JOIN outcome o ON o.project = $1::int4 AND o.seq = s.seq"
    )
});

/// What a reading function sees: one project inside one transaction.
pub(super) struct Snapshot<'a> {
    pub(super) link: &'a mut Link,
    pub(super) names: &'a mut Names,
    pub(super) no: i32,
    classes: usize,
    pub(super) head: Head,
}

impl<'a> Snapshot<'a> {
    /// `None` when there is no such project.
    pub(super) fn of(link: &'a mut Link, names: &'a mut Names, name: &str) -> Sql<Option<Snapshot<'a>>> {
        let begin = [link.begin()];
        let found = link.ask(&begin, PROJECT, &[&name])?;
        let project = first(&found, |cells| {
            Ok((cells.count()?, cells.count()?, records::head(cells)?))
        })?;
        Ok(project.map(|(no, classes, head)| Snapshot {
            link,
            names,
            no,
            classes,
            head,
        }))
    }

    pub(super) fn ask<T>(
        &mut self,
        sql: &'static str,
        params: Params<'_>,
        read: impl FnMut(&mut Cells<'_>) -> Sql<T>,
    ) -> Sql<Vec<T>> {
        let rows = self.link.ask(&[], sql, params)?;
        collect(&rows, read)
    }

    /// As [`Snapshot::ask`], for statements that are written for the occasion.
    pub(super) fn ask_once<T>(
        &mut self,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&mut Cells<'_>) -> Sql<T>,
    ) -> Sql<Vec<T>> {
        let rows = self.link.ask_once(&[], sql, params)?;
        collect(&rows, read)
    }

    pub(super) fn chain(&self) -> ChainHead {
        self.head.chain
    }

    /// Places in `ids`, with the numbers of those that exist.
    pub(super) fn find(&mut self, ids: &[TaskId]) -> Sql<Vec<Option<Seq>>> {
        let bytes: Vec<Vec<u8>> = ids.iter().map(rows::id_bytes).collect();
        let mut found = vec![None; ids.len()];
        let params: Params<'_> = &[&self.no.clone(), &bytes];
        for (at, seq) in self.ask(query::FIND, params, |cells| {
            Ok((cells.count::<usize>()?, cells.seq()?))
        })? {
            found[at - 1] = Some(seq);
        }
        Ok(found)
    }

    pub(super) fn task(&mut self, id: &TaskId) -> Sql<Option<Task>> {
        let Some(seq) = self.find(std::slice::from_ref(id))?.pop().flatten() else {
            return Ok(None);
        };
        let params: Params<'_> = &[&self.no.clone(), &vec![seq.0 as i64]];
        Ok(self.ask(&query::TASKS, params, records::task)?.pop())
    }

    /// All classes; read again only when there are new ones.
    pub(super) fn learn(&mut self) -> Sql<()> {
        let known = self.names.of(self.no).all.len();
        if known < self.classes {
            let more = self.link.ask(&[], CLASSES_AFTER, &[&self.no, &(known as i32)])?;
            for (no, found) in collect(&more, records::class)? {
                self.names.of(self.no).add(no, found);
            }
        }
        Ok(())
    }

    fn class(&mut self, no: ClassNo) -> Sql<Class> {
        let missing = || corrupt(format!("there is no class number {}", no.0));
        self.names.of(self.no).get(no).cloned().ok_or_else(missing)
    }

    /// Those that exist, by number.
    pub(super) fn views(&mut self, seqs: &[Seq]) -> Sql<FxHashMap<Seq, View>> {
        if seqs.is_empty() {
            return Ok(FxHashMap::default());
        }
        self.learn()?;
        let asked: Vec<i64> = seqs.iter().map(|seq| seq.0 as i64).collect();
        let found = self.link.ask(&[], &VIEWS, &[&self.no, &asked])?;
        let mut views = FxHashMap::default();
        for row in &found {
            let cells = &mut Cells::of(row);
            let task = records::task(cells)?;
            let (body, outcome) = (records::body(cells)?, records::outcome(cells)?);
            let run = cells.run_id_or()?;
            let class = self.class(task.class)?;
            let seq = task.seq;
            let view = View {
                task,
                body,
                outcome,
                run,
                class,
            };
            views.insert(seq, view);
        }
        Ok(views)
    }

    pub(super) fn events(&mut self, after: EventNo, limit: usize) -> Sql<Vec<Seen>> {
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let params: Params<'_> = &[&self.no.clone(), &after, &bound(limit)];
        self.ask(&EVENTS, params, seen)
    }

    /// The newest events of a task, oldest first.
    pub(super) fn history(&mut self, task: &Task, limit: usize) -> Sql<Vec<Seen>> {
        if task.last_event == EventNo(0) || limit == 0 {
            return Ok(Vec::new());
        }
        let params: Params<'_> = &[&self.no.clone(), &(task.last_event.0 as i64), &bound(limit)];
        let found = self.ask(&HISTORY, params, seen)?;
        let whole = found.len() == limit || found.first().is_some_and(|seen| seen.event.prev == EventNo(0));
        let from = found.first().map_or(task.last_event, |seen| seen.event.prev);
        let is_cut = |begin: Beginning| from <= begin.after.last;
        if !whole && !self.beginning()?.is_some_and(is_cut) {
            let last = found.first().map_or(task.last_event, |seen| seen.event.prev);
            return Err(corrupt(format!("event {} is missing", last.0)));
        }
        Ok(found)
    }

    /// Where the log begins.
    pub(super) fn beginning(&mut self) -> Sql<Option<Beginning>> {
        let book = Book::Cursor;
        let params: Params<'_> = &[&self.no.clone(), &i16::from(book.number()), &vec![BEGINNING]];
        let kept = self.ask(query::ENTRIES, params, |cells| records::entry(cells, book))?;
        Ok(Beginning::find(&kept)?)
    }

    fn neighbours_of(&mut self, list: &[(Seq, When)]) -> Sql<Vec<Neighbour>> {
        let asked: Vec<i64> = list.iter().map(|(seq, _)| seq.0 as i64).collect();
        let params: Params<'_> = &[&self.no.clone(), &asked];
        let found = self.ask(NEIGHBOURS, params, |cells| {
            Ok(Neighbour {
                seq: cells.seq()?,
                id: cells.task_id()?,
                key: cells.name_or()?,
                when: When::Success,
                state: cells.variant(State::from_u8)?,
                reason: cells.variant_or(Reason::from_u8)?,
            })
        })?;
        let found: FxHashMap<Seq, Neighbour> = found.into_iter().map(|one| (one.seq, one)).collect();
        let one = |(seq, when): &(Seq, When)| {
            let known = found.get(seq).cloned();
            let known = known.ok_or_else(|| corrupt(format!("task number {} is missing", seq.0)))?;
            Ok(Neighbour { when: *when, ..known })
        };
        list.iter().map(one).collect()
    }

    pub(super) fn neighbours(&mut self, task: &Task, limit: usize) -> Sql<Neighbours> {
        let (no, seq) = (self.no, task.seq.0 as i64);
        let bodies = self.ask(&query::BODIES, &[&no, &vec![seq]], |cells| {
            cells.skip(1);
            records::body(cells)
        })?;
        let mut after = bodies.into_iter().next().map_or_else(Vec::new, |body| body.after);
        let dependents = self.ask(query::DEPENDENTS, &[&no, &seq, &0i64, &bound(limit)], |cells| {
            Ok((cells.seq()?, cells.when()?))
        })?;
        let children = self.ask(query::CHILDREN, &[&no, &seq, &bound(limit)], |cells| {
            Ok((cells.seq()?, When::Finished))
        })?;
        let counts = [after.len(), task.dependents as usize, task.children as usize];
        after.truncate(limit);
        Ok(Neighbours {
            after: self.neighbours_of(&after)?,
            dependents: self.neighbours_of(&dependents)?,
            children: self.neighbours_of(&children)?,
            cut: counts.into_iter().any(|count| count > limit),
        })
    }

    pub(super) fn upstream(&mut self, seqs: &[Seq]) -> Sql<Vec<Upstream>> {
        let asked: Vec<i64> = seqs.iter().map(|seq| seq.0 as i64).collect();
        let params: Params<'_> = &[&self.no.clone(), &asked];
        let found = self.ask(&UPSTREAM, params, |cells| {
            Ok(Upstream {
                seq: cells.seq()?,
                id: cells.task_id()?,
                key: cells.name_or()?,
                state: cells.variant(State::from_u8)?,
                outcome: records::outcome(cells)?,
            })
        })?;
        let found: FxHashMap<Seq, Upstream> = found.into_iter().map(|one| (one.seq, one)).collect();
        Ok(seqs.iter().filter_map(|seq| found.get(seq).cloned()).collect())
    }

    pub(super) fn edges(&mut self, tasks: &[Seq]) -> Sql<Vec<(Seq, Seq, When)>> {
        let mut asked: Vec<i64> = tasks.iter().map(|seq| seq.0 as i64).collect();
        asked.sort_unstable();
        asked.dedup();
        let params: Params<'_> = &[&self.no.clone(), &asked];
        self.ask(EDGES, params, |cells| {
            Ok((cells.seq()?, cells.seq()?, cells.when()?))
        })
    }

    pub(super) fn oldest_pending(&mut self) -> Sql<Option<Timestamp>> {
        let params: Params<'_> = &[&self.no.clone()];
        Ok(self.ask(OLDEST, params, |cells| cells.time())?.pop())
    }
}

fn seen(cells: &mut Cells<'_>) -> Sql<Seen> {
    let event = rows::event(cells)?;
    records::seen(event, cells)
}
