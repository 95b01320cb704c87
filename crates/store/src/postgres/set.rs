//! Several statements as one. Each message to the server has a price of its own, for it and for us, that is higher than that
//! of a row; so what one set of writes has for several tables goes as one statement: `WITH a AS (…), b AS (…) …`.
//!
//! All parts of such a statement see the rows as they were before it, so no two of them may be about the same row.

use std::fmt::Write;

use super::link::Param;

pub(super) struct Part {
    pub(super) sql: &'static str,
    pub(super) params: Vec<Param>,
}

/// By which the statement of some parts is known: where their texts lie, which never change.
pub(super) type Key = Vec<(usize, usize)>;

pub(super) fn key(parts: &[Part]) -> Key {
    let place = |part: &Part| (part.sql.as_ptr().addr(), part.sql.len());
    parts.iter().map(place).collect()
}

/// The parameters of each part come behind those of the parts before it.
pub(super) fn text(parts: &[Part]) -> String {
    let mut text = String::new();
    let mut shift = 0;
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        if !last {
            let begin = if at == 0 { "WITH" } else { "," };
            write!(text, "{begin} w{at} AS (").expect("a string takes everything");
        }
        renumber(&mut text, part.sql, shift);
        text.push_str(match (last, at + 2 == parts.len()) {
            (true, _) => "",
            (false, true) => ") ",
            (false, false) => ")",
        });
        shift += part.params.len();
    }
    text
}

fn renumber(text: &mut String, sql: &str, shift: usize) {
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('$') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = after.split_at(digits);
        let number = number.parse::<usize>().map_or(0, |number| number + shift);
        write!(text, "{before}${number}").expect("a string takes everything");
        rest = behind;
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(sql: &'static str, params: usize) -> Part {
        let params = (0..params).map(|_| -> Param { Box::new(1_i64) }).collect();
        Part { sql, params }
    }

    #[test]
    fn parts_become_one_statement() {
        let one = "INSERT INTO a SELECT $1, $2";
        let two = "DELETE FROM b WHERE c = $2 AND d = $1";
        assert_eq!(text(&[part(one, 2)]), one);
        let three = [part(one, 2), part(two, 2), part("UPDATE e SET f = $10", 10)];
        assert_eq!(
            text(&three),
            "WITH w0 AS (INSERT INTO a SELECT $1, $2), w1 AS (DELETE FROM b WHERE c = $4 AND d = $3) \
             UPDATE e SET f = $14"
        );
        assert_ne!(key(&three), key(&three[..2]));
    }
}
