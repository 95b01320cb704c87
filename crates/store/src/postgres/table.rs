//! Statements that write many rows of one table at once, made from lists of their columns.
//!
//! Rows travel as one array for each column and are put together again with `unnest`; the first parameter is always
//! the project.

use std::borrow::Cow;
use std::fmt::Write;

use domain::code::{Code, Refusal};

use super::fault::Sql;
use super::link::Param;
use super::set::Part;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers of any width, flags and variants.
    Int,
    Text,
    Bytes,
}

impl Kind {
    fn array(self) -> &'static str {
        match self {
            Kind::Int => "int8[]",
            Kind::Text => "text[]",
            Kind::Bytes => "bytea[]",
        }
    }
}

pub(super) type Column = (&'static str, Kind);

fn names<'c>(columns: impl IntoIterator<Item = &'c Column>, mark: &str) -> String {
    let names: Vec<String> = columns
        .into_iter()
        .map(|(name, _)| format!("{mark}{name}"))
        .collect();
    names.join(", ")
}

fn unnest(columns: &[Column]) -> String {
    let mut arrays = String::new();
    for (at, (_, kind)) in columns.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(arrays, "{comma}${}::{}", at + 2, kind.array()).expect("a string takes everything");
    }
    format!("unnest({arrays}) AS v({})", names(columns, ""))
}

pub(super) fn insert(table: &str, columns: &[&[Column]]) -> String {
    let columns = columns.concat();
    format!(
        "INSERT INTO {table} (project, {}) SELECT $1::int4, {} FROM {}",
        names(&columns, ""),
        names(&columns, "v."),
        unnest(&columns)
    )
}

/// Replaces the rows that are there already.
pub(super) fn replace(table: &str, key: &[Column], rest: &[Column]) -> String {
    let set: Vec<String> = rest
        .iter()
        .map(|(name, _)| format!("{name} = excluded.{name}"))
        .collect();
    let done = if set.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", set.join(", "))
    };
    format!(
        "{} ON CONFLICT (project, {}) DO {done}",
        insert(table, &[key, rest]),
        names(key, "")
    )
}

/// Where each row is. The inner side is fenced, so that a table which the planner takes for empty is not read whole for
/// every row that is asked for.
fn place(table: &str, key: &[Column], also: &str) -> String {
    let equal: Vec<String> = key.iter().map(|(name, _)| format!("{name} = v.{name}")).collect();
    format!(
        "LATERAL (SELECT ctid AS place FROM {table} WHERE project = $1::int4 AND {}{also} OFFSET 0) p",
        equal.join(" AND ")
    )
}

pub(super) fn update(table: &str, key: &[Column], rest: &[Column]) -> String {
    let set: Vec<String> = rest
        .iter()
        .map(|(name, _)| format!("{name} = w.{name}"))
        .collect();
    format!(
        "UPDATE {table} t SET {} FROM (SELECT v.*, p.place FROM {}, {}) w WHERE t.ctid = w.place",
        set.join(", "),
        unnest(&[key, rest].concat()),
        place(table, key, "")
    )
}

pub(super) fn delete(table: &str, key: &[Column]) -> String {
    delete_by(table, key, "")
}

/// As [`delete`], by an index that holds under the condition `also`.
pub(super) fn delete_by(table: &str, key: &[Column], also: &str) -> String {
    format!(
        "DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT p.place FROM {}, {}))",
        unnest(key),
        place(table, key, also)
    )
}

/// The rows of one statement, filled from left to right and row after row.
pub(super) struct Rows {
    arrays: Vec<Array>,
    at: usize,
    /// A text that the server cannot keep.
    unfit: Option<String>,
}

enum Array {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Rows {
    pub(super) fn of(columns: &[&[Column]]) -> Rows {
        let array = |(_, kind): &Column| match kind {
            Kind::Int => Array::Int(Vec::new()),
            Kind::Text => Array::Text(Vec::new()),
            Kind::Bytes => Array::Bytes(Vec::new()),
        };
        Rows {
            arrays: columns.iter().flat_map(|part| part.iter()).map(array).collect(),
            at: 0,
            unfit: None,
        }
    }

    fn next(&mut self) -> &mut Array {
        let at = self.at;
        self.at = (at + 1) % self.arrays.len();
        &mut self.arrays[at]
    }

    pub(super) fn int_or(&mut self, value: Option<i64>) -> &mut Self {
        match self.next() {
            Array::Int(values) => values.push(value),
            _ => unreachable!("the column takes no numbers"),
        }
        self
    }

    pub(super) fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        self.int_or(Some(value.into()))
    }

    pub(super) fn wide(&mut self, value: u64) -> &mut Self {
        self.int_or(Some(value as i64))
    }

    pub(super) fn text_or<'t>(&mut self, value: Option<impl Into<Cow<'t, str>>>) -> &mut Self {
        let value = value.map(|text| text.into().into_owned());
        if let Some(text) = value.as_ref().filter(|text| text.contains('\0')) {
            self.unfit = Some(text.chars().take(80).collect());
        }
        match self.next() {
            Array::Text(values) => values.push(value),
            _ => unreachable!("the column takes no text"),
        }
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.text_or(Some(value))
    }

    pub(super) fn bytes_or(&mut self, value: Option<Vec<u8>>) -> &mut Self {
        match self.next() {
            Array::Bytes(values) => values.push(value),
            _ => unreachable!("the column takes no bytes"),
        }
        self
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.bytes_or(Some(value.to_owned()))
    }

    pub(super) fn len(&self) -> usize {
        match &self.arrays[0] {
            Array::Int(values) => values.len(),
            Array::Text(values) => values.len(),
            Array::Bytes(values) => values.len(),
        }
    }

    /// The statement with these rows; `None` when there are none.
    pub(super) fn part(self, sql: &'static str, project: i32) -> Sql<Option<Part>> {
        debug_assert_eq!(self.at, 0, "a row is not filled to its end");
        if let Some(text) = self.unfit {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!(
                    "`{}` holds a NUL character, which PostgreSQL cannot keep",
                    text.escape_debug()
                ),
            )
            .into());
        }
        if self.len() == 0 {
            return Ok(None);
        }
        let mut params: Vec<Param> = vec![Box::new(project)];
        params.extend(self.arrays.into_iter().map(|array| -> Param {
            match array {
                Array::Int(values) => Box::new(values),
                Array::Text(values) => Box::new(values),
                Array::Bytes(values) => Box::new(values),
            }
        }));
        Ok(Some(Part { sql, params }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[Column] = &[("name", Kind::Text), ("seq", Kind::Int)];
    const REST: &[Column] = &[("mode", Kind::Int)];

    #[test]
    fn statements_follow_from_columns() {
        assert_eq!(
            replace("held", KEY, REST),
            "INSERT INTO held (project, name, seq, mode) SELECT $1::int4, v.name, v.seq, v.mode \
             FROM unnest($2::text[], $3::int8[], $4::int8[]) AS v(name, seq, mode) \
             ON CONFLICT (project, name, seq) DO UPDATE SET mode = excluded.mode"
        );
        assert_eq!(
            update("held", KEY, REST),
            "UPDATE held t SET mode = w.mode FROM (SELECT v.*, p.place \
             FROM unnest($2::text[], $3::int8[], $4::int8[]) AS v(name, seq, mode), \
             LATERAL (SELECT ctid AS place FROM held WHERE project = $1::int4 AND name = v.name AND seq = v.seq \
             OFFSET 0) p) w WHERE t.ctid = w.place"
        );
        assert_eq!(
            delete("held", KEY),
            "DELETE FROM held WHERE ctid = ANY(ARRAY(SELECT p.place FROM unnest($2::text[], $3::int8[]) AS v(name, seq), \
             LATERAL (SELECT ctid AS place FROM held WHERE project = $1::int4 AND name = v.name AND seq = v.seq \
             OFFSET 0) p))"
        );
    }

    #[test]
    fn what_the_server_cannot_keep_is_refused_by_name() {
        let mut rows = Rows::of(&[KEY]);
        rows.text("a\0b").int(1);
        let refusal = rows.part("", 1).err().unwrap().refusal();
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert!(refusal.detail.contains("a\\0b"), "{refusal}");
    }
}
