//! What is wrong with a plan, each with its place and cure.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::code::{Code, Refusal};

/// Faults kept of one plan; a hundred keep anybody busy, the rest is counted.
pub const FAULTS_MAX: usize = 100;

/// A place in a text: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl Place {
    pub const START: Place = Place { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong, or that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: Code,
    pub place: Option<Place>,
    /// The way through the plan, such as `tasks.test.after[0]`; empty for the plan as a whole.
    pub path: String,
    /// A lower-case fragment with the offending value, without a full stop.
    pub detail: String,
    /// One imperative line.
    pub help: Option<String>,
}

impl Fault {
    pub fn new(code: Code, place: impl Into<Option<Place>>, detail: impl Into<String>) -> Fault {
        Fault {
            code,
            place: place.into(),
            path: String::new(),
            detail: detail.into(),
            help: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    pub fn at(mut self, path: impl fmt::Display) -> Fault {
        self.path = path.to_string();
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.detail)?;
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut fault = s.serialize_struct("Fault", 6)?;
        fault.serialize_field("code", &self.code)?;
        fault.serialize_field("line", &self.place.map(|place| place.line))?;
        fault.serialize_field("column", &self.place.map(|place| place.column))?;
        fault.serialize_field("path", &self.path)?;
        fault.serialize_field("detail", &self.detail)?;
        fault.serialize_field("help", &self.help)?;
        fault.end()
    }
}

/// Something that is allowed and yet probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub place: Place,
    pub detail: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.detail)
    }
}

/// The faults of one plan, in the order of the file once it has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// The plan's name for messages, usually its path.
    pub file: String,
    pub faults: Vec<Fault>,
    /// How many beyond [`FAULTS_MAX`] were found and not kept.
    pub more: usize,
}

impl Faults {
    pub fn new(file: &str) -> Faults {
        Faults {
            file: file.to_owned(),
            ..Faults::default()
        }
    }

    pub fn push(&mut self, fault: Fault) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.faults.push(fault);
        }
    }

    /// Whether further faults are only counted, so that nobody need look for their cure.
    pub fn is_full(&self) -> bool {
        self.faults.len() >= FAULTS_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub fn count(&self) -> usize {
        self.faults.len() + self.more
    }

    pub(super) fn sort(&mut self) {
        self.faults.sort_by_key(|fault| fault.place);
    }
}

/// One line a fault: `plan.yaml:12:7: …`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(
                f,
                "{}:{}{fault}",
                self.file,
                if fault.place.is_some() { "" } else { " " }
            )?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more", self.file),
        }
    }
}

impl std::error::Error for Faults {}

/// The first fault speaks for all where only one answer fits; the others are counted.
impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Refusal {
        let rest = faults.count().saturating_sub(1);
        let Some(first) = faults.faults.first().cloned() else {
            return Refusal::new(Code::Internal, "a plan was refused without a fault");
        };
        let place = first
            .place
            .map_or_else(|| " ".to_owned(), |place| format!("{place}: "));
        let rest = match rest {
            0 => String::new(),
            1 => " (and 1 more fault)".to_owned(),
            rest => format!(" (and {rest} more faults)"),
        };
        Refusal {
            code: first.code,
            detail: format!("{}:{place}{}{rest}", faults.file, first.detail),
            help: first.help,
            faults: Some(Box::new(faults)),
        }
    }
}
