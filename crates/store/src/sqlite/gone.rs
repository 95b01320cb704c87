//! What leaves the store for good.

use domain::id::Key;
use domain::task::record::Task;
use rusqlite::Connection;

use super::cells::Binds;
use super::fault::Sql;
use super::log;
use crate::kernel::tx::{Gone, ProjectNo};

pub(super) const TASK: &str = "DELETE FROM task WHERE seq = ?1";
pub(super) const BODY: &str = "DELETE FROM body WHERE seq = ?1";
pub(super) const OUTCOME: &str = "DELETE FROM outcome WHERE seq = ?1";
pub(super) const EDGES: &str = "DELETE FROM edge WHERE parent = ?1";
pub(super) const EDGE: &str = "DELETE FROM edge WHERE parent = ?1 AND child = ?2";
pub(super) const NAMED: &str = "SELECT 1 FROM name WHERE project = ?1 AND key = ?2 AND run = ?3 AND seq = ?4";
/// With the name of a task go those that older runs gave the same key.
pub(super) const UNNAME: &str = "DELETE FROM name WHERE project = ?1 AND key = ?2 AND run <= ?3";
pub(super) const RUN: &str = "DELETE FROM run WHERE no = ?1";
pub(super) const ANSWER: &str = "DELETE FROM idem WHERE project = ?1 AND key = ?2";
pub(super) const EVENTS: &str = "DELETE FROM event WHERE n > ?1 AND n <= ?2";

pub(super) fn take_out(conn: &Connection, project: ProjectNo, gone: &Gone) -> Sql<()> {
    for table in [TASK, BODY, OUTCOME, EDGES] {
        let mut statement = conn.prepare_cached(table)?;
        for (task, _) in &gone.tasks {
            Binds::of(&mut statement).seq(task.seq)?.run()?;
        }
    }
    for (task, key) in &gone.tasks {
        if let Some(key) = key {
            unname(conn, project, key, task)?;
        }
    }
    let mut statement = conn.prepare_cached(EDGE)?;
    for (on, dependent) in &gone.edges {
        Binds::of(&mut statement).seq(*on)?.seq(*dependent)?.run()?;
    }
    let mut statement = conn.prepare_cached(RUN)?;
    for run in &gone.runs {
        Binds::of(&mut statement).run_or(Some(run.no))?.run()?;
    }
    let mut statement = conn.prepare_cached(ANSWER)?;
    for key in &gone.answers {
        Binds::of(&mut statement).project(project)?.put(&**key)?.run()?;
    }
    if let Some((last, first)) = gone.log {
        let mut statement = conn.prepare_cached(EVENTS)?;
        let mut binds = Binds::of(&mut statement);
        binds
            .put(log::key(project, first))?
            .put(log::key(project, last))?;
        binds.run()?;
    }
    Ok(())
}

fn unname(conn: &Connection, project: ProjectNo, key: &Key, task: &Task) -> Sql<()> {
    let run = task.run.map_or(0, |no| no.0 as i64);
    let mut statement = conn.prepare_cached(NAMED)?;
    let mut binds = Binds::of(&mut statement);
    binds
        .project(project)?
        .put(key.as_str())?
        .put(run)?
        .seq(task.seq)?;
    if super::cells::first(binds, |_| Ok(()))?.is_some() {
        let mut statement = conn.prepare_cached(UNNAME)?;
        let mut binds = Binds::of(&mut statement);
        binds.project(project)?.put(key.as_str())?.put(run)?;
        binds.run()?;
    }
    Ok(())
}
