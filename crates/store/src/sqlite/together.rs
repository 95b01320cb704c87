//! Rows that go into one table together: what it costs to begin a statement is paid once for several of them.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::cells::Binds;
use super::fault::Sql;

/// Rows in one statement. More save nothing, and what is left over takes as many statements.
const ROWS: usize = 16;

/// An `INSERT … VALUES (?1, …)` of one row, and the same of several.
pub(super) struct Insertion {
    pub(super) one: &'static str,
    several: LazyLock<String>,
}

macro_rules! insertion {
    ($one:expr) => {
        $crate::sqlite::together::Insertion::new($one, || $crate::sqlite::together::several($one))
    };
}
pub(super) use insertion;

impl Insertion {
    pub(super) const fn new(one: &'static str, several: fn() -> String) -> Insertion {
        let several = LazyLock::new(several);
        Insertion { one, several }
    }

    /// Inserts a row for each item, in their order.
    pub(super) fn all<T>(
        &self,
        conn: &Connection,
        items: &[T],
        mut put: impl FnMut(&mut Binds<'_, '_>, &T) -> Sql<()>,
    ) -> Sql<()> {
        let (groups, rest) = items.as_chunks::<ROWS>();
        if !groups.is_empty() {
            let mut statement = conn.prepare_cached(&self.several)?;
            for group in groups {
                let mut binds = Binds::of(&mut statement);
                group.iter().try_for_each(|item| put(&mut binds, item))?;
                binds.run()?;
            }
        }
        if !rest.is_empty() {
            let mut statement = conn.prepare_cached(self.one)?;
            for item in rest {
                let mut binds = Binds::of(&mut statement);
                put(&mut binds, item)?;
                binds.run()?;
            }
        }
        Ok(())
    }
}

/// The statement for [`ROWS`] rows from that for one.
pub(super) fn several(one: &str) -> String {
    let (head, row) = one.split_once("VALUES").expect("an INSERT has VALUES");
    let cells = vec!["?"; row.matches('?').count()].join(",");
    format!("{head}VALUES {}", vec![format!("({cells})"); ROWS].join(","))
}
