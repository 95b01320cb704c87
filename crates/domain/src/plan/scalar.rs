//! Readers of plain values: each returns the value, or notes a fault and returns nothing.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use crate::code::{Code, Refusal};
use crate::limits;
use crate::task::spec::{Json, Moment, check_text};
use crate::time::parse_duration;

use super::at::{At, Findings};
use super::node::{Scalar, Value, json_number, to_json};

impl<'a> At<'a> {
    pub(super) fn accept<T>(&self, found: &mut Findings, result: Result<T, Refusal>) -> Option<T> {
        result.map_err(|refusal| self.refused(found, refusal)).ok()
    }

    pub(super) fn text(&self, found: &mut Findings) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(Scalar::Text, text) => Some(&**text),
            Value::Scalar(Scalar::Bool | Scalar::Number, text) if found.unquoted => Some(&**text),
            _ => {
                self.unexpected(found, "text");
                None
            }
        }
    }

    /// Text that says something, of bounded size and without zero bytes.
    pub(super) fn content(&self, found: &mut Findings) -> Option<String> {
        let text = self.text(found)?;
        if text.trim().is_empty() {
            self.wrong(found, "the text is empty", "write something, or remove the key");
            return None;
        }
        self.accept(found, check_text("the text", text))?;
        Some(text.to_owned())
    }

    /// A name of one of the types of [`crate::id`].
    pub(super) fn name<T: FromStr<Err = Refusal>>(&self, found: &mut Findings) -> Option<T> {
        let text = self.text(found)?;
        self.accept(found, text.parse())
    }

    /// Any scalar but nothing, as it was written.
    pub(super) fn scalar(&self, found: &mut Findings, expected: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(Scalar::Null, _) | Value::Sequence(_) | Value::Mapping(_) => {
                self.unexpected(found, expected);
                None
            }
            Value::Scalar(_, text) => Some(&**text),
        }
    }

    /// A word of a fixed set, read by one of the `parse` functions of the domain.
    pub(super) fn word<T>(
        &self,
        found: &mut Findings,
        expected: &str,
        parse: fn(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        let text = self.scalar(found, expected)?;
        if text.len() > limits::NAME_BYTES {
            self.unexpected(found, expected);
            return None;
        }
        self.accept(found, parse(text))
    }

    pub(super) fn duration(&self, found: &mut Findings) -> Option<Duration> {
        let text = self.scalar(found, "a duration")?;
        let parsed = parse_duration(text);
        self.accept(
            found,
            parsed.map_err(|why| Refusal::new(Code::PlanInvalidValue, why)),
        )
    }

    /// A duration above zero.
    pub(super) fn positive(&self, found: &mut Findings) -> Option<Duration> {
        let span = self.duration(found)?;
        if span.as_millis() == 0 {
            self.wrong(
                found,
                "must be at least one millisecond",
                "write a longer time, or remove the key",
            );
            return None;
        }
        Some(span)
    }

    pub(super) fn moment(&self, found: &mut Findings) -> Option<Moment> {
        let text = self.scalar(found, "a time or a duration")?;
        let parsed = match parse_duration(text) {
            Err(why) if text.trim_start().starts_with('-') => Err(why),
            _ => Moment::parse(text),
        };
        self.accept(
            found,
            parsed.map_err(|why| Refusal::new(Code::PlanInvalidValue, why)),
        )
    }

    pub(super) fn flag(&self, found: &mut Findings) -> Option<bool> {
        match &self.node.value {
            Value::Scalar(Scalar::Bool, text) => Some(text.eq_ignore_ascii_case("true")),
            _ => {
                self.unexpected(found, "true or false");
                None
            }
        }
    }

    fn number(&self, found: &mut Findings, expected: &str) -> Option<Cow<'a, str>> {
        match &self.node.value {
            Value::Scalar(Scalar::Number, text) => {
                Some(json_number(text).map_or(Cow::Borrowed(&**text), Cow::Owned))
            }
            _ => {
                self.unexpected(found, expected);
                None
            }
        }
    }

    pub(super) fn whole(&self, found: &mut Findings, min: i64, max: i64) -> Option<i64> {
        let expected = match max {
            max if max == min => format!("the number {min}"),
            i64::MAX => format!("a whole number of at least {min}"),
            _ => format!("a whole number from {min} to {max}"),
        };
        let number = self.number(found, &expected)?;
        let parsed = number.parse().ok().filter(|n| (min..=max).contains(n));
        if parsed.is_none() {
            self.unexpected(found, &expected);
        }
        parsed
    }

    pub(super) fn real(&self, found: &mut Findings, min: f64, max: f64) -> Option<f64> {
        let expected = format!("a number from {min} to {max}");
        let number = self.number(found, &expected)?;
        let parsed = number.parse().ok().filter(|n| (min..=max).contains(n));
        if parsed.is_none() {
            self.unexpected(found, &expected);
        }
        parsed
    }

    pub(super) fn json(&self, found: &mut Findings) -> Option<Json> {
        let text = match to_json(self.node) {
            Ok(text) => text,
            Err(mut fault) => {
                fault.detail = format!("{}: {}", self.whereabouts(), fault.detail);
                found.faults.push(fault.at(self));
                return None;
            }
        };
        self.accept(found, check_text("the value", &text))?;
        let json = Json::parse(&text);
        self.accept(
            found,
            json.map_err(|why| Refusal::new(Code::PlanInvalidValue, why)),
        )
    }
}
