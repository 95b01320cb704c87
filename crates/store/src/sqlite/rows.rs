//! Whether rows that this connection wrote still hold: while nobody else has written to the file, which SQLite counts.

use rusqlite::Connection;

use super::fault::Sql;
use crate::kept::Kept;

/// Grows with every commit of another connection.
pub(super) const OTHERS: &str = "PRAGMA data_version";

#[derive(Debug, Default)]
pub(super) struct Rows {
    /// [`OTHERS`] when the rows were last known to hold.
    others: i64,
    pub(super) kept: Kept,
}

impl Rows {
    /// Called inside each transaction before anything is read.
    pub(super) fn begin(&mut self, conn: &Connection) -> Sql<()> {
        let others = conn.prepare_cached(OTHERS)?.query_row([], |row| row.get(0))?;
        if others != self.others {
            self.kept.clear();
            self.others = others;
        }
        Ok(())
    }
}
