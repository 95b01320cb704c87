//! Classes of projects, kept between transactions: they are only ever added to, so their count, which the head tells,
//! says whether there are new ones.

use std::sync::Arc;

use domain::task::record::{Class, ClassNo};
use rustc_hash::FxHashMap;

pub(super) const CLASSES_AFTER: &str =
    "SELECT no, class FROM class WHERE project = $1 AND no > $2 ORDER BY no";
pub(super) const CLASS_ADD: &str = "INSERT INTO class (project, no, class) VALUES ($1, $2, $3)";

#[derive(Debug, Default)]
pub(super) struct Names {
    projects: FxHashMap<i32, Classes>,
    /// Something in here was added by the transaction that is open.
    pub(super) unsure: bool,
}

#[derive(Debug, Default)]
pub(super) struct Classes {
    /// Numbered from 1 without gaps, so the length is the highest number.
    pub(super) all: Arc<Vec<(ClassNo, Class)>>,
    pub(super) numbers: FxHashMap<Class, ClassNo>,
}

impl Names {
    pub(super) fn of(&mut self, project: i32) -> &mut Classes {
        self.projects.entry(project).or_default()
    }

    /// After a rollback: what was added in it is gone.
    pub(super) fn forget(&mut self) {
        if std::mem::take(&mut self.unsure) {
            self.projects.clear();
        }
    }

    pub(super) fn keep(&mut self) {
        self.unsure = false;
    }
}

impl Classes {
    pub(super) fn add(&mut self, no: ClassNo, class: Class) {
        self.numbers.insert(class.clone(), no);
        Arc::make_mut(&mut self.all).push((no, class));
    }

    /// The class with this number, if it is known already.
    pub(super) fn get(&self, no: ClassNo) -> Option<&Class> {
        let at = no.0.checked_sub(1)? as usize;
        self.all.get(at).map(|(_, class)| class)
    }
}
