//! What can hold work back that is ready: [`breaker`]s, [`limit`]s, [`budget`]s, each for a [`Scope`].
//!
//! Settings are written by people, states by the store with every lease that begins or ends; all functions here are
//! pure. None of these costs a task anything until somebody has set one up.

pub mod amount;
pub mod breaker;
pub mod budget;
pub mod limit;
pub mod turn;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::task::record::Class;

/// Which tasks a curb is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// All of the project.
    Project,
    Kind(String),
    Agent(String),
    /// One executor: `command`, `agent`, `handler`, `http`, `wait`.
    Work(String),
    /// Tasks that name this key themselves, as `breaker:` or in `concurrency:`.
    Key(String),
    /// One run, by its id.
    Run(String),
}

impl Scope {
    /// Whether a task of this class is meant, as far as classes tell.
    pub fn takes(&self, class: &Class) -> bool {
        match self {
            Scope::Project => true,
            Scope::Kind(kind) => class.kind.as_str() == kind,
            Scope::Agent(agent) => class.agent.as_ref().is_some_and(|a| a.as_str() == agent),
            Scope::Work(work) => class.work == *work,
            Scope::Key(key) => class.breaker.as_ref() == Some(key),
            Scope::Run(_) => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Project => f.write_str("project"),
            Scope::Kind(name) => write!(f, "kind:{name}"),
            Scope::Agent(name) => write!(f, "agent:{name}"),
            Scope::Work(name) => write!(f, "work:{name}"),
            Scope::Key(name) => write!(f, "key:{name}"),
            Scope::Run(name) => write!(f, "run:{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Scope, Refusal> {
        let wrong = || {
            Refusal::new(
                Code::InvalidArgument,
                format!("`{}` names no scope", text.escape_debug()),
            )
            .help("write project, kind:NAME, agent:NAME, work:EXECUTOR, key:NAME or run:ID")
        };
        if text == "project" {
            return Ok(Scope::Project);
        }
        let (what, name) = text.split_once(':').ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        let name = name.to_owned();
        match what {
            "kind" => Ok(Scope::Kind(name)),
            "agent" => Ok(Scope::Agent(name)),
            "work" => Ok(Scope::Work(name)),
            "key" => Ok(Scope::Key(name)),
            "run" => Ok(Scope::Run(name)),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Scope, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_as_they_are_read() {
        for text in [
            "project",
            "kind:build",
            "agent:ann",
            "work:command",
            "key:a:b",
            "run:x",
        ] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for bad in ["", "kind:", "kin:x", "projects"] {
            assert_eq!(bad.parse::<Scope>().unwrap_err().code, Code::InvalidArgument);
        }
    }
}
