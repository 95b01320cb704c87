//! Text that is safe to print and whose width is known without a font.

/// Returns the text on one line, without control characters and without the invisible marks that
/// reorder what a reader sees.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|&c| is_shown(c))
        .collect()
}

fn is_shown(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // The last two are not characters of XML 1.0.
    let is_mark = matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}');
    !(c.is_control() || reorders || is_mark)
}

/// Returns the cleaned text, escaped for XML text and attributes alike.
pub(crate) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns the estimated width in cells: a plain letter is one, a CJK character or an emoji two.
///
/// One cell is about 0.6 of the font size in the usual interface fonts.
pub(crate) fn cells(text: &str) -> f32 {
    text.chars().map(char_cells).sum()
}

fn char_cells(c: char) -> f32 {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' => 0.0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2.0,
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '·' => 0.55,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | '"' => 0.7,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.5,
        '<' | '>' | '=' | '+' | '~' | '#' | '→' => 1.35,
        'A'..='Z' => 1.2,
        _ => 1.0,
    }
}

/// Returns the cleaned text cut to a width, with an ellipsis where something is missing. Paths lose
/// their beginning, all else its end.
pub(crate) fn fit(text: &str, width: f32) -> String {
    let text = clean(text);
    if cells(&text) <= width {
        return text;
    }
    let room = width - char_cells('…');
    if text.contains('/') && !text.contains([' ', '<']) {
        let tail: Vec<char> = prefix(text.chars().rev(), room).collect();
        std::iter::once('…').chain(tail.into_iter().rev()).collect()
    } else {
        let head: String = prefix(text.chars(), room).collect();
        format!("{}…", head.trim_end())
    }
}

fn prefix(chars: impl Iterator<Item = char>, room: f32) -> impl Iterator<Item = char> {
    let mut used = 0.0;
    chars.take_while(move |&c| {
        used += char_cells(c);
        used <= room
    })
}

/// Returns the first characters of a text, for places that are not measured but must stay bounded.
pub(crate) fn head(text: &str, chars: usize) -> String {
    let mut head: String = text.chars().take(chars).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}

/// Returns `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns `1 task`, `2 tasks`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_the_end_of_words_and_the_beginning_of_paths() {
        assert_eq!(fit("short", 10.0), "short");
        assert_eq!(fit("a rather long label", 10.0), "a rather l…");
        assert_eq!(fit("src/components/button.tsx", 12.0), "…s/button.tsx");
        assert_eq!(fit("日本語のとても長いラベル", 10.0), "日本語の…");
    }

    #[test]
    fn hostile_text_is_tamed() {
        assert_eq!(xml("a\u{0}b\n<c>\u{202e}&\"'"), "ab &lt;c&gt;&amp;&quot;&#39;");
        assert_eq!(clean("\u{fffe}\u{1b}[31mred"), "[31mred");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "task"), "1 task");
        assert_eq!(count(1_000, "task"), "1,000 tasks");
    }
}
