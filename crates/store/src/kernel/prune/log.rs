//! The beginning of the log goes once it is old; what is left still proves itself from where it begins.

use domain::event::{ChainHead, Kind};
use domain::id::EventNo;
use domain::prune::Stage;
use domain::store::Result;
use domain::task::spec::Json;

use super::Piece;

/// Events that go in one transaction.
const EVENTS: u64 = 5_000;

impl Piece<'_, '_> {
    pub(super) fn log(&mut self) -> Result<()> {
        let first = self.from.after.last;
        // The last event stays: somebody may wait for what follows it.
        let last = self.step.writes.head.1.chain.last.0.saturating_sub(1);
        let whole = last.saturating_sub(first.0);
        let most = if self.prune.dry { whole } else { whole.min(EVENTS) };
        let Some(to) = self.newest_old(first, EventNo(first.0 + most))? else {
            return Ok(());
        };
        self.done.events = to.last.0 - first.0;
        if self.prune.dry {
            return Ok(());
        }
        self.done.next = (self.done.events == EVENTS).then_some(Stage::Log);
        self.step.writes.gone.log = Some((to.last, first));
        self.from.after = to;
        let data = serde_json::json!({ "upto": to.last, "digest": to.digest.to_string() });
        self.step.emit_other(Kind::LogCut, Some(Json::of(&data)));
        Ok(())
    }

    /// The last event of `first..=last`, without the first, that is old enough: times only grow, but for a clock that was
    /// set.
    fn newest_old(&mut self, first: EventNo, last: EventNo) -> Result<Option<ChainHead>> {
        let (mut low, mut high) = (first.0, last.0 + 1);
        let mut found = None;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let event = self.step.tx.event(self.step.project, EventNo(middle))?;
            match event.filter(|event| event.fact.at <= self.prune.before) {
                Some(event) => {
                    found = Some(ChainHead {
                        last: event.no,
                        digest: event.digest,
                    });
                    low = middle;
                }
                None => high = middle,
            }
        }
        Ok(found)
    }
}
