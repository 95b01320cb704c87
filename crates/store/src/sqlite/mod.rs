//! The embedded store: one SQLite file, many processes.
//!
//! In reading order: opening (`open`, `migrate`), the queue of writers (`turnstile`), the transaction (`tx`,
//! `apply`) over one file per aggregate (`task`, `body`, `line`, `log`, `runs`, `names`), reading
//! (`read`, `snapshot`, `list`, `check`), and how other processes' commits are noticed (`watch`). What columns mean is told in
//! `crate::tables`.
//!
//! Rules live in the kernel; here are shapes only, and they follow measurements: dirty pages decide the cost, not
//! statements. So rows that change are narrow, a claim leaves the task's row alone, and whatever waits is one
//! transaction.

#![expect(
    clippy::redundant_closure,
    clippy::redundant_closure_for_method_calls,
    reason = "a path would stand for one lifetime of `Cells`, where readers of rows must take any"
)]

mod apply;
mod body;
mod books;
mod cells;
mod check;
mod fault;
mod gone;
mod line;
mod list;
mod log;
mod migrate;
mod names;
mod open;
#[cfg(test)]
mod plans;
mod read;
mod rows;
mod runs;
mod snapshot;
mod task;
mod together;
mod turnstile;
mod tx;
mod watch;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::store::{Durability, Info, LeaseClock, Result};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME};

use crate::driver::{Driver, Read, Watch};
use crate::kernel::tx::Tx;
use crate::uses::Uses;
use fault::{Fault, refuse_io};
use names::Names;
use open::FileId;
use rows::Rows;
use turnstile::{Turnstile, beside};
use tx::SqliteTx;

#[derive(Clone, Debug)]
pub struct Options {
    pub durability: Durability,
    /// Makes the file and its folder if they are missing.
    pub create: bool,
    /// The file grows no further than this; writes that need more are refused as on a full disk.
    pub max_bytes: Option<u64>,
}

/// The one writer of this process on the file.
pub struct SqliteDriver {
    conn: Connection,
    turnstile: Turnstile,
    names: Names,
    rows: Rows,
    uses: Uses,
    path: PathBuf,
    /// What the path led to when it was opened.
    file: FileId,
    durability: Durability,
}

/// Pages in the log from which a busy writer pays for a checkpoint, and an idle one. With fewer, checkpoints come
/// too often to be worth their fsyncs; with more, one takes too long.
const BUSY_PAGES: i32 = 4_000;
const IDLE_PAGES: i32 = 1_000;

/// An idle writer cuts a log file beyond this size. Cutting is dear: a log that is overwritten costs less than one
/// that grows.
const LOG_BYTES: u64 = 64 * 1024 * 1024;

impl SqliteDriver {
    /// Opens the store, migrating it if it is older. A file that is not ours, or newer, is left as it is.
    pub fn open(path: &Path, options: &Options) -> Result<SqliteDriver> {
        let (conn, turnstile) = open::writer(path, options)?;
        let file = FileId::of(path).map_err(|error| refuse_io(path, &error))?;
        Ok(SqliteDriver {
            conn,
            turnstile,
            names: Names::default(),
            rows: Rows::default(),
            uses: Uses::default(),
            path: path.to_owned(),
            file,
            durability: options.durability,
        })
    }

    /// What is written to a file that has no name any more is lost.
    fn still_there(&self) -> Result<()> {
        match FileId::of(&self.path) {
            Ok(file) if self.file.is_still(file) => Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(refuse_io(&self.path, &error)),
            _ => Err(Refusal::new(
                Code::StoreGone,
                format!(
                    "{} was removed, replaced or emptied while it was open",
                    self.path.display()
                ),
            )),
        }
    }

    fn refuse(&self, error: rusqlite::Error) -> Refusal {
        Fault::from(error).refuse(&self.path, Some(&self.conn))
    }

    fn execute(&self, sql: &str) -> Result<()> {
        let run = || self.conn.prepare_cached(sql)?.raw_execute();
        run().map(drop).map_err(|error| self.refuse(error))
    }

    /// Copies what is committed from the log into the file; nobody waits for it, and it waits for nobody.
    fn checkpoint(&self, threshold: i32) -> rusqlite::Result<()> {
        let (pages, copied) = self.conn.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::NOOP)?;
        if pages - copied >= threshold {
            self.conn
                .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE)?;
        }
        Ok(())
    }

    /// Cuts a long log back to nothing, unless anybody reads or writes just now.
    fn truncate(&self) -> rusqlite::Result<()> {
        let long = |data: fs::Metadata| data.len() > LOG_BYTES;
        if !fs::metadata(beside(&self.path, "-wal")).is_ok_and(long) {
            return Ok(());
        }
        let Some(_turn) = self.turnstile.try_enter() else {
            return Ok(());
        };
        self.conn.busy_timeout(Duration::ZERO)?;
        let cut = self
            .conn
            .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::TRUNCATE);
        self.conn.busy_timeout(open::PATIENCE)?;
        cut.map(drop)
    }
}

impl Driver for SqliteDriver {
    fn info(&self) -> Info {
        Info {
            url: format!("sqlite:{}", self.path.display()),
            engine: "sqlite",
            durability: self.durability,
            schema: migrate::LATEST,
            leases: LeaseClock::Machine,
        }
    }

    fn write(&mut self, work: &mut dyn FnMut(&mut dyn Tx) -> Result<()>) -> Result<()> {
        let turn = self.turnstile.enter()?;
        self.still_there()?;
        let before = self.conn.total_changes();
        self.execute("BEGIN IMMEDIATE")?;
        let open = Open {
            conn: &self.conn,
            names: &mut self.names,
            rows: &mut self.rows,
        };
        let begun = open.rows.begin(&self.conn);
        begun.map_err(|fault| fault.refuse(&self.path, Some(&self.conn)))?;
        let mut tx = SqliteTx {
            conn: &self.conn,
            path: &self.path,
            names: &mut *open.names,
            rows: &mut *open.rows,
            uses: &self.uses,
            fronts: Vec::new(),
            broken: None,
        };
        work(&mut tx)?;
        if let Some(refusal) = tx.broken {
            return Err(refusal);
        }
        let commit = || self.conn.prepare_cached("COMMIT")?.raw_execute();
        commit().map_err(|error| Fault::from(error).refuse(&self.path, Some(&self.conn)))?;
        open.names.keep();
        open.rows.kept.keep();
        if self.conn.total_changes() != before {
            turn.committed();
        }
        Ok(())
    }

    fn idle(&mut self, busy: bool) {
        let pages = if busy { BUSY_PAGES } else { IDLE_PAGES };
        let done = self
            .checkpoint(pages)
            .and_then(|()| if busy { Ok(()) } else { self.truncate() });
        if let Err(error) = done {
            // The log keeps everything; the next call tries again, and a full disk shows at the next write.
            tracing::debug!(%error, "checkpoint failed");
        }
    }

    /// Pages that were freed stay in the file and are used again; this rewrites the file without them.
    fn compact(&mut self) -> Result<Option<u64>> {
        let _turn = self.turnstile.enter()?;
        let files = [self.path.clone(), beside(&self.path, "-wal")];
        let length = |path| fs::metadata(path).map_or(0, |data| data.len());
        let size = || files.iter().map(length).sum::<u64>();
        let before = size();
        let done = self.conn.execute_batch("VACUUM").and_then(|()| {
            self.conn
                .wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::TRUNCATE)
        });
        done.map_err(|error| self.refuse(error))?;
        Ok(Some(before.saturating_sub(size())))
    }

    fn reader(&self) -> Result<Box<dyn Read>> {
        let conn = open::reader(&self.path)?;
        Ok(Box::new(read::SqliteRead::new(
            conn,
            self.path.clone(),
            self.uses.clone(),
        )))
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        let conn = open::reader(&self.path).ok()?;
        let others = self.turnstile.others().ok()?;
        Some(Box::new(watch::SqliteWatch::new(conn, &self.path, others)))
    }
}

/// An open transaction: what is not committed when it ends, by an error or a panic, is undone.
struct Open<'a> {
    conn: &'a Connection,
    names: &'a mut Names,
    rows: &'a mut Rows,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.conn.is_autocommit() {
            // Only an error that has already ended the transaction could fail this.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        // After a commit everything in there is sure, and stays.
        self.names.forget();
        self.rows.kept.forget();
    }
}

impl fmt::Debug for SqliteDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteDriver")
            .field("path", &self.path)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
