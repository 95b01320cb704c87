//! One project inside a writing transaction: its head is locked first, changed in memory, and written last.

use domain::event::Digest;
use domain::id::Project;

use super::cells::{Cells, first};
use super::fault::Sql;
use super::link::{Link, Order, Param};
use super::rows;
use super::set::Part;
use crate::kernel::tx::{Head, ProjectNo};
use crate::tables::records::{self, head_columns};

/// The clock is read once the lock is had: whoever waited must not act in the past.
pub(super) const LOCK: &str = concat!(
    "WITH p AS MATERIALIZED (SELECT *, xmin AS made FROM project WHERE name = $1 FOR UPDATE) \
     SELECT p.no, p.latest, p.last_task, p.last_run, p.classes, \
     (extract(epoch FROM clock_timestamp()) * 1000)::int8, \
     p.made::text::int8, txid_current() & 4294967295, ",
    head_columns!(),
    " FROM p"
);
const CREATE: &str = "INSERT INTO project (name, digest) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
pub(super) const SAVE: &str = "UPDATE project SET last_event = $2, digest = $3, pending = $4, blocked = $5, ready = $6, \
     assigned = $7, running = $8, suspended = $9, awaiting = $10, retrying = $11, completed = $12, failed = $13, \
     cancelled = $14, dead_letters = $15, score_sum = $16, max_depth = $17, newest = $18, books = $19, latest = $20, \
     last_task = $21, last_run = $22, classes = $23 WHERE no = $1";

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) name: Project,
    pub(super) no: i32,
    pub(super) head: Head,
    /// The server's time when the head was locked; never before what an earlier transaction acted in.
    pub(super) clock: i64,
    pub(super) last_task: u64,
    pub(super) last_run: u64,
    pub(super) classes: u32,
    /// The transaction that wrote the head last, and this one, as the server numbers them.
    pub(super) made: i64,
    pub(super) own: i64,
    /// When the head was written last.
    pub(super) latest: i64,
    /// Ended tasks were seen or made whose dependents are not all settled.
    pub(super) unsettled: bool,
    /// Something of this project was written.
    pub(super) dirty: bool,
}

impl Desk {
    /// Locks the project's head; `None` when there is no such project and none is to be made.
    pub(super) fn open(
        link: &mut Link,
        orders: &mut Vec<Order>,
        name: &Project,
        create: bool,
    ) -> Sql<Option<Desk>> {
        let find = |link: &mut Link, orders: &mut Vec<Order>| -> Sql<Option<Desk>> {
            let found = link.ask(orders, LOCK, &[&name.as_str()])?;
            orders.clear();
            first(&found, |cells| Desk::read(cells, name))
        };
        if let Some(desk) = find(link, orders)? {
            return Ok(Some(desk));
        }
        if !create {
            return Ok(None);
        }
        let params: Vec<Param> = vec![
            Box::new(name.as_str().to_owned()),
            Box::new(Digest::root(name).0.to_vec()),
        ];
        orders.push(Order::write(CREATE, params));
        let mut made = find(link, orders)?;
        if let Some(desk) = &mut made {
            desk.dirty = true;
        }
        Ok(made)
    }

    fn read(cells: &mut Cells<'_>, name: &Project) -> Sql<Desk> {
        let no = cells.count()?;
        let latest = cells.int()?;
        let (last_task, last_run, classes) = (cells.count()?, cells.count()?, cells.count()?);
        let clock = cells.int()?.max(latest);
        let (made, own) = (cells.int()?, cells.int()?);
        Ok(Desk {
            name: name.clone(),
            no,
            head: records::head(cells)?,
            clock,
            last_task,
            last_run,
            classes,
            made,
            own,
            latest,
            unsettled: false,
            dirty: false,
        })
    }

    pub(super) fn number(&self) -> ProjectNo {
        ProjectNo(self.no as u32)
    }

    /// What is kept as the latest time that a transaction acted in.
    pub(super) fn moment(&self, server_time: bool) -> i64 {
        if server_time { self.clock } else { 0 }
    }

    pub(super) fn save(&self, server_time: bool) -> Part {
        let head = &self.head;
        let mut params: Vec<Param> = vec![
            Box::new(self.no),
            Box::new(head.chain.last.0 as i64),
            Box::new(head.chain.digest.0.to_vec()),
        ];
        for count in head.counts.0 {
            params.push(Box::new(count as i64));
        }
        let rest: [Param; 9] = [
            Box::new(head.dead_letters as i64),
            Box::new(head.score_sum),
            Box::new(i64::from(head.max_depth)),
            Box::new(rows::time(head.newest)),
            Box::new(i64::from(head.books)),
            Box::new(self.moment(server_time)),
            Box::new(self.last_task as i64),
            Box::new(self.last_run as i64),
            Box::new(self.classes as i32),
        ];
        params.extend(rest);
        Part { sql: SAVE, params }
    }
}
