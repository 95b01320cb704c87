//! The rows that our own store writes for new tasks, written again without it: what DESIGN 14 calls the raw insert rate of
//! the same rows.
//!
//! A store takes one batch in, and its rows are read back table by table. Each raw batch is those rows under new keys, bound
//! to prepared statements on a connection with our pragmas, one transaction per batch. There is nothing to decide, look
//! up, serialise or digest: the digests are in the rows.

use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use tempfile::TempDir;
use uuid::Uuid;

use super::{failed, sqlite};
use crate::bed::{Bed, Mix, Result};
use crate::lab::Lab;

/// Tables that a new task has a row in, in the order in which our store writes them, with the columns that number it.
const TABLES: [(&str, &str); 4] = [("task", "seq"), ("body", "seq"), ("ready", "seq"), ("event", "n")];
/// The one column that is unique beside those.
const ID: &str = "id";

pub(crate) struct SameRows {
    tables: Vec<Table>,
    conn: Connection,
    /// Batches written so far.
    turn: i64,
    /// Outlives the connection.
    _folder: TempDir,
}

struct Table {
    insert: String,
    rows: Vec<Vec<Value>>,
    number: usize,
    id: Option<usize>,
}

impl SameRows {
    /// For batches of this size.
    pub(crate) async fn open(lab: &Lab, batch: usize) -> Result<SameRows> {
        let bed = Bed::open(lab)?;
        bed.fill(batch, Mix::One).await?;
        let file = bed.url.trim_start_matches("sqlite:").to_owned();
        let folder = bed.into_folder();
        let read = || -> rusqlite::Result<(Connection, Vec<Table>)> {
            let conn = Connection::open(file)?;
            sqlite::set_up(&conn, lab.durability)?;
            let tables = TABLES.map(|(name, number)| Table::read(&conn, name, number));
            Ok((conn, tables.into_iter().collect::<rusqlite::Result<_>>()?))
        };
        let (conn, tables) = read().map_err(|e| failed(&e))?;
        Ok(SameRows {
            tables,
            conn,
            turn: 0,
            _folder: folder,
        })
    }

    /// Writes `count` tasks in whole batches.
    pub(crate) fn fill(&mut self, count: usize) -> Result<Duration> {
        let batch = self.tables[0].rows.len().max(1);
        let start = Instant::now();
        for _ in 0..count / batch {
            self.insert().map_err(|e| failed(&e))?;
        }
        Ok(start.elapsed())
    }

    fn insert(&mut self) -> rusqlite::Result<()> {
        self.turn += 1;
        let tx = self.conn.transaction()?;
        for table in &self.tables {
            let shift = self.turn * table.rows.len() as i64;
            let mut insert = tx.prepare_cached(&table.insert)?;
            for row in &table.rows {
                for (at, value) in row.iter().enumerate() {
                    match value {
                        Value::Integer(number) if at == table.number => {
                            insert.raw_bind_parameter(at + 1, number + shift)?;
                        }
                        _ if Some(at) == table.id => {
                            insert.raw_bind_parameter(at + 1, &Uuid::now_v7().as_bytes()[..])?;
                        }
                        value => insert.raw_bind_parameter(at + 1, value)?,
                    }
                }
                insert.raw_execute()?;
            }
        }
        tx.commit()
    }
}

impl Table {
    fn read(conn: &Connection, name: &str, number: &str) -> rusqlite::Result<Table> {
        let mut all = conn.prepare(&format!("SELECT * FROM {name} ORDER BY {number}"))?;
        let columns: Vec<String> = all.column_names().map(str::to_owned).collect();
        let values = |row: &Row<'_>| (0..columns.len()).map(|at| row.get(at)).collect();
        let rows = all.query_map([], values)?.collect::<rusqlite::Result<_>>()?;
        let holes = vec!["?"; columns.len()].join(", ");
        let place = |wanted: &str| columns.iter().position(|column| column == wanted);
        Ok(Table {
            insert: format!("INSERT INTO {name} ({}) VALUES ({holes})", columns.join(", ")),
            rows,
            number: place(number).unwrap_or_default(),
            id: place(ID),
        })
    }
}
