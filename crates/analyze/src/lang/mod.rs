//! One parser for each language: text in, [`Facts`] out. Broken text gives the imports that stand before and
//! around the break, and a fault.

mod depth;
mod go;
mod python;
mod rust;
mod script;
mod syntax;

use std::borrow::Cow;

use crate::facts::{FILE_BYTES_MAX, Facts, Fault, Language, Problem};

/// Changes when the same text begins to give different facts.
pub(crate) const VERSION: u32 = 2;

/// Address space for the stack of a thread that parses; pages that are not touched cost nothing.
pub(crate) const STACK_BYTES: usize = 1024 * 1024 * 1024;

/// Reads the facts of one file, on a thread with a stack of [`STACK_BYTES`].
pub(crate) fn facts(language: Language, path: &str, bytes: &[u8]) -> Facts {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return unread(
            Problem::Huge,
            format!("more than {FILE_BYTES_MAX} bytes: not parsed"),
        );
    }
    let (text, fault) = decode(bytes);
    if depth::beyond(&text) {
        return unread(Problem::Huge, "nested too deeply: not parsed".to_owned());
    }
    let mut facts = match language {
        Language::Python => python::facts(&text, path),
        Language::JavaScript | Language::TypeScript => script::facts(&text, path),
        Language::Rust => rust::facts(&text),
        Language::Go => go::facts(&text),
        Language::Other => Facts::default(),
    };
    facts.fault = facts.fault.or(fault);
    facts
}

pub(crate) fn unread(problem: Problem, detail: String) -> Facts {
    Facts {
        fault: Some(Fault {
            problem,
            line: 0,
            detail,
        }),
        ..Facts::default()
    }
}

/// UTF-8 with or without a mark, UTF-16 with one, anything else with replacements: imports are ASCII in practice.
fn decode(bytes: &[u8]) -> (Cow<'_, str>, Option<Fault>) {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|pair| unit([pair[0], pair[1]]))
            .collect();
        (String::from_utf16_lossy(&units).into(), None)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => return wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return wide(rest, u16::from_be_bytes),
        _ => {}
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.into(), None),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let fault = Fault {
                problem: Problem::Encoding,
                line: 1 + memchr::memchr_iter(b'\n', before).count() as u32,
                detail: "not UTF-8: read with replacements".to_owned(),
            };
            (String::from_utf8_lossy(bytes), Some(fault))
        }
    }
}

/// From offsets to lines. Going on from the last place costs the text between, going back all of the text before.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: u32,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Lines<'a> {
        Lines {
            text: text.as_bytes(),
            offset: 0,
            line: 1,
        }
    }

    /// The line of an offset, counted from 1.
    pub(crate) fn line(&mut self, offset: u32) -> u32 {
        let offset = (offset as usize).min(self.text.len());
        if offset < self.offset {
            (self.offset, self.line) = (0, 1);
        }
        let between = &self.text[self.offset..offset];
        self.line += memchr::memchr_iter(b'\n', between).count() as u32;
        self.offset = offset;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (Cow<'_, str>, Option<Problem>) {
        let (text, fault) = decode(bytes);
        (text, fault.map(|fault| fault.problem))
    }

    #[test]
    fn encodings_are_told_apart() {
        assert_eq!(decoded(b"\xef\xbb\xbfimport a"), ("import a".into(), None));
        assert_eq!(decoded(b"\xff\xfei\0m\0"), ("im".into(), None));
        assert_eq!(decoded(b"\xfe\xff\0i\0m"), ("im".into(), None));
        assert_eq!(decoded(b"# caf\xe9\n").1, Some(Problem::Encoding));
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_said_and_not_parsed() {
        let problem = |text: &[u8]| facts(Language::JavaScript, "a.js", text).fault.map(|f| f.problem);
        assert_eq!(
            problem(&vec![b' '; FILE_BYTES_MAX as usize + 1]),
            Some(Problem::Huge)
        );
        for token in [
            "(", "[", "{", "!", "- ", "a=>", "`${", "a?b:", "a**", "x=", "typeof ", "()", "\n.a", ".a()",
        ] {
            let text = format!("x{}", token.repeat(FILE_BYTES_MAX as usize / 2 / token.len()));
            assert_eq!(problem(text.as_bytes()), Some(Problem::Huge), "{token}");
        }
    }

    #[test]
    fn what_is_just_not_too_deep_is_parsed() {
        let deep = || {
            for language in Language::ALL {
                for token in [
                    "!",
                    "- ",
                    "a=>",
                    "a?b:",
                    "a**",
                    "x=",
                    "typeof ",
                    "f()",
                    ".a()",
                    "if(a){}else ",
                    "not ",
                    "a+",
                ] {
                    for times in [900, 30_000, 95_000] {
                        facts(language, "a.x", token.repeat(times).as_bytes());
                    }
                }
                for token in ["(", "[", "{", "<a>", "f(", "if(a){", "mod a{"] {
                    facts(language, "a.x", token.repeat(990).as_bytes());
                }
            }
        };
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(deep);
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn lines_count_from_one() {
        let mut lines = Lines::of("a\nb\n\nc");
        assert_eq!(
            [0, 1, 2, 4, 5, 2, 9].map(|at| lines.line(at)),
            [1, 1, 2, 3, 4, 2, 4]
        );
    }
}
