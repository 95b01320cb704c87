//! What was measured: rows for programs, a table for people.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::machine::Machine;
use crate::samples::{Samples, ms};

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub store: String,
    pub durability: &'static str,
    /// Of the build: `release` or `dev`.
    pub profile: &'static str,
    pub quick: bool,
    pub rows: Vec<Row>,
}

/// One figure with everything needed to judge it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    /// The section that asks for it.
    pub spec: &'static str,
    pub workload: String,
    /// Operations or tasks measured.
    pub n: usize,
    /// Tasks in one call.
    pub batch: usize,
    pub value: f64,
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// The same without us, measured in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_unit: Option<&'static str>,
    /// Our value over the raw one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    #[serde(
        rename = "target",
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "in_words"
    )]
    pub targets: Vec<Target>,
    /// Whether every target is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A bound that the specification or the design sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    P99AtMost(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

/// Which of a row's samples its value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stat {
    P50,
    P95,
    P99,
    Mean,
}

impl Row {
    pub(crate) fn new(
        name: &'static str,
        spec: &'static str,
        n: usize,
        value: f64,
        unit: &'static str,
    ) -> Row {
        Row {
            name,
            spec,
            workload: String::new(),
            n,
            batch: 1,
            value,
            unit,
            p50_ms: None,
            p99_ms: None,
            raw: None,
            raw_unit: None,
            ratio: None,
            targets: Vec::new(),
            met: None,
            note: None,
        }
    }

    /// The duration of one operation.
    pub(crate) fn latency(name: &'static str, spec: &'static str, stat: Stat, samples: &Samples) -> Row {
        let value = match stat {
            Stat::P50 => samples.p50(),
            Stat::P95 => samples.p95(),
            Stat::P99 => samples.p99(),
            Stat::Mean => samples.mean(),
        };
        Row::new(name, spec, samples.len(), ms(value), "ms").spread(samples)
    }

    pub(crate) fn spread(self, samples: &Samples) -> Row {
        Row {
            p50_ms: Some(ms(samples.p50())),
            p99_ms: Some(ms(samples.p99())),
            ..self
        }
    }

    pub(crate) fn workload(self, workload: impl Into<String>) -> Row {
        Row {
            workload: workload.into(),
            ..self
        }
    }

    pub(crate) fn batch(self, batch: usize) -> Row {
        Row { batch, ..self }
    }

    /// `raw` is in the unit of the value; nothing is compared where there is none.
    pub(crate) fn raw(self, raw: Option<f64>) -> Row {
        let unit = self.unit;
        Row {
            raw,
            raw_unit: raw.map(|_| unit),
            ratio: raw.map(|raw| self.value / raw),
            ..self
        }
    }

    pub(crate) fn target(mut self, target: Target) -> Row {
        self.targets.push(target);
        self
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Row {
        Row {
            note: Some(note.into()),
            ..self
        }
    }

    /// Judges the row against its targets. Those that speak of a figure that was not taken are dropped.
    pub(crate) fn judged(mut self) -> Row {
        let row = self.clone();
        self.targets.retain(|target| target.met(&row).is_some());
        let met = |target: &Target| target.met(&row) == Some(true);
        self.met = (!self.targets.is_empty()).then(|| self.targets.iter().all(met));
        self
    }
}

impl Target {
    fn met(self, row: &Row) -> Option<bool> {
        match self {
            Target::AtMost(limit) => Some(row.value <= limit),
            Target::AtLeast(limit) => Some(row.value >= limit),
            Target::P99AtMost(limit) => row.p99_ms.map(|p99| p99 <= limit),
            Target::RatioAtMost(limit) => row.ratio.map(|ratio| ratio <= limit),
            Target::RatioAtLeast(limit) => row.ratio.map(|ratio| ratio >= limit),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtMost(limit) => write!(f, "≤ {}", Figure(*limit)),
            Target::AtLeast(limit) => write!(f, "≥ {}", Figure(*limit)),
            Target::P99AtMost(limit) => write!(f, "p99 ≤ {} ms", Figure(*limit)),
            Target::RatioAtMost(limit) => write!(f, "≤ {} × raw", Figure(*limit)),
            Target::RatioAtLeast(limit) => write!(f, "≥ {} × raw", Figure(*limit)),
        }
    }
}

fn join(targets: &[Target]) -> String {
    let words: Vec<String> = targets.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn in_words<S: Serializer>(targets: &[Target], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&join(targets))
}

/// A number with three figures that matter, thousands set apart.
struct Figure(f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Three figures that matter, and none behind the point of a whole number.
        let size = self.0.abs();
        let decimals = match size.log10().floor() {
            magnitude if self.0.fract() == 0.0 || magnitude >= 2.0 => 0,
            magnitude => (2.0 - magnitude).min(9.0) as usize,
        };
        let plain = format!("{:.*}", decimals, self.0);
        let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
        let mut text = String::new();
        for (i, c) in whole.chars().enumerate() {
            let left = whole.len() - i;
            if i > 0 && left.is_multiple_of(3) && whole.as_bytes()[i - 1] != b'-' {
                text.push(',');
            }
            text.push(c);
        }
        f.pad(&(text + rest))
    }
}

const HEADS: [&str; 10] = [
    "name", "n", "batch", "value", "p50 ms", "p99 ms", "raw", "ratio", "target", "",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { machine, rows, .. } = self;
        writeln!(
            f,
            "{machine}\nstore {}, durability {}, profile {}{}\n",
            self.store,
            self.durability,
            self.profile,
            if self.quick { ", quick sizes" } else { "" }
        )?;
        let lines: Vec<[String; 10]> = std::iter::once(HEADS.map(str::to_owned))
            .chain(rows.iter().map(cells))
            .collect();
        let width = |at: usize| {
            lines
                .iter()
                .map(|line| line[at].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
        for line in &lines {
            let text: Vec<String> = line
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(at, (cell, width))| match at {
                    0 | 8 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            writeln!(f, "{}", text.join("  ").trim_end())?;
        }
        writeln!(f, "\nWhat each row measures, and the section that asks for it:")?;
        for row in rows {
            write!(f, "  {} ({}): {}", row.name, row.spec, row.workload)?;
            match &row.note {
                Some(note) => writeln!(f, " – {note}")?,
                None => writeln!(f)?,
            }
        }
        f.write_str(LEGEND)
    }
}

fn cells(row: &Row) -> [String; 10] {
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| Figure(value).to_string());
    let with_unit = |value: f64, unit: &str| format!("{} {unit}", Figure(value));
    [
        row.name.to_owned(),
        Figure(row.n as f64).to_string(),
        Figure(row.batch as f64).to_string(),
        with_unit(row.value, row.unit),
        figure(row.p50_ms),
        figure(row.p99_ms),
        row.raw.map_or_else(String::new, |raw| with_unit(raw, row.unit)),
        figure(row.ratio),
        join(&row.targets),
        match row.met {
            Some(true) => "ok".to_owned(),
            Some(false) => "MISSED".to_owned(),
            None => String::new(),
        },
    ]
}

const LEGEND: &str = "
n: tasks or operations measured. batch: tasks in one call. p50, p99: of one call (nearest rank).
raw: the same without us, in this run, on this disk or server, with the same durability, settings, batch and payload
  (150 bytes); raw rows live in one table with a partial index on the open ones, claimed with SKIP LOCKED where there is
  that, or on Redis in a hash beside two sorted sets, moved by a script: no events, no fencing, no second copy.
ratio: value over raw. target: the figure that the specification asks for; `ok` or `MISSED` says whether it was reached.
Every store operation keeps its events, digests and fencing. Rates and costs are medians of three rounds unless noted;
raw and ours take turns, so that a noisy disk hits both.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_grouped() {
        let shown = |value: f64| Figure(value).to_string();
        assert_eq!(shown(1_234_567.8), "1,234,568");
        assert_eq!(shown(-1_234.0), "-1,234");
        assert_eq!(shown(-123.4), "-123");
        assert_eq!(shown(1_000.0), "1,000");
        assert_eq!(shown(12.34), "12.3");
        assert_eq!(shown(0.123_45), "0.123");
        assert_eq!(shown(0.001_23), "0.00123");
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(50.0), "50");
    }

    #[test]
    fn targets_are_judged_by_what_was_taken() {
        let row = Row::new("x", "1.8", 1, 8.0, "ms").target(Target::AtMost(10.0));
        let missed = row.clone().raw(Some(3.0)).target(Target::RatioAtMost(2.0));
        assert_eq!(
            row.target(Target::RatioAtMost(2.0)).judged().met,
            Some(true),
            "no raw, no ratio"
        );
        assert_eq!(missed.judged().met, Some(false));
    }
}
