//! Aligned columns that fit the terminal: one column gives way when they do not.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::theme::{self, paint};

#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    right: bool,
}

/// A text without line breaks or colours, and how to paint it.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::from((text, theme::PLAIN))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::from(text.to_owned())
    }
}

impl From<(String, Style)> for Cell {
    fn from((text, style): (String, Style)) -> Cell {
        Cell {
            text: one_line(&text),
            style,
        }
    }
}

/// What tasks are called comes from outside: it stays on its line and moves no cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

const GAP: &str = "  ";
/// A column that gives way keeps at least this much.
const LEAST: usize = 8;

impl Table {
    /// Columns by name; one that begins with `>` is aligned to the right.
    pub(crate) fn new(columns: &[&'static str]) -> Table {
        let column = |name: &&'static str| Column {
            name: name.strip_prefix('>').unwrap_or(name),
            right: name.starts_with('>'),
        };
        Table {
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    /// The table as text, as wide as the terminal at the most.
    pub(crate) fn render(&self) -> String {
        self.render_in(super::width(std::io::stdout()))
    }

    pub(crate) fn render_in(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let head = self
            .columns
            .iter()
            .map(|column| Cell::from((column.name.to_owned(), theme::DIM)));
        let mut text = self.line(&head.collect::<Vec<_>>(), &widths);
        for row in &self.rows {
            text += &self.line(row, &widths);
        }
        text
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let of = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].text.width());
            cells.max().unwrap_or(0).max(self.columns[at].name.width())
        };
        let mut widths: Vec<usize> = (0..self.columns.len()).map(of).collect();
        let whole = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        let excess = width.map_or(0, |width| whole.saturating_sub(width));
        // Free text is what there is most of: the widest column after the first two, which identify the row.
        if let Some(widest) = (2..widths.len()).max_by_key(|&at| widths[at]) {
            widths[widest] = widths[widest]
                .saturating_sub(excess)
                .max(LEAST.min(widths[widest]));
        }
        widths
    }

    fn line(&self, cells: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let text = cut(&cell.text, *width);
            let pad = " ".repeat(width - text.width());
            let painted = if cell.style == theme::PLAIN {
                text
            } else {
                paint(cell.style, &text)
            };
            match self.columns[at].right {
                true => line += &format!("{pad}{painted}"),
                false if at + 1 == cells.len() => line += &painted,
                false => line += &format!("{painted}{pad}"),
            }
            if at + 1 < cells.len() {
                line += GAP;
            }
        }
        format!("{}\n", line.trim_end())
    }
}

/// The text in at most `width` columns, with `…` where it was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        kept.push(c);
    }
    format!("{kept}…")
}

/// Names and values below each other; rows without a value are left out.
pub(crate) fn fields(rows: &[(&str, Option<String>)]) -> String {
    let there = || {
        rows.iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)))
    };
    let width = there().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): (&&str, &String)| {
        let name = paint(theme::DIM, &format!("{name:<width$}"));
        let value = value.replace('\n', &format!("\n{}{GAP}", " ".repeat(width)));
        format!("{name}{GAP}{value}\n")
    };
    there().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["STATE", "ID", "NAME", ">SCORE"]);
        table.row([
            "ready".into(),
            "a".into(),
            "build the documentation".into(),
            "32.5".into(),
        ]);
        table.row(["done".into(), "bb".into(), "日本語\tx".into(), "5".into()]);
        table
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_are_aligned() {
        insta::assert_snapshot!(plain(&sample().render_in(None)), @r"
        STATE  ID  NAME                     SCORE
        ready  a   build the documentation   32.5
        done   bb  日本語 x                     5
        ");
    }

    #[test]
    fn the_longest_text_gives_way_to_the_terminal() {
        let text = plain(&sample().render_in(Some(30)));
        assert!(text.lines().all(|line| line.width() <= 30), "{text}");
        insta::assert_snapshot!(text, @r"
        STATE  ID  NAME          SCORE
        ready  a   build the d…   32.5
        done   bb  日本語 x          5
        ");
    }

    #[test]
    fn fields_leave_out_what_is_not_there() {
        let text = fields(&[
            ("id", Some("a".into())),
            ("run", None),
            ("result", Some("1\n2".into())),
        ]);
        assert_eq!(plain(&text), "id      a\nresult  1\n        2\n");
    }
}
