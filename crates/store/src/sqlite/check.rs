//! Everything that is kept twice, computed again and compared.

use domain::book::Book;
use domain::event::{Broken, Verifier};
use domain::id::{EventNo, Project, TaskId};
use domain::prune::{BEGINNING, Beginning};
use domain::run::{Counts, RunState};
use domain::task::state::State;
use rusqlite::Connection;

use super::cells::{Binds, Cells};
use super::fault::{Sql, corrupt};
use super::snapshot::Snapshot;
use super::tx::query;
use super::{log, runs};
use crate::kernel::tx::ProjectNo;

/// How many findings of one sort are listed.
const LISTED: i64 = 10;

/// The task as it is: its row, overlaid by its lease.
const LIVE: &str = "WITH live AS (SELECT t.seq, t.id, t.project, t.class, t.run, t.score, t.submitted_at, t.depth, \
     t.superseded, t.dead_letter, t.left_state, t.wait, t.thing, t.dependents, t.children, t.open, t.dead, \
     coalesce(l.state, t.state) AS state, CASE WHEN l.seq IS NULL THEN t.reason ELSE l.reason END AS reason, \
     coalesce(l.last_event, t.last_event) AS last_event, l.seq IS NOT NULL AS leased \
     FROM task t LEFT JOIN lease l ON l.seq = t.seq WHERE t.project = ?1) ";

/// Each selects the id of a task and what is wrong with it. States: 2 ready, 3 assigned, 4 running, 5 suspended,
/// 9 failed, 10 cancelled.
const PROBES: &[&str] = &[
    "SELECT id, 'has no body' FROM live WHERE seq NOT IN (SELECT seq FROM body)",
    "SELECT id, 'has no class' FROM live \
     WHERE NOT EXISTS (SELECT 1 FROM class c WHERE c.project = ?1 AND c.no = live.class)",
    "SELECT id, 'is assigned or running without a lease' FROM live WHERE state IN (3, 4) AND NOT leased",
    "SELECT id, 'has a lease in state ' || state FROM live WHERE leased AND state NOT IN (3, 4, 5, 10)",
    "SELECT id, 'is in the dead letters and not failed' FROM live WHERE dead_letter AND state <> 9",
    "SELECT id, 'remembers a state to go back to and is not suspended' FROM live \
     WHERE (left_state IS NOT NULL) <> (state = 5)",
    "SELECT id, 'is ready and not in its place in line' FROM live v WHERE state = 2 AND wait <> 1 AND NOT EXISTS \
     (SELECT 1 FROM ready r WHERE r.project = ?1 AND r.class = v.class AND r.rank = -v.score \
     AND (r.at = v.submitted_at OR v.wait = 3) AND r.seq = v.seq AND r.run IS v.run)",
    "SELECT t.id, 'is in line and should not be' FROM ready r LEFT JOIN live t ON t.seq = r.seq \
     WHERE r.project = ?1 AND (t.seq IS NULL OR t.state <> 2 OR t.wait = 1 OR r.class <> t.class \
     OR r.rank <> -t.score OR (r.at <> t.submitted_at AND t.wait <> 3))",
    "SELECT id, 'is parked and not found under what it waits for' FROM live v WHERE state = 2 AND wait = 1 AND \
     NOT EXISTS (SELECT 1 FROM parked p WHERE p.project = ?1 AND p.thing = v.thing AND p.class = v.class \
     AND p.run = ifnull(v.run, 0) AND p.rank = -v.score AND p.at = v.submitted_at AND p.seq = v.seq)",
    "SELECT t.id, 'is found parked under ' || p.thing || ' and should not be' FROM parked p \
     LEFT JOIN live t ON t.seq = p.seq WHERE p.project = ?1 \
     AND (t.seq IS NULL OR t.state <> 2 OR t.wait <> 1 OR t.thing <> p.thing)",
    "SELECT id, 'counts ' || dependents || ' dependents and has ' || n FROM (SELECT id, dependents, \
     (SELECT count(*) FROM edge e WHERE e.parent = live.seq) AS n FROM live) WHERE n <> dependents",
    "SELECT id, 'counts ' || children || ' children and has ' || n FROM (SELECT id, children, \
     (SELECT count(*) FROM task c WHERE c.parent = live.seq) AS n FROM live) WHERE n <> children",
    "SELECT t.id, 'has an edge to a task that does not exist' FROM live t JOIN edge e ON e.parent = t.seq \
     WHERE e.child NOT IN (SELECT seq FROM task)",
    "SELECT t.id, 'holds ' || h.name || ' without a lease' FROM held h LEFT JOIN live t ON t.seq = h.seq \
     WHERE h.project = ?1 AND (t.seq IS NULL OR NOT t.leased)",
    "SELECT t.id, 'has a lease of another project' FROM lease l JOIN task t ON t.seq = l.seq \
     WHERE (l.project = ?1 OR t.project = ?1) AND l.project <> t.project",
    "SELECT NULL, 'there is a lease of task number ' || seq || ', which does not exist' FROM lease \
     WHERE project = ?1 AND seq NOT IN (SELECT seq FROM task)",
    "SELECT NULL, 'the key ' || key || ' names task number ' || seq || ', which does not exist' FROM name \
     WHERE project = ?1 AND seq NOT IN (SELECT seq FROM task)",
    "SELECT id, 'belongs to a run that does not exist' FROM live WHERE run IS NOT NULL AND run NOT IN (SELECT no FROM run)",
    // A task that has never left pending or blocked: every prerequisite that has not ended is open. Those whose
    // settling is still under way are left out.
    "SELECT c.id, 'counts ' || c.open || ' open prerequisites and has ' || count(*) FROM live c \
     JOIN edge e ON e.child = c.seq JOIN live p ON p.seq = e.parent \
     WHERE c.state = 1 AND c.children = 0 AND p.state NOT IN (8, 9, 10) \
     AND NOT EXISTS (SELECT 1 FROM settle WHERE project = ?1) GROUP BY c.seq HAVING count(*) > c.open",
];

pub(super) fn findings(snapshot: &mut Snapshot<'_>, name: &Project) -> Sql<Vec<String>> {
    let Snapshot { conn, project, .. } = *snapshot;
    let mut found = integrity(conn)?;
    if !found.is_empty() {
        // What is read of a damaged file proves nothing.
        return Ok(found);
    }
    head(conn, project, &mut found)?;
    for probe in PROBES {
        found.extend(run_probe(conn, project, probe)?);
    }
    run_counters(conn, project, &mut found)?;
    chain(conn, project, name, &mut found)?;
    Ok(found)
}

fn integrity(conn: &Connection) -> Sql<Vec<String>> {
    let mut statement = conn.prepare("PRAGMA integrity_check(10)")?;
    let lines = super::cells::collect(Binds::of(&mut statement), |cells| Ok(cells.text()?.to_owned()))?;
    Ok(lines
        .into_iter()
        .filter(|line| line != "ok")
        .map(|line| format!("the file is damaged: {line}"))
        .collect())
}

fn run_probe(conn: &Connection, project: ProjectNo, probe: &str) -> Sql<Vec<String>> {
    let mut statement = conn.prepare(&format!("{LIVE} {probe} LIMIT {LISTED}"))?;
    let mut binds = Binds::of(&mut statement);
    binds.project(project)?;
    super::cells::collect(binds, |cells| {
        let id = cells.task_id().ok();
        let wrong = cells.text()?;
        Ok(id.map_or_else(|| wrong.to_owned(), |id| format!("task {id} {wrong}")))
    })
}

fn head(conn: &Connection, project: ProjectNo, found: &mut Vec<String>) -> Sql<()> {
    let head = log::head(conn, project)?;
    let mut counts = Counts::default();
    let by_state = format!("{LIVE} SELECT state, count(*) FROM live GROUP BY state");
    let states = query(
        conn,
        &by_state,
        |binds| binds.project(project).map(drop),
        |cells| Ok((cells.variant(State::from_u8)?, cells.count()?)),
    )?;
    for (state, count) in states {
        counts.0[state as usize] = count;
    }
    for ((state, kept), (_, right)) in head.counts.iter().zip(counts.iter()) {
        differ(found, &format!("the number of {state} tasks"), &kept, &right);
    }
    let sums = format!(
        "{LIVE} SELECT ifnull(sum(dead_letter), 0), ifnull(sum(score), 0), ifnull(max(depth), 0), \
                        max(submitted_at) FROM live"
    );
    let sums = query(
        conn,
        &sums,
        |binds| binds.project(project).map(drop),
        |cells| {
            Ok((
                cells.count::<u64>()?,
                cells.int()?,
                cells.count::<u32>()?,
                cells.time_or()?,
            ))
        },
    )?;
    let (dead_letters, score_sum, max_depth, newest) =
        sums.into_iter().next().ok_or_else(|| corrupt("no sums"))?;
    differ(
        found,
        "the number of dead letters",
        &head.dead_letters,
        &dead_letters,
    );
    differ(found, "the sum of scores", &head.score_sum, &score_sum);
    // Of all that ever were: the deepest and the newest may have gone.
    differ(
        found,
        "the greatest depth",
        &head.max_depth,
        &max_depth.max(head.max_depth),
    );
    differ(
        found,
        "the newest submission",
        &head.newest,
        &newest.max(head.newest),
    );
    Ok(())
}

fn differ<T: PartialEq + std::fmt::Debug>(found: &mut Vec<String>, what: &str, kept: &T, right: &T) {
    if kept != right {
        found.push(format!("{what} is kept as {kept:?}, and is {right:?}"));
    }
}

fn run_counters(conn: &Connection, project: ProjectNo, found: &mut Vec<String>) -> Sql<()> {
    let counted = format!(
        "{LIVE} SELECT state, count(*), total(state = 10 AND reason IS 2) FROM live \
         WHERE run = ?2 AND NOT superseded GROUP BY state"
    );
    for run in runs::newest(conn, project, None, usize::MAX)? {
        let (mut counts, mut skipped) = (Counts::default(), 0);
        let bind = |binds: &mut Binds<'_, '_>| binds.project(project)?.run_or(Some(run.no)).map(drop);
        let states = query(conn, &counted, bind, |cells| {
            Ok((
                cells.variant(State::from_u8)?,
                cells.count::<u64>()?,
                cells.get::<f64>()? as u64,
            ))
        })?;
        for (state, count, not_needed) in states {
            counts.0[state as usize] = count;
            skipped += not_needed;
        }
        let name = format!("the counters of run {}", run.id);
        differ(found, &name, &(run.counts, run.skipped), &(counts, skipped));
        let over = run.counts.open() == 0;
        if over != (run.state != RunState::Active) && run.state != RunState::Cancelled {
            found.push(format!(
                "run {} is {} with {} open tasks",
                run.id,
                run.state.as_str(),
                run.counts.open()
            ));
        }
    }
    Ok(())
}

/// Follows the log from its first event to the head, and the events of each task to its row.
fn chain(conn: &Connection, project: ProjectNo, name: &Project, found: &mut Vec<String>) -> Sql<()> {
    const ALL: &str = concat!(
        "SELECT ",
        log::columns!(),
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
            found.push(tell(&broken));
            return Ok(());
        }
        if let Some(seq) = event.fact.task {
            let before = from.before(&event, last.insert(seq, event.no));
            if before != event.prev {
                found.push(format!(
                    "event {} says that event {} was the one of its task before, and it was {}",
                    event.no.0, event.prev.0, before.0
                ));
            }
        }
    }
    if let Err(broken) = verifier.finish(&log::head(conn, project)?.chain) {
        found.push(tell(&broken));
    }
    let heads = format!("{LIVE} SELECT id, seq, last_event FROM live");
    let tasks = query(
        conn,
        &heads,
        |binds| binds.project(project).map(drop),
        |cells| Ok((cells.task_id()?, cells.seq()?, cells.event_no()?)),
    )?;
    let wrong = |(id, seq, kept): (TaskId, _, EventNo)| {
        let right = from.last(kept, last.get(&seq).copied());
        (kept != right).then(|| {
            format!(
                "task {id} has event {} as its last, and it is {}",
                kept.0, right.0
            )
        })
    };
    found.extend(tasks.into_iter().filter_map(wrong).take(LISTED as usize));
    Ok(())
}

fn tell(broken: &Broken) -> String {
    match broken {
        Broken::Missing(no) => format!("event {} is missing or stands elsewhere", no.0),
        Broken::Edited(no) => format!("event {} is not what was written", no.0),
        Broken::CutOff { last, head } => format!("the log ends at event {}, the head at {}", last.0, head.0),
    }
}
