//! What ends a command early, and how people and programs are told.

use std::io;

use anstyle::Style;
use api::problem::Problem;
use domain::code::{Code, Refusal};

use crate::exit::Exit;
use crate::output::theme::{self, paint};

#[derive(Debug)]
pub(crate) enum Error {
    /// Something was refused.
    Refused(Refusal),
    /// The command has already told what is wrong, in its own form.
    Told(Exit),
    /// Nobody reads our output any more; that is no failure.
    Closed,
    Interrupted,
}

pub(crate) type Result<T = Exit> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Error::Refused(refusal) => Exit(refusal.code.kind().exit_status()),
            Error::Told(exit) => *exit,
            Error::Closed => Exit::DONE,
            Error::Interrupted => Exit::INTERRUPTED,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

/// Of writing our own output.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Error::Closed;
        }
        Error::Refused(Refusal::new(
            Code::Internal,
            format!("the output could not be written: {error}"),
        ))
    }
}

/// A refusal because of something that was typed.
pub(crate) fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidArgument, detail)
}

/// `error[code]: detail` and what to do about it.
pub(crate) fn for_people(refusal: &Refusal) -> String {
    let head = paint(theme::BAD, &format!("error[{}]", refusal.code));
    let mut text = format!("{head}{} {}\n", paint(Style::new().bold(), ":"), refusal.detail);
    text += &format!("{} {}\n", paint(theme::GOOD, "help:"), refusal.cure());
    text
}

/// The one document that a failed command prints with `--json`.
pub(crate) fn for_programs(refusal: &Refusal) -> String {
    serde_json::to_string(&Problem::from(refusal)).expect("a problem serialises")
}
