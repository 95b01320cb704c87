//! Classes of projects, kept between transactions: they are only ever added to, so their count tells whether there
//! are new ones.

use std::sync::Arc;

use domain::id::Project;
use domain::task::record::{Class, ClassNo};
use rustc_hash::FxHashMap;

use super::rows::HeadRow;

#[derive(Debug, Default)]
pub(super) struct Names(FxHashMap<Project, Known>);

#[derive(Debug)]
pub(super) struct Known {
    birth: u64,
    pub(super) list: Arc<Vec<(ClassNo, Class)>>,
    pub(super) numbers: FxHashMap<Class, ClassNo>,
}

impl Names {
    pub(super) fn of(&self, project: &Project) -> Option<&Known> {
        self.0.get(project)
    }

    pub(super) fn is_current(&self, project: &Project, head: &HeadRow) -> bool {
        let same = |known: &Known| known.birth == head.birth && known.list.len() == head.classes as usize;
        self.0.get(project).is_some_and(same)
    }

    pub(super) fn keep(&mut self, project: &Project, head: &HeadRow, list: Vec<(ClassNo, Class)>) {
        let known = Known {
            birth: head.birth,
            numbers: list.iter().map(|(no, class)| (class.clone(), *no)).collect(),
            list: Arc::new(list),
        };
        self.0.insert(project.clone(), known);
    }
}
