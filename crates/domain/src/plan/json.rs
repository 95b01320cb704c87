//! Strict JSON (RFC 8259) to nodes.

use jsonc_parser::ast;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::code::Code;

use super::fault::{Fault, Faults, Place};
use super::node::{DEPTH_MAX, Entry, NODES_MAX, Node, Scalar, Value, refuse_duplicates, too_deep, too_many};
use super::text::Places;

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn read<'a>(text: &'a str, faults: &mut Faults) -> Option<Node<'a>> {
    let places = Places::new(text);
    let result = parse_to_ast(text, &CollectOptions::default(), &STRICT)
        .map_err(|error| syntax(&error, &places))
        .and_then(|parsed| match parsed.value {
            None => Ok(Node::scalar(Place::START, Scalar::Null, "")),
            Some(value) => Converter {
                text,
                places: &places,
                faults,
                nodes: 0,
            }
            .node(value, 0),
        });
    result.map_err(|fault| faults.push(fault)).ok()
}

fn syntax(error: &ParseError, places: &Places<'_>) -> Fault {
    let place = places.of(error.range().start);
    if matches!(error.kind(), ParseErrorKind::NestingDepthExceeded) {
        return too_deep(place);
    }
    let mut detail = error.kind().to_string();
    if let Some(first) = detail.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    Fault::new(Code::PlanSyntax, place, detail).help("write strict JSON, or name the file .yaml")
}

struct Converter<'a, 'f> {
    text: &'a str,
    places: &'f Places<'a>,
    faults: &'f mut Faults,
    nodes: usize,
}

impl<'a> Converter<'a, '_> {
    fn node(&mut self, value: ast::Value<'a>, depth: usize) -> Result<Node<'a>, Fault> {
        use jsonc_parser::common::Ranged;
        let range = value.range();
        let place = self.places.of(range.start);
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(too_many(place));
        }
        let value = match value {
            ast::Value::NullKeyword(_) => Value::Scalar(Scalar::Null, "null".into()),
            ast::Value::BooleanLit(lit) => {
                Value::Scalar(Scalar::Bool, if lit.value { "true" } else { "false" }.into())
            }
            ast::Value::NumberLit(lit) => Value::Scalar(Scalar::Number, lit.value.into()),
            ast::Value::StringLit(lit) => {
                self.check_breaks(range.start, range.end)?;
                Value::Scalar(Scalar::Text, lit.value)
            }
            ast::Value::Array(_) | ast::Value::Object(_) if depth == DEPTH_MAX => {
                return Err(too_deep(place));
            }
            ast::Value::Array(array) => {
                let items = array.elements.into_iter();
                Value::Sequence(
                    items
                        .map(|item| self.node(item, depth + 1))
                        .collect::<Result<_, _>>()?,
                )
            }
            ast::Value::Object(object) => {
                let entries = object.properties.into_iter();
                let mut entries = entries
                    .map(|property| self.entry(property, depth))
                    .collect::<Result<_, _>>()?;
                refuse_duplicates(&mut entries, self.faults);
                Value::Mapping(entries)
            }
        };
        Ok(Node { place, value })
    }

    fn entry(&mut self, property: ast::ObjectProp<'a>, depth: usize) -> Result<Entry<'a>, Fault> {
        let start = property.range.start;
        let key = match property.name {
            ast::ObjectPropName::String(lit) => {
                self.check_breaks(lit.range.start, lit.range.end)?;
                lit.value
            }
            ast::ObjectPropName::Word(word) => word.value.into(),
        };
        let node = self.node(property.value, depth + 1)?;
        Ok(Entry {
            place: self.places.of(start),
            key,
            node,
        })
    }

    /// The parser lets line breaks and tabs stand in a string; JSON does not.
    fn check_breaks(&self, start: usize, end: usize) -> Result<(), Fault> {
        match self.text[start..end].bytes().position(|b| b < b' ') {
            None => Ok(()),
            Some(at) => {
                let place = self.places.of(start + at);
                let fault = Fault::new(Code::PlanSyntax, place, "a line break or tab stands in a string");
                Err(fault.help("write it as \\n or \\t"))
            }
        }
    }
}
