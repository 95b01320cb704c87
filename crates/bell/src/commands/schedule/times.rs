//! When a schedule fires, and what is done about the times that it cannot.

use std::time::Duration;

use domain::schedule::{CatchUp, Cron, Overlap, Timing};
use domain::task::spec::Moment;
use domain::time::Timestamp;

use crate::error::{Result, invalid};
use crate::parse;

#[derive(Debug, clap::Args)]
pub(super) struct Times {
    /// Fire by the clock: minute, hour, day, month, weekday; six fields begin with the second
    #[arg(long, value_name = "EXPR", group = "times")]
    cron: Option<String>,
    /// Read --cron in this time zone, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Fire again and again after this long
    #[arg(long, value_name = "DURATION", value_parser = parse::span, group = "times")]
    every: Option<Duration>,
    /// Fire once: at a time such as 2026-05-01T12:00:00Z, or a duration from now
    #[arg(long, value_name = "WHEN", value_parser = parse::moment, group = "times")]
    at: Option<Moment>,
    /// Times that passed while nobody was there: skip them, make up for one, or for all [default: one]
    #[arg(long, value_name = "HOW", value_parser = catch_up)]
    pub(super) catch_up: Option<CatchUp>,
    /// While the last one still runs: allow another, or skip the time [default: allow]
    #[arg(long, value_name = "HOW", value_parser = overlap)]
    pub(super) overlap: Option<Overlap>,
}

fn catch_up(text: &str) -> std::result::Result<CatchUp, String> {
    let found = CatchUp::ALL.into_iter().find(|policy| policy.as_str() == text);
    found.ok_or_else(|| "write skip, one or all".to_owned())
}

fn overlap(text: &str) -> std::result::Result<Overlap, String> {
    let found = Overlap::ALL.into_iter().find(|policy| policy.as_str() == text);
    found.ok_or_else(|| "write allow or skip".to_owned())
}

impl Times {
    /// What was asked for; `before` has the zone, or the expression, that only the other one replaces.
    pub(super) fn timing(&self, before: Option<&Timing>, now: Timestamp) -> Result<Option<Timing>> {
        if self.tz.is_some() && (self.every.is_some() || self.at.is_some()) {
            return Err(invalid("a time zone belongs to --cron").into());
        }
        let before = match before {
            Some(Timing::Cron(cron)) => Some(cron),
            _ => None,
        };
        let timing = match (&self.cron, self.every, self.at) {
            (Some(expression), _, _) => {
                let zone = self.tz.as_deref().or(before.map(Cron::zone)).unwrap_or("UTC");
                Timing::Cron(Cron::new(expression, zone)?)
            }
            (_, Some(span), _) => Timing::every(span, now)?,
            (_, _, Some(moment)) => Timing::At(moment.resolve(now)),
            _ => match (&self.tz, before) {
                (Some(zone), Some(cron)) => Timing::Cron(Cron::new(cron.expression(), zone)?),
                (Some(_), None) => return Err(invalid("a time zone belongs to --cron").into()),
                (None, _) => return Ok(None),
            },
        };
        Ok(Some(timing))
    }
}
