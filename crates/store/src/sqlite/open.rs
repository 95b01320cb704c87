//! Opening the file: everything that can be wrong is found here, before anything is written to it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::store::{Durability, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Options;
use super::beside;
use super::fault::{Fault, Sql, refuse_io};
use super::migrate::{self, Found};
use super::turnstile::Turnstile;

/// How long a foreign program may hold its lock before we give up. Ours queue and never meet it; who queues looks as
/// often whether anybody still works.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Statements kept prepared: more than there are.
const STATEMENTS: usize = 128;

/// The writing connection and the queue for it, on a store of the present schema.
pub(super) fn writer(path: &Path, options: &Options) -> Result<(Connection, Turnstile)> {
    place(path, options)?;
    if was_emptied(path) {
        return Err(emptied(path));
    }
    let conn = connect(path, options.create)?;
    let refuse = |fault: Fault| fault.refuse(path, Some(&conn));
    let found = migrate::look(&conn).map_err(refuse)?;
    match found {
        Found::Foreign => return Err(foreign(path)),
        Found::Newer(version) => return Err(newer(path, version)),
        Found::Empty if !options.create => {
            return Err(Refusal::new(
                Code::StoreNotFound,
                format!("{} is empty", path.display()),
            ));
        }
        Found::Empty | Found::Older(_) | Found::Current => {}
    }
    if conn.is_readonly("main").map_err(|error| refuse(error.into()))? {
        return Err(Refusal::new(
            Code::StoreReadOnly,
            format!("{}: cannot be written", path.display()),
        ));
    }
    let turnstile = Turnstile::open(path)?;
    if found != Found::Current {
        let _turn = turnstile.enter()?;
        migrate::bring_up(&conn, path).map_err(refuse)?;
    }
    set_up_writer(&conn, options).map_err(refuse)?;
    if let Some(boot) = migrate::new_boot(&conn).map_err(refuse)? {
        let _turn = turnstile.enter()?;
        migrate::note_boot(&conn, &boot).map_err(refuse)?;
    }
    Ok((conn, turnstile))
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    let conn = connect(path, false)?;
    let set_up = || -> Sql<()> {
        conn.pragma_update(None, "foreign_keys", false)?;
        conn.pragma_update(None, "query_only", true)?;
        conn.pragma_update(None, "cache_size", -4_096)?;
        Ok(())
    };
    set_up().map_err(|fault| fault.refuse(path, Some(&conn)))?;
    Ok(conn)
}

fn set_up_writer(conn: &Connection, options: &Options) -> Sql<()> {
    let synchronous = match options.durability {
        Durability::Full => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // A committing caller would pay for automatic checkpoints; `Driver::idle` makes them instead.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    if let Some(bytes) = options.max_bytes {
        let pages = i64::try_from(bytes / migrate::PAGE_BYTES).unwrap_or(i64::MAX);
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(())
}

fn connect(path: &Path, create: bool) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let conn = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, create, error))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    let set_up = || {
        // Else plans may depend on bound values, and then a statement is compiled anew each time it leaves the cache.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.busy_timeout(PATIENCE)
    };
    set_up().map_err(|error| Fault::from(error).refuse(path, Some(&conn)))?;
    Ok(conn)
}

/// The connection is gone with its error number, so the system is asked again.
fn cannot_open(path: &Path, create: bool, error: rusqlite::Error) -> Refusal {
    match fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .open(path)
    {
        Err(error) => refuse_io(path, &error),
        Ok(_) => Fault::from(error).refuse(path, None),
    }
}

/// Which file a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    is_empty: bool,
}

impl FileId {
    /// Whether it is still the same, with something in it.
    pub(super) fn is_still(self, now: FileId) -> bool {
        let same = (self.device, self.inode) == (now.device, now.inode);
        same && (self.is_empty || !now.is_empty)
    }

    pub(super) fn of(path: &Path) -> std::io::Result<FileId> {
        let data = fs::metadata(path)?;
        Ok(FileId {
            device: data.dev(),
            inode: data.ino(),
            is_empty: data.len() == 0,
        })
    }
}

/// Whether somebody has taken everything out of a store but what was written last. SQLite would throw that away as well.
fn was_emptied(path: &Path) -> bool {
    let bytes = |path: &Path| fs::metadata(path).ok().map(|data| data.len());
    bytes(path) == Some(0) && bytes(&beside(path, "-wal")).is_some_and(|bytes| bytes > 0)
}

fn emptied(path: &Path) -> Refusal {
    let wal = beside(path, "-wal");
    let detail = format!(
        "{} is empty, though what was written to it last still lies in {}",
        path.display(),
        wal.display()
    );
    Refusal::new(Code::StoreCorrupt, detail)
        .help("put the file back from a backup, or move both away to begin anew")
}

/// Checks, and with `create` prepares, the folder that the file lies in.
fn place(path: &Path, options: &Options) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match fs::metadata(path) {
        Ok(data) if data.is_dir() => {
            let detail = format!("{} is a folder", path.display());
            return Err(Refusal::new(Code::StoreNotDatabase, detail));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && options.create => {
            fs::create_dir_all(folder).map_err(|error| refuse_io(folder, &error))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let detail = format!("{} does not exist", path.display());
            return Err(Refusal::new(Code::StoreNotFound, detail));
        }
        Err(error) => return Err(refuse_io(path, &error)),
    }
    let system = rustix::fs::statfs(folder).map_err(|errno| refuse_io(folder, &errno.into()))?;
    match network(system.f_type as u32) {
        Some(kind) => Err(Refusal::new(
            Code::StoreNetwork,
            format!("{} lies on a network file system ({kind})", path.display()),
        )),
        None => Ok(()),
    }
}

/// The name of a file system on which locks and shared memory cannot be trusted, by its number in
/// Linux' `statfs`; see `linux/magic.h`. Unknown ones are taken for local.
pub(super) fn network(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0xFF53_4D42 => "CIFS",
        0xFE53_4D42 => "SMB2",
        0x517B => "SMB",
        0x0102_1997 => "9P",
        0x6573_5546 => "FUSE",
        0x00C3_6400 => "Ceph",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x564C => "NCP",
        0x0BD0_0BD0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x4750_4653 => "GPFS",
        0x786F_4256 => "VirtualBox shared folder",
        0xBACB_ACBC => "VMware shared folder",
        _ => return None,
    })
}

fn foreign(path: &Path) -> Refusal {
    Refusal::new(
        Code::StoreNotDatabase,
        format!("{} is a SQLite file of another program", path.display()),
    )
}

fn newer(path: &Path, version: u32) -> Refusal {
    Refusal::new(
        Code::StoreNewer,
        format!(
            "{} has schema {version}, this binary knows {}",
            path.display(),
            migrate::LATEST
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn local_file_systems_are_let_through() {
        // ext4, xfs, btrfs, tmpfs, overlay, zfs, f2fs
        for magic in [
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x0102_1994,
            0x794C_7630,
            0x2FC1_2FC1,
            0xF2F5_2010,
        ] {
            assert_eq!(network(magic), None, "{magic:x}");
        }
        assert_eq!(network(0x6969), Some("NFS"));
    }
}
