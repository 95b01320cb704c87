//! Names that are stored once and stand everywhere else as small numbers: projects and classes.
//!
//! Rows of both tables are only ever added, so what was seen committed stays true and is kept in memory. What
//! other processes add is noticed by the highest number.

use std::sync::Arc;

use domain::event::Digest;
use domain::id::Project;
use domain::task::record::{Class, ClassNo};
use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::cells::{Binds, collect};
use super::fault::{Sql, corrupt};
use crate::kernel::tx::ProjectNo;

pub(super) const PROJECT_FIND: &str = "SELECT no FROM project WHERE name = ?1";
const PROJECT_NEXT: &str = "SELECT ifnull(max(no) + 1, 0) FROM project";
const PROJECT_ADD: &str = "INSERT INTO project (no, name, last_event, digest) VALUES (?1, ?2, 0, ?3)";
const PROJECT_ALL: &str = "SELECT name FROM project ORDER BY name";
pub(super) const CLASS_LAST: &str = "SELECT ifnull(max(no), 0) FROM class WHERE project = ?1";
pub(super) const CLASS_AFTER: &str = "SELECT no, class FROM class WHERE project = ?1 AND no > ?2 ORDER BY no";
const CLASS_ADD: &str = "INSERT INTO class (project, no, class) VALUES (?1, ?2, ?3)";

/// Projects beyond this number would not fit into the keys of events.
const PROJECTS: u32 = 1 << 23;

#[derive(Debug, Default)]
pub(super) struct Names {
    projects: FxHashMap<Project, ProjectNo>,
    classes: FxHashMap<ProjectNo, Classes>,
    /// Something in here was added by the transaction that is open.
    unsure: bool,
}

#[derive(Debug, Default)]
struct Classes {
    /// Numbered from 1 without gaps, so the length is the highest number.
    all: Arc<Vec<(ClassNo, Class)>>,
    numbers: FxHashMap<Class, ClassNo>,
}

impl Names {
    /// After a rollback: names that were added by it are gone.
    pub(super) fn forget(&mut self) {
        if self.unsure {
            *self = Names::default();
        }
    }

    pub(super) fn keep(&mut self) {
        self.unsure = false;
    }

    pub(super) fn project(
        &mut self,
        conn: &Connection,
        name: &Project,
        create: bool,
    ) -> Sql<Option<ProjectNo>> {
        if let Some(no) = self.projects.get(name) {
            return Ok(Some(*no));
        }
        let mut find = conn.prepare_cached(PROJECT_FIND)?;
        let known: Option<u32> = find.query_row([name.as_str()], |row| row.get(0)).optional()?;
        let no = match known {
            Some(no) => no,
            None if !create => return Ok(None),
            None => {
                let no: u32 = conn.query_row(PROJECT_NEXT, [], |row| row.get(0))?;
                if no >= PROJECTS {
                    return Err(corrupt(format!(
                        "the store has {no} projects, more than it can hold"
                    )));
                }
                let digest = Digest::root(name).0;
                conn.execute(PROJECT_ADD, (no, name.as_str(), digest))?;
                self.unsure = true;
                no
            }
        };
        self.projects.insert(name.clone(), ProjectNo(no));
        Ok(Some(ProjectNo(no)))
    }

    pub(super) fn class(&mut self, conn: &Connection, project: ProjectNo, class: &Class) -> Sql<ClassNo> {
        if let Some(no) = self.known(project, class) {
            return Ok(no);
        }
        let count = self.classes(conn, project)?.len();
        if let Some(no) = self.known(project, class) {
            return Ok(no);
        }
        let no = ClassNo(u32::try_from(count).map_err(corrupt)? + 1);
        let text = serde_json::to_string(class).map_err(corrupt)?;
        conn.execute(CLASS_ADD, (project.0, no.0, text))?;
        self.unsure = true;
        self.classes.entry(project).or_default().add(no, class.clone());
        Ok(no)
    }

    fn known(&self, project: ProjectNo, class: &Class) -> Option<ClassNo> {
        self.classes.get(&project)?.numbers.get(class).copied()
    }

    pub(super) fn classes(
        &mut self,
        conn: &Connection,
        project: ProjectNo,
    ) -> Sql<Arc<Vec<(ClassNo, Class)>>> {
        let classes = self.classes.entry(project).or_default();
        let mut last = conn.prepare_cached(CLASS_LAST)?;
        let last: u32 = last.query_row([project.0], |row| row.get(0))?;
        if last as usize > classes.all.len() {
            classes.learn(conn, project)?;
        }
        Ok(classes.all.clone())
    }

    /// The class with this number.
    pub(super) fn class_of(&mut self, conn: &Connection, project: ProjectNo, no: ClassNo) -> Sql<Class> {
        let at = no.0.wrapping_sub(1) as usize;
        let known = self.classes.get(&project).and_then(|classes| classes.all.get(at));
        if let Some((_, class)) = known {
            return Ok(class.clone());
        }
        let all = self.classes(conn, project)?;
        let class = all.get(at).map(|(_, class)| class.clone());
        class.ok_or_else(|| corrupt(format!("there is no class number {}", no.0)))
    }
}

impl Classes {
    fn learn(&mut self, conn: &Connection, project: ProjectNo) -> Sql<()> {
        let mut statement = conn.prepare_cached(CLASS_AFTER)?;
        let mut binds = Binds::of(&mut statement);
        binds.project(project)?.put(self.all.len() as i64)?;
        let more = collect(binds, |cells| {
            let no = cells.class_no()?;
            Ok((no, serde_json::from_str(cells.text()?).map_err(corrupt)?))
        })?;
        for (no, class) in more {
            self.add(no, class);
        }
        Ok(())
    }

    fn add(&mut self, no: ClassNo, class: Class) {
        self.numbers.insert(class.clone(), no);
        Arc::make_mut(&mut self.all).push((no, class));
    }
}

pub(super) fn projects(conn: &Connection) -> Sql<Vec<Project>> {
    let mut statement = conn.prepare_cached(PROJECT_ALL)?;
    collect(Binds::of(&mut statement), |cells| cells.name())
}
