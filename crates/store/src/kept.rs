//! Rows of leased tasks as this process wrote them.
//!
//! A worker ends what it has just claimed, so the row that a claim wrote is the next one to be read. It is kept here
//! until the lease ends. Only a driver knows whether anybody else has written meanwhile, and clears what may not hold.

use domain::id::Seq;
use domain::task::record::Task;
use rustc_hash::FxHashMap;

use crate::kernel::tx::{ProjectNo, WriteSet};

/// About 4 MB of them.
const ROWS: usize = 8_192;

#[derive(Debug, Default)]
pub(crate) struct Kept {
    leased: FxHashMap<(ProjectNo, Seq), Task>,
    /// Something in here was written by the transaction that is open.
    unsure: bool,
}

impl Kept {
    /// After a commit.
    pub(crate) fn keep(&mut self) {
        self.unsure = false;
    }

    /// After a rollback.
    pub(crate) fn forget(&mut self) {
        if self.unsure {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.leased.clear();
        self.unsure = false;
    }

    /// Somebody else has written to this project.
    pub(crate) fn clear_of(&mut self, project: ProjectNo) {
        self.leased.retain(|(of, _), _| *of != project);
    }

    pub(crate) fn get(&self, project: ProjectNo, seq: Seq) -> Option<&Task> {
        self.leased.get(&(project, seq))
    }

    /// The rows in the order asked, those that are not kept as `load` reads them, in the same order; what it does not
    /// find is left out.
    pub(crate) fn or_load<E>(
        &self,
        project: ProjectNo,
        seqs: &[Seq],
        load: impl FnOnce(Vec<Seq>) -> Result<Vec<Task>, E>,
    ) -> Result<Vec<Task>, E> {
        let missing = seqs.iter().filter(|seq| self.get(project, **seq).is_none());
        let missing: Vec<Seq> = missing.copied().collect();
        let read = match missing.is_empty() {
            true => Vec::new(),
            false => load(missing)?,
        };
        let mut read = read.into_iter().peekable();
        let rows = seqs.iter().filter_map(|seq| match self.get(project, *seq) {
            Some(row) => Some(row.clone()),
            None => read.next_if(|row| row.seq == *seq),
        });
        Ok(rows.collect())
    }

    /// Follows what is written.
    pub(crate) fn follow(&mut self, writes: &WriteSet) {
        self.unsure |= !writes.tasks.is_empty() || !writes.gone.tasks.is_empty();
        let project = writes.project;
        for (_, row) in &writes.tasks {
            if row.lease.is_none() {
                self.leased.remove(&(project, row.seq));
            } else if self.leased.len() < ROWS || self.leased.contains_key(&(project, row.seq)) {
                self.leased.insert((project, row.seq), row.clone());
            }
        }
        for (row, _) in &writes.gone.tasks {
            self.leased.remove(&(project, row.seq));
        }
    }
}
