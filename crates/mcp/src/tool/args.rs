//! What a call says, once it is checked.

use std::str::FromStr;
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::task::spec::Json;
use serde_json::{Map, Value};

#[derive(Debug)]
pub(crate) struct Args(Map<String, Value>);

type Result<T> = std::result::Result<T, Refusal>;

impl Args {
    pub(crate) fn new(checked: Map<String, Value>) -> Args {
        Args(checked)
    }

    /// A text that the tool demands; empty would be a mistake in its declaration.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.maybe(name).unwrap_or_default()
    }

    pub(crate) fn maybe(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let items = self.0.get(name).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str)
    }

    pub(crate) fn whole(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    pub(crate) fn count(&self, name: &str, default: usize) -> usize {
        self.whole(name)
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(default)
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    pub(crate) fn json(&self, name: &str) -> Option<Json> {
        self.0.get(name).map(Json::of)
    }

    pub(crate) fn objects(&self, name: &str) -> Vec<Args> {
        let items = self.0.get(name).and_then(Value::as_array);
        let objects = items.into_iter().flatten().filter_map(Value::as_object);
        objects.cloned().map(Args).collect()
    }

    /// An id, a name, a token: a text with its own rules.
    pub(crate) fn named<T: FromStr<Err = Refusal>>(&self, name: &str) -> Result<Option<T>> {
        self.maybe(name)
            .map(|text| text.parse().map_err(about(name)))
            .transpose()
    }

    pub(crate) fn must<T: FromStr<Err = Refusal>>(&self, name: &str) -> Result<T> {
        self.text(name).parse().map_err(about(name))
    }

    pub(crate) fn all<T: FromStr<Err = Refusal>>(&self, name: &str) -> Result<Vec<T>> {
        self.texts(name)
            .map(|text| text.parse().map_err(about(name)))
            .collect()
    }

    /// Such as `30m`; not zero.
    pub(crate) fn span(&self, name: &str) -> Result<Option<Duration>> {
        let Some(text) = self.maybe(name) else {
            return Ok(None);
        };
        match domain::time::parse_duration(text) {
            Ok(span) if span.is_zero() => Err(wrong(name, "the duration must not be zero")),
            Ok(span) => Ok(Some(span)),
            Err(why) => Err(wrong(name, &why)),
        }
    }
}

/// Says which argument a refusal is about.
pub(crate) fn about(name: &str) -> impl Fn(Refusal) -> Refusal {
    move |refusal| Refusal {
        detail: format!("`{name}`: {}", refusal.detail),
        ..refusal
    }
}

pub(crate) fn wrong(name: &str, why: &str) -> Refusal {
    Refusal::new(Code::InvalidArgument, format!("`{name}`: {why}"))
}
