//! Work that looks outside: calls of endpoints, and waits for a file, an endpoint or a signal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::spec::Json;
use crate::time::Timestamp;

/// A call of an HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    pub url: String,
    /// `GET`, or `POST` with a body, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A text is sent as it is, everything else as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Json>,
    /// Statuses that are a success; 200 to 299 when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// What the answer must hold besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

impl Call {
    pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

    pub fn method(&self) -> &str {
        match &self.method {
            Some(method) => method,
            None if self.body.is_some() => "POST",
            None => "GET",
        }
    }

    pub fn expects(&self, status: u16) -> bool {
        match self.status.is_empty() {
            true => (200..300).contains(&status),
            false => self.status.contains(&status),
        }
    }

    /// The class of a failure: whether another try may help goes by it.
    pub fn class(status: u16) -> &'static str {
        match status {
            400 | 422 => "validation",
            401 | 407 => "authentication",
            403 => "permission denied",
            404 | 405 | 410 => "not found",
            408 | 504 => "timeout",
            429 => "rate limit",
            402..=499 => "invalid",
            _ => "unavailable",
        }
    }
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// Some file matches, and those that do have not changed for a while, in milliseconds.
    File {
        glob: String,
        #[serde(default)]
        stable: u64,
    },
    /// An endpoint answers as expected; asked again and again, with a pause in milliseconds.
    Http { call: Call, interval: u64 },
    Signal {
        name: String,
        /// One that was sent before the wait began will do.
        #[serde(default)]
        earlier: bool,
    },
}

impl Awaited {
    /// The same in the words of a plan.
    pub fn in_plan(&self) -> serde_json::Value {
        match self {
            Awaited::File { glob, stable: 0 } => json!({ "file": glob }),
            Awaited::File { glob, stable } => json!({ "file": glob, "stable": format!("{stable}ms") }),
            Awaited::Http { call, interval } => json!({ "http": call, "interval": format!("{interval}ms") }),
            Awaited::Signal { name, earlier } => json!({ "signal": name, "earlier": earlier }),
        }
    }
}

/// The latest signal of a name; an entry of [`crate::book::Book::Signal`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    pub at: Timestamp,
    pub by: String,
    /// How many were sent under this name.
    pub count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
}

impl Signal {
    /// The one that follows.
    pub fn after(before: Option<&Signal>, at: Timestamp, by: &str, payload: Option<Json>) -> Signal {
        Signal {
            // A clock that was put back does not hide a signal.
            at: before.map_or(at, |before| before.at.max(at)),
            by: by.to_owned(),
            count: before.map_or(0, |before| before.count) + 1,
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_what_it_expects() {
        let call = Call {
            status: vec![404],
            ..Call::default()
        };
        assert!(call.expects(404) && !call.expects(200));
        assert!(Call::default().expects(204) && !Call::default().expects(302));
        assert_eq!(
            (Call::default().method(), Call::class(503)),
            ("GET", "unavailable")
        );
        let body = Some(Json::of(&1));
        assert_eq!(
            Call {
                body,
                ..Call::default()
            }
            .method(),
            "POST"
        );
        assert_eq!(
            (Call::class(404), Call::class(418), Call::class(429)),
            ("not found", "invalid", "rate limit")
        );
    }
}
