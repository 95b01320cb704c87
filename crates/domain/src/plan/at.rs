//! A value with the way to it, the mappings that are read by a table of keys, and the notes taken on the way.

use std::fmt::{self, Write as _};

use serde_json::Value as Schema;

use crate::code::{Code, Refusal};

use super::fault::{FAULTS_MAX, Fault, Faults, Place, Warning};
use super::model::Format;
use super::near::near;
use super::node::{Entry, Node, Scalar, Value, short, shorten};

/// What is gathered while a plan is decoded.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) faults: Faults,
    /// Known keys whose machinery this version lacks.
    pub(super) unsupported: Faults,
    pub(super) warnings: Vec<Warning>,
    /// Whether a plain `true` or `1.10` may stand where text is asked, as in YAML, where texts need no quotes.
    pub(super) unquoted: bool,
}

impl Findings {
    /// Nothing found as yet; `file` names the text in messages.
    pub(super) fn new(file: &str, format: Format) -> Findings {
        Findings {
            faults: Faults::new(file),
            unsupported: Faults::new(file),
            warnings: Vec::new(),
            unquoted: format == Format::Yaml,
        }
    }
}

/// A value and the way to it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    up: Option<&'a At<'a>>,
    step: Step<'a>,
    /// Where the key stands, for faults about the key rather than its value.
    pub(super) key_place: Place,
    pub(super) node: &'a Node<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// One key of a mapping of the format. The tables of these are the only place that knows the keys: the decoder
/// reads by them, typos are looked up in them, and the published schema is made of them.
pub(super) struct Key<T: 'static> {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) schema: fn() -> Schema,
    pub(super) read: fn(&mut T, At<'_>, &mut Findings),
    /// May stand in `defaults`.
    pub(super) default: bool,
    /// Read and checked, but its machinery is not in this version.
    pub(super) unsupported: bool,
}

impl<T> Key<T> {
    pub(super) const fn new(
        name: &'static str,
        doc: &'static str,
        schema: fn() -> Schema,
        read: fn(&mut T, At<'_>, &mut Findings),
    ) -> Key<T> {
        Key {
            name,
            doc,
            schema,
            read,
            default: true,
            unsupported: false,
        }
    }

    pub(super) const fn no_default(mut self) -> Key<T> {
        self.default = false;
        self
    }

    pub(super) const fn unsupported(mut self) -> Key<T> {
        self.unsupported = true;
        self
    }
}

impl<'a> At<'a> {
    pub(super) fn root(node: &'a Node<'a>) -> At<'a> {
        At {
            up: None,
            step: Step::Root,
            key_place: node.place,
            node,
        }
    }

    pub(super) fn entry(&'a self, entry: &'a Entry<'a>) -> At<'a> {
        At {
            up: Some(self),
            step: Step::Key(&entry.key),
            key_place: entry.place,
            node: &entry.node,
        }
    }

    pub(super) fn item(&'a self, index: usize, node: &'a Node<'a>) -> At<'a> {
        At {
            up: Some(self),
            step: Step::Index(index),
            key_place: node.place,
            node,
        }
    }

    /// The same value under a name of its own, in the place of its number.
    pub(super) fn renamed(&self, key: &'a str, key_place: Place) -> At<'a> {
        At {
            step: Step::Key(key),
            key_place,
            ..*self
        }
    }

    /// The last step of the way, when it is a key.
    pub(super) fn key(&self) -> &'a str {
        match self.step {
            Step::Key(key) => key,
            Step::Root | Step::Index(_) => "",
        }
    }

    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    fn steps(&self) -> Vec<Step<'a>> {
        let mut steps: Vec<_> = std::iter::successors(Some(self), |at| at.up)
            .map(|at| at.step)
            .collect();
        steps.pop();
        steps.reverse();
        steps
    }

    /// `timeout` of task `test`: where this value stands, for people.
    pub(super) fn whereabouts(&self) -> String {
        let steps = self.steps();
        match steps[..] {
            [] => "the plan".to_owned(),
            [Step::Key("tasks"), Step::Key(task)] => format!("task `{}`", short(task)),
            [Step::Key("tasks"), Step::Index(index)] | [Step::Index(index)] => {
                format!("task number {}", index + 1)
            }
            [Step::Key("tasks"), Step::Index(index), ref rest @ ..] | [Step::Index(index), ref rest @ ..] => {
                format!("`{}` of task number {}", Way(rest), index + 1)
            }
            [Step::Key("tasks"), Step::Key(task), ref rest @ ..] => {
                format!("`{}` of task `{}`", Way(rest), short(task))
            }
            [Step::Key("defaults"), ref rest @ ..] if !rest.is_empty() => {
                format!("`{}` of `defaults`", Way(rest))
            }
            ref steps => format!("`{}`", Way(steps)),
        }
    }

    pub(super) fn fault(&self, code: Code, detail: impl Into<String>) -> Fault {
        Fault::new(code, self.place(), detail).at(self)
    }

    /// Notes that the value cannot be used.
    pub(super) fn wrong(&self, found: &mut Findings, detail: impl fmt::Display, help: impl Into<String>) {
        let detail = format!("{}: {detail}", self.whereabouts());
        found
            .faults
            .push(self.fault(Code::PlanInvalidValue, detail).help(help));
    }

    pub(super) fn unexpected(&self, found: &mut Findings, expected: &str) {
        let detail = format!("expected {expected}, found {}", self.node.describe());
        let help = match self.node.value {
            Value::Scalar(Scalar::Null, _) => "give it a value, or remove the key",
            Value::Scalar(Scalar::Number, _) if expected.contains("number") => "write a number as expected",
            Value::Scalar(Scalar::Bool | Scalar::Number, _) if expected.contains("text") => {
                "put it in quotes"
            }
            _ => "see `bell plan schema` for the form of every key",
        };
        self.wrong(found, detail, help);
    }

    /// Notes a refusal of a value.
    pub(super) fn refused(&self, found: &mut Findings, refusal: Refusal) {
        let code = match refusal.code {
            Code::LimitExceeded => Code::PlanLimit,
            _ => Code::PlanInvalidValue,
        };
        // Refusals quote what was given, however long and whatever is in it.
        let detail = shorten(&refusal.detail, 300);
        let mut fault = self.fault(code, format!("{}: {detail}", self.whereabouts()));
        fault.help = refusal.help;
        found.faults.push(fault);
    }

    pub(super) fn warn(&self, found: &mut Findings, detail: impl fmt::Display) {
        if found.warnings.len() < FAULTS_MAX {
            found.warnings.push(Warning {
                place: self.place(),
                detail: format!("{}: {detail}", self.whereabouts()),
            });
        }
    }

    /// Notes that `value`, or any value, of a known key asks for machinery that this version lacks.
    pub(super) fn unsupported(&self, found: &mut Findings, value: Option<&str>) {
        let value = value.map_or_else(String::new, |value| format!(" with `{value}`"));
        let detail = format!("{}{value} is not in this version", self.whereabouts());
        let fault = Fault::new(Code::PlanUnsupported, self.key_place, detail);
        let help = "remove it, or use a version that has it";
        found.unsupported.push(fault.at(self).help(help));
    }

    /// Reads each item of a list; a lone value is a list of one.
    pub(super) fn each(&self, found: &mut Findings, mut read: impl FnMut(At<'_>, &mut Findings)) {
        match &self.node.value {
            Value::Sequence(items) => {
                for (index, node) in items.iter().enumerate() {
                    read(self.item(index, node), found);
                }
            }
            Value::Scalar(Scalar::Null, _) => self.unexpected(found, "a list"),
            _ => read(*self, found),
        }
    }

    pub(super) fn entries(&self, found: &mut Findings, expected: &str) -> Option<&'a [Entry<'a>]> {
        match &self.node.value {
            Value::Mapping(entries) => Some(entries),
            _ => {
                self.unexpected(found, expected);
                None
            }
        }
    }

    /// Reads a mapping by its table of keys.
    pub(super) fn keys<T>(&self, found: &mut Findings, expected: &str, table: &[Key<T>], target: &mut T) {
        let Some(entries) = self.entries(found, expected) else {
            return;
        };
        for entry in entries {
            let at = self.entry(entry);
            match table.iter().find(|key| key.name == entry.key) {
                Some(key) => at.read(key, target, found),
                None => self.unknown(found, entry, table),
            }
        }
    }

    pub(super) fn read<T>(&self, key: &Key<T>, target: &mut T, found: &mut Findings) {
        (key.read)(target, *self, found);
        if key.unsupported {
            self.unsupported(found, None);
        }
    }

    pub(super) fn unknown<T>(&self, found: &mut Findings, entry: &Entry<'_>, table: &[Key<T>]) {
        if found.faults.is_full() {
            found.faults.more += 1;
            return;
        }
        let known = table.iter().map(|key| key.name);
        let help = match near(&entry.key, known.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.unknown_key(found, entry, help);
    }

    pub(super) fn unknown_key(&self, found: &mut Findings, entry: &Entry<'_>, help: String) {
        let detail = format!("unknown key `{}` in {}", short(&entry.key), self.whereabouts());
        let fault = Fault::new(Code::PlanUnknownKey, entry.place, detail).help(help);
        found.faults.push(fault.at(self.entry(entry)));
    }

    /// Notes that a key is absent which must be there.
    pub(super) fn missing(&self, found: &mut Findings, detail: impl fmt::Display, help: &str) {
        let detail = format!("{} {detail}", self.whereabouts());
        let fault = Fault::new(Code::PlanMissingKey, self.key_place, detail).help(help);
        found.faults.push(fault.at(self));
    }
}

/// `tasks.test.after[0]`.
impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Way(&self.steps()).fmt(f)
    }
}

struct Way<'a>(&'a [Step<'a>]);

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Root => {}
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if i > 0 {
                        f.write_char('.')?;
                    }
                    f.write_str(&short(key))?;
                }
            }
        }
        Ok(())
    }
}
