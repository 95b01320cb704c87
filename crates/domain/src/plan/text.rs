//! From bytes to text, and from offsets in it to places.

use crate::code::Code;
use crate::limits;

use super::fault::{Fault, Place};

/// The text of a plan file without its byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() as u64 > limits::PLAN_BYTES {
        let detail = format!(
            "the plan has {} bytes, the limit is {}",
            bytes.len(),
            limits::PLAN_BYTES
        );
        return Err(Fault::new(Code::PlanLimit, None, detail).help("submit it in parts"));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Some(name) = utf16(bytes) {
        let detail = format!("the plan is {name} text, not UTF-8");
        return Err(Fault::new(Code::PlanNotText, None, detail).help("save the file as UTF-8"));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let good = str::from_utf8(&bytes[..at]).unwrap_or_default();
        let detail = format!("byte {at} (0x{:02x}) is not UTF-8", bytes[at]);
        not_text(good, detail)
    })?;
    match text.bytes().position(unprintable) {
        Some(at) => {
            let detail = format!("byte {at} is the control character 0x{:02x}", text.as_bytes()[at]);
            Err(not_text(&text[..at], detail))
        }
        None => Ok(text),
    }
}

fn not_text(before: &str, detail: String) -> Fault {
    let place = Places::new(before).of(before.len());
    Fault::new(Code::PlanNotText, place, detail).help("save the file as UTF-8 text")
}

/// Control characters that none of the three formats allows to stand for themselves.
fn unprintable(byte: u8) -> bool {
    byte == 0x7F || (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Knows UTF-16 by its byte order mark, or by zeros in every other of the first bytes.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, ..] => Some("UTF-16 (little-endian)"),
        [0xFE, 0xFF, ..] => Some("UTF-16 (big-endian)"),
        [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some("UTF-16 (little-endian)"),
        [0, a, 0, b, ..] if *a != 0 && *b != 0 => Some("UTF-16 (big-endian)"),
        _ => None,
    }
}

/// Finds line and column of a byte offset in constant time, on minified one-line files too.
pub(super) struct Places<'a> {
    text: &'a [u8],
    /// The place of every `STRIDE`th byte.
    marks: Vec<Place>,
}

const STRIDE: usize = 64;

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Places<'a> {
        let text = text.as_bytes();
        let mut place = Place::START;
        let mut marks = Vec::with_capacity(text.len() / STRIDE + 1);
        for chunk in text.chunks(STRIDE) {
            marks.push(place);
            place = chunk.iter().fold(place, step);
        }
        if text.len().is_multiple_of(STRIDE) {
            marks.push(place);
        }
        Places { text, marks }
    }

    /// The place of the character that begins at `offset`, or of the end of the text.
    pub(super) fn of(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let mark = offset / STRIDE;
        self.text[mark * STRIDE..offset]
            .iter()
            .fold(self.marks[mark], step)
    }
}

fn step(place: Place, byte: &u8) -> Place {
    match byte {
        b'\n' => Place {
            line: place.line + 1,
            column: 1,
        },
        0x80..=0xBF => place,
        _ => Place {
            column: place.column + 1,
            ..place
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let text = format!("a: ä\n{}\n😀b", "x".repeat(200));
        let places = Places::new(&text);
        let place = |needle: &str| places.of(text.find(needle).unwrap()).to_string();
        assert_eq!(place("a"), "1:1");
        assert_eq!(place("ä"), "1:4");
        assert_eq!(place("😀"), "3:1");
        assert_eq!(place("b"), "3:2");
        assert_eq!(places.of(5 + 1 + 150).to_string(), "2:151");
        assert_eq!(Places::new("").of(0).to_string(), "1:1");
        assert_eq!(Places::new(&"y".repeat(STRIDE)).of(STRIDE).column, 65);
    }

    #[test]
    fn what_is_not_text_is_named_with_its_byte() {
        let fault = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(decode(b"\xEF\xBB\xBFname: x").unwrap(), "name: x");
        insta::assert_snapshot!(fault(b"name: x\nb: \xff"), @"2:4: byte 11 (0xff) is not UTF-8 (help: save the file as UTF-8 text)");
        insta::assert_snapshot!(fault(b"\x7fELF\x02\x01"), @"1:1: byte 0 is the control character 0x7f (help: save the file as UTF-8 text)");
        insta::assert_snapshot!(fault(b"a: b\0"), @"1:5: byte 4 is the control character 0x00 (help: save the file as UTF-8 text)");
        insta::assert_snapshot!(fault(b"\xff\xfea\0"), @"the plan is UTF-16 (little-endian) text, not UTF-8 (help: save the file as UTF-8)");
        insta::assert_snapshot!(fault(b"\0n\0a\0m"), @"the plan is UTF-16 (big-endian) text, not UTF-8 (help: save the file as UTF-8)");
        let huge = vec![b' '; limits::PLAN_BYTES as usize + 1];
        insta::assert_snapshot!(fault(&huge), @"the plan has 67108865 bytes, the limit is 67108864 (help: submit it in parts)");
    }
}
