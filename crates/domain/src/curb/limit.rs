//! Limits given from outside: so many at once, so many in a time.

use serde::{Deserialize, Serialize};

use crate::time::{Now, Timestamp};

/// At least one of the two is set.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Attempts under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// `count` attempts may begin in `per` milliseconds; saved up to `count` while nothing begins.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub count: u32,
    pub per: u64,
}

impl Rate {
    /// Reads `10/1m`, `5/s`, `100/1h30m`.
    pub fn parse(text: &str) -> Result<Rate, String> {
        let wrong = || {
            format!(
                "`{}` is no rate; write for example 10/1m or 5/s",
                text.escape_debug()
            )
        };
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().map_err(|_| wrong())?;
        let per = per.trim();
        let per = if per.starts_with(|c: char| c.is_ascii_digit()) {
            crate::time::parse_duration(per)
        } else {
            crate::time::parse_duration(&format!("1{per}"))
        };
        let per = per.map_err(|_| wrong())?.as_millis();
        let per = u64::try_from(per).map_err(|_| wrong())?;
        if count == 0 || per == 0 {
            return Err(wrong());
        }
        Ok(Rate { count, per })
    }

    /// How long one attempt's share of the time is, in milliseconds.
    fn share(self) -> f64 {
        self.per as f64 / f64::from(self.count)
    }
}

/// As it is read, in the largest unit that is whole.
impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let whole = UNITS.iter().find(|(unit, _)| self.per.is_multiple_of(*unit));
        let (unit, name) = whole.copied().unwrap_or((1, "ms"));
        write!(f, "{}/{}{name}", self.count, self.per / unit)
    }
}

/// What a limit has let through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Used {
    /// Attempts under way.
    pub held: u32,
    /// Of a rate: attempts that may begin now, and when that was true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<(f64, Timestamp)>,
}

impl Used {
    fn tokens(&self, rate: Rate, now: Now) -> f64 {
        let full = f64::from(rate.count);
        let Some((tokens, at)) = self.tokens else {
            return full;
        };
        let passed = now.wall.since(at).as_millis() as f64;
        (tokens + passed / rate.share()).min(full)
    }

    /// How many more attempts may begin.
    pub fn room(&self, limit: &Limit, now: Now) -> usize {
        let slots = limit
            .concurrency
            .map_or(usize::MAX, |most| most.saturating_sub(self.held) as usize);
        // A thousandth is lost to rounding at most.
        let tokens = limit
            .rate
            .map_or(usize::MAX, |rate| (self.tokens(rate, now) + 1e-3) as usize);
        slots.min(tokens)
    }

    pub fn begin(&mut self, limit: &Limit, now: Now) {
        self.held += 1;
        if let Some(rate) = limit.rate {
            self.tokens = Some((self.tokens(rate, now) - 1.0, now.wall));
        }
    }

    pub fn end(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// When the next attempt may begin, if the rate is what it waits for.
    pub fn next(&self, limit: &Limit, now: Now) -> Option<Timestamp> {
        let rate = limit.rate?;
        let missing = 1.0 - self.tokens(rate, now);
        (missing > 1e-3).then(|| Timestamp(now.wall.0.saturating_add((missing * rate.share()).ceil() as i64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Now {
        Now {
            wall: Timestamp(ms),
            mono: 0,
        }
    }

    #[test]
    fn rates_are_read() {
        let rate = |count, per| Ok(Rate { count, per });
        assert_eq!(Rate::parse("10/1m"), rate(10, 60_000));
        assert_eq!(Rate::parse("5/s"), rate(5, 1_000));
        assert_eq!(Rate::parse(" 1 / 1h30m "), rate(1, 5_400_000));
        for bad in ["", "5", "0/s", "5/0s", "x/s", "5/x", "-1/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_written_as_they_are_read() {
        for text in ["10/1m", "5/1s", "100/90m", "3/2d", "1/1500ms"] {
            assert_eq!(
                Rate::parse(text).map(|rate| rate.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(Rate::parse("5/60s").unwrap().to_string(), "5/1m");
    }

    #[test]
    fn so_many_at_once() {
        let limit = Limit {
            concurrency: Some(2),
            rate: None,
        };
        let mut used = Used::default();
        assert_eq!(used.room(&limit, at(0)), 2);
        used.begin(&limit, at(0));
        used.begin(&limit, at(0));
        assert_eq!((used.room(&limit, at(9)), used.next(&limit, at(9))), (0, None));
        used.end();
        assert_eq!(used.room(&limit, at(9)), 1);
    }

    #[test]
    fn so_many_in_a_time() {
        let limit = Limit {
            concurrency: None,
            rate: Some(Rate { count: 3, per: 1_000 }),
        };
        let mut used = Used::default();
        for left in [2, 1, 0] {
            used.begin(&limit, at(10_000));
            assert_eq!(used.room(&limit, at(10_000)), left);
        }
        let next = used.next(&limit, at(10_000)).unwrap();
        assert_eq!(next, Timestamp(10_334));
        assert_eq!(
            (used.room(&limit, at(10_300)), used.room(&limit, at(next.0))),
            (0, 1)
        );
        assert_eq!(
            used.room(&limit, at(99_000)),
            3,
            "no more than one time's worth is saved"
        );
        assert_eq!(used.room(&limit, at(0)), 0, "a clock set back gives nothing away");
    }
}
