//! Everything that is kept twice, computed again and compared, in one picture of the project.

use domain::event::{Broken, Verifier};
use domain::id::{EventNo, Project};
use domain::prune::Beginning;
use domain::run::{Counts, RunState};
use domain::task::state::State;
use rustc_hash::FxHashMap;

use super::cells::Cells;
use super::fault::{Sql, corrupt};
use super::query;
use super::rows;
use super::snapshot::Snapshot;

/// How many findings of one sort are listed.
const LISTED: usize = 10;
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

/// Each selects the id of a task and what is wrong with it. States: 0 pending, 1 blocked, 2 ready, 3 assigned, 4 running,
/// 5 suspended, 6 awaiting, 7 retrying, 8 completed, 9 failed, 10 cancelled.
const PROBES: &[&str] = &[
    "SELECT v.id, 'has no body' FROM live v LEFT JOIN own_body b USING (seq) WHERE b.seq IS NULL",
    "SELECT v.id, 'has no class' FROM live v \
     WHERE NOT EXISTS (SELECT 1 FROM class c WHERE c.project = $1::int4 AND c.no = v.class)",
    "SELECT id, 'is assigned or running without a lease' FROM live WHERE state IN (3, 4) AND NOT leased",
    "SELECT id, 'has a lease in state ' || state FROM live WHERE leased AND state NOT IN (3, 4, 5, 10)",
    "SELECT id, 'is in the dead letters and not failed' FROM live WHERE dead_letter = 1 AND state <> 9",
    "SELECT id, 'remembers a state to go back to and is not suspended' FROM live \
     WHERE (left_state IS NOT NULL) <> (state = 5)",
    "SELECT v.id, 'is ready and not in its place in line' FROM live v LEFT JOIN own_ready r \
     ON r.seq = v.seq AND r.class = v.class AND r.rank = -v.score AND (r.at = v.submitted_at OR v.wait = 3) \
     AND r.run IS NOT DISTINCT FROM v.run WHERE v.state = 2 AND v.wait <> 1 AND r.seq IS NULL",
    "SELECT v.id, 'is in line and should not be' FROM own_ready r LEFT JOIN live v USING (seq) \
     WHERE v.seq IS NULL OR v.state <> 2 OR v.wait = 1 OR r.class <> v.class \
     OR r.rank <> -v.score OR (r.at <> v.submitted_at AND v.wait <> 3)",
    "SELECT v.id, 'is parked and not found under what it waits for' FROM live v LEFT JOIN own_parked p \
     ON p.seq = v.seq AND p.thing = v.thing AND p.class = v.class AND p.run = coalesce(v.run, 0) \
     AND p.rank = -v.score AND p.at = v.submitted_at WHERE v.state = 2 AND v.wait = 1 AND p.seq IS NULL",
    "SELECT v.id, 'is found parked under ' || p.thing || ' and should not be' FROM own_parked p \
     LEFT JOIN live v USING (seq) WHERE v.seq IS NULL OR v.state <> 2 OR v.wait <> 1 OR v.thing <> p.thing",
    "SELECT v.id, 'is not listed under its state' FROM live v LEFT JOIN own_aside a USING (seq, state) \
     WHERE v.state IN (0, 1, 5, 6, 7, 9) AND NOT v.leased AND a.seq IS NULL",
    "SELECT v.id, 'is listed under a state that it is not in' FROM own_aside a LEFT JOIN live v USING (seq) \
     WHERE v.seq IS NULL OR v.leased OR v.state <> a.state",
    "SELECT v.id, 'has a timer that is not set' FROM live v LEFT JOIN own_timer s ON s.seq = v.seq AND s.at = v.timer \
     WHERE v.timer IS NOT NULL AND s.seq IS NULL",
    "SELECT v.id, 'has a timer set that it does not know' FROM own_timer s LEFT JOIN live v USING (seq) \
     WHERE v.seq IS NULL OR v.timer IS DISTINCT FROM s.at",
    "SELECT v.id, 'counts ' || v.dependents || ' dependents and has ' || coalesce(e.n, 0) FROM live v \
     LEFT JOIN (SELECT parent, count(*) AS n FROM own_edge GROUP BY parent) e ON e.parent = v.seq \
     WHERE coalesce(e.n, 0) <> v.dependents",
    "SELECT v.id, 'counts ' || v.children || ' children and has ' || coalesce(c.n, 0) FROM live v \
     LEFT JOIN (SELECT parent, count(*) AS n FROM live GROUP BY parent) c ON c.parent = v.seq \
     WHERE coalesce(c.n, 0) <> v.children",
    "SELECT p.id, 'has an edge to a task that does not exist' FROM own_edge e JOIN live p ON p.seq = e.parent \
     LEFT JOIN live c ON c.seq = e.child WHERE c.seq IS NULL",
    "SELECT v.id, 'holds ' || h.name || ' without a lease' FROM own_held h LEFT JOIN live v USING (seq) \
     WHERE v.seq IS NULL OR NOT v.leased",
    "SELECT NULL::bytea, 'there is a lease of task number ' || l.seq || ', which does not exist' \
     FROM own_lease l LEFT JOIN live v USING (seq) WHERE v.seq IS NULL",
    "SELECT NULL::bytea, 'the key ' || n.key || ' names task number ' || n.seq || ', which does not exist' \
     FROM name n LEFT JOIN live v USING (seq) WHERE n.project = $1::int4 AND v.seq IS NULL",
    "SELECT v.id, 'belongs to a run that does not exist' FROM live v LEFT JOIN run r \
     ON r.project = $1::int4 AND r.no = v.run WHERE v.run IS NOT NULL AND r.no IS NULL",
    // A task that has never left pending or blocked: every prerequisite that has not ended is open. Those whose
    // settling is still under way are left out.
    "SELECT c.id, 'counts ' || c.open || ' open prerequisites and has ' || count(*) FROM live c \
     JOIN own_edge e ON e.child = c.seq JOIN live p ON p.seq = e.parent \
     WHERE c.state = 1 AND c.children = 0 AND p.state NOT IN (8, 9, 10) \
     AND NOT EXISTS (SELECT 1 FROM settle WHERE project = $1::int4) GROUP BY c.seq, c.id, c.open HAVING count(*) > c.open",
];

pub(super) fn findings(snapshot: &mut Snapshot<'_>, name: &Project) -> Sql<Vec<String>> {
    // Looking at everything may take its time.
    snapshot.link.send(&[super::link::Order::Plain(
        "SET LOCAL statement_timeout = 0".into(),
    )])?;
    let mut found = Vec::new();
    head(snapshot, &mut found)?;
    for probe in PROBES {
        let sql = format!("{LIVE} {probe} LIMIT {LISTED}");
        let no = snapshot.no;
        found.extend(snapshot.ask_once(&sql, &[&no], |cells| {
            let id = cells.task_id_or()?;
            let wrong = cells.text()?;
            Ok(id.map_or_else(|| wrong.to_owned(), |id| format!("task {id} {wrong}")))
        })?);
    }
    run_counters(snapshot, &mut found)?;
    chain(snapshot, name, &mut found)?;
    Ok(found)
}

fn head(snapshot: &mut Snapshot<'_>, found: &mut Vec<String>) -> Sql<()> {
    let no = snapshot.no;
    let head = snapshot.head.clone();
    let mut counts = Counts::default();
    let by_state = format!("{LIVE} SELECT state, count(*) FROM live GROUP BY state");
    let states = snapshot.ask_once(&by_state, &[&no], |cells| {
        Ok((cells.variant(State::from_u8)?, cells.count()?))
    })?;
    for (state, count) in states {
        counts.0[state as usize] = count;
    }
    for ((state, kept), (_, right)) in head.counts.iter().zip(counts.iter()) {
        differ(found, &format!("the number of {state} tasks"), &kept, &right);
    }
    let sums = format!(
        "{LIVE} SELECT coalesce(sum(dead_letter), 0)::int8, coalesce(sum(score::int8), 0)::int8, \
         coalesce(max(depth), 0), max(submitted_at), coalesce(max(seq), 0)::int8 FROM live"
    );
    let sums = snapshot.ask_once(&sums, &[&no], |cells| {
        Ok((
            cells.count::<u64>()?,
            cells.int()?,
            cells.count::<u32>()?,
            cells.time_or()?,
        ))
    })?;
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

fn run_counters(snapshot: &mut Snapshot<'_>, found: &mut Vec<String>) -> Sql<()> {
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
    for run in snapshot.ask(&query::RUNS, &[&no, &i64::MAX], rows::read_run)? {
        let right = right.get(&(run.no.0 as i64)).copied().unwrap_or_default();
        let name = format!("the counters of run {}", run.id);
        differ(found, &name, &(run.counts, run.skipped), &right);
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
fn chain(snapshot: &mut Snapshot<'_>, name: &Project, found: &mut Vec<String>) -> Sql<()> {
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
    }
    if let Err(broken) = verifier.finish(&snapshot.chain()) {
        found.push(tell(&broken));
    }
    let heads = format!("{LIVE} SELECT id, seq, last_event FROM live");
    let tasks = snapshot.ask_once(&heads, &[&no], |cells: &mut Cells<'_>| {
        Ok((cells.task_id()?, cells.seq()?, cells.event_no()?))
    })?;
    let wrong = tasks.into_iter().filter_map(|(id, seq, kept)| {
        let right: EventNo = from.last(kept, last.get(&seq).copied());
        (kept != right).then(|| {
            format!(
                "task {id} has event {} as its last, and it is {}",
                kept.0, right.0
            )
        })
    });
    found.extend(wrong.take(LISTED));
    Ok(())
}

fn tell(broken: &Broken) -> String {
    match broken {
        Broken::Missing(no) => format!("event {} is missing or stands elsewhere", no.0),
        Broken::Edited(no) => format!("event {} is not what was written", no.0),
        Broken::CutOff { last, head } => format!("the log ends at event {}, the head at {}", last.0, head.0),
    }
}
