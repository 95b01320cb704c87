//! Tasks outside any run, and answers to idempotency keys.

use domain::id::Seq;
use domain::limits::PAGE_MAX;
use domain::prune::Stage;
use domain::store::Result;
use domain::task::record::Task;

use super::{CHUNK, Piece};

/// Numbers that one piece looks at on its way up.
const LOOK: u64 = 5_000;

impl Piece<'_, '_> {
    fn between(&mut self, after: u64, end: u64) -> Result<Vec<Task>> {
        let seqs: Vec<Seq> = (after + 1..end).map(Seq).collect();
        self.step.tx.tasks(self.step.project, &seqs)
    }

    /// Looks for the first task that is too young to have ended so long ago.
    pub(super) fn reach(&mut self, after: Seq) -> Result<()> {
        let last = self.step.tx.next_seq(self.step.project)?.0;
        let from = after.0.max(self.from.tasks.0);
        let end = last.min(from.saturating_add(LOOK).saturating_add(1));
        let rows = self.between(from, end)?;
        if from == self.from.tasks.0 {
            let lowest = rows.first().map_or(end - 1, |row| row.seq.0 - 1);
            if lowest - from >= LOOK / 2 {
                self.from.tasks = Seq(lowest);
            }
        }
        let young = rows.iter().find(|row| row.submitted_at > self.prune.before);
        self.done.next = Some(match young {
            Some(row) => Stage::Tasks(row.seq),
            None if end == last => Stage::Tasks(Seq(end)),
            None => Stage::Reach(Seq(end - 1)),
        });
        Ok(())
    }

    pub(super) fn tasks(&mut self, below: Seq) -> Result<()> {
        let low = self.from.tasks.0;
        let after = below.0.saturating_sub(CHUNK as u64 + 1).max(low);
        let rows = self.between(after, below.0)?;
        let old = rows
            .into_iter()
            .filter(|row| row.run.is_none() && self.is_old(row));
        let old = old.collect();
        let going = self.closed(old)?;
        self.take_out(going)?;
        self.done.next = Some(match after > low {
            true => Stage::Tasks(Seq(after + 1)),
            false => Stage::Answers(String::new()),
        });
        Ok(())
    }

    pub(super) fn answers(&mut self, after: &str) -> Result<()> {
        let page = self.step.tx.remembered_page(self.step.project, after, PAGE_MAX)?;
        let more = page.last().filter(|_| page.len() == PAGE_MAX);
        self.done.next = Some(more.map_or(Stage::Log, |(key, _)| Stage::Answers(key.clone())));
        let old = page.into_iter().filter(|(_, seen)| seen.at <= self.prune.before);
        let old: Vec<String> = old.map(|(key, _)| key).collect();
        self.done.answers += old.len() as u64;
        if !self.prune.dry {
            self.step.writes.gone.answers = old;
        }
        Ok(())
    }
}
