//! Questions that a transaction and readers ask alike.
//!
//! A list of numbers or names is the outer side of every join, and the inner side is fenced (`OFFSET 0`), so that each
//! is looked up by its key whatever the planner believes of the table's size.

use std::sync::{Arc, LazyLock};

use domain::book::Entry;
use rustc_hash::FxHashMap;

use super::rows::{
    BODY_COLUMNS, EVENT_COLUMNS, FREE_TASK_COLUMNS, LEASE_COLUMNS, OUTCOME_COLUMNS, RUN_COLUMNS,
};

pub(super) const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";

pub(super) const FIND: &str = "SELECT i.at, t.seq FROM unnest($2::bytea[]) WITH ORDINALITY AS i(id, at), \
     LATERAL (SELECT seq FROM task WHERE project = $1::int4 AND id = i.id AND seq > 0 OFFSET 0) t";
pub(super) const NAMED: &str = "SELECT i.at, n.seq FROM unnest($2::text[], $3::int8[]) WITH ORDINALITY AS i(key, run, at), \
     LATERAL (SELECT seq FROM name WHERE project = $1::int4 AND key = i.key AND run = i.run OFFSET 0) n";
pub(super) static TASKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {FREE_TASK_COLUMNS}, {LEASE_COLUMNS} FROM unnest($2::int8[]) AS s(seq), \
         LATERAL (SELECT * FROM task WHERE project = $1::int4 AND seq = s.seq OFFSET 0) t \
         LEFT JOIN LATERAL (SELECT * FROM lease WHERE project = $1::int4 AND seq = t.seq OFFSET 0) l ON true"
    )
});
pub(super) static BODIES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT b.seq, {BODY_COLUMNS} FROM unnest($2::int8[]) AS s(seq), \
         LATERAL (SELECT * FROM body WHERE project = $1::int4 AND seq = s.seq OFFSET 0) b"
    )
});
pub(super) static OUTCOMES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT o.seq, {OUTCOME_COLUMNS} FROM unnest($2::int8[]) AS s(seq), \
         LATERAL (SELECT * FROM outcome WHERE project = $1::int4 AND seq = s.seq OFFSET 0) o"
    )
});
/// Not `=`, since then the order of the key would do as well, over all tasks.
pub(super) const CHILDREN: &str =
    "SELECT seq FROM task WHERE project = $1 AND parent BETWEEN $2 AND $2 ORDER BY parent, seq LIMIT $3";
pub(super) const MEMBERS: &str = "SELECT seq FROM task WHERE project = $1 AND run BETWEEN $2 AND $2 AND seq < $3 \
     ORDER BY run DESC, seq DESC LIMIT $4";
pub(super) const DEPENDENTS: &str = "SELECT child, condition FROM edge WHERE project = $1 AND parent = $2 \
     AND child > $3 ORDER BY child LIMIT $4";

/// One piece of each line: parameters are classes and the places behind which to begin.
pub(super) const LINE: &str = "SELECT c.class, r.rank, r.at, r.seq \
     FROM unnest($2::int4[], $3::int4[], $4::int8[], $5::int8[]) AS c(class, rank, at, seq), \
     LATERAL (SELECT rank, at, seq FROM ready WHERE project = $1::int4 AND class = c.class \
     AND (rank, at, seq) > (c.rank, c.at, c.seq) AND seq > 0 ORDER BY rank, at, seq LIMIT $6) r";
pub(super) const LINE_OF_RUN: &str = "SELECT c.class, r.rank, r.at, r.seq \
     FROM unnest($2::int4[], $3::int4[], $4::int8[], $5::int8[]) AS c(class, rank, at, seq), \
     LATERAL (SELECT rank, at, seq FROM ready WHERE project = $1::int4 AND run = $7::int8 AND class = c.class \
     AND (rank, at, seq) > (c.rank, c.at, c.seq) ORDER BY rank, at, seq LIMIT $6) r";
/// The rows of those that are first in the line of one class, with what there is to do. A task in line has no lease.
pub(super) static WHOLE_LINE: LazyLock<String> = LazyLock::new(|| whole_line("AND seq > 0"));
pub(super) static WHOLE_LINE_OF_RUN: LazyLock<String> = LazyLock::new(|| whole_line("AND run = $4::int8"));

fn whole_line(choice: &str) -> String {
    format!(
        "SELECT {FREE_TASK_COLUMNS}, {BODY_COLUMNS} \
         FROM (SELECT seq FROM ready WHERE project = $1::int4 AND class = $2::int4 {choice} \
         ORDER BY rank, at, seq LIMIT $3) r, \
         LATERAL (SELECT * FROM task WHERE project = $1::int4 AND seq = r.seq OFFSET 0) t, \
         LATERAL (SELECT * FROM body WHERE project = $1::int4 AND seq = r.seq OFFSET 0) b"
    )
}
pub(super) const AHEAD: &str = "SELECT count(*) FROM unnest($2::int4[]) AS c(class), \
     LATERAL (SELECT 1 FROM ready WHERE project = $1::int4 AND class = c.class \
     AND (rank, at, seq) < ($3::int4, $4::int8, $5::int8) AND seq > 0 LIMIT $6) r";
pub(super) const PARKED_FIRST: &str = "SELECT seq FROM parked WHERE project = $1 AND thing = $2 AND class = $3 \
     AND run = $4 ORDER BY rank, at, seq LIMIT 1";
/// From one group to the next, without reading the tasks between.
pub(super) const PARKED_GROUPS: &str = "WITH RECURSIVE g AS (\
     (SELECT class, run, seq FROM parked WHERE project = $1::int4 AND thing = $2::text \
     ORDER BY class, run, rank, at, seq LIMIT 1) \
     UNION ALL SELECT n.class, n.run, n.seq FROM g, \
     LATERAL (SELECT class, run, seq FROM parked WHERE project = $1::int4 AND thing = $2::text \
     AND (class, run) > (g.class, g.run) ORDER BY class, run, rank, at, seq LIMIT 1) n) SELECT seq FROM g";

pub(super) const HOLDERS: &str =
    "SELECT seq, mode FROM held WHERE project = $1 AND name = $2 AND mode >= 0 ORDER BY seq";
pub(super) const HOLDERS_BETWEEN: &str = "SELECT name, seq, mode FROM held WHERE project = $1 AND name >= $2 AND name < $3 AND mode >= 0 ORDER BY name, seq";
pub(super) const HELD_BY: &str = "SELECT name, mode FROM held WHERE project = $1 AND seq = $2 ORDER BY name";
pub(super) const EXPIRED: &str =
    "SELECT seq FROM lease WHERE project = $1 AND expires <= $2 AND seq > 0 ORDER BY expires, seq LIMIT $3";
pub(super) const LEASED_BY: &str = "SELECT seq FROM lease WHERE project = $1 AND worker = $2 ORDER BY seq";
/// Those that are due, and the first that is not.
pub(super) const DUE: &str = "(SELECT at, seq FROM timer WHERE project = $1 AND at <= $2 ORDER BY at, seq LIMIT $3) \
     UNION ALL (SELECT at, seq FROM timer WHERE project = $1 AND at > $2 ORDER BY at, seq LIMIT 1)";
pub(super) const UNSETTLED: &str =
    "SELECT seq, dependent FROM settle WHERE project = $1 ORDER BY seq LIMIT $2";
pub(super) const REMEMBERED: &str = "SELECT digest, answer, at FROM idem WHERE project = $1 AND key = $2";
pub(super) const REMEMBERED_PAGE: &str =
    "SELECT key, digest, answer, at FROM idem WHERE project = $1 AND key > $2 ORDER BY key LIMIT $3";

pub(super) static EVENT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.project = $1 AND e.n = $2"));
pub(super) static RUN_BY_NO: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {RUN_COLUMNS} FROM run WHERE project = $1 AND no = $2"));
pub(super) static RUN_BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {RUN_COLUMNS} FROM run WHERE project = $1 AND id = $2 AND no > 0"));
/// Newest first.
pub(super) static RUNS: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {RUN_COLUMNS} FROM run WHERE project = $1 ORDER BY no DESC LIMIT $2"));
pub(super) static RUNS_OF: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {RUN_COLUMNS} FROM run WHERE project = $1 AND plan = $3 AND state >= 0 ORDER BY no DESC LIMIT $2"
    )
});

pub(super) const ENTRIES: &str = "SELECT e.key, e.value, e.due FROM unnest($3::text[]) AS k(key), \
     LATERAL (SELECT * FROM entry WHERE project = $1::int4 AND book = $2::int2 AND key = k.key OFFSET 0) e";
pub(super) const ENTRY_PAGE: &str = "SELECT key, value, due FROM entry WHERE project = $1 AND book = $2 AND key > $3 \
     ORDER BY key LIMIT $4";
pub(super) const ENTRIES_DUE: &str = "SELECT key, value, due FROM entry WHERE project = $1 AND book = $2 AND due <= $3 \
     ORDER BY due, key LIMIT $4";

/// Bounds as SQL takes them.
pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What was found, in the order asked; a key that was asked for twice is there twice.
pub(super) fn entries_in_order(keys: &[Arc<str>], found: Vec<Entry>) -> Vec<Entry> {
    let found: FxHashMap<Arc<str>, Entry> = found
        .into_iter()
        .map(|entry| (entry.key.clone(), entry))
        .collect();
    keys.iter().filter_map(|key| found.get(key).cloned()).collect()
}
