//! Bodies and outcomes: the payloads beside the narrow rows.

use domain::id::Seq;
use domain::task::record::{Body, Outcome};
use rusqlite::Connection;

use super::cells::{Binds, first};
use super::fault::{Sql, corrupt};
use super::together::{Insertion, insertion};
use crate::tables::records::{self, body_columns, outcome_columns};
use crate::tables::split::pack;

pub(super) const LOAD: &str = concat!("SELECT ", body_columns!(), " FROM body b WHERE b.seq = ?1");
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
        found.extend(first(binds, |cells| records::body(cells))?.map(|body| (*seq, body)));
    }
    Ok(found)
}

pub(super) fn outcomes(conn: &Connection, seqs: &[Seq]) -> Sql<Vec<(Seq, Outcome)>> {
    let mut statement = conn.prepare_cached(OUTCOME_LOAD)?;
    let mut found = Vec::new();
    for seq in seqs {
        let mut binds = Binds::of(&mut statement);
        binds.seq(*seq)?;
        let outcome = first(binds, |cells| records::outcome(cells))?.flatten();
        found.extend(outcome.map(|outcome| (*seq, outcome)));
    }
    Ok(found)
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
