//! The schema's versions: which one a file has, and how it is brought up to ours.
//!
//! Migrations only go forward and are never edited once released. They run inside one transaction under the
//! turnstile, so two processes that open at once migrate once, and a crash leaves the old version. A store that
//! holds anything is copied first, into `backups` beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::fault::{Fault, Sql, corrupt, refuse_io};

/// In order; the version of a store is the number of those it has seen.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_first.sql")];

pub(super) const LATEST: u32 = MIGRATIONS.len() as u32;

/// `BELL`, in the header of the file: what tells our files from others.
const APPLICATION: i64 = 0x4245_4C4C;

pub(super) const PAGE_BYTES: u64 = 4_096;

/// How many backups are kept.
const BACKUPS: usize = 5;

const META: &str = "SELECT value FROM meta WHERE name = ?1";
const META_WRITE: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
const EXPIRE_ALL: &str = "UPDATE lease SET expires = 0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing in it yet.
    Empty,
    Older(u32),
    Current,
    Newer(u32),
    /// Another program's.
    Foreign,
}

/// What the file is, by its header; writes nothing.
pub(super) fn look(conn: &Connection) -> Sql<Found> {
    look_for(conn, LATEST)
}

/// In one snapshot: another process may be making the store at this very moment.
fn look_for(conn: &Connection, latest: u32) -> Sql<Found> {
    conn.execute_batch("BEGIN")?;
    let found = read_header(conn, latest);
    if !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    found
}

fn read_header(conn: &Connection, latest: u32) -> Sql<Found> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = version(conn)?;
    if application == APPLICATION {
        return Ok(match u32::try_from(version) {
            Ok(version) if version == latest => Found::Current,
            Ok(version @ 1..) if version < latest => Found::Older(version),
            Ok(version @ 1..) => Found::Newer(version),
            _ => Found::Foreign,
        });
    }
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application == 0 && version == 0 && tables == 0;
    Ok(if empty { Found::Empty } else { Found::Foreign })
}

fn version(conn: &Connection) -> Sql<i64> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings the store to the latest version. The caller holds the turn to write.
pub(super) fn bring_up(conn: &Connection, path: &Path) -> Sql<()> {
    bring_up_to(conn, path, MIGRATIONS)
}

fn bring_up_to(conn: &Connection, path: &Path, migrations: &[&str]) -> Sql<()> {
    // Another process may have been here while we waited for our turn.
    let from = match look_for(conn, migrations.len() as u32)? {
        Found::Empty => 0,
        Found::Older(version) => version,
        Found::Current => return Ok(()),
        Found::Newer(_) | Found::Foreign => return Err(corrupt("the file was replaced while it was opened")),
    };
    if from == 0 {
        conn.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
        write_ahead(conn)?;
    } else {
        back_up(conn, path, from)?;
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let done = (|| -> Sql<()> {
        for migration in &migrations[from as usize..] {
            conn.execute_batch(migration)?;
        }
        conn.pragma_update(None, "application_id", APPLICATION)?;
        conn.pragma_update(None, "user_version", migrations.len() as i64)?;
        conn.execute_batch("COMMIT")?;
        Ok(())
    })();
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    done
}

/// Switches to the write-ahead log. It needs the file alone for a moment, without SQLite waiting for it, while
/// others who open may be looking at the header.
fn write_ahead(conn: &Connection) -> Sql<()> {
    let begun = Instant::now();
    loop {
        match conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begun.elapsed() < Duration::from_secs(5) =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return Ok(done?),
        }
    }
}

/// Copies the store into `backups` beside it, complete or not at all, and drops the oldest copies.
fn back_up(conn: &Connection, path: &Path, version: u32) -> Sql<()> {
    let folder = path.with_file_name("backups");
    let on_disk = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| Fault::from(refuse_io(&path, &error))
    };
    fs::create_dir_all(&folder).map_err(on_disk(&folder))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("{stem}-{:013}-v{version}.db", now.as_millis());
    let (part, whole) = (folder.join(format!("{name}.part")), folder.join(&name));
    let _ = fs::remove_file(&part);
    conn.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    let copy = fs::File::open(&part).and_then(|file| file.sync_all());
    copy.and_then(|()| fs::rename(&part, &whole))
        .map_err(on_disk(&part))?;
    for old in backups(&folder, &stem).into_iter().rev().skip(BACKUPS) {
        fs::remove_file(&old).map_err(on_disk(&old))?;
    }
    Ok(())
}

/// This store's backups, oldest first.
fn backups(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-')) && name.ends_with(".db")
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(ours).collect();
    found.sort();
    found
}

/// The name of this boot, if the store has not seen it yet.
pub(super) fn new_boot(conn: &Connection) -> Sql<Option<String>> {
    let Ok(boot) = fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return Ok(None);
    };
    let known: Option<String> = conn.query_row(META, ["boot"], |row| row.get(0)).optional()?;
    let boot = boot.trim();
    Ok((known.as_deref() != Some(boot)).then(|| boot.to_owned()))
}

/// Leases live on the clock that starts at boot. After another boot none of their ends means anything, and none of
/// their holders lives: all are due at once. The caller holds the turn to write.
pub(super) fn note_boot(conn: &Connection, boot: &str) -> Sql<()> {
    // Whoever was here while we waited may have handed out leases of this boot.
    if new_boot(conn)?.is_none() {
        return Ok(());
    }
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let done = (|| -> Sql<()> {
        conn.execute(EXPIRE_ALL, [])?;
        conn.execute(META_WRITE, ["boot", boot])?;
        conn.execute_batch("COMMIT")?;
        Ok(())
    })();
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a (x); INSERT INTO a VALUES (1);";
    const SECOND: &str = "CREATE TABLE b AS SELECT x + 1 AS y FROM a;";

    fn open(path: &Path) -> Connection {
        Connection::open(path).unwrap()
    }

    #[test]
    fn an_older_store_is_copied_and_brought_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bell.db");
        let conn = open(&path);
        bring_up_to(&conn, &path, &[FIRST]).unwrap();
        assert!(
            !dir.path().join("backups").exists(),
            "an empty store needs no copy"
        );
        assert_eq!(look_for(&conn, 2).unwrap(), Found::Older(1));
        for _ in 0..2 {
            bring_up_to(&conn, &path, &[FIRST, SECOND]).unwrap();
        }
        assert_eq!(look_for(&conn, 2).unwrap(), Found::Current);
        let y: i64 = conn.query_row("SELECT y FROM b", [], |row| row.get(0)).unwrap();
        assert_eq!(y, 2);
        let copies = backups(&dir.path().join("backups"), "bell");
        assert_eq!(copies.len(), 1);
        assert_eq!(look_for(&open(&copies[0]), 2).unwrap(), Found::Older(1));
    }

    #[test]
    fn a_migration_that_fails_leaves_the_old_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bell.db");
        let conn = open(&path);
        bring_up_to(&conn, &path, &[FIRST]).unwrap();
        assert!(bring_up_to(&conn, &path, &[FIRST, "CREATE TABLE b (y); nonsense;"]).is_err());
        assert_eq!(look_for(&conn, 2).unwrap(), Found::Older(1));
        assert!(conn.prepare("SELECT * FROM b").is_err());
    }

    #[test]
    fn the_five_newest_backups_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bell.db");
        let conn = open(&path);
        bring_up_to(&conn, &path, &[FIRST]).unwrap();
        for _ in 0..7 {
            back_up(&conn, &path, 1).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(backups(&dir.path().join("backups"), "bell").len(), BACKUPS);
    }
}
