//! What can go wrong underneath, and the one refusal that each of it is for the caller.

use std::fmt::Display;
use std::io;
use std::path::Path;

use domain::code::{Code, Refusal};
use rusqlite::{Connection, Error, ErrorCode};
use rustix::io::Errno;

/// A failure inside the driver, before anybody has said which file it was about.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(Error),
    Refused(Refusal),
}

pub(super) type Sql<T> = Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Sql(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

/// A stored value that no writer of ours can have written.
pub(super) fn corrupt(what: impl Display) -> Fault {
    Fault::Refused(Refusal::new(Code::StoreCorrupt, what.to_string()))
}

impl Fault {
    /// `conn` is where it happened, if the connection was ever open; asked at once, it knows the system's error.
    pub(super) fn refuse(self, path: &Path, conn: Option<&Connection>) -> Refusal {
        match self {
            Fault::Refused(refusal) if refusal.code == Code::StoreCorrupt => Refusal::new(
                Code::StoreCorrupt,
                format!("{}: {}", path.display(), refusal.detail),
            ),
            Fault::Refused(refusal) => refusal,
            Fault::Sql(error) => refuse(path, &error, conn.and_then(system_error)),
        }
    }
}

fn refuse(path: &Path, error: &Error, system: Option<Errno>) -> Refusal {
    let name = path.display();
    let Some(code) = error.sqlite_error_code() else {
        // A value of the wrong type or out of range: the row was not written by us.
        return Refusal::new(Code::StoreCorrupt, format!("{name}: {error}"));
    };
    if let Some(table) = missing_table(error) {
        let detail = format!("{name}: the table `{table}` is missing");
        return Refusal::new(Code::StoreCorrupt, detail);
    }
    let words = system.map_or_else(
        || error.to_string(),
        |errno| io::Error::from_raw_os_error(errno.raw_os_error()).to_string(),
    );
    let of = |code| Refusal::new(code, format!("{name}: {words}"));
    match code {
        ErrorCode::NotADatabase => Refusal::new(
            Code::StoreNotDatabase,
            format!("{name} is not a SQLite file, or its first page is damaged"),
        ),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Refusal::new(Code::StoreLocked, format!("{name} is locked by another program"))
        }
        ErrorCode::DiskFull => Refusal::new(Code::StoreFull, format!("{name}: no room is left")),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            Refusal::new(Code::StoreReadOnly, format!("{name}: cannot be written"))
        }
        ErrorCode::DatabaseCorrupt => of(Code::StoreCorrupt),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => of(system.map_or(Code::StoreUnavailable, told)),
        ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted | ErrorCode::FileLockingProtocolFailed => {
            of(Code::StoreUnavailable)
        }
        _ => Refusal::new(Code::Internal, format!("{name}: {error}")),
    }
}

/// SQLite has no code for this, only words.
fn missing_table(error: &Error) -> Option<&str> {
    let (Error::SqlInputError { msg: words, .. } | Error::SqliteFailure(_, Some(words))) = error else {
        return None;
    };
    words.strip_prefix("no such table: ")
}

/// The refusal for a file operation of our own.
pub(super) fn refuse_io(path: &Path, error: &io::Error) -> Refusal {
    let code = Errno::from_io_error(error).map_or(Code::StoreUnavailable, told);
    Refusal::new(code, format!("{}: {error}", path.display()))
}

/// Which code the system's own error is. SQLite itself tells "no space" only from ENOSPC.
fn told(errno: Errno) -> Code {
    match errno {
        Errno::NOSPC | Errno::FBIG | Errno::DQUOT => Code::StoreFull,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Code::StoreReadOnly,
        Errno::NOENT | Errno::NOTDIR => Code::StoreNotFound,
        _ => Code::StoreUnavailable,
    }
}

#[expect(
    unsafe_code,
    reason = "rusqlite has no safe way to ask for the system's error number"
)]
fn system_error(conn: &Connection) -> Option<Errno> {
    // SAFETY: the handle is open for as long as `conn` is borrowed, and the call only reads a field of it.
    let number = unsafe { rusqlite::ffi::sqlite3_system_errno(conn.handle()) };
    (number != 0).then(|| Errno::from_raw_os_error(number))
}
