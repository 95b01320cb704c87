//! The raw limit: the same rows in one SQLite table, without events, fencing or rules.
//!
//! Prepared statements, one transaction per batch, the pragmas of our own driver, and the usual automatic
//! checkpoint. Rows have an id, a place in line, a state and a payload; a partial index finds the open ones. The id
//! is not indexed, which ours is.

use std::time::{Duration, Instant};

use domain::code::{Code, Refusal};
use domain::store::Durability;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use uuid::Uuid;

use crate::bed::{Dice, Mix, PAYLOAD, Result, too_few};
use crate::lab::Lab;

pub(crate) struct Raw {
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

impl Raw {
    pub(crate) fn open(lab: &Lab) -> Result<Raw> {
        let folder = lab.place.subfolder()?;
        let conn = open(&folder, lab.durability).map_err(|e| failed(&e))?;
        Ok(Raw {
            conn,
            dice: Dice::new(11),
            held: Vec::new(),
            _folder: folder,
        })
    }

    /// Stores one row in a transaction of its own: the least that anything durable costs.
    pub(crate) fn commit(&mut self) -> Result<Duration> {
        self.insert(1, Mix::One)
    }

    pub(crate) fn insert(&mut self, count: usize, mix: Mix) -> Result<Duration> {
        let start = Instant::now();
        self.try_insert(count, mix).map_err(|e| failed(&e))?;
        Ok(start.elapsed())
    }

    /// Inserts `count` rows, `batch` in each transaction.
    pub(crate) fn fill(&mut self, count: usize, batch: usize, mix: Mix) -> Result<Duration> {
        let (mut took, mut left) = (Duration::ZERO, count);
        while left > 0 {
            let next = left.min(batch);
            took += self.insert(next, mix)?;
            left -= next;
        }
        Ok(took)
    }

    /// Claims and finishes `count` rows, `batch` of each in a transaction, as [`crate::bed::Bed::drain`] does.
    pub(crate) fn drain(&mut self, count: usize, batch: usize) -> Result<Duration> {
        let start = Instant::now();
        let mut claimed = 0;
        while claimed < count || !self.held.is_empty() {
            let next = batch.min(count - claimed);
            self.turn(next).map_err(|e| failed(&e))?;
            if next > 0 && self.held.is_empty() {
                return Err(too_few(claimed, count));
            }
            claimed += self.held.len();
        }
        Ok(start.elapsed())
    }

    fn try_insert(&mut self, count: usize, mix: Mix) -> rusqlite::Result<()> {
        let payload = "x".repeat(PAYLOAD);
        let tx = self.conn.transaction()?;
        {
            let mut insert = tx.prepare_cached(INSERT)?;
            for _ in 0..count {
                let rank = match mix {
                    Mix::One => 0,
                    Mix::Ten => self.dice.below(10) as i64,
                    Mix::Thousand => self.dice.below(1_000) as i64,
                };
                let id = Uuid::now_v7();
                insert.execute(params![id.as_bytes(), rank, millis(id), payload])?;
            }
        }
        tx.commit()
    }

    fn turn(&mut self, max: usize) -> rusqlite::Result<()> {
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

fn millis(id: Uuid) -> i64 {
    (id.as_u128() >> 80) as i64
}

fn open(folder: &TempDir, durability: Durability) -> rusqlite::Result<Connection> {
    let mut conn = Connection::open(folder.path().join("raw.db"))?;
    conn.set_transaction_behavior(rusqlite::TransactionBehavior::Immediate);
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
    conn.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    conn.execute_batch(SCHEMA)?;
    Ok(conn)
}

fn failed(error: &rusqlite::Error) -> Refusal {
    Refusal::new(Code::StoreUnavailable, format!("the raw loop failed: {error}"))
}
