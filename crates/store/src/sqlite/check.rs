//! Everything that is kept twice, computed again and compared.

use domain::book::Book;
use domain::event::Verifier;
use domain::id::{EventNo, Project};
use domain::prune::{BEGINNING, Beginning};
use domain::run::Counts;
use domain::task::state::State;
use rusqlite::Connection;

use super::cells::{Binds, Cells, collect};
use super::fault::{Sql, corrupt};
use super::snapshot::Snapshot;
use super::tx::query;
use super::{log, runs};
use crate::findings::{Findings, LISTED, List, Sum, Who, Wrong};
use crate::kernel::tx::ProjectNo;
use crate::tables::records::event_columns;

/// The task as it is: its row, overlaid by its lease.
const LIVE: &str = "WITH live AS (SELECT t.seq, t.id, t.project, t.class, t.run, t.score, t.submitted_at, t.depth, \
     t.superseded, t.dead_letter, t.left_state, t.wait, t.thing, t.dependents, t.children, t.open, t.dead, \
     coalesce(l.state, t.state) AS state, CASE WHEN l.seq IS NULL THEN t.reason ELSE l.reason END AS reason, \
     coalesce(l.last_event, t.last_event) AS last_event, l.seq IS NOT NULL AS leased \
     FROM task t LEFT JOIN lease l ON l.seq = t.seq WHERE t.project = ?1) ";

/// What a row of a probe says, behind the id and the number of its task.
type Says = fn(&mut Cells<'_>) -> Sql<Wrong>;

/// Each selects a task's id, if there is such a task, its number, and what else the finding tells. States: 2 ready,
/// 3 assigned, 4 running, 5 suspended, 9 failed, 10 cancelled.
const PROBES: &[(&str, Says)] = &[
    (
        "SELECT id, seq FROM live WHERE seq NOT IN (SELECT seq FROM body)",
        |_| Ok(Wrong::Body),
    ),
    (
        "SELECT id, seq FROM live WHERE NOT EXISTS \
         (SELECT 1 FROM class c WHERE c.project = ?1 AND c.no = live.class)",
        |_| Ok(Wrong::Class),
    ),
    (
        "SELECT id, seq, state FROM live WHERE state IN (3, 4) AND NOT leased",
        |cells| Ok(Wrong::NotLeased(cells.variant(State::from_u8)?)),
    ),
    (
        "SELECT id, seq, state FROM live WHERE leased AND state NOT IN (3, 4, 5, 10)",
        |cells| Ok(Wrong::Leased(cells.variant(State::from_u8)?)),
    ),
    (
        "SELECT id, seq FROM live WHERE dead_letter AND state <> 9",
        |_| Ok(Wrong::Letter),
    ),
    (
        "SELECT id, seq, state, left_state FROM live WHERE (left_state IS NOT NULL) <> (state = 5)",
        |cells| {
            Ok(Wrong::Left(
                cells.variant(State::from_u8)?,
                cells.variant_or(State::from_u8)?,
            ))
        },
    ),
    (
        "SELECT id, seq FROM live v WHERE state = 2 AND wait <> 1 AND NOT EXISTS \
         (SELECT 1 FROM ready r WHERE r.project = ?1 AND r.class = v.class AND r.rank = -v.score \
         AND (r.at = v.submitted_at OR v.wait = 3) AND r.seq = v.seq AND r.run IS v.run)",
        |_| Ok(Wrong::Missing(List::Line)),
    ),
    (
        "SELECT t.id, r.seq FROM ready r LEFT JOIN live t ON t.seq = r.seq \
         WHERE r.project = ?1 AND (t.seq IS NULL OR t.state <> 2 OR t.wait = 1 OR r.class <> t.class \
         OR r.rank <> -t.score OR (r.at <> t.submitted_at AND t.wait <> 3))",
        |_| Ok(Wrong::Stray(List::Line)),
    ),
    (
        "SELECT id, seq, thing FROM live v WHERE state = 2 AND wait = 1 AND NOT EXISTS \
         (SELECT 1 FROM parked p WHERE p.project = ?1 AND p.thing = v.thing AND p.class = v.class \
         AND p.run = ifnull(v.run, 0) AND p.rank = -v.score AND p.at = v.submitted_at AND p.seq = v.seq)",
        |cells| Ok(Wrong::Missing(List::Parked(cells.text()?.to_owned()))),
    ),
    (
        "SELECT t.id, p.seq, p.thing FROM parked p LEFT JOIN live t ON t.seq = p.seq WHERE p.project = ?1 \
         AND (t.seq IS NULL OR t.state <> 2 OR t.wait <> 1 OR t.thing <> p.thing)",
        |cells| Ok(Wrong::Stray(List::Parked(cells.text()?.to_owned()))),
    ),
    (
        "SELECT id, seq, dependents, n FROM (SELECT id, seq, dependents, \
         (SELECT count(*) FROM edge e WHERE e.parent = live.seq) AS n FROM live) WHERE n <> dependents",
        |cells| Ok(Wrong::Dependents(cells.count()?, cells.count()?)),
    ),
    (
        "SELECT id, seq, children, n FROM (SELECT id, seq, children, \
         (SELECT count(*) FROM task c WHERE c.parent = live.seq) AS n FROM live) WHERE n <> children",
        |cells| Ok(Wrong::Children(cells.count()?, cells.count()?)),
    ),
    (
        "SELECT t.id, t.seq FROM live t JOIN edge e ON e.parent = t.seq WHERE e.child NOT IN (SELECT seq FROM task)",
        |_| Ok(Wrong::EdgeToNobody),
    ),
    (
        "SELECT t.id, h.seq, h.name FROM held h LEFT JOIN live t ON t.seq = h.seq \
         WHERE h.project = ?1 AND (t.seq IS NULL OR NOT t.leased)",
        |cells| Ok(Wrong::Holds(cells.text()?.to_owned())),
    ),
    (
        "SELECT t.id, t.seq FROM lease l JOIN task t ON t.seq = l.seq \
         WHERE (l.project = ?1 OR t.project = ?1) AND l.project <> t.project",
        |_| Ok(Wrong::ForeignLease),
    ),
    (
        "SELECT NULL, seq FROM lease WHERE project = ?1 AND seq NOT IN (SELECT seq FROM task)",
        |_| Ok(Wrong::Lease),
    ),
    (
        "SELECT NULL, seq, key FROM name WHERE project = ?1 AND seq NOT IN (SELECT seq FROM task)",
        |cells| Ok(Wrong::Named(cells.text()?.to_owned())),
    ),
    (
        "SELECT id, seq FROM live WHERE run IS NOT NULL AND run NOT IN (SELECT no FROM run)",
        |_| Ok(Wrong::NoRun),
    ),
    // A task that has never left pending or blocked: every prerequisite that has not ended is open. Those whose
    // settling is still under way are left out.
    (
        "SELECT c.id, c.seq, c.open, count(*) FROM live c \
         JOIN edge e ON e.child = c.seq JOIN live p ON p.seq = e.parent \
         WHERE c.state = 1 AND c.children = 0 AND p.state NOT IN (8, 9, 10) \
         AND NOT EXISTS (SELECT 1 FROM settle WHERE project = ?1) GROUP BY c.seq HAVING count(*) > c.open",
        |cells| Ok(Wrong::Open(cells.count()?, cells.count()?)),
    ),
];

pub(super) fn findings(snapshot: &mut Snapshot<'_>, name: &Project) -> Sql<Vec<String>> {
    let Snapshot { conn, project, .. } = *snapshot;
    let mut found = Findings::default();
    integrity(conn, &mut found)?;
    if !found.is_empty() {
        // What is read of a damaged file proves nothing.
        return Ok(found.lines());
    }
    head(conn, project, &mut found)?;
    for (probe, says) in PROBES {
        run_probe(conn, project, probe, *says, &mut found)?;
    }
    run_counters(conn, project, &mut found)?;
    chain(conn, project, name, &mut found)?;
    Ok(found.lines())
}

fn integrity(conn: &Connection, found: &mut Findings) -> Sql<()> {
    let mut statement = conn.prepare("PRAGMA integrity_check(10)")?;
    let lines = collect(Binds::of(&mut statement), |cells| Ok(cells.text()?.to_owned()))?;
    for line in lines.iter().filter(|line| *line != "ok") {
        found.say(format!("the file is damaged: {line}"));
    }
    Ok(())
}

fn run_probe(
    conn: &Connection,
    project: ProjectNo,
    probe: &str,
    says: Says,
    found: &mut Findings,
) -> Sql<()> {
    let mut statement = conn.prepare(&format!("{LIVE} {probe} LIMIT {LISTED}"))?;
    let mut binds = Binds::of(&mut statement);
    binds.project(project)?;
    let rows = collect(binds, |cells| {
        Ok((Who::of(cells.task_id_or()?, cells.seq()?), says(cells)?))
    })?;
    for (who, wrong) in rows {
        found.note(who, &wrong);
    }
    Ok(())
}

fn head(conn: &Connection, project: ProjectNo, found: &mut Findings) -> Sql<()> {
    let mut sum = sum(conn, project)?;
    let by_state = format!("{LIVE} SELECT state, count(*) FROM live GROUP BY state");
    let states = query(
        conn,
        &by_state,
        |binds| binds.project(project).map(drop),
        |cells| Ok((cells.variant(State::from_u8)?, cells.count()?)),
    )?;
    for (state, count) in states {
        sum.counts.0[state as usize] = count;
    }
    found.head(&log::head(conn, project)?, &sum);
    Ok(())
}

/// Everything but the counts.
fn sum(conn: &Connection, project: ProjectNo) -> Sql<Sum> {
    let sums = format!(
        "{LIVE} SELECT ifnull(sum(dead_letter), 0), ifnull(sum(score), 0), ifnull(max(depth), 0), \
                        max(submitted_at) FROM live"
    );
    let sums = query(
        conn,
        &sums,
        |binds| binds.project(project).map(drop),
        |cells| {
            Ok(Sum {
                counts: Counts::default(),
                dead_letters: cells.count()?,
                score_sum: cells.int()?,
                max_depth: cells.count()?,
                newest: cells.time_or()?,
            })
        },
    )?;
    sums.into_iter().next().ok_or_else(|| corrupt("no sums"))
}

fn run_counters(conn: &Connection, project: ProjectNo, found: &mut Findings) -> Sql<()> {
    let counted = format!(
        "{LIVE} SELECT state, count(*), sum(state = 10 AND reason IS 2) FROM live \
         WHERE run = ?2 AND NOT superseded GROUP BY state"
    );
    for run in runs::newest(conn, project, None, usize::MAX)? {
        let (mut counts, mut skipped) = (Counts::default(), 0);
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.run_or(Some(run.no)).map(drop);
        let states = query(conn, &counted, bind, |cells| {
            Ok((
                cells.variant(State::from_u8)?,
                cells.count::<u64>()?,
                cells.count::<u64>()?,
            ))
        })?;
        for (state, count, not_needed) in states {
            counts.0[state as usize] = count;
            skipped += not_needed;
        }
        found.run(&run, &counts, skipped);
    }
    Ok(())
}

/// Follows the log from its first event to the head, and the events of each task to its row.
fn chain(conn: &Connection, project: ProjectNo, name: &Project, found: &mut Findings) -> Sql<()> {
    const ALL: &str = concat!(
        "SELECT ",
        event_columns!(),
        " FROM event e WHERE e.n > ?1 AND e.n <= ?2 ORDER BY e.n"
    );
    let kept = super::books::load(conn, project, Book::Cursor, &[BEGINNING.into()])?;
    let from = Beginning::read(name, &kept)?;
    let mut verifier = Verifier::after(from.after);
    let mut last = rustc_hash::FxHashMap::default();
    let mut statement = conn.prepare(ALL)?;
    let mut binds = Binds::of(&mut statement);
    binds
        .put(log::key(project, EventNo(0)))?
        .put(log::key(project, EventNo(u64::MAX)))?;
    let mut rows = binds.rows();
    while let Some(row) = rows.next()? {
        let event = log::read(&mut Cells::of(row))?;
        if let Err(broken) = verifier.follow(&event) {
            found.broken(&broken);
            return Ok(());
        }
        if let Some(seq) = event.fact.task {
            found.before(&event, from.before(&event, last.insert(seq, event.no)));
        }
    }
    if let Err(broken) = verifier.finish(&log::head(conn, project)?.chain) {
        found.broken(&broken);
    }
    let heads = format!("{LIVE} SELECT id, seq, last_event FROM live");
    let tasks = query(
        conn,
        &heads,
        |binds| binds.project(project).map(drop),
        |cells| Ok((cells.task_id()?, cells.seq()?, cells.event_no()?)),
    )?;
    for (id, seq, kept) in tasks {
        found.last_event(&id, kept, from.last(kept, last.get(&seq).copied()));
    }
    Ok(())
}
