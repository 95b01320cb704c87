//! Rows of leased tasks as this connection wrote them.
//!
//! A worker ends what it has just claimed, so the row that a claim wrote is the next one to be read. It is kept here
//! until the lease ends, and holds only while nobody else has written to the file: SQLite counts that itself.

use domain::id::Seq;
use domain::task::record::Task;
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::fault::Sql;
use crate::kernel::tx::{ProjectNo, WriteSet};

/// About 4 MB of them.
const ROWS: usize = 8_192;

/// Grows with every commit of another connection.
pub(super) const OTHERS: &str = "PRAGMA data_version";

#[derive(Debug, Default)]
pub(super) struct Rows {
    /// [`OTHERS`] when the rows were last known to hold.
    others: i64,
    leased: FxHashMap<(ProjectNo, Seq), Task>,
    /// Something in here was written by the transaction that is open.
    unsure: bool,
}

impl Rows {
    /// Called inside each transaction before anything is read.
    pub(super) fn begin(&mut self, conn: &Connection) -> Sql<()> {
        let others = conn.prepare_cached(OTHERS)?.query_row([], |row| row.get(0))?;
        if others != self.others {
            self.leased.clear();
            self.others = others;
        }
        Ok(())
    }

    pub(super) fn keep(&mut self) {
        self.unsure = false;
    }

    /// After a rollback.
    pub(super) fn forget(&mut self) {
        if self.unsure {
            self.leased.clear();
            self.unsure = false;
        }
    }

    pub(super) fn get(&self, project: ProjectNo, seq: Seq) -> Option<&Task> {
        self.leased.get(&(project, seq))
    }

    /// Follows what is written.
    pub(super) fn follow(&mut self, writes: &WriteSet) {
        self.unsure = true;
        let project = writes.project;
        for (_, row) in &writes.tasks {
            if row.lease.is_none() {
                self.leased.remove(&(project, row.seq));
            } else if self.leased.len() < ROWS || self.leased.contains_key(&(project, row.seq)) {
                self.leased.insert((project, row.seq), row.clone());
            }
        }
        for (row, _) in &writes.gone.tasks {
            self.leased.remove(&(project, row.seq));
        }
    }
}
