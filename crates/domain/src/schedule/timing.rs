//! When: a cron expression in a time zone, a steady interval, or one moment.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use croner::parser::{CronParser, Seconds};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal, nearest};
use crate::time::{Timestamp, millis, show_duration};

/// Zones come with the program and not from the machine, so that all nodes agree on every time.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The shortest interval: whoever fires looks once a second.
const EVERY_MIN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    Cron(Cron),
    /// Counted from a fixed moment, so that a late firing does not move those after it.
    Every {
        ms: u64,
        from: Timestamp,
    },
    At(Timestamp),
}

/// A cron expression that has been understood.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Cron {
    written: Written,
    pattern: Box<croner::Cron>,
    zone: TimeZone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    expression: String,
    zone: String,
}

impl Timing {
    pub fn every(span: Duration, from: Timestamp) -> Result<Timing, Refusal> {
        if span < EVERY_MIN {
            let detail = format!("an interval of {} is too short", show_duration(span));
            return Err(Refusal::new(Code::InvalidArgument, detail).help("the shortest interval is 1s"));
        }
        let ms = millis(span).unsigned_abs();
        Ok(Timing::Every { ms, from })
    }

    /// The first time after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Timing::Cron(cron) => cron.next(after),
            Timing::Every { ms, from } => {
                let ms = i64::try_from(*ms).ok().filter(|ms| *ms > 0)?;
                let passed = after.0.checked_sub(from.0)?.max(0);
                let ahead = (passed / ms + 1).checked_mul(ms)?;
                from.0.checked_add(ahead).map(Timestamp)
            }
            Timing::At(at) => Some(*at).filter(|at| *at > after),
        }
    }

    /// The times from one of them on, that one included.
    pub fn from(&self, at: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(Some(at), |at| self.next(*at))
    }

    /// The last `most` times up to `now`, none before `since`, which is one of them; the oldest first. Looks back
    /// over spans that double, so that a long absence costs no more than what is kept of it.
    pub fn newest(&self, most: usize, since: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        let mut span = millis(EVERY_MIN);
        loop {
            let from = now.0.saturating_sub(span);
            let whole = from <= since.0;
            let first = if whole {
                Some(since)
            } else {
                self.next(Timestamp(from))
            };
            let times = first.into_iter().flat_map(|first| self.from(first));
            let mut times: Vec<Timestamp> = times.take_while(|at| *at <= now).collect();
            if whole || times.len() >= most {
                times.drain(..times.len().saturating_sub(most));
                return times;
            }
            span = span.saturating_mul(2);
        }
    }
}

impl Cron {
    /// Five fields, or six with seconds in front. A zone is a name such as `Europe/Berlin`, or `UTC`.
    pub fn new(expression: &str, zone: &str) -> Result<Cron, Refusal> {
        let wrong = |why: String| {
            Refusal::new(
                Code::InvalidArgument,
                format!("`{}` is not a cron expression: {why}", expression.escape_debug()),
            )
            .help("write minute, hour, day, month and weekday, as in `30 4 * * MON-FRI`")
        };
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let pattern = parser.parse(expression).map_err(|e| wrong(fragment(&e)))?;
        let cron = Cron {
            zone: find_zone(zone)?,
            written: Written {
                expression: expression.to_owned(),
                zone: zone.to_owned(),
            },
            pattern: Box::new(pattern),
        };
        match cron.next(Timestamp(0)) {
            Some(_) => Ok(cron),
            None => Err(wrong("no day fits it".to_owned())),
        }
    }

    pub fn expression(&self) -> &str {
        &self.written.expression
    }

    pub fn zone(&self) -> &str {
        &self.written.zone
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let whole = Timestamp(after.0.div_euclid(1_000) * 1_000);
        let mut from = jiff::Timestamp::from_millisecond(whole.0)
            .ok()?
            .to_zoned(self.zone.clone());
        loop {
            let found = self.pattern.find_next_occurrence(&from, false).ok()?;
            let at = Timestamp(found.timestamp().as_millisecond());
            if at > after {
                return Some(at);
            }
            // Never seen, but a time that does not move on would stop everything else.
            from = from.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
        }
    }
}

/// The words of the library in the form of ours.
fn fragment(error: &croner::errors::CronError) -> String {
    error.to_string().trim_end_matches('.').to_lowercase()
}

fn find_zone(name: &str) -> Result<TimeZone, Refusal> {
    ZONES.get(name).map_err(|_| {
        let detail = format!("there is no time zone `{}`", name.escape_debug());
        let refusal = Refusal::new(Code::InvalidArgument, detail);
        let known: Vec<String> = ZONES.available().map(|zone| zone.as_str().to_owned()).collect();
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None => refusal.help("write a name such as Europe/Berlin, or UTC"),
        }
    })
}

impl TryFrom<Written> for Cron {
    type Error = Refusal;

    fn try_from(written: Written) -> Result<Cron, Refusal> {
        Cron::new(&written.expression, &written.zone)
    }
}

impl From<Cron> for Written {
    fn from(cron: Cron) -> Written {
        cron.written
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        self.written == other.written
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

/// As people read it: `30 4 * * MON (Europe/Berlin)`, `every 5m00s`, `at 2026-05-01T12:00:00.000Z`.
impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Timing::Cron(cron) => write!(f, "{} ({})", cron.expression(), cron.zone()),
            Timing::Every { ms, .. } => write!(f, "every {}", show_duration(Duration::from_millis(*ms))),
            Timing::At(at) => write!(f, "at {at}"),
        }
    }
}
