//! What one read sees: a project as of one moment.

use domain::id::{Seq, TaskId};
use domain::store::{Neighbour, Neighbours, Seen, Upstream, View};
use domain::task::record::Task;
use domain::task::spec::When;
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use rusqlite::Connection;

use super::cells::{Binds, Cells, first};
use super::fault::{Sql, corrupt};
use super::names::Names;
use super::tx::{CHILDREN, DEPENDENTS, FIND, bound, query};
use super::{body, log, task};
use crate::kernel::tx::ProjectNo;
use crate::tables::records::{
    self, body_columns, event_columns, lease_columns, outcome_columns, task_columns,
};

pub(super) const VIEW: &str = concat!(
    "SELECT ",
    task_columns!(),
    ", ",
    lease_columns!(),
    ", ",
    body_columns!(),
    ", ",
    outcome_columns!(),
    ", r.id FROM task t LEFT JOIN lease l ON l.seq = t.seq JOIN body b ON b.seq = t.seq \
     LEFT JOIN outcome o ON o.seq = t.seq LEFT JOIN run r ON r.no = t.run WHERE t.seq = ?1"
);
pub(super) const EVENTS: &str = concat!(
    "SELECT ",
    event_columns!(),
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
pub(super) const CHILDREN_OF: &str = "SELECT child, condition FROM edge WHERE parent = ?1 \
     AND EXISTS (SELECT 1 FROM task WHERE seq = ?1 AND project = ?2) ORDER BY child";
pub(super) const UPSTREAM: &str = concat!(
    "SELECT t.id, b.key, coalesce(l.state, t.state), ",
    outcome_columns!(),
    " FROM task t JOIN body b ON b.seq = t.seq LEFT JOIN lease l ON l.seq = t.seq \
     LEFT JOIN outcome o ON o.seq = t.seq WHERE t.seq = ?1 AND t.project = ?2"
);

/// What a reading function sees: one snapshot.
pub(super) struct Snapshot<'a> {
    pub(super) conn: &'a Connection,
    pub(super) names: &'a mut Names,
    pub(super) project: ProjectNo,
}

impl Snapshot<'_> {
    pub(super) fn find(&self, id: &TaskId) -> Sql<Option<Seq>> {
        let mut statement = self.conn.prepare_cached(FIND)?;
        let mut binds = Binds::of(&mut statement);
        binds.project(self.project)?.task_id(id)?;
        first(binds, |cells| cells.seq())
    }

    pub(super) fn task(&self, id: &TaskId) -> Sql<Option<Task>> {
        Ok(task::load(self.conn, self.project, self.find(id)?)?.pop())
    }

    pub(super) fn view(&mut self, seq: Seq) -> Sql<Option<View>> {
        let mut statement = self.conn.prepare_cached(VIEW)?;
        let mut binds = Binds::of(&mut statement);
        binds.seq(seq)?;
        let found = first(binds, |cells| {
            let task = records::task(cells)?;
            Ok((
                task,
                records::body(cells)?,
                records::outcome(cells)?,
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
    pub(super) fn events(&self, after: i64, to: i64, limit: usize) -> Sql<Vec<Seen>> {
        let bind = |binds: &mut Binds<'_, '_>| binds.put(after)?.put(to)?.put(bound(limit)).map(drop);
        query(self.conn, EVENTS, bind, |cells| {
            let event = log::read(cells)?;
            records::seen(event, cells)
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

    pub(super) fn neighbours(&self, task: &Task, limit: usize) -> Sql<Neighbours> {
        let bodies = body::load(self.conn, &[task.seq])?;
        let after = bodies
            .into_iter()
            .next()
            .map_or_else(Vec::new, |(_, body)| body.after);
        let bind = |binds: &mut Binds<'_, '_>| binds.seq(task.seq)?.seq(Seq(0))?.put(bound(limit)).map(drop);
        let edge = |cells: &mut Cells<'_>| Ok((cells.seq()?, cells.when()?));
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

    pub(super) fn upstream(&self, seq: Seq) -> Sql<Option<Upstream>> {
        let mut statement = self.conn.prepare_cached(UPSTREAM)?;
        let mut binds = Binds::of(&mut statement);
        binds.seq(seq)?.project(self.project)?;
        first(binds, |cells| {
            Ok(Upstream {
                seq,
                id: cells.task_id()?,
                key: cells.name_or()?,
                state: cells.variant(State::from_u8)?,
                outcome: records::outcome(cells)?,
            })
        })
    }

    pub(super) fn edges(&self, tasks: &[Seq]) -> Sql<Vec<(Seq, Seq, When)>> {
        let mut among = tasks.to_vec();
        among.sort_unstable();
        among.dedup();
        let mut found = Vec::new();
        for parent in &among {
            let below = query(
                self.conn,
                CHILDREN_OF,
                |binds| binds.seq(*parent)?.project(self.project).map(drop),
                |cells| Ok((cells.seq()?, cells.when()?)),
            )?;
            let inside = below
                .into_iter()
                .filter(|(child, _)| among.binary_search(child).is_ok());
            found.extend(inside.map(|(child, when)| (*parent, child, when)));
        }
        Ok(found)
    }

    pub(super) fn oldest_pending(&self) -> Sql<Option<Timestamp>> {
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
