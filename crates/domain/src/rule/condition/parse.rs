//! Text to condition: words, then one level of binding after the other. Bounded in size and depth.

use serde_json::Value;

use super::super::facts::Way;
use super::{Compare, DEPTH_MAX, Node, TEXT_MAX, Term};
use crate::code::{Code, Refusal};

type Result<T> = std::result::Result<T, Refusal>;

pub(super) fn parse(text: &str) -> Result<Node> {
    if text.len() > TEXT_MAX {
        let detail = format!(
            "a condition has at most {TEXT_MAX} bytes, this one {}",
            text.len()
        );
        return Err(Refusal::new(Code::LimitExceeded, detail));
    }
    let words = words(text)?;
    let mut reader = Reader {
        end: text.chars().count(),
        words: &words,
        depth: 0,
    };
    let node = reader.any()?;
    match reader.words.first() {
        None => Ok(node),
        Some(word) => Err(wrong(
            word.column,
            &format!("{} is one too many", word.what.shown()),
        )),
    }
}

fn wrong(column: usize, detail: &str) -> Refusal {
    let detail = format!("the condition at column {}: {detail}", column + 1);
    Refusal::new(Code::InvalidArgument, detail)
        .help("write for example `task.kind == \"dev\" and queue.ready > 100`")
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Name(String),
    Value(Value),
    Sign(&'static str),
}

impl What {
    fn shown(&self) -> String {
        match self {
            What::Name(name) => format!("`{name}`"),
            What::Value(value) => format!("`{value}`"),
            What::Sign(sign) => format!("`{sign}`"),
        }
    }
}

#[derive(Clone, Debug)]
struct Word {
    column: usize,
    what: What,
}

const SIGNS: [&str; 14] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ",",
];

fn words(text: &str) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    let (mut rest, mut column) = (text, 0);
    loop {
        let spaces = rest.chars().take_while(|c| c.is_whitespace()).count();
        rest = rest.trim_start();
        column += spaces;
        let Some(first) = rest.chars().next() else {
            return Ok(words);
        };
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        let (what, length) = match (sign, first) {
            (Some(sign), _) => (What::Sign(sign), sign.len()),
            (None, '"' | '\'') => quoted(rest, first).ok_or_else(|| wrong(column, "the text has no end"))?,
            (None, '0'..='9' | '-') => {
                let length =
                    rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')));
                let text = &rest[..length.unwrap_or(rest.len())];
                let value = serde_json::from_str(text).ok().filter(Value::is_number);
                let value = value.ok_or_else(|| wrong(column, &format!("`{text}` is no number")))?;
                (What::Value(value), text.len())
            }
            (None, c) if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-')));
                let text = &rest[..length.unwrap_or(rest.len())];
                (name(text), text.len())
            }
            (None, c) => return Err(wrong(column, &format!("{:?} means nothing here", c.to_string()))),
        };
        words.push(Word { column, what });
        column += rest[..length].chars().count();
        rest = &rest[length..];
    }
}

fn name(text: &str) -> What {
    match text {
        "true" => What::Value(true.into()),
        "false" => What::Value(false.into()),
        "null" => What::Value(Value::Null),
        "and" => What::Sign("&&"),
        "or" => What::Sign("||"),
        "not" => What::Sign("!"),
        _ => What::Name(text.to_owned()),
    }
}

/// A text between quotes; a backslash takes the next character as it is.
fn quoted(rest: &str, quote: char) -> Option<(What, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?.1),
            c if c == quote => return Some((What::Value(text.into()), at + c.len_utf8())),
            c => text.push(c),
        }
    }
    None
}

struct Reader<'a> {
    words: &'a [Word],
    /// The column behind the text.
    end: usize,
    depth: usize,
}

impl Reader<'_> {
    fn next(&mut self, expected: &str) -> Result<Word> {
        match self.words.split_first() {
            Some((word, rest)) => {
                self.words = rest;
                Ok(word.clone())
            }
            None => Err(wrong(self.end, &format!("{expected} is missing"))),
        }
    }

    fn takes(&mut self, sign: &str) -> bool {
        match self.words.split_first() {
            Some((word, rest)) if matches!(word.what, What::Sign(found) if found == sign) => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self) -> Result<Node> {
        let mut nodes = vec![self.all()?];
        while self.takes("||") {
            nodes.push(self.all()?);
        }
        Ok(one(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node> {
        let mut nodes = vec![self.single()?];
        while self.takes("&&") {
            nodes.push(self.single()?);
        }
        Ok(one(nodes, Node::All))
    }

    fn single(&mut self) -> Result<Node> {
        if self.depth >= DEPTH_MAX {
            let column = self.words.first().map_or(self.end, |word| word.column);
            return Err(wrong(column, "this is too deep"));
        }
        self.depth += 1;
        let node = if self.takes("!") {
            Node::Not(Box::new(self.single()?))
        } else if self.takes("(") {
            let node = self.any()?;
            let word = self.next("`)`")?;
            if word.what != What::Sign(")") {
                return Err(wrong(word.column, "`)` is missing"));
            }
            node
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node> {
        let left = self.term()?;
        let Some(word) = self.words.first().cloned() else {
            return Ok(Node::Is(left));
        };
        let compare = match &word.what {
            What::Sign("==") => Compare::Equal,
            What::Sign("!=") => Compare::Unequal,
            What::Sign("<") => Compare::Less,
            What::Sign("<=") => Compare::LessOrEqual,
            What::Sign(">") => Compare::More,
            What::Sign(">=") => Compare::MoreOrEqual,
            What::Name(name) if name == "in" => {
                self.words = &self.words[1..];
                return Ok(Node::In(left, self.list()?));
            }
            What::Name(name) if name == "matches" => {
                self.words = &self.words[1..];
                let pattern = self.next("a pattern")?;
                return match pattern.what {
                    What::Value(Value::String(pattern)) => Ok(Node::Matches(left, pattern)),
                    _ => Err(wrong(pattern.column, "a pattern in quotes is needed")),
                };
            }
            _ => return Ok(Node::Is(left)),
        };
        self.words = &self.words[1..];
        Ok(Node::Compare(left, compare, self.term()?))
    }

    fn term(&mut self) -> Result<Term> {
        let word = self.next("a value")?;
        match word.what {
            What::Value(value) => Ok(Term::Value(value)),
            What::Name(name) => match name.parse::<Way>() {
                Ok(way) => Ok(Term::Way(way)),
                Err(refusal) => Err(Refusal {
                    help: refusal.help,
                    ..wrong(word.column, &refusal.detail)
                }),
            },
            What::Sign(sign) => Err(wrong(
                word.column,
                &format!("a value is needed, `{sign}` is none"),
            )),
        }
    }

    fn list(&mut self) -> Result<Vec<Value>> {
        let open = self.next("a list")?;
        if open.what != What::Sign("[") {
            return Err(wrong(open.column, "a list in [ ] is needed"));
        }
        let mut values = Vec::new();
        while !self.takes("]") {
            let word = self.next("`]`")?;
            match word.what {
                What::Value(value) => values.push(value),
                _ => return Err(wrong(word.column, "only fixed values may stand in a list")),
            }
            if !self.takes(",") && !matches!(self.words.first(), Some(word) if word.what == What::Sign("]")) {
                let column = self.words.first().map_or(self.end, |word| word.column);
                return Err(wrong(column, "`,` or `]` is missing"));
            }
        }
        Ok(values)
    }
}

fn one(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => many(nodes),
    }
}
