//! Texts with facts in them: `bell.{event.type}.{task.kind}`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::Way;
use crate::code::{Code, Refusal};

/// Bytes of a template as it is written.
const BYTES_MAX: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(Way),
}

impl Template {
    /// With the facts in their places; what is not there leaves nothing.
    pub fn fill(&self, facts: &Value) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Fact(way) => way.text(facts).unwrap_or_default(),
        };
        self.parts.iter().map(part).collect()
    }
}

impl FromStr for Template {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Template, Refusal> {
        let wrong = |detail: String| {
            let refusal = Refusal::new(Code::InvalidArgument, detail);
            refusal.help("write facts in braces, as in bell.{event.type}")
        };
        if text.len() > BYTES_MAX || text.chars().any(char::is_control) {
            return Err(wrong(format!("this is not up to {BYTES_MAX} visible characters")));
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        let plain = |part: &str| match part.contains('}') {
            true => Err(wrong(format!(
                "`{}` has a brace that was not opened",
                text.escape_debug()
            ))),
            false => Ok((!part.is_empty()).then(|| Part::Text(part.to_owned()))),
        };
        while let Some((before, after)) = rest.split_once('{') {
            let (way, after) = after.split_once('}').ok_or_else(|| {
                wrong(format!(
                    "`{}` has a brace that is not closed",
                    text.escape_debug()
                ))
            })?;
            parts.extend(plain(before)?);
            parts.push(Part::Fact(way.trim().parse()?));
            rest = after;
        }
        parts.extend(plain(rest)?);
        let text = text.to_owned();
        Ok(Template { text, parts })
    }
}

impl TryFrom<String> for Template {
    type Error = Refusal;
    fn try_from(text: String) -> Result<Template, Refusal> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> String {
        template.text
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_take_their_places() {
        let facts = serde_json::json!({
            "event": { "type": "task.failed", "number": 7 },
            "task": { "kind": "dev", "env": { "PART": "a.b" } },
        });
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("bell.{event.type}.{ task.kind }", "bell.task.failed.dev"),
            ("{task.env.PART}-{event.number}-{task.result.x}", "a.b-7-"),
        ] {
            let template: Template = text.parse().unwrap();
            assert_eq!(template.fill(&facts), expected);
            assert_eq!(template.to_string(), text);
        }
        for bad in [
            "{",
            "{event.type",
            "}",
            "a}b{event.type}",
            "{event.tpe}",
            "{}",
            "a\nb",
        ] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
    }
}
