//! Small documents beside the tasks: rules, schedules, breakers, budgets and the like.
//!
//! Each lives in a *book* under a key and is one JSON value, so that a new kind of thing needs no new tables and
//! works on every store. Books are short, thousands of entries at most, and are read and written whole entry by
//! whole entry; what grows with the queue belongs into the rows of tasks.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::event::Kind;
use crate::task::spec::Json;
use crate::time::Timestamp;

/// What sort of thing an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Book {
    /// Who does the periodic duties; see [`crate::store::Store::lead`].
    Leader = 1,
    Breaker = 2,
    Budget = 3,
    /// Rates and limits given from outside.
    Limit = 4,
    Schedule = 5,
    Rule = 6,
    /// How far a reader of the log has come.
    Cursor = 7,
    Pool = 8,
    /// What a kind of task usually takes.
    Habit = 9,
    /// Failures with one cause, counted together.
    Signature = 10,
    Agent = 11,
    Team = 12,
    Policy = 13,
    Waiver = 14,
    Rollout = 15,
    Token = 16,
    /// Deliveries of rules that have not arrived yet.
    Delivery = 17,
    /// States that follow settings: of breakers, limits, budgets. Written by the store alone.
    Gauge = 18,
    /// Of the project.
    Setting = 19,
    /// The latest of each name; see [`crate::task::outside::Signal`].
    Signal = 20,
    /// What requests with a key were answered over HTTP, for a day.
    Answer = 21,
}

impl Book {
    pub const ALL: [Book; 21] = [
        Book::Leader,
        Book::Breaker,
        Book::Budget,
        Book::Limit,
        Book::Schedule,
        Book::Rule,
        Book::Cursor,
        Book::Pool,
        Book::Habit,
        Book::Signature,
        Book::Agent,
        Book::Team,
        Book::Policy,
        Book::Waiver,
        Book::Rollout,
        Book::Token,
        Book::Delivery,
        Book::Gauge,
        Book::Setting,
        Book::Signal,
        Book::Answer,
    ];

    /// The number under which stores keep it; never changed, never reused.
    pub fn number(self) -> u8 {
        self as u8
    }

    pub fn from_number(number: u8) -> Option<Book> {
        Book::ALL.into_iter().find(|book| book.number() == number)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub book: Book,
    /// Unique in its book; at most [`crate::limits::KEY_BYTES`].
    pub key: Arc<str>,
    /// At most [`crate::limits::TEXT_BYTES`].
    pub value: Json,
    /// When somebody has to look at it.
    pub due: Option<Timestamp>,
}

impl Entry {
    pub fn new(book: Book, key: &str, value: &impl Serialize) -> Entry {
        Entry {
            book,
            key: key.into(),
            value: Json::of(value),
            due: None,
        }
    }

    pub fn due(self, due: Option<Timestamp>) -> Entry {
        Entry { due, ..self }
    }

    /// The value as what its book holds.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_str(self.value.get()).map_err(|e| {
            let (book, key) = (self.book, &self.key);
            Refusal::new(Code::StoreCorrupt, format!("entry `{key}` of book {book:?}: {e}"))
        })
    }
}

/// One change of a book, by a caller who has read it before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    pub book: Book,
    pub key: Arc<str>,
    pub expect: Expect,
    /// `None` removes the entry.
    pub to: Option<(Json, Option<Timestamp>)>,
    /// Recorded with it; the data names the entry.
    pub event: Option<(Kind, Json)>,
}

/// What a caller relies on; otherwise the edit is refused with `entry-changed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    Anything,
    Nothing,
    This(Json),
}

impl Edit {
    /// Writes `entry`, whatever was there.
    pub fn put(entry: Entry) -> Edit {
        Edit {
            book: entry.book,
            key: entry.key,
            expect: Expect::Anything,
            to: Some((entry.value, entry.due)),
            event: None,
        }
    }

    pub fn remove(book: Book, key: &str) -> Edit {
        Edit {
            book,
            key: key.into(),
            expect: Expect::Anything,
            to: None,
            event: None,
        }
    }

    pub fn expecting(self, expect: Expect) -> Edit {
        Edit { expect, ..self }
    }

    /// Only if the entry is still as it was read.
    pub fn instead_of(self, before: Option<&Entry>) -> Edit {
        let expect = before.map_or(Expect::Nothing, |entry| Expect::This(entry.value.clone()));
        self.expecting(expect)
    }

    pub fn with_event(self, kind: Kind, data: &impl Serialize) -> Edit {
        let event = Some((kind, Json::of(data)));
        Edit { event, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_come_back_from_their_numbers() {
        for (number, book) in (1..).zip(Book::ALL) {
            assert_eq!(book.number(), number);
            assert_eq!(Book::from_number(number), Some(book));
        }
        assert_eq!(Book::from_number(0), None);
    }
}
