//! The tree that all three formats become: scalars, sequences and mappings, each with its place.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::code::Code;

use super::fault::{Fault, Faults, Place};

/// Sequences and mappings inside each other. The format itself needs eight; `inputs` may nest freely.
pub(super) const DEPTH_MAX: usize = 64;
/// Values of one plan: sixteen for each task of the largest one. More would only cost memory.
pub(super) const NODES_MAX: usize = 16_000_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'a> {
    pub(super) place: Place,
    pub(super) value: Value<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Numbers keep the text they were written as.
    Scalar(Scalar, Cow<'a, str>),
    Sequence(Vec<Node<'a>>),
    Mapping(Vec<Entry<'a>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Bool,
    Number,
    Text,
}

/// One key with its value; keys of one mapping differ from each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) place: Place,
    pub(super) key: Cow<'a, str>,
    pub(super) node: Node<'a>,
}

impl<'a> Node<'a> {
    pub(super) fn scalar(place: Place, kind: Scalar, text: impl Into<Cow<'a, str>>) -> Node<'a> {
        Node {
            place,
            value: Value::Scalar(kind, text.into()),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null, _))
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.value, Value::Mapping(_))
    }

    /// What stands here, for "expected …, found …".
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Scalar(Scalar::Null, _) => "nothing".to_owned(),
            Value::Scalar(Scalar::Bool, text) => format!("`{text}`"),
            Value::Scalar(Scalar::Number, text) => format!("the number {}", short(text)),
            Value::Scalar(Scalar::Text, text) => format!("the text `{}`", short(text)),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// A value as shown in messages.
pub(super) fn short(text: &str) -> String {
    shorten(text, 60)
}

/// The text on one line, with at most `most` of its characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(most) {
        match c.is_control() {
            true => shown.extend(c.escape_debug()),
            false => shown.push(c),
        }
    }
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// Removes later entries whose key stands before, each a fault that names both places.
pub(super) fn refuse_duplicates(entries: &mut Vec<Entry<'_>>, faults: &mut Faults) {
    let twice: Vec<(usize, Place)> = if entries.len() <= 16 {
        let before = |i: usize| entries[..i].iter().find(|e| e.key == entries[i].key);
        (0..entries.len())
            .filter_map(|i| before(i).map(|first| (i, first.place)))
            .collect()
    } else {
        let mut first: HashMap<&str, Place> = HashMap::with_capacity(entries.len());
        let mut twice = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            match first.get(&*entry.key) {
                Some(place) => twice.push((i, *place)),
                None => {
                    first.insert(&entry.key, entry.place);
                }
            }
        }
        twice
    };
    for (i, first) in &twice {
        faults.push(duplicate(&entries[*i].key, entries[*i].place, Some(*first)));
    }
    let mut twice = twice.iter().map(|(i, _)| *i).peekable();
    let mut index = 0;
    entries.retain(|_| {
        let drop = twice.next_if_eq(&index).is_some();
        index += 1;
        !drop
    });
}

pub(super) fn duplicate(key: &str, place: Place, first: Option<Place>) -> Fault {
    let first = first.map_or_else(String::new, |first| format!(", first at {first}"));
    let detail = format!("the key `{}` stands twice{first}", short(key));
    Fault::new(Code::PlanDuplicate, place, detail).help("rename or remove one of them")
}

pub(super) fn too_deep(place: Place) -> Fault {
    let detail = format!("lists and mappings stand more than {DEPTH_MAX} deep inside each other");
    Fault::new(Code::PlanLimit, place, detail).help("flatten the value, or hand it over as a file")
}

pub(super) fn too_many(place: Place) -> Fault {
    let detail = format!("the plan has more than {NODES_MAX} values");
    Fault::new(Code::PlanLimit, place, detail).help("submit it in parts")
}

/// A number as JSON writes it: without `+`, leading zeros, other radixes or bare points. `None` for what JSON
/// has no number for: infinities, not-a-number, and integers of another radix above 128 bits.
pub(super) fn json_number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { "-" } else { "" }, digits),
        None => ("", text),
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return u128::from_str_radix(digits, radix)
                .ok()
                .map(|n| format!("{sign}{n}"));
        }
    }
    let exponent = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(exponent);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if mantissa.contains('.') { "." } else { "" };
    let fraction = if point == "." && fraction.is_empty() {
        "0"
    } else {
        fraction
    };
    let number = format!("{sign}{whole}{point}{fraction}{exponent}");
    number
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite())
        .map(|_| number)
}

/// The value as compact JSON with sorted keys, so that equal values are equal texts.
pub(super) fn to_json(node: &Node<'_>) -> Result<String, Fault> {
    let mut out = String::new();
    write_json(node, &mut out)?;
    Ok(out)
}

fn write_json(node: &Node<'_>, out: &mut String) -> Result<(), Fault> {
    match &node.value {
        Value::Scalar(Scalar::Null, _) => out.push_str("null"),
        Value::Scalar(Scalar::Bool, text) => out.push_str(&text.to_ascii_lowercase()),
        Value::Scalar(Scalar::Text, text) => write_text(text, out),
        Value::Scalar(Scalar::Number, text) => match json_number(text) {
            Some(number) => out.push_str(&number),
            None => {
                let detail = format!("`{}` cannot be written as a JSON number", short(text));
                return Err(Fault::new(Code::PlanInvalidValue, node.place, detail).help("quote it"));
            }
        },
        Value::Sequence(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(item, out)?;
            }
            out.push(']');
        }
        Value::Mapping(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for (i, entry) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(&entry.key, out);
                out.push(':');
                write_json(&entry.node, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_what_json_calls_a_number() {
        for (written, json) in [
            ("0", Some("0")),
            ("-0", Some("-0")),
            ("+5", Some("5")),
            ("007", Some("7")),
            ("0x1F", Some("31")),
            ("0o17", Some("15")),
            (".5", Some("0.5")),
            ("5.", Some("5.0")),
            ("1.5e3", Some("1.5e3")),
            ("-1.50", Some("-1.50")),
            (
                "123456789012345678901234567890",
                Some("123456789012345678901234567890"),
            ),
            (".inf", None),
            ("-.inf", None),
            (".nan", None),
            ("1e999", None),
        ] {
            assert_eq!(json_number(written).as_deref(), json, "{written}");
            if let Some(json) = json {
                assert!(serde_json::from_str::<serde_json::Number>(json).is_ok(), "{json}");
            }
        }
    }
}
