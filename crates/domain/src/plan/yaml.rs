//! YAML 1.2 (core schema) to nodes: events of the parser, a stack of open collections, no recursion.
//!
//! Anchors, aliases and `<<` merges work. What aliases copy is weighed, and may weigh as much as the largest
//! plan: a few lines that expand into gigabytes end as a fault.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::code::Code;
use crate::limits;

use super::core_schema::resolve;
use super::fault::{Fault, Faults, Place};
use super::node::{
    DEPTH_MAX, Entry, NODES_MAX, Node, Scalar, Value, refuse_duplicates, short, too_deep, too_many,
};

/// Reads one document; `None` with at least one more fault when there is none to be had.
pub(super) fn read<'a>(text: &'a str, faults: &mut Faults) -> Option<Node<'a>> {
    let mut builder = Builder {
        faults,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        copied: 0,
        root: None,
    };
    let ascii = text.is_ascii();
    let mut documents = 0;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let result = match event {
            Ok((Event::DocumentStart(_), span)) if documents == 1 => Err(second_document(span.start)),
            Ok((Event::DocumentStart(_), _)) => {
                documents += 1;
                Ok(())
            }
            Ok((Event::Scalar(written, style, anchor, tag), span)) => {
                let written = borrow(text, ascii, written, span);
                builder.take(Event::Scalar(written, style, anchor, tag), place(span.start))
            }
            Ok((event, span)) => builder.take(event, place(span.start)),
            Err(error) => Err(syntax(&error, text)),
        };
        if let Err(fault) = result {
            builder.faults.push(fault);
            return None;
        }
    }
    Some(
        builder
            .root
            .unwrap_or_else(|| Node::scalar(Place::START, Scalar::Null, "")),
    )
}

/// The scalar as a piece of the text where it is one: the parser copies every scalar, and a plan of a million
/// tasks has many. Its offsets count characters, so this works on ASCII only.
fn borrow<'a>(text: &'a str, ascii: bool, written: Cow<'a, str>, span: Span) -> Cow<'a, str> {
    let piece = |from: usize| text.get(from..from + written.len());
    let start = span.start.index();
    let found = [start, start + 1]
        .into_iter()
        .filter_map(piece)
        .find(|piece| *piece == written);
    found.filter(|_| ascii).map_or(written, Cow::Borrowed)
}

fn place(marker: Marker) -> Place {
    Place {
        line: u32::try_from(marker.line()).unwrap_or(u32::MAX),
        column: u32::try_from(marker.col() + 1).unwrap_or(u32::MAX),
    }
}

fn syntax(error: &ScanError, text: &str) -> Fault {
    let at = place(*error.marker());
    let fault = Fault::new(Code::PlanSyntax, at, error.info().to_lowercase());
    if error.info().contains("recursion limit") {
        return too_deep(at);
    }
    if error.info().contains("unknown anchor") {
        return fault.help("define the anchor above, or quote a text that begins with `*`");
    }
    let line = text.lines().nth(at.line as usize - 1).unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        return fault.help("indent by spaces; YAML allows no tabs there");
    }
    fault.help("look at the indentation and quotes here and on the line above")
}

fn second_document(marker: Marker) -> Fault {
    Fault::new(Code::PlanSyntax, place(marker), "a second document begins here")
        .help("keep one plan in a file; remove the `---`")
}

/// A finished value with what copying it costs and how deep it is.
#[derive(Clone)]
struct Built<'a> {
    node: Node<'a>,
    weight: u64,
    height: usize,
}

/// A collection whose end has not come yet.
struct Open<'a> {
    place: Place,
    anchor: usize,
    weight: u64,
    height: usize,
    items: Items<'a>,
}

enum Items<'a> {
    Sequence(Vec<Node<'a>>),
    Mapping {
        entries: Vec<Entry<'a>>,
        key: Option<Key<'a>>,
        merges: Vec<Node<'a>>,
    },
}

enum Key<'a> {
    Name(Place, Cow<'a, str>),
    Merge,
}

struct Builder<'a, 'f> {
    faults: &'f mut Faults,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Built<'a>>,
    nodes: usize,
    copied: u64,
    root: Option<Node<'a>>,
}

impl<'a> Builder<'a, '_> {
    fn take(&mut self, event: Event<'a>, place: Place) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if anchor == 0 && self.key_is_due() {
                    return self.take_key(text, style, place);
                }
                let kind = self.kind(&text, style, tag.as_deref(), place);
                let weight = NODE_WEIGHT + text.len() as u64;
                let node = Node::scalar(place, kind, text);
                self.value(
                    Built {
                        node,
                        weight,
                        height: 0,
                    },
                    anchor,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", place);
                self.start(place, anchor, Items::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", place);
                let (entries, key, merges) = (Vec::new(), None, Vec::new());
                self.start(place, anchor, Items::Mapping { entries, key, merges })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor) else {
                    let fault = Fault::new(Code::PlanSyntax, place, "an alias stands inside its own anchor");
                    return Err(fault.help("write the value out"));
                };
                let target = Self::copy(target, &mut self.copied, place)?;
                self.value(target, 0)
            }
            _ => Ok(()),
        }
    }

    fn copy(built: &Built<'a>, copied: &mut u64, place: Place) -> Result<Built<'a>, Fault> {
        *copied += built.weight;
        if *copied > limits::PLAN_BYTES {
            let detail = format!(
                "anchors and aliases expand to more than {} bytes",
                limits::PLAN_BYTES
            );
            return Err(Fault::new(Code::PlanLimit, place, detail).help("use fewer or smaller aliases"));
        }
        Ok(built.clone())
    }

    fn start(&mut self, place: Place, anchor: usize, items: Items<'a>) -> Result<(), Fault> {
        if self.key_is_due() {
            return Err(no_key(place));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(too_deep(place));
        }
        self.open.push(Open {
            place,
            anchor,
            weight: NODE_WEIGHT,
            height: 1,
            items,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.items {
            Items::Sequence(mut items) => {
                items.shrink_to_fit();
                Value::Sequence(items)
            }
            Items::Mapping {
                mut entries, merges, ..
            } => {
                refuse_duplicates(&mut entries, self.faults);
                self.merge(&mut entries, merges);
                entries.shrink_to_fit();
                Value::Mapping(entries)
            }
        };
        let node = Node {
            place: open.place,
            value,
        };
        let (weight, height) = (open.weight, open.height);
        self.value(Built { node, weight, height }, open.anchor)
    }

    /// Adds a finished value to the collection around it.
    fn value(&mut self, built: Built<'a>, anchor: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(too_many(built.node.place));
        }
        if self.open.len() + built.height > DEPTH_MAX {
            return Err(too_deep(built.node.place));
        }
        if anchor != 0 {
            let kept = Self::copy(&built, &mut self.copied, built.node.place)?;
            self.anchors.insert(anchor, kept);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(built.node);
            return Ok(());
        };
        open.weight += built.weight;
        open.height = open.height.max(built.height + 1);
        match &mut open.items {
            Items::Sequence(items) => items.push(built.node),
            Items::Mapping { entries, key, merges } => match key.take() {
                Some(Key::Name(place, key)) => entries.push(Entry {
                    place,
                    key,
                    node: built.node,
                }),
                Some(Key::Merge) => merges.push(built.node),
                // An anchored scalar, or an alias of one, in the place of a key.
                None => match built.node.value {
                    Value::Scalar(_, text) => *key = Some(Key::Name(built.node.place, text)),
                    _ => return Err(no_key(built.node.place)),
                },
            },
        }
        Ok(())
    }

    fn key_is_due(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                items: Items::Mapping { key: None, .. },
                ..
            })
        )
    }

    fn take_key(&mut self, text: Cow<'a, str>, style: ScalarStyle, place: Place) -> Result<(), Fault> {
        let taken = match &*text {
            "" if style == ScalarStyle::Plain => return Err(no_key(place)),
            "<<" if style == ScalarStyle::Plain => Key::Merge,
            _ => Key::Name(place, text),
        };
        if let Some(Open {
            items: Items::Mapping { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = Some(taken);
        }
        Ok(())
    }

    /// Adds the entries of `<<` that the mapping does not have itself; earlier merges go before later ones.
    fn merge(&mut self, entries: &mut Vec<Entry<'a>>, merges: Vec<Node<'a>>) {
        if merges.is_empty() {
            return;
        }
        let mut known: HashSet<Cow<'a, str>> = entries.iter().map(|entry| entry.key.clone()).collect();
        let mut maps = Vec::new();
        for node in merges {
            match node.value {
                Value::Sequence(items) => maps.extend(items),
                _ => maps.push(node),
            }
        }
        for node in maps {
            let Value::Mapping(merged) = node.value else {
                let detail = format!("`<<` merges mappings, found {}", node.describe());
                self.faults.push(
                    Fault::new(Code::PlanInvalidValue, node.place, detail)
                        .help("give it an alias of a mapping"),
                );
                continue;
            };
            entries.extend(merged.into_iter().filter(|entry| known.insert(entry.key.clone())));
        }
    }

    fn kind(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Scalar {
        let plain = if style == ScalarStyle::Plain {
            resolve(text)
        } else {
            Scalar::Text
        };
        let Some(tag) = tag else { return plain };
        let asked = match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
            (true, "str") => return Scalar::Text,
            (true, "int" | "float") => Scalar::Number,
            (true, "bool") => Scalar::Bool,
            (true, "null") => Scalar::Null,
            (false, "!") if tag.handle.is_empty() => return Scalar::Text,
            _ => {
                self.unknown_tag(tag, place);
                return plain;
            }
        };
        if resolve(text) != asked {
            let detail = format!("`{}` is no !!{}", short(text), tag.suffix);
            self.faults
                .push(Fault::new(Code::PlanInvalidValue, place, detail).help("correct it or remove the tag"));
        }
        resolve(text)
    }

    fn check_tag(&mut self, tag: Option<&Tag>, expected: &str, place: Place) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == expected)
        {
            self.unknown_tag(tag, place);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, place: Place) {
        let detail = format!("the tag `{}` means nothing in a plan", short(&tag.to_string()));
        self.faults
            .push(Fault::new(Code::PlanInvalidValue, place, detail).help("remove the tag"));
    }
}

/// What a copied value costs beside its text.
const NODE_WEIGHT: u64 = 64;

fn no_key(place: Place) -> Fault {
    Fault::new(Code::PlanSyntax, place, "a key must be text").help("write `key: value`")
}
