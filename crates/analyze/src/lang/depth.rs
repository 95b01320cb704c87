//! A look at a text before a parser that recurses gets it.

/// Brackets inside each other. People stay below fifty, generated code below a few hundred.
const NESTING_MAX: usize = 1_000;
/// Operators and other joints of one statement: chains such as `a = b = c`, `!!!!a`, `a()()()` or `else if … else if`
/// become trees as deep as they are long.
const JOINTS_MAX: usize = 100_000;

/// Whether a recursive parser might need more stack than [`STACK_BYTES`](super::STACK_BYTES). It does not know
/// strings and comments from code: whoever has a thousand open brackets in one is not read, and that is said.
pub(super) fn beyond(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Nearly every file is done with here, at the speed of memory.
    if bytes.len() <= JOINTS_MAX && opened(bytes) <= NESTING_MAX {
        return false;
    }
    let (mut depth, mut joints) = (0usize, 0usize);
    let mut last = b';';
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if opens(byte) => {
                depth += 1;
                joints += usize::from(closes(last) || word(last));
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' => joints = 0,
            b'\n' if ends(last) && !goes_on(&bytes[at + 1..]) => joints = 0,
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
            _ if word(byte) => {
                let apart = at > 0 && !word(bytes[at - 1]) && (word(last) || closes(last));
                joints += usize::from(apart);
            }
            _ => joints += 1,
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
        if depth > NESTING_MAX || joints > JOINTS_MAX {
            return true;
        }
    }
    false
}

/// In pieces whose counts fit into a byte, which is how compilers make it quick.
fn opened(bytes: &[u8]) -> usize {
    let count = |piece: &[u8]| piece.iter().map(|byte| u8::from(opens(*byte))).sum::<u8>();
    bytes.chunks(255).map(|piece| usize::from(count(piece))).sum()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

fn opens(byte: u8) -> bool {
    matches!(byte, b'(' | b'[' | b'{')
}

fn closes(byte: u8) -> bool {
    matches!(byte, b')' | b']' | b'}')
}

/// Whether a statement may end after this byte.
fn ends(byte: u8) -> bool {
    word(byte) || closes(byte) || matches!(byte, b';' | b'"' | b'\'' | b'`' | b'{')
}

/// Whether the next line belongs to the same statement.
fn goes_on(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    match rest {
        [] | [b'"' | b'\'' | b'#' | b'@', ..] | [b'/', b'/' | b'*', ..] => false,
        [b'e', b'l', b's', b'e', more @ ..] => more.first().is_none_or(|byte| !word(*byte)),
        [byte, ..] => !word(*byte) && !closes(*byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_is_not_deep() {
        for line in [
            "a = b + c\n",
            "f(x).g(y)\n",
            "f(-1, +2);",
            "// - a = b\n",
            "else_ = [1, 2]\n",
            "  }\n",
        ] {
            assert!(!beyond(&line.repeat(200_000)), "{line}");
        }
        assert!(!beyond(&format!("[{}]", "12, ".repeat(500_000))));
    }
}
