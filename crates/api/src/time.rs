//! Moments and spans as text.

use std::borrow::Cow;
use std::time::Duration;

use domain::time::{Now, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, written as `2026-05-01T12:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Time {
    /// The wall-clock time of a moment on a store's lease clock.
    pub fn of_lease(expires: i64, now: Now) -> Time {
        let left = expires.saturating_sub(now.mono);
        Time(Timestamp(now.wall.0.saturating_add(left)))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl From<Timestamp> for Time {
    fn from(timestamp: Timestamp) -> Time {
        Time(timestamp)
    }
}

/// A span of time as it is asked for: `500ms`, `30s`, `1h30m`; a bare number means seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

struct Spans;

impl Visitor<'_> for Spans {
    type Value = Span;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a duration such as 30s")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        domain::time::parse_duration(text).map(Span).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Span, E> {
        let span = Duration::try_from_secs_f64(seconds);
        span.map(Span)
            .map_err(|e| E::custom(format!("{seconds} is no duration: {e}")))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Span, E> {
        Ok(Span(Duration::from_secs(seconds)))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Span, E> {
        self.visit_f64(seconds as f64)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Span, D::Error> {
        d.deserialize_any(Spans)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "500ms, 30s, 10m, 1h30m, 2d; a bare number means seconds.",
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "string", "pattern": r"^[0-9]{1,9}(ms|s|m|h|d|w)?$" },
            ],
        })
    }
}

/// A time of the wall clock, or a span counted from the moment it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub domain::task::spec::Moment);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Moment, D::Error> {
        let text = Cow::<'_, str>::deserialize(d)?;
        domain::task::spec::Moment::parse(&text)
            .map(Moment)
            .map_err(D::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time such as 2026-05-01T12:00:00Z, or a duration such as 10m from now.",
            "anyOf": [
                { "type": "string", "format": "date-time" },
                { "type": "string", "pattern": r"^[0-9]{1,9}(ms|s|m|h|d|w)?$" },
            ],
        })
    }
}
