//! Runs go whole: all of their tasks at once, or piece by piece where they are many.

use domain::id::Seq;
use domain::prune::Stage;
use domain::run::{Run, RunNo};
use domain::store::Result;
use domain::task::record::Task;

use super::{CHUNK, Piece};

/// Runs that one piece looks at.
const RUNS: u64 = 100;
/// Tasks that one piece looks at before any goes.
const LOOK: usize = 1_000;
/// Before and after every task.
const END: Seq = Seq(i64::MAX as u64);

impl Piece<'_, '_> {
    pub(super) fn runs(&mut self, after: RunNo) -> Result<()> {
        let end = self.step.tx.next_run(self.step.project)?.0;
        let after = after.0.max(self.from.runs.0);
        let mut nothing_before = after == self.from.runs.0;
        for no in (after + 1..end).map(RunNo).take(RUNS as usize) {
            self.done.next = Some(Stage::Runs(no));
            let Some(run) = self.step.tx.run(self.step.project, no)? else {
                if nothing_before && no.0 - self.from.runs.0 >= RUNS {
                    self.from.runs = no;
                }
                continue;
            };
            nothing_before = false;
            if run.submitted_at > self.prune.before {
                break;
            }
            // The next number follows from the last one: it must not be given out twice.
            let kept = no.0 + 1 == end || run.finished_at.is_none_or(|at| at > self.prune.before);
            if kept {
                continue;
            }
            let members = self.step.tx.members(self.step.project, no, END, CHUNK + 1)?;
            if members.len() > CHUNK {
                if self.done.tasks == 0 {
                    return self.large(no, END, false);
                }
                self.done.next = Some(Stage::Runs(RunNo(no.0 - 1)));
                return Ok(());
            }
            if self.done.tasks as usize + members.len() > CHUNK {
                self.done.next = Some(Stage::Runs(RunNo(no.0 - 1)));
                return Ok(());
            }
            self.whole(run, &members)?;
        }
        let looked = match self.done.next {
            Some(Stage::Runs(no)) => no.0,
            _ => after,
        };
        let more = looked - after == RUNS;
        if !more {
            self.done.next = Some(Stage::Reach(Seq(0)));
        }
        Ok(())
    }

    /// All of a run in one piece, or nothing of it.
    fn whole(&mut self, run: Run, members: &[Seq]) -> Result<bool> {
        let tasks = self.step.tx.tasks(self.step.project, members)?;
        if !tasks.iter().all(|task| self.is_over(task)) {
            return Ok(false);
        }
        let going = self.closed(tasks)?;
        if going.len() < members.len() {
            return Ok(false);
        }
        self.take_out(going)?;
        self.done.runs += 1;
        if self.from.within == Some(run.no) {
            self.from.within = None;
        }
        if !self.prune.dry {
            self.step.writes.gone.runs.push(run);
        }
        Ok(true)
    }

    /// The next piece of a run with many tasks, from the newest to the oldest, and again while that helps: a task goes
    /// after those that depend on it. Before the first one goes all of them are looked at, with `moved` false; then it is true.
    pub(super) fn large(&mut self, no: RunNo, below: Seq, moved: bool) -> Result<()> {
        self.done.next = Some(Stage::Runs(no));
        let Some(run) = self.step.tx.run(self.step.project, no)? else {
            return Ok(());
        };
        let members = self.step.tx.members(self.step.project, no, END, CHUNK + 1)?;
        if members.len() <= CHUNK {
            self.whole(run, &members)?;
            return Ok(());
        }
        if run.finished_at.is_none_or(|at| at > self.prune.before) {
            return Ok(());
        }
        if self.from.within != Some(no) && !moved {
            return self.look(no, below);
        }
        if self.prune.dry {
            self.done.tasks += run.counts.total();
            self.done.runs += 1;
            return Ok(());
        }
        let members = self.step.tx.members(self.step.project, no, below, CHUNK)?;
        let tasks = self.step.tx.tasks(self.step.project, &members)?;
        let tasks = tasks.into_iter().filter(|task| self.is_over(task)).collect();
        let going = self.closed(tasks)?;
        let moves = going.len() > 0;
        if moves {
            self.from.within = Some(no);
            self.uncount(run, going.rows());
            self.take_out(going)?;
        }
        let begun = self.from.within == Some(no);
        self.done.next = Some(match members.last() {
            Some(last) if members.len() == CHUNK => Stage::Run(no, *last, moved || moves),
            _ if begun && (moved || moves) => Stage::Run(no, END, false),
            _ => Stage::Runs(no),
        });
        Ok(())
    }

    /// Looks at the next tasks of a run from which none has gone: a dead letter keeps it, and whatever is under way. What was
    /// looked at stays so while the run has ended no later than what goes.
    fn look(&mut self, no: RunNo, below: Seq) -> Result<()> {
        let members = self.step.tx.members(self.step.project, no, below, LOOK)?;
        let tasks = self.step.tx.tasks(self.step.project, &members)?;
        if tasks.iter().all(|task| self.is_over(task)) {
            self.done.next = Some(match members.last() {
                Some(last) if members.len() == LOOK => Stage::Run(no, *last, false),
                _ => Stage::Run(no, END, true),
            });
        }
        Ok(())
    }

    /// What is left of a run keeps count of itself; how the run ended stays what it was.
    fn uncount(&mut self, mut run: Run, tasks: &[Task]) {
        for task in tasks.iter().filter(|task| !task.superseded) {
            run.counts.remove(task.state);
            run.skipped -= u64::from(task.is_skipped());
        }
        self.step.writes.runs.push(run);
    }
}
