//! Amounts as people write them.

use crate::code::{Code, Refusal};

/// Reads `3`, `0.5`, `200k`, `1.5M`, `2G`, and with powers of 1,024 `4Ki`, `4KiB`, `512MiB`, `1TiB`; `KB`, `MB` and so on
/// are powers of 1,000. Never negative, never infinite.
pub fn parse(text: &str) -> Result<f64, Refusal> {
    let text = text.trim();
    let wrong = || {
        Refusal::new(
            Code::InvalidArgument,
            format!("`{}` is no amount", text.escape_debug()),
        )
        .help("write for example 3, 0.5, 200k, 1.5M or 4GiB")
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim();
    let unit = unit.strip_suffix('B').unwrap_or(unit);
    let (letter, base) = match unit.strip_suffix('i') {
        Some(letter) => (letter, 1_024f64),
        None => (unit, 1_000f64),
    };
    let power = match letter {
        "" if base == 1_000.0 => 0,
        "k" | "K" => 1,
        "m" | "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        _ => return Err(wrong()),
    };
    let amount = number * base.powi(power);
    if amount.is_finite() {
        Ok(amount)
    } else {
        Err(wrong())
    }
}

/// As [`parse`], for what comes in whole pieces.
pub fn whole(text: &str) -> Result<u64, Refusal> {
    let amount = parse(text)?;
    if amount.fract() == 0.0 && amount <= 9e15 {
        return Ok(amount as u64);
    }
    Err(Refusal::new(
        Code::InvalidArgument,
        format!("`{}` is no whole amount", text.escape_debug()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read() {
        for (text, amount) in [
            ("3", 3.0),
            (" 0.5 ", 0.5),
            ("200k", 200e3),
            ("1.5M", 1.5e6),
            ("2 GB", 2e9),
            ("4GiB", 4.0 * 1_024f64.powi(3)),
            ("1Ki", 1_024.0),
        ] {
            assert_eq!(parse(text).unwrap(), amount, "{text}");
        }
        for bad in ["", "-1", "k", "1x", "1i", "1.2.3", "inf", "nan", "1e9"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(whole("4GiB").unwrap(), 1 << 32);
        assert!(whole("0.5").is_err());
    }
}
