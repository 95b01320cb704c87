//! Rows in one SQLite table.
//!
//! Prepared statements, one transaction per batch, the pragmas of our own driver, and the usual automatic
//! checkpoint. Rows have an id, a place in line, a state and a payload; a partial index finds the open ones. The id
//! is not indexed, which ours is.

use domain::store::Durability;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use uuid::Uuid;

use super::{failed, millis};
use crate::bed::{Dice, Mix, PAYLOAD, Result};
use crate::lab::Lab;

pub(super) struct SqliteRaw {
    conn: Connection,
    dice: Dice,
    held: Vec<i64>,
    /// Outlives the connection.
    _folder: TempDir,
}

const SCHEMA: &str = "
CREATE TABLE task (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, rank INTEGER NOT NULL, at INTEGER NOT NULL,
                   state INTEGER NOT NULL, payload TEXT NOT NULL);
CREATE INDEX line ON task (rank, at, seq) WHERE state = 0;";
const INSERT: &str = "INSERT INTO task (id, rank, at, state, payload) VALUES (?1, ?2, ?3, 0, ?4)";
const NEXT: &str = "SELECT seq, id, payload FROM task WHERE state = 0 ORDER BY rank, at, seq LIMIT ?1";
const LEASE: &str = "UPDATE task SET state = 1 WHERE seq = ?1";
const FINISH: &str = "UPDATE task SET state = 2 WHERE seq = ?1";

impl SqliteRaw {
    pub(super) fn open(lab: &Lab) -> Result<SqliteRaw> {
        let folder = lab.place.subfolder()?;
        let conn = open(&folder, lab.durability).map_err(|e| failed(&e))?;
        Ok(SqliteRaw {
            conn,
            dice: Dice::new(11),
            held: Vec::new(),
            _folder: folder,
        })
    }

    pub(super) fn insert(&mut self, count: usize, mix: Mix) -> Result<()> {
        self.try_insert(count, mix).map_err(|e| failed(&e))
    }

    pub(super) fn turn(&mut self, max: usize) -> Result<usize> {
        self.try_turn(max).map_err(|e| failed(&e))?;
        Ok(self.held.len())
    }

    fn try_insert(&mut self, count: usize, mix: Mix) -> rusqlite::Result<()> {
        let payload = "x".repeat(PAYLOAD);
        let tx = self.conn.transaction()?;
        {
            let mut insert = tx.prepare_cached(INSERT)?;
            for _ in 0..count {
                let rank = self.dice.rank(mix);
                let id = Uuid::now_v7();
                insert.execute(params![id.as_bytes(), rank, millis(id), payload])?;
            }
        }
        tx.commit()
    }

    fn try_turn(&mut self, max: usize) -> rusqlite::Result<()> {
        let tx = self.conn.transaction()?;
        {
            let mut finish = tx.prepare_cached(FINISH)?;
            for seq in self.held.drain(..) {
                finish.execute([seq])?;
            }
            let mut next = tx.prepare_cached(NEXT)?;
            let mut rows = next.query([max as i64])?;
            while let Some(row) = rows.next()? {
                let (seq, id): (i64, [u8; 16]) = (row.get(0)?, row.get(1)?);
                let payload: String = row.get(2)?;
                std::hint::black_box((id, payload));
                self.held.push(seq);
            }
            let mut lease = tx.prepare_cached(LEASE)?;
            for seq in &self.held {
                lease.execute([seq])?;
            }
        }
        tx.commit()
    }
}

fn open(folder: &TempDir, durability: Durability) -> rusqlite::Result<Connection> {
    let mut conn = Connection::open(folder.path().join("raw.db"))?;
    set_up(&conn, durability)?;
    conn.execute_batch(SCHEMA)?;
    conn.set_transaction_behavior(rusqlite::TransactionBehavior::Immediate);
    Ok(conn)
}

/// The settings of our own driver, and the usual automatic checkpoint.
pub(super) fn set_up(conn: &Connection, durability: Durability) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "page_size", 4_096)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "wal_autocheckpoint", 4_000)
}
