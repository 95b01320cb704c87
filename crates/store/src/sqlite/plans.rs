//! Every statement that runs often must go by a key or an index: a scan hides until the store is large.

use std::path::Path;

use domain::store::Durability;
use rusqlite::Connection;

use super::{Options, apply, body, books, gone, line, log, names, open, read, runs, snapshot, task, tx};

const HOT: &[&str] = &[
    task::LOAD,
    task::LOAD_FREE,
    task::UPDATE,
    task::END,
    task::LEASE_UPDATE,
    task::LEASES_DELETE,
    body::LOAD,
    body::OUTCOME_LOAD,
    line::LINE,
    line::LINE_OF_RUN,
    line::AHEAD,
    line::LEAVE,
    line::LEAVE_FRONT,
    line::LEAVE_FRONT_OF_RUN,
    line::PARKED_FIRST,
    line::PARKED_NEXT_GROUP,
    line::UNPARK,
    books::LOAD,
    books::PAGE,
    books::DUE,
    books::ERASE,
    gone::TASK,
    gone::BODY,
    gone::OUTCOME,
    gone::EDGES,
    gone::EDGE,
    gone::NAMED,
    gone::UNNAME,
    gone::RUN,
    gone::ANSWER,
    gone::EVENTS,
    log::HEAD,
    log::HEAD_WRITE,
    names::PROJECT_FIND,
    names::CLASS_LAST,
    names::CLASS_AFTER,
    runs::BY_NO,
    runs::BY_ID,
    runs::NEWEST,
    runs::NEWEST_OF,
    runs::UPDATE,
    tx::FIND,
    tx::NAMED,
    log::ONE,
    tx::CHILDREN,
    tx::MEMBERS,
    tx::DEPENDENTS,
    tx::HOLDERS,
    tx::HOLDERS_BETWEEN,
    tx::HELD_BY,
    tx::EXPIRED,
    tx::LEASED_BY,
    tx::DUE,
    tx::NEXT_DUE,
    tx::UNSETTLED,
    tx::REMEMBERED,
    tx::REMEMBERED_PAGE,
    apply::RELEASE,
    apply::SETTLE_DELETE,
    apply::CACHE_USE,
    apply::CACHE_COUNT,
    apply::CACHE_SHRINK,
    snapshot::VIEW,
    read::BY_KEY,
    snapshot::EVENTS,
    snapshot::OLDEST_OF[0],
    snapshot::OLDEST_OF[1],
    snapshot::NEIGHBOUR,
    snapshot::CHILDREN_OF,
    snapshot::UPSTREAM,
    read::LOCKS,
    read::LEASED,
    read::CACHE,
];

/// Reading few rows in their order needs no sorting either, with these exceptions: they gather what is small.
const SORTED: &[&str] = &[tx::HELD_BY, tx::LEASED_BY, read::LEASED];

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Parameters stay unbound: plans do not depend on them.
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get(3).unwrap());
    }
    lines
}

/// Where two indexes would do without a scan, the one that reads no row in vain.
const BY: &[(&str, &str)] = &[
    (snapshot::OLDEST_OF[0], "task_aside"),
    (snapshot::OLDEST_OF[1], "task_aside"),
    (runs::NEWEST_OF, "run_plan"),
    (tx::DUE, "task_timer"),
    (tx::NEXT_DUE, "task_timer"),
    (tx::EXPIRED, "lease_expires"),
    (line::LINE_OF_RUN, "ready_run"),
];

#[test]
fn no_hot_statement_scans_or_sorts() {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("bell.db");
    let options = Options {
        durability: Durability::Relaxed,
        create: true,
        max_bytes: None,
    };
    let (conn, _turnstile) = open::writer(path, &options).unwrap();
    for sql in HOT {
        for line in plan(&conn, sql) {
            let scans = line.starts_with("SCAN") && !line.contains("(subquery");
            let sorts = line.contains("TEMP B-TREE") && !SORTED.contains(sql);
            assert!(!scans && !sorts, "{line}\n  in {sql}");
        }
    }
    for (sql, index) in BY {
        let plan = plan(&conn, sql);
        assert!(
            plan.iter().any(|line| line.contains(index)),
            "{plan:?}\n  in {sql}"
        );
    }
}
