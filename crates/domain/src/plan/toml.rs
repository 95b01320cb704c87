//! TOML to nodes, in the order of the file.

use ::toml::Spanned;
use ::toml::de::{DeString, DeTable, DeValue, Error};

use crate::code::Code;

use super::fault::{Fault, Faults, Place};
use super::node::{DEPTH_MAX, Entry, NODES_MAX, Node, Scalar, Value, duplicate, too_deep, too_many};
use super::text::Places;

pub(super) fn read<'a>(text: &'a str, faults: &mut Faults) -> Option<Node<'a>> {
    let places = Places::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let wrong = !errors.is_empty();
    for error in errors {
        faults.push(syntax(&error, text, table.get_ref(), &places));
    }
    if wrong {
        return None;
    }
    let mut converter = Converter {
        places: &places,
        nodes: 0,
    };
    let entries = converter.entries(table.into_inner(), 0);
    match entries {
        Ok(entries) if entries.is_empty() => Some(Node::scalar(Place::START, Scalar::Null, "")),
        Ok(entries) => Some(Node {
            place: Place::START,
            value: Value::Mapping(entries),
        }),
        Err(fault) => {
            faults.push(fault);
            None
        }
    }
}

fn syntax(error: &Error, text: &str, table: &DeTable<'_>, places: &Places<'_>) -> Fault {
    let span = error.span().unwrap_or(text.len()..text.len());
    let place = places.of(span.start);
    match error.message() {
        "duplicate key" => {
            let key = text
                .get(span.clone())
                .unwrap_or_default()
                .trim_matches(['"', '\'']);
            let mut first = None;
            latest_before(table, key, span.start, &mut first);
            let first = first.or_else(|| same_header(text, span.start));
            duplicate(key, place, first.map(|offset| places.of(offset)))
        }
        message if message.contains("recurs") => too_deep(place),
        message => Fault::new(Code::PlanSyntax, place, message).help("see https://toml.io for the form"),
    }
}

/// The nearest `key` that stands before `offset`: the parser does not tell which one it collided with.
fn latest_before(table: &DeTable<'_>, key: &str, offset: usize, found: &mut Option<usize>) {
    for (name, value) in table {
        let start = name.span().start;
        if name.get_ref() == key && start < offset {
            *found = (*found).max(Some(start));
        }
        if let DeValue::Table(inner) = value.get_ref() {
            latest_before(inner, key, offset, found);
        }
    }
}

/// The first line that is the same as the table header at `offset`.
fn same_header(text: &str, offset: usize) -> Option<usize> {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let header = text[start..].lines().next()?.trim();
    let line = text[..start].lines().find(|line| line.trim() == header)?;
    Some(line.as_ptr() as usize - text.as_ptr() as usize + (offset - start))
}

struct Converter<'a, 'f> {
    places: &'f Places<'a>,
    nodes: usize,
}

impl<'a> Converter<'a, '_> {
    fn entries(&mut self, table: DeTable<'a>, depth: usize) -> Result<Vec<Entry<'a>>, Fault> {
        let mut entries: Vec<(Spanned<DeString<'a>>, Spanned<DeValue<'a>>)> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (Spanned<DeString<'a>>, Spanned<DeValue<'a>>)| {
            Ok(Entry {
                place: self.places.of(key.span().start),
                key: key.into_inner(),
                node: self.node(value, depth + 1)?,
            })
        };
        entries.into_iter().map(entry).collect()
    }

    fn node(&mut self, value: Spanned<DeValue<'a>>, depth: usize) -> Result<Node<'a>, Fault> {
        let place = self.places.of(value.span().start);
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(too_many(place));
        }
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Scalar(Scalar::Text, text),
            DeValue::Integer(number) => Value::Scalar(Scalar::Number, integer(&number.to_string()).into()),
            DeValue::Float(number) => Value::Scalar(Scalar::Number, number.as_str().to_owned().into()),
            DeValue::Boolean(value) => Value::Scalar(Scalar::Bool, value.to_string().into()),
            DeValue::Datetime(time) => Value::Scalar(Scalar::Text, time.to_string().into()),
            DeValue::Array(_) | DeValue::Table(_) if depth == DEPTH_MAX => return Err(too_deep(place)),
            DeValue::Array(array) => {
                let items = array.into_iter();
                Value::Sequence(
                    items
                        .map(|item| self.node(item, depth + 1))
                        .collect::<Result<_, _>>()?,
                )
            }
            DeValue::Table(table) => Value::Mapping(self.entries(table, depth)?),
        };
        Ok(Node { place, value })
    }
}

/// Binary integers are TOML's alone; the others are written alike everywhere.
fn integer(text: &str) -> String {
    let binary = text.strip_prefix("0b");
    let number = binary.and_then(|digits| u128::from_str_radix(digits, 2).ok());
    number.map_or_else(|| text.to_owned(), |number| number.to_string())
}
