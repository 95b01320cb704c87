//! What YAML's unquoted words mean.

use super::node::Scalar;

/// The core schema of YAML 1.2.2, section 10.3.2.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Scalar::Bool,
        _ if is_number(text) => Scalar::Number,
        _ => Scalar::Text,
    }
}

fn is_number(text: &str) -> bool {
    let all = |digits: &str, test: fn(&u8) -> bool| !digits.is_empty() && digits.bytes().all(|b| test(&b));
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |b| matches!(b, b'0'..=b'7'));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, u8::is_ascii_hexdigit);
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(text, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let good_mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => all(fraction, u8::is_ascii_digit),
        Some((whole, fraction)) => all(whole, u8::is_ascii_digit) && digits(fraction),
        None => all(mantissa, u8::is_ascii_digit),
    };
    let good_exponent =
        exponent.is_none_or(|e| all(e.strip_prefix(['-', '+']).unwrap_or(e), u8::is_ascii_digit));
    good_mantissa && good_exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_the_core_schema_says() {
        for (kind, words) in [
            (Scalar::Null, "~ null Null NULL"),
            (Scalar::Bool, "true False TRUE"),
            (
                Scalar::Number,
                "0 -1 +12 007 0o17 0x1F .5 5. 1.5 -1e3 1E+3 .5e-1 .inf -.INF .nan",
            ),
            (
                Scalar::Text,
                "nULL yes no on off y 0b1 0o8 0xG 1_000 1:30 e3 . - + .e1 1e -0x1 infinity 2030-01-01",
            ),
        ] {
            for word in words.split(' ') {
                assert_eq!(resolve(word), kind, "{word}");
            }
        }
        assert_eq!(resolve(""), Scalar::Null);
    }
}
