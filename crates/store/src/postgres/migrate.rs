//! The schema's versions: which one a server has, and how it is brought up to ours.
//!
//! Migrations only go forward and are never edited once released. All that are missing run in one transaction under an
//! advisory lock, so of many processes that open at once one migrates, and a crash leaves the old version. A migration
//! may run while processes of the version before it are at work, and must leave them working.

use domain::code::{Code, Refusal};

use super::cells::first;
use super::fault::{Fault, Sql};
use super::link::{Link, Order};

/// In order; the version of a store is the number of those it has seen.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/postgres/0001_first.sql")];

pub(super) const LATEST: u32 = MIGRATIONS.len() as u32;

/// The tables of the schema, and the version where our own table says one.
const LOOK: &str = "SELECT count(*) FILTER (WHERE c.relname = 'meta') = 1, count(*), \
     coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE')), true) FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";
const VERSION: &str = "SELECT value FROM meta WHERE name = 'schema'";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Older(u32),
    Current,
    Newer(u32),
    /// Another program's.
    Foreign,
}

/// What the schema is; writes nothing.
pub(super) fn look(link: &mut Link) -> Sql<Found> {
    look_in(link, &[])
}

fn look_in(link: &mut Link, orders: &[Order]) -> Sql<Found> {
    let schema = link.place.schema.clone();
    let found = link.ask(orders, LOOK, &[&&*schema])?;
    let found = first(&found, |cells| Ok((cells.flag()?, cells.int()?, cells.flag()?)))?;
    match found {
        None | Some((_, 0, _)) => return Ok(Found::Nothing),
        Some((_, _, false)) => {
            let detail = format!("this user may not look into the schema `{schema}`");
            let help = format!("let its owner say `GRANT ALL ON SCHEMA {schema} TO …`, and its tables");
            return Err(Refusal::new(Code::StoreDenied, detail).help(help).into());
        }
        Some((false, ..)) => return Ok(Found::Foreign),
        Some((true, ..)) => {}
    }
    let orders = if link.place.pooled {
        vec![link.begin()]
    } else {
        Vec::new()
    };
    let version = link.ask_once(&orders, VERSION, &[]);
    if link.place.pooled && orders_open(&version) {
        link.send(&[Order::RollBack])?;
    }
    let version = match version {
        Ok(rows) => first(&rows, |cells| Ok(cells.text()?.parse::<u32>().ok()))?.flatten(),
        // A table `meta` of other columns.
        Err(Fault::Refused(refusal)) if refusal.code != Code::StoreDenied => None,
        Err(fault) => return Err(fault),
    };
    Ok(match version {
        Some(version) if version == LATEST => Found::Current,
        Some(version @ 1..) if version < LATEST => Found::Older(version),
        Some(version @ 1..) => Found::Newer(version),
        _ => Found::Foreign,
    })
}

fn orders_open<T>(answer: &Sql<T>) -> bool {
    !matches!(answer, Err(Fault::Lost(_)))
}

/// Brings the store to the latest version.
pub(super) fn bring_up(link: &mut Link) -> Sql<()> {
    let schema = link.place.schema.clone();
    let lock = format!("SELECT pg_advisory_xact_lock(hashtextextended('bellwether:{schema}', 0))");
    link.send(&[link.begin(), Order::Plain(lock.into())])?;
    let done = migrate(link, &schema);
    match done {
        Ok(()) => link.send(&[Order::Commit]),
        Err(fault) => {
            if !matches!(fault, Fault::Lost(_)) {
                link.send(&[Order::RollBack])?;
            }
            Err(fault)
        }
    }
}

fn migrate(link: &mut Link, schema: &str) -> Sql<()> {
    link.take_time()?;
    link.send(&[Order::Plain(
        format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"").into(),
    )])?;
    link.send(&[Order::Plain(
        "CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text NOT NULL)".into(),
    )])?;
    // Another process may have been here while we waited for the lock.
    let version = link.ask_once(&[], VERSION, &[])?;
    let from = first(&version, |cells| Ok(cells.text()?.parse::<usize>().unwrap_or(0)))?.unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(from) {
        link.send(&[Order::Plain((*migration).into())])?;
    }
    if from < MIGRATIONS.len() {
        let note = format!(
            "INSERT INTO meta VALUES ('schema', '{LATEST}') ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        );
        link.send(&[Order::Plain(note.into())])?;
    }
    Ok(())
}
