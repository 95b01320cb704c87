//! Rows of leased tasks as this process wrote them: what it ends next. They hold while the head of their project is the one
//! that this process wrote.

use domain::event::Digest;
use domain::id::{Project, Seq};
use domain::task::record::Task;
use rustc_hash::FxHashMap;

use super::desk::Desk;
use super::rows::HeadRow;

/// Rows of a project that are kept, about 4 MB, and projects.
const ROWS: usize = 8_192;
const PROJECTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Own(FxHashMap<Project, Leased>);

/// By which a head is known again. A server that has lost its last second may come to the same version twice, but not with the
/// same log at the same time.
type Mark = (u64, u64, i64, Digest);

fn mark(head: &HeadRow) -> Mark {
    (head.birth, head.version, head.latest, head.head.chain.digest)
}

#[derive(Debug)]
struct Leased {
    of: Mark,
    rows: FxHashMap<Seq, Task>,
}

impl Own {
    /// The row, if it is still as this process wrote it.
    pub(super) fn get(&self, desk: &Desk, seq: Seq) -> Option<&Task> {
        let head = desk.stored.as_ref()?;
        let known = self.0.get(&desk.project).filter(|known| known.of == mark(head))?;
        known.rows.get(&seq)
    }

    /// What this process wrote to a project is stored.
    pub(super) fn committed(&mut self, desk: Desk) {
        if !self.0.contains_key(&desk.project) && self.0.len() >= PROJECTS {
            self.0.clear();
        }
        let of = mark(&desk.head);
        let rows = FxHashMap::default();
        let known = self.0.entry(desk.project).or_insert(Leased { of, rows });
        if desk.stored.is_none_or(|head| known.of != mark(&head)) {
            known.rows.clear();
        }
        known.of = of;
        for (seq, row) in desk.rows {
            if row.now.lease.is_none() {
                known.rows.remove(&seq);
            } else if known.rows.len() < ROWS || known.rows.contains_key(&seq) {
                known.rows.insert(seq, row.now);
            }
        }
        for (task, _) in &desk.gone.tasks {
            known.rows.remove(&task.seq);
        }
    }
}
