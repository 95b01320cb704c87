//! Names of things. Every identifier is its own type, so one cannot be passed where another is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::code::{Code, Refusal};
use crate::limits;

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Result<Self, Refusal> {
                check_name($what, text, $max, $allowed)?;
                Ok($name(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Refusal;
            fn from_str(text: &str) -> Result<Self, Refusal> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn visible(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

fn check_name(what: &str, text: &str, max: usize, allowed: fn(char) -> bool) -> Result<(), Refusal> {
    let wrong = |why: String| Err(Refusal::new(Code::InvalidArgument, why));
    let a = if what.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    if text.is_empty() {
        return wrong(format!("{a} {what} must not be empty"));
    }
    if text.len() > max {
        return wrong(format!(
            "{a} {what} has at most {max} bytes, this one {}",
            text.len()
        ));
    }
    if text.starts_with('-') {
        return wrong(format!(
            "{a} {what} must not start with `-`: `{}`",
            text.escape_debug()
        ));
    }
    match text.chars().find(|&c| !allowed(c)) {
        Some(c) => wrong(format!(
            "{a} {what} must not contain {:?}: `{}`",
            c.to_string(),
            text.escape_debug()
        )),
        None => Ok(()),
    }
}

text_name!(
    /// A namespace of tasks, runs, locks and events. ASCII letters, digits, `_`, `-`, `.`.
    Project, "project", limits::NAME_BYTES, plain
);
text_name!(
    /// The name of a task inside its plan.
    Key, "key", limits::KEY_BYTES, visible
);
text_name!(
    /// What sort of work a task is: limits, routing, statistics and learned durations go by it.
    Kind, "kind", limits::NAME_BYTES, visible
);
text_name!(
    /// Something a doer must be able to do; matched exactly.
    Capability, "capability", limits::NAME_BYTES, visible
);
text_name!(
    /// One incarnation of a process that executes, or the name under which a shell claims.
    WorkerId, "worker", limits::KEY_BYTES, visible
);
text_name!(
    /// A registered doer.
    AgentName, "agent", limits::NAME_BYTES, visible
);
text_name!(
    /// Agents that work together.
    TeamName, "team", limits::NAME_BYTES, visible
);
text_name!(
    /// Workers that are scaled together. ASCII letters, digits, `_`, `-`, `.`.
    PoolName, "pool", limits::NAME_BYTES, plain
);
text_name!(
    /// Work that is handed in at given times.
    ScheduleName, "schedule", limits::NAME_BYTES, visible
);
text_name!(
    /// Something that is done by itself when something happens. ASCII letters, digits, `_`, `-`, `.`.
    RuleName, "rule", limits::NAME_BYTES, plain
);

impl Default for Project {
    fn default() -> Self {
        Project("default".into())
    }
}

/// A task's name in its project: the caller's own text, or a UUIDv7.
///
/// A canonical UUID text and the UUID are the same id. Stores keep UUIDs as 16 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskId {
    Uuid(Uuid),
    Text(Arc<str>),
}

impl TaskId {
    pub fn new(text: &str) -> Result<TaskId, Refusal> {
        if let Some(uuid) = canonical(text) {
            return Ok(TaskId::Uuid(uuid));
        }
        check_name("task id", text, limits::ID_BYTES, visible)?;
        Ok(TaskId::Text(text.into()))
    }
}

fn canonical(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    let same = uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
    same.then_some(uuid)
}

impl FromStr for TaskId {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::new(text)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskId::Uuid(uuid) => f.pad(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            TaskId::Text(text) => f.pad(text),
        }
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// One submission of a plan; always a UUIDv7 of ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl FromStr for RunId {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        Uuid::try_parse(text).map(RunId).map_err(|_| {
            Refusal::new(
                Code::InvalidArgument,
                format!("`{}` is not a run id", text.escape_debug()),
            )
            .help("run ids are listed by `bell runs list`")
        })
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

/// A task's insertion number in its store: given once, never reused, the last tie-break of every order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// The number of an event in its project's log: from 1, without gaps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventNo(pub u64);

/// Proof of holding a lease: printed to the holder, compared on every later call.
///
/// `fence` is the number of the event that handed the lease out, so it only grows; `seq` spares the look-up
/// by id; `secret` keeps others from guessing it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token {
    pub seq: Seq,
    pub fence: EventNo,
    pub secret: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}.{:016x}", self.seq.0, self.fence.0, self.secret)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Token, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Token {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let mut parts = text.split('.').map(|part| u64::from_str_radix(part, 16).ok());
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(seq)), Some(Some(fence)), Some(Some(secret)), None) => Ok(Token {
                seq: Seq(seq),
                fence: EventNo(fence),
                secret,
            }),
            _ => Err(Refusal::new(
                Code::InvalidArgument,
                format!("`{}` is not a lease token", text.escape_debug()),
            )
            .help("pass the `token` that `bell task claim` printed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_uuid_and_its_text_are_one_id() {
        let text = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert!(matches!(TaskId::new(text), Ok(TaskId::Uuid(_))));
        assert_eq!(TaskId::new(text).unwrap().to_string(), text);
        let upper = text.to_uppercase();
        assert_eq!(TaskId::new(&upper).unwrap().to_string(), upper);
    }

    #[test]
    fn names_are_bounded_and_clean() {
        let long = "x".repeat(limits::ID_BYTES + 1);
        for bad in ["", "-x", "a b", "a\nb", "a\u{0}", long.as_str()] {
            assert!(TaskId::new(bad).is_err(), "{bad:?}");
        }
        assert!(Project::new("a/b").is_err());
        assert!(Key::new("src/app.py:main").is_ok());
    }

    #[test]
    fn tokens_survive_printing() {
        let token = Token {
            seq: Seq(7),
            fence: EventNo(300),
            secret: u64::MAX,
        };
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        for bad in ["", "1.2", "1.2.3.4", "x.y.z"] {
            assert!(bad.parse::<Token>().is_err());
        }
    }
}
