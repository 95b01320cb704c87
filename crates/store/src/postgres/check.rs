//! Everything that is kept twice, computed again and compared, in one picture of the project.

use domain::event::Verifier;
use domain::id::{EventNo, Project};
use domain::prune::Beginning;
use domain::run::Counts;
use domain::task::state::State;
use rustc_hash::FxHashMap;

use super::cells::Cells;
use super::fault::{Sql, corrupt};
use super::link::Order;
use super::query;
use super::rows;
use super::snapshot::Snapshot;
use crate::findings::{Findings, LISTED, List, Sum, Who, Wrong};
use crate::tables::records;

/// Events that are read at once.
const EVENTS: i64 = 5_000;

/// The task as it is: its row, overlaid by its lease.
const LIVE: &str = "WITH live AS (SELECT t.seq, t.id, t.class, t.run, t.parent, t.score, t.submitted_at, t.depth, \
     t.superseded, t.dead_letter, t.left_state, t.wait, t.thing, t.dependents, t.children, t.open, t.timer, \
     coalesce(l.state, t.state) AS state, CASE WHEN l.seq IS NULL THEN t.reason ELSE l.reason END AS reason, \
     coalesce(l.last_event, t.last_event) AS last_event, l.seq IS NOT NULL AS leased \
     FROM task t LEFT JOIN lease l ON l.project = t.project AND l.seq = t.seq WHERE t.project = $1::int4), \
     own_body AS (SELECT * FROM body WHERE project = $1::int4), \
     own_edge AS (SELECT * FROM edge WHERE project = $1::int4), \
     own_ready AS (SELECT * FROM ready WHERE project = $1::int4), \
     own_parked AS (SELECT * FROM parked WHERE project = $1::int4), \
     own_aside AS (SELECT * FROM aside WHERE project = $1::int4), \
     own_timer AS (SELECT * FROM timer WHERE project = $1::int4), \
     own_held AS (SELECT * FROM held WHERE project = $1::int4), \
     own_lease AS (SELECT * FROM lease WHERE project = $1::int4) ";

/// All is compared with all. Tables that have just grown look small to the planner, which would go through one of them for each
/// row of another.
pub(super) const WHOLE: &str = "SET LOCAL enable_nestloop = off";

/// What a row of a probe says, behind the id and the number of its task.
type Says = fn(&mut Cells<'_>) -> Sql<Wrong>;

/// Each selects a task's id, if there is such a task, its number, and what else the finding tells. States: 0 pending,
/// 1 blocked, 2 ready, 3 assigned, 4 running, 5 suspended, 6 awaiting, 7 retrying, 8 completed, 9 failed, 10 cancelled.
const PROBES: &[(&str, Says)] = &[
    (
        "SELECT v.id, v.seq FROM live v LEFT JOIN own_body b USING (seq) WHERE b.seq IS NULL",
        |_| Ok(Wrong::Body),
    ),
    (
        "SELECT v.id, v.seq FROM live v \
         WHERE NOT EXISTS (SELECT 1 FROM class c WHERE c.project = $1::int4 AND c.no = v.class)",
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
        "SELECT id, seq FROM live WHERE dead_letter = 1 AND state <> 9",
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
        "SELECT v.id, v.seq FROM live v LEFT JOIN own_ready r \
         ON r.seq = v.seq AND r.class = v.class AND r.rank = -v.score AND (r.at = v.submitted_at OR v.wait = 3) \
         AND r.run IS NOT DISTINCT FROM v.run WHERE v.state = 2 AND v.wait <> 1 AND r.seq IS NULL",
        |_| Ok(Wrong::Missing(List::Line)),
    ),
    (
        "SELECT v.id, r.seq FROM own_ready r LEFT JOIN live v ON v.seq = r.seq \
         WHERE v.seq IS NULL OR v.state <> 2 OR v.wait = 1 OR r.class <> v.class \
         OR r.rank <> -v.score OR (r.at <> v.submitted_at AND v.wait <> 3)",
        |_| Ok(Wrong::Stray(List::Line)),
    ),
    (
        "SELECT v.id, v.seq, v.thing FROM live v LEFT JOIN own_parked p \
         ON p.seq = v.seq AND p.thing = v.thing AND p.class = v.class AND p.run = coalesce(v.run, 0) \
         AND p.rank = -v.score AND p.at = v.submitted_at WHERE v.state = 2 AND v.wait = 1 AND p.seq IS NULL",
        |cells| Ok(Wrong::Missing(List::Parked(cells.text()?.to_owned()))),
    ),
    (
        "SELECT v.id, p.seq, p.thing FROM own_parked p LEFT JOIN live v ON v.seq = p.seq \
         WHERE v.seq IS NULL OR v.state <> 2 OR v.wait <> 1 OR v.thing <> p.thing",
        |cells| Ok(Wrong::Stray(List::Parked(cells.text()?.to_owned()))),
    ),
    (
        "SELECT v.id, v.seq, v.state FROM live v LEFT JOIN own_aside a USING (seq, state) \
         WHERE v.state IN (0, 1, 5, 6, 7, 9) AND NOT v.leased AND a.seq IS NULL",
        |cells| Ok(Wrong::Missing(List::State(cells.variant(State::from_u8)?))),
    ),
    (
        "SELECT v.id, a.seq, a.state FROM own_aside a LEFT JOIN live v ON v.seq = a.seq \
         WHERE v.seq IS NULL OR v.leased OR v.state <> a.state",
        |cells| Ok(Wrong::Stray(List::State(cells.variant(State::from_u8)?))),
    ),
    (
        "SELECT v.id, v.seq FROM live v LEFT JOIN own_timer s ON s.seq = v.seq AND s.at = v.timer \
         WHERE v.timer IS NOT NULL AND s.seq IS NULL",
        |_| Ok(Wrong::Missing(List::Timers)),
    ),
    (
        "SELECT v.id, s.seq FROM own_timer s LEFT JOIN live v ON v.seq = s.seq \
         WHERE v.seq IS NULL OR v.timer IS DISTINCT FROM s.at",
        |_| Ok(Wrong::Stray(List::Timers)),
    ),
    (
        "SELECT v.id, v.seq, v.dependents, coalesce(e.n, 0) FROM live v \
         LEFT JOIN (SELECT parent, count(*) AS n FROM own_edge GROUP BY parent) e ON e.parent = v.seq \
         WHERE coalesce(e.n, 0) <> v.dependents",
        |cells| Ok(Wrong::Dependents(cells.count()?, cells.count()?)),
    ),
    (
        "SELECT v.id, v.seq, v.children, coalesce(c.n, 0) FROM live v \
         LEFT JOIN (SELECT parent, count(*) AS n FROM live GROUP BY parent) c ON c.parent = v.seq \
         WHERE coalesce(c.n, 0) <> v.children",
        |cells| Ok(Wrong::Children(cells.count()?, cells.count()?)),
    ),
    (
        "SELECT p.id, p.seq FROM own_edge e JOIN live p ON p.seq = e.parent \
         LEFT JOIN live c ON c.seq = e.child WHERE c.seq IS NULL",
        |_| Ok(Wrong::EdgeToNobody),
    ),
    (
        "SELECT v.id, h.seq, h.name FROM own_held h LEFT JOIN live v ON v.seq = h.seq \
         WHERE v.seq IS NULL OR NOT v.leased",
        |cells| Ok(Wrong::Holds(cells.text()?.to_owned())),
    ),
    (
        "SELECT NULL::bytea, l.seq FROM own_lease l LEFT JOIN live v USING (seq) WHERE v.seq IS NULL",
        |_| Ok(Wrong::Lease),
    ),
    (
        "SELECT NULL::bytea, n.seq, n.key FROM name n LEFT JOIN live v USING (seq) \
         WHERE n.project = $1::int4 AND v.seq IS NULL",
        |cells| Ok(Wrong::Named(cells.text()?.to_owned())),
    ),
    (
        "SELECT v.id, v.seq FROM live v LEFT JOIN run r \
         ON r.project = $1::int4 AND r.no = v.run WHERE v.run IS NOT NULL AND r.no IS NULL",
        |_| Ok(Wrong::NoRun),
    ),
    // A task that has never left pending or blocked: every prerequisite that has not ended is open. Those whose
    // settling is still under way are left out.
    (
        "SELECT c.id, c.seq, c.open, count(*) FROM live c \
         JOIN own_edge e ON e.child = c.seq JOIN live p ON p.seq = e.parent \
         WHERE c.state = 1 AND c.children = 0 AND p.state NOT IN (8, 9, 10) \
         AND NOT EXISTS (SELECT 1 FROM settle WHERE project = $1::int4) GROUP BY c.seq, c.id, c.open HAVING count(*) > c.open",
        |cells| Ok(Wrong::Open(cells.count()?, cells.count()?)),
    ),
];

pub(super) fn findings(snapshot: &mut Snapshot<'_>, name: &Project) -> Sql<Vec<String>> {
    snapshot.link.take_time()?;
    snapshot.link.send(&[Order::Plain(WHOLE.into())])?;
    let mut found = Findings::default();
    head(snapshot, &mut found)?;
    for (probe, says) in PROBES {
        run_probe(snapshot, probe, *says, &mut found)?;
    }
    run_counters(snapshot, &mut found)?;
    chain(snapshot, name, &mut found)?;
    Ok(found.lines())
}

fn sql(probe: &str) -> String {
    format!("{LIVE} {probe} LIMIT {LISTED}")
}

/// Each as it is asked, with the number of the project.
#[cfg(test)]
pub(super) fn questions() -> impl Iterator<Item = String> {
    PROBES.iter().map(|(probe, _)| sql(probe))
}

fn run_probe(snapshot: &mut Snapshot<'_>, probe: &str, says: Says, found: &mut Findings) -> Sql<()> {
    let sql = sql(probe);
    let no = snapshot.no;
    let rows = snapshot.ask_once(&sql, &[&no], |cells| {
        Ok((Who::of(cells.task_id_or()?, cells.seq()?), says(cells)?))
    })?;
    for (who, wrong) in rows {
        found.note(who, &wrong);
    }
    Ok(())
}

fn head(snapshot: &mut Snapshot<'_>, found: &mut Findings) -> Sql<()> {
    let no = snapshot.no;
    let mut sum = sum(snapshot)?;
    let by_state = format!("{LIVE} SELECT state, count(*) FROM live GROUP BY state");
    let states = snapshot.ask_once(&by_state, &[&no], |cells| {
        Ok((cells.variant(State::from_u8)?, cells.count()?))
    })?;
    for (state, count) in states {
        sum.counts.0[state as usize] = count;
    }
    found.head(&snapshot.head, &sum);
    Ok(())
}

/// Everything but the counts.
fn sum(snapshot: &mut Snapshot<'_>) -> Sql<Sum> {
    let no = snapshot.no;
    let sums = format!(
        "{LIVE} SELECT coalesce(sum(dead_letter), 0)::int8, coalesce(sum(score::int8), 0)::int8, \
         coalesce(max(depth), 0), max(submitted_at) FROM live"
    );
    let sums = snapshot.ask_once(&sums, &[&no], |cells| {
        Ok(Sum {
            counts: Counts::default(),
            dead_letters: cells.count()?,
            score_sum: cells.int()?,
            max_depth: cells.count()?,
            newest: cells.time_or()?,
        })
    })?;
    sums.into_iter().next().ok_or_else(|| corrupt("no sums"))
}

fn run_counters(snapshot: &mut Snapshot<'_>, found: &mut Findings) -> Sql<()> {
    let no = snapshot.no;
    let counted = format!(
        "{LIVE} SELECT run, state, count(*), count(*) FILTER (WHERE state = 10 AND reason = 2) FROM live \
         WHERE run IS NOT NULL AND NOT superseded = 1 GROUP BY run, state"
    );
    let states = snapshot.ask_once(&counted, &[&no], |cells| {
        Ok((
            cells.int()?,
            cells.variant(State::from_u8)?,
            cells.count::<u64>()?,
            cells.count::<u64>()?,
        ))
    })?;
    let mut right: FxHashMap<i64, (Counts, u64)> = FxHashMap::default();
    for (run, state, count, not_needed) in states {
        let (counts, skipped) = right.entry(run).or_default();
        counts.0[state as usize] = count;
        *skipped += not_needed;
    }
    for run in snapshot.ask(&query::RUNS, &[&no, &i64::MAX], records::run)? {
        let (counts, skipped) = right.get(&(run.no.0 as i64)).copied().unwrap_or_default();
        found.run(&run, &counts, skipped);
    }
    Ok(())
}

/// Follows the log from its first event to the head, and the events of each task to its row.
fn chain(snapshot: &mut Snapshot<'_>, name: &Project, found: &mut Findings) -> Sql<()> {
    let page = format!(
        "SELECT {} FROM event e WHERE e.project = $1 AND e.n > $2 ORDER BY e.n LIMIT {EVENTS}",
        rows::EVENT_COLUMNS
    );
    let no = snapshot.no;
    let from = snapshot.beginning()?.unwrap_or_else(|| Beginning::of(name));
    let mut verifier = Verifier::after(from.after);
    let mut last = FxHashMap::default();
    let mut after = EventNo(0);
    loop {
        let events = snapshot.ask_once(&page, &[&no, &(after.0 as i64)], rows::event)?;
        let Some(end) = events.last().map(|event| event.no) else {
            break;
        };
        after = end;
        for event in events {
            if let Err(broken) = verifier.follow(&event) {
                found.broken(&broken);
                return Ok(());
            }
            if let Some(seq) = event.fact.task {
                found.before(&event, from.before(&event, last.insert(seq, event.no)));
            }
        }
    }
    if let Err(broken) = verifier.finish(&snapshot.chain()) {
        found.broken(&broken);
    }
    let heads = format!("{LIVE} SELECT id, seq, last_event FROM live");
    let tasks = snapshot.ask_once(&heads, &[&no], |cells: &mut Cells<'_>| {
        Ok((cells.task_id()?, cells.seq()?, cells.event_no()?))
    })?;
    for (id, seq, kept) in tasks {
        found.last_event(&id, kept, from.last(kept, last.get(&seq).copied()));
    }
    Ok(())
}
