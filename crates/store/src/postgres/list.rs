//! Pages of tasks in insertion order.
//!
//! The rows come from the narrowest place that holds all which fit: the children of a parent, the small tables of what
//! is not simply waiting or done when they hold a small part of the project, the tasks of a run, else the project in
//! order. What remains of the filter is decided on the narrow rows, so that payloads are only read for the page itself.

use std::fmt::Write;

use domain::id::Seq;
use domain::limits;
use domain::store::{Filter, View};
use domain::task::record::is_aside;
use domain::task::state::State;

use super::fault::Sql;
use super::link::Params;
use super::query::{self, bound};
use super::snapshot::Snapshot;
use crate::tables::records;

/// States are looked for in their own tables when they hold less than one task in so many: gathering and sorting a row
/// costs a few times what passing it does.
const RARE: u64 = 4;

pub(super) fn list(snapshot: &mut Snapshot<'_>, filter: &Filter, after: Seq, limit: usize) -> Sql<Vec<View>> {
    let Some(sql) = compose(snapshot, filter)? else {
        return Ok(Vec::new());
    };
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    let params: Params<'_> = &[&snapshot.no.clone(), &after, &bound(limit.min(limits::PAGE_MAX))];
    let page = snapshot.ask_once(&sql, params, |cells| cells.seq())?;
    let mut views = snapshot.views(&page)?;
    Ok(page.iter().filter_map(|seq| views.remove(seq)).collect())
}

/// The query for this filter, over the project, the number to begin after and the limit; `None` when nothing can fit it.
fn compose(snapshot: &mut Snapshot<'_>, filter: &Filter) -> Sql<Option<String>> {
    let mut sql = "SELECT t.seq FROM task t LEFT JOIN lease l ON l.project = $1::int4 AND l.seq = t.seq \
                   WHERE t.project = $1::int4 AND t.seq > $2::int8"
        .to_owned();
    let mut narrow = false;
    if let Some(parent) = &filter.parent {
        let Some(seq) = snapshot.find(std::slice::from_ref(parent))?.pop().flatten() else {
            return Ok(None);
        };
        write(&mut sql, format_args!(" AND t.parent = {}", seq.0));
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
    if !narrow && is_rare(snapshot, states) {
        by_states(&mut sql, states);
    } else if !states.is_empty() {
        write(
            &mut sql,
            format_args!(" AND coalesce(l.state, t.state) IN ({})", numbers(states)),
        );
    }
    if let Some(run) = filter.run {
        let no = snapshot.no;
        let found = snapshot.ask(&query::RUN_BY_ID, &[&no, &&run.0.as_bytes()[..]], records::run)?;
        let Some(run) = found.first() else {
            return Ok(None);
        };
        write(&mut sql, format_args!(" AND t.run = {}", run.no.0));
    }
    if filter.is_by_class() {
        snapshot.learn()?;
        let classes = snapshot.names.of(snapshot.no).all.clone();
        let fitting = classes.iter().filter(|(_, class)| filter.wants(class));
        let fitting: Vec<String> = fitting.map(|(no, _)| no.0.to_string()).collect();
        if fitting.is_empty() {
            return Ok(None);
        }
        write(&mut sql, format_args!(" AND t.class IN ({})", fitting.join(", ")));
    }
    if let Some(source) = filter.source {
        write(&mut sql, format_args!(" AND t.source = {}", source as u8));
    }
    if filter.dead_letters {
        sql += " AND t.dead_letter = 1";
    }
    if !filter.superseded {
        sql += " AND t.superseded = 0";
    }
    sql += " ORDER BY t.seq LIMIT $3";
    Ok(Some(sql))
}

/// Whether all of these states have tables of their own and hold a small part of the project.
fn is_rare(snapshot: &Snapshot<'_>, states: &[State]) -> bool {
    let apart = |state: &State| is_aside(*state) || matches!(state, State::Ready) || state.is_leased();
    if states.is_empty() || !states.iter().all(apart) {
        return false;
    }
    let counts = snapshot.head.counts;
    let some: u64 = states.iter().map(|state| counts.of(*state)).sum();
    some * RARE < counts.total()
}

fn by_states(sql: &mut String, states: &[State]) {
    const FROM: &str = "WHERE project = $1::int4 AND seq > $2::int8";
    let mut parts = Vec::new();
    if states.contains(&State::Ready) {
        parts.push(format!("SELECT seq FROM ready {FROM} AND seq > 0"));
        parts.push(format!("SELECT seq FROM parked {FROM}"));
    }
    let aside: Vec<State> = states.iter().copied().filter(|state| is_aside(*state)).collect();
    if !aside.is_empty() {
        parts.push(format!(
            "SELECT seq FROM aside {FROM} AND state IN ({})",
            numbers(&aside)
        ));
    }
    // A suspended task may have a lease.
    if states
        .iter()
        .any(|state| state.is_leased() || *state == State::Suspended)
    {
        parts.push(format!(
            "SELECT seq FROM lease {FROM} AND state IN ({})",
            numbers(states)
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
