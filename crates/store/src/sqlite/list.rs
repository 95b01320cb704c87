//! Pages of tasks in insertion order.
//!
//! The rows come from the narrowest place that holds all which fit: the children of a parent, the indexes over
//! states when they hold a small part of the project, the tasks of a run, else the project in order. What remains
//! of the filter is decided on the narrow rows, so that payloads are only read for the page itself.

use std::fmt::Write;

use domain::id::Seq;
use domain::limits;
use domain::store::{Filter, View};
use domain::task::record::is_aside;
use domain::task::state::State;

use super::cells::{Binds, collect};
use super::fault::Sql;
use super::snapshot::Snapshot;
use super::tx::bound;
use super::{log, runs};

/// States are looked for by index when they hold less than one task in so many: gathering and sorting a row costs
/// a few times what passing it does.
const RARE: u64 = 4;

pub(super) fn list(snapshot: &mut Snapshot<'_>, filter: &Filter, after: Seq, limit: usize) -> Sql<Vec<View>> {
    let Some(query) = compose(snapshot, filter)? else {
        return Ok(Vec::new());
    };
    let mut statement = snapshot.conn.prepare(&query.sql)?;
    let mut binds = Binds::of(&mut statement);
    binds
        .project(snapshot.project)?
        .put(after.0.min(i64::MAX as u64) as i64)?;
    binds.put(bound(limit.min(limits::PAGE_MAX)))?;
    for number in query.numbers {
        binds.put(number)?;
    }
    let page = collect(binds, |cells| cells.seq())?;
    drop(statement);
    let mut views = Vec::with_capacity(page.len());
    for seq in page {
        views.extend(snapshot.view(seq)?);
    }
    Ok(views)
}

/// Parameters are the project, the number to begin after, the limit, then `numbers`.
pub(super) struct Query {
    pub(super) sql: String,
    numbers: Vec<i64>,
}

/// The query for this filter; `None` when nothing can fit it.
pub(super) fn compose(snapshot: &mut Snapshot<'_>, filter: &Filter) -> Sql<Option<Query>> {
    let mut query = Query {
        sql: "SELECT t.seq FROM task t LEFT JOIN lease l ON l.seq = t.seq WHERE t.seq > ?2".to_owned(),
        numbers: Vec::new(),
    };
    let mut narrow = false;
    if let Some(parent) = &filter.parent {
        let Some(seq) = snapshot.find(parent)? else {
            return Ok(None);
        };
        query.number(" AND t.parent =", seq.0 as i64);
        narrow = true;
    }
    if filter.dead_letters && !(filter.states.is_empty() || filter.states.contains(&State::Failed)) {
        return Ok(None);
    }
    let failed = [State::Failed];
    let states = if filter.dead_letters {
        &failed[..]
    } else {
        &filter.states
    };
    if !narrow && is_rare(snapshot, states)? {
        by_states(&mut query.sql, states);
        narrow = true;
    } else if !states.is_empty() {
        write(
            &mut query.sql,
            format_args!(" AND coalesce(l.state, t.state) IN ({})", numbers(states)),
        );
    }
    if let Some(run) = filter.run {
        let Some(run) = runs::by_id(snapshot.conn, snapshot.project, run)? else {
            return Ok(None);
        };
        // A plus keeps a column out of the choice of an index.
        query.number(
            if narrow { " AND +t.run =" } else { " AND t.run =" },
            run.no.0 as i64,
        );
        narrow = true;
    }
    query.sql += if narrow {
        " AND +t.project = ?1"
    } else {
        " AND t.project = ?1"
    };
    if filter.is_by_class() {
        let classes = snapshot.names.classes(snapshot.conn, snapshot.project)?;
        let fitting = classes.iter().filter(|(_, class)| filter.wants(class));
        let fitting: Vec<String> = fitting.map(|(no, _)| no.0.to_string()).collect();
        write(
            &mut query.sql,
            format_args!(" AND t.class IN ({})", fitting.join(", ")),
        );
    }
    if let Some(source) = filter.source {
        write(&mut query.sql, format_args!(" AND t.source = {}", source as u8));
    }
    if filter.dead_letters {
        query.sql += " AND t.dead_letter";
    }
    if !filter.superseded {
        query.sql += " AND NOT t.superseded";
    }
    query.sql += " ORDER BY t.seq LIMIT ?3";
    Ok(Some(query))
}

impl Query {
    fn number(&mut self, condition: &str, number: i64) {
        self.numbers.push(number);
        write(
            &mut self.sql,
            format_args!("{condition} ?{}", self.numbers.len() + 3),
        );
    }
}

/// Whether all of these states have indexes and hold a small part of the project.
fn is_rare(snapshot: &Snapshot<'_>, states: &[State]) -> Sql<bool> {
    let indexed = |state: &State| is_aside(*state) || matches!(state, State::Ready) || state.is_leased();
    if states.is_empty() || !states.iter().all(indexed) {
        return Ok(false);
    }
    let counts = log::head(snapshot.conn, snapshot.project)?.counts;
    let some: u64 = states.iter().map(|state| counts.of(*state)).sum();
    Ok(some * RARE < counts.total())
}

/// The literal states let SQLite use the partial index over them.
fn by_states(sql: &mut String, states: &[State]) {
    let mut parts = Vec::new();
    if states.contains(&State::Ready) {
        parts.push("SELECT seq FROM ready WHERE project = ?1 AND seq > ?2".to_owned());
        parts.push("SELECT seq FROM parked WHERE project = ?1 AND seq > ?2".to_owned());
    }
    for state in states.iter().filter(|state| is_aside(**state)) {
        let number = *state as u8;
        parts.push(format!(
            "SELECT seq FROM task INDEXED BY task_aside WHERE project = ?1 AND state = {number} AND seq > ?2"
        ));
    }
    // A suspended task may have a lease.
    let leased = states
        .iter()
        .any(|state| state.is_leased() || *state == State::Suspended);
    if leased {
        let states = numbers(states);
        parts.push(format!(
            "SELECT seq FROM lease WHERE project = ?1 AND seq > ?2 AND state IN ({states})"
        ));
    }
    write(sql, format_args!(" AND t.seq IN ({})", parts.join(" UNION ALL ")));
}

fn numbers(states: &[State]) -> String {
    let numbers: Vec<String> = states.iter().map(|state| (*state as u8).to_string()).collect();
    numbers.join(", ")
}

fn write(sql: &mut String, text: std::fmt::Arguments<'_>) {
    sql.write_fmt(text).expect("a string takes everything");
}
