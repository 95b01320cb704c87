//! What goes wrong between us and the server, and what it means.

use std::error::Error as _;

use domain::code::{Code, Refusal};
use domain::id::TaskId;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use super::cells::id_of;
use crate::kernel;

/// The index that knows each id once.
const TASK_ID: &str = "task_id";

#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection broke: what was sent may or may not have been carried out.
    Lost(String),
    /// The server will answer later, or the transaction has to be run again: it has been undone.
    Later(String),
    Refused(Refusal),
}

pub(super) type Sql<T> = Result<T, Fault>;

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

impl Fault {
    /// For those who cannot try again.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Fault::Refused(refusal) => refusal,
            Fault::Lost(why) | Fault::Later(why) => Refusal::new(Code::StoreUnavailable, why),
        }
    }
}

pub(super) fn corrupt(what: impl std::fmt::Display) -> Fault {
    Fault::Refused(Refusal::new(Code::StoreCorrupt, what.to_string()))
}

impl From<Error> for Fault {
    /// The words of an error never hold the URL.
    fn from(error: Error) -> Fault {
        if let Some(said) = error.as_db_error() {
            return answered(said);
        }
        let mut words = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            words += &format!(": {cause}");
            source = cause.source();
        }
        // The library does not tell these apart in another way.
        if words.contains("password missing") {
            return Fault::Refused(denied(words));
        }
        if error.is_closed() || is_io(&error) {
            return Fault::Lost(words);
        }
        // What remains are values that do not fit their columns, answers out of turn, and the like.
        match error
            .source()
            .map(|source| source.is::<tokio_postgres::types::WrongType>())
        {
            Some(true) => corrupt(words),
            _ => Fault::Lost(words),
        }
    }
}

fn is_io(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<std::io::Error>() {
            return true;
        }
        source = cause.source();
    }
    false
}

fn answered(said: &DbError) -> Fault {
    let words = format!("the server says: {} ({})", said.message(), said.code().code());
    let refuse = |code: Code| Refusal::new(code, words.clone());
    let state = said.code();
    match state.code() {
        // Serialization failures, deadlocks, and locks not had in time.
        "40001" | "40P01" | "55P03" => return Fault::Later(words),
        // Starting, shutting down, too many connections.
        "57P03" | "53300" => return Fault::Later(words),
        // The session is over, or its statements are not those that were prepared.
        "57P01" | "57P02" | "57P04" | "57P05" | "25P03" | "26000" | "0A000" => return Fault::Lost(words),
        _ => {}
    }
    Fault::Refused(match state {
        &SqlState::DISK_FULL | &SqlState::OUT_OF_MEMORY | &SqlState::PROGRAM_LIMIT_EXCEEDED => {
            refuse(Code::StoreFull)
        }
        &SqlState::READ_ONLY_SQL_TRANSACTION => {
            refuse(Code::StoreReadOnly).help("use the address of the primary")
        }
        &SqlState::INVALID_PASSWORD
        | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        | &SqlState::INSUFFICIENT_PRIVILEGE => denied(words.clone()),
        &SqlState::UNDEFINED_DATABASE => refuse(Code::StoreNotFound).help("make it with `createdb NAME`"),
        &SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME => {
            refuse(Code::StoreNotFound).help("somebody has dropped the tables of the store")
        }
        &SqlState::UNIQUE_VIOLATION if said.constraint() == Some(TASK_ID) => match refused_id(said) {
            Some(id) => kernel::exists(&id),
            None => refuse(Code::TaskExists),
        },
        &SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED => refuse(Code::StoreCorrupt),
        // Running out of time is the only cancellation that there is.
        &SqlState::QUERY_CANCELED => return Fault::Later(words),
        _ => refuse(Code::StoreUnavailable),
    })
}

/// The id that the key has refused; the server shows it as `(project, id)=(1, \x00…)`.
fn refused_id(said: &DbError) -> Option<TaskId> {
    let (_, shown) = said.detail()?.split_once("\\x")?;
    let digits = shown.split(|c: char| !c.is_ascii_hexdigit()).next()?.as_bytes();
    let digit = |at: usize| char::from(digits[at]).to_digit(16);
    let byte = |at: usize| Some((digit(2 * at)? << 4 | digit(2 * at + 1)?) as u8);
    let bytes: Vec<u8> = (0..digits.len() / 2).map(byte).collect::<Option<_>>()?;
    id_of(&bytes)
}

fn denied(words: String) -> Refusal {
    Refusal::new(Code::StoreDenied, words).help(
        "check the user and password in the URL (or `PGPASSWORD`), and what that user may do in the database",
    )
}
