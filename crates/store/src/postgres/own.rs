//! Whether rows that this process wrote still hold: while the head of their project was last written by it, too.

use domain::event::Digest;
use rustc_hash::FxHashMap;

use super::desk::Desk;
use crate::kept::Kept;
use crate::kernel::tx::ProjectNo;

/// By which a head is known again: the transaction that wrote it, as the server numbers them, when, and the end of the log. After
/// a crash, a server that does not wait for the disk may give a number out once more, but not with the same log.
type Mark = (i64, i64, Digest);

#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) kept: Kept,
    /// The heads as this process wrote them last.
    heads: FxHashMap<ProjectNo, Mark>,
}

impl Own {
    /// Once the head is locked, nobody else writes.
    pub(super) fn opened(&mut self, desk: &Desk) {
        let found = (desk.made, desk.latest, desk.head.chain.digest);
        if self.heads.get(&desk.number()) != Some(&found) {
            self.kept.clear_of(desk.number());
        }
    }

    pub(super) fn committed<'d>(&mut self, desks: impl Iterator<Item = &'d Desk>, server_time: bool) {
        for desk in desks {
            let mark = (desk.own, desk.moment(server_time), desk.head.chain.digest);
            self.heads.insert(desk.number(), mark);
        }
        self.kept.keep();
    }
}
