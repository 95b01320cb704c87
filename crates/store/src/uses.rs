//! Which cached results were read since the cache was last written.
//!
//! Readers cannot write, and a read must not cost a commit. So uses are noted here, and become part of the order
//! of dropping with the next entry that is stored. Uses of a process that stores nothing are lost, which only
//! lets its entries be dropped sooner.

use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::tx::ProjectNo;

/// Beyond this many noted uses, the oldest are forgotten.
const BOUND: usize = 1_024;

#[derive(Clone, Debug, Default)]
pub(crate) struct Uses(Arc<Mutex<Vec<Use>>>);

type Use = (ProjectNo, [u8; 32]);

impl Uses {
    pub(crate) fn note(&self, project: ProjectNo, key: [u8; 32]) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|use_| *use_ != (project, key));
        if noted.len() == BOUND {
            noted.remove(0);
        }
        noted.push((project, key));
    }

    /// Takes the uses of one project, in order.
    pub(crate) fn take(&self, project: ProjectNo) -> Vec<[u8; 32]> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, rest) = noted.iter().partition(|(of, _)| *of == project);
        *noted = rest;
        let taken: Vec<Use> = taken;
        taken.into_iter().map(|(_, key)| key).collect()
    }
}
