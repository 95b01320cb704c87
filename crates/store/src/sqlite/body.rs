//! Bodies and outcomes: the payloads beside the narrow rows.

use domain::id::Seq;
use domain::task::record::{Body, Outcome};
use domain::task::spec::When;
use rusqlite::Connection;

use super::cells::{Binds, Cells, first};
use super::fault::{Sql, corrupt};
use super::together::{Insertion, insertion};
use crate::split::{self, pack};

macro_rules! columns {
    () => {
        "b.key, b.digest, b.after, b.spec"
    };
}
macro_rules! outcome_columns {
    () => {
        "o.seq, o.error, o.usage, o.result"
    };
}
pub(super) use {columns, outcome_columns};

pub(super) const LOAD: &str = concat!("SELECT ", columns!(), " FROM body b WHERE b.seq = ?1");
pub(super) const OUTCOME_LOAD: &str =
    concat!("SELECT ", outcome_columns!(), " FROM outcome o WHERE o.seq = ?1");
pub(super) static INSERT: Insertion =
    insertion!("INSERT INTO body (seq, key, digest, after, spec) VALUES (?1, ?2, ?3, ?4, ?5)");
pub(super) const OUTCOME_WRITE: &str =
    "INSERT OR REPLACE INTO outcome (seq, error, usage, result) VALUES (?1, ?2, ?3, ?4)";

pub(super) fn load(conn: &Connection, seqs: &[Seq]) -> Sql<Vec<(Seq, Body)>> {
    let mut statement = conn.prepare_cached(LOAD)?;
    let mut found = Vec::with_capacity(seqs.len());
    for seq in seqs {
        let mut binds = Binds::of(&mut statement);
        binds.seq(*seq)?;
        found.extend(first(binds, read)?.map(|body| (*seq, body)));
    }
    Ok(found)
}

pub(super) fn outcomes(conn: &Connection, seqs: &[Seq]) -> Sql<Vec<(Seq, Outcome)>> {
    let mut statement = conn.prepare_cached(OUTCOME_LOAD)?;
    let mut found = Vec::new();
    for seq in seqs {
        let mut binds = Binds::of(&mut statement);
        binds.seq(*seq)?;
        let outcome = first(binds, read_outcome)?.flatten();
        found.extend(outcome.map(|outcome| (*seq, outcome)));
    }
    Ok(found)
}

/// Reads `columns!`.
pub(super) fn read(cells: &mut Cells<'_>) -> Sql<Body> {
    Ok(Body {
        key: cells.name_or()?,
        digest: cells.digest()?,
        after: unpack(cells.raw()?.as_blob_or_null().map_err(corrupt)?)?,
        spec: cells.text()?.into(),
    })
}

/// Reads `outcome_columns!`; `None` when a join found no row.
pub(super) fn read_outcome(cells: &mut Cells<'_>) -> Sql<Option<Outcome>> {
    if cells.int_or()?.is_none() {
        cells.skip(3);
        return Ok(None);
    }
    let error = cells.text_or()?;
    Ok(Some(Outcome {
        error: error.map(serde_json::from_str).transpose().map_err(corrupt)?,
        usage: cells.json_or()?,
        result: cells.json_or()?,
    }))
}

/// Binds [`INSERT`].
pub(super) fn insert(binds: &mut Binds<'_, '_>, seq: Seq, body: &Body) -> Sql<()> {
    binds
        .seq(seq)?
        .put(body.key.as_ref().map(domain::id::Key::as_str))?;
    binds
        .put(&body.digest[..])?
        .put(pack(&body.after))?
        .put(&*body.spec)?;
    Ok(())
}

/// Binds [`OUTCOME_WRITE`].
pub(super) fn write_outcome(binds: &mut Binds<'_, '_>, seq: Seq, outcome: &Outcome) -> Sql<()> {
    let error = outcome.error.as_ref().map(serde_json::to_string).transpose();
    binds.seq(seq)?.put(error.map_err(corrupt)?)?;
    binds
        .json_or(outcome.usage.as_ref())?
        .json_or(outcome.result.as_ref())?;
    Ok(())
}

fn unpack(bytes: Option<&[u8]>) -> Sql<Vec<(Seq, When)>> {
    let after = split::unpack(bytes.unwrap_or_default());
    after.ok_or_else(|| corrupt("a list of prerequisites is damaged"))
}

pub(super) fn when(number: u8) -> Sql<When> {
    let known = When::ALL.get(usize::from(number)).copied();
    known.ok_or_else(|| corrupt(format!("an edge has the unknown condition {number}")))
}
