//! Points in time and spans, always in whole milliseconds. Nobody reads a clock here.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the wall clock: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn after(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis(span)))
    }

    /// The first moment after this one.
    pub fn next(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1))
    }

    /// The span from `earlier` to `self`; zero when the clock went backwards.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339 (`2026-05-01T12:00:00Z`), or a duration counted from `now` (`90s`, `2h`).
    pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
        if let Ok(span) = parse_duration(text) {
            return Ok(now.after(span));
        }
        text.trim()
            .parse::<jiff::Timestamp>()
            .map(|t| Timestamp(t.as_millisecond()))
            .map_err(|_| {
                format!("`{text}` is neither a time such as 2026-05-01T12:00:00Z nor a duration such as 2h")
            })
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-05-01T12:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// The two clocks of one moment, passed into everything that decides.
///
/// `wall` is what people see and plan with (deadlines, `run_at`, back-off). `mono` counts milliseconds on
/// a clock that wall-clock jumps do not touch; leases live on it and nothing else. Each store says which
/// clock its `mono` is (SQLite: time since boot; shared stores: the server's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub wall: Timestamp,
    pub mono: i64,
}

pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// So that no time that is counted from now leaves the calendar.
fn within(span: Duration) -> Option<Duration> {
    const YEARS: Duration = Duration::from_secs(1_000 * 366 * 86_400);
    (span <= YEARS).then_some(span)
}

/// Reads `250ms`, `30s`, `10m`, `1h30m`, `2d`, `1w`; a bare number means seconds. Fractions are allowed
/// (`1.5h`). Negative and empty spans are refused, and those of more than
/// 1,000 years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is not a duration; write for example 500ms, 30s, 10m, 1h30m or 2d");
    let seconds = |value: f64| {
        let span = Duration::try_from_secs_f64(value).map_err(|_| wrong())?;
        within(span).ok_or_else(|| format!("`{text}` is longer than 1,000 years"))
    };
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative; a duration cannot be"));
    }
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let value: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        let sum = total.checked_add(seconds(value * unit)?).and_then(within);
        total = sum.ok_or_else(|| format!("`{text}` is longer than 1,000 years"))?;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// Short text for people: `850ms`, `12.3s`, `4m05s`, `2h10m`, `3d4h`.
pub fn show_duration(span: Duration) -> String {
    let ms = span.as_millis();
    let s = span.as_secs();
    match s {
        0 => format!("{ms}ms"),
        1..60 => format!("{}.{}s", s, (ms % 1_000) / 100),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d{}h", s / 86_400, s % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let ms = |text: &str| parse_duration(text).map(|d| d.as_millis());
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("30"), Ok(30_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("1.5h"), Ok(5_400_000));
        assert_eq!(ms("2d"), Ok(172_800_000));
        for bad in ["", "-5s", "5 apples", "m", "1x", "nan", "inf", "1e400"] {
            assert!(ms(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn times_are_rfc_3339_or_relative() {
        let now = Timestamp(1_000);
        assert_eq!(Timestamp::parse("2s", now), Ok(Timestamp(3_000)));
        assert_eq!(
            Timestamp::parse("1970-01-01T00:00:05Z", now),
            Ok(Timestamp(5_000))
        );
        assert_eq!(Timestamp(5_000).to_string(), "1970-01-01T00:00:05.000Z");
        assert!(Timestamp::parse("tomorrow", now).is_err());
    }

    #[test]
    fn spans_never_run_backwards() {
        assert_eq!(Timestamp(1).since(Timestamp(5)), Duration::ZERO);
    }
}
