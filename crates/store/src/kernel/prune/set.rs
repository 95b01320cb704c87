//! Which tasks can go together: only those on which nothing depends that stays.

use domain::decide::edges::{Fate, On, fate_for};
use domain::id::{Key, Seq};
use domain::store::Result;
use domain::task::record::Task;
use domain::task::spec::When;
use domain::task::state::{Reason, State};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Piece;
use crate::kernel::names::name_of;

/// Fallen tasks that are followed up to the failure which they fell with; beyond, they stay.
const FALLEN: usize = 1_000;

/// What goes together, in order of the numbers.
#[derive(Debug, Default)]
pub(super) struct Going {
    tasks: Vec<Task>,
    /// Of each task's key and prerequisites.
    bodies: FxHashMap<Seq, (Option<Key>, Vec<Seq>)>,
}

impl Going {
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn rows(&self) -> &[Task] {
        &self.tasks
    }
}

impl Piece<'_, '_> {
    /// Whether the row by itself could go, if it was over so long ago.
    pub(super) fn is_over(&self, task: &Task) -> bool {
        task.state.is_terminal() && task.lease.is_none() && !task.dead_letter
    }

    pub(super) fn is_old(&self, task: &Task) -> bool {
        self.is_over(task)
            && task
                .finished_at
                .is_some_and(|finished| finished <= self.prune.before)
    }

    /// Of tasks that could go by themselves, those that can go together.
    pub(super) fn closed(&mut self, mut tasks: Vec<Task>) -> Result<Going> {
        let last = self.step.tx.next_seq(self.step.project)?.0.saturating_sub(1);
        // The next number follows from the last one: it must not be given out twice.
        tasks.retain(|task| task.seq.0 != last);
        if tasks.is_empty() {
            return Ok(Going::default());
        }
        let unsettled = self.step.tx.unsettled(self.step.project, usize::MAX)?;
        let unsettled: FxHashSet<Seq> = unsettled.into_iter().map(|(seq, _)| seq).collect();
        tasks.retain(|task| !unsettled.contains(&task.seq));
        tasks.sort_unstable_by_key(|task| task.seq);
        let seqs: Vec<Seq> = tasks.iter().map(|task| task.seq).collect();
        let bodies = self.step.tx.bodies(self.step.project, &seqs)?;
        let bodies = bodies
            .into_iter()
            .map(|(seq, body)| {
                (
                    seq,
                    (body.key, body.after.into_iter().map(|(on, _)| on).collect()),
                )
            })
            .collect();
        let mut going: FxHashSet<Seq> = seqs.iter().copied().collect();
        let mut needed_by = FxHashMap::default();
        for task in &tasks {
            if self.waits_for_letter(task, &bodies)? {
                going.remove(&task.seq);
            }
            match self.dependents(task, &going, seqs.len())? {
                Some(needed) => drop(needed_by.insert(task.seq, needed)),
                None => drop(going.remove(&task.seq)),
            }
        }
        loop {
            let before = going.len();
            tasks.retain(|task| {
                let free = |needed: &Vec<Seq>| needed.iter().all(|seq| going.contains(seq));
                going.contains(&task.seq) && needed_by.get(&task.seq).is_some_and(free)
            });
            going = tasks.iter().map(|task| task.seq).collect();
            if going.len() == before {
                return Ok(Going { tasks, bodies });
            }
        }
    }

    /// What must go together with this task: its dependents and its subtasks. `None` when it has more of them than could.
    fn dependents(&mut self, task: &Task, going: &FxHashSet<Seq>, most: usize) -> Result<Option<Vec<Seq>>> {
        let (project, dry) = (self.step.project, self.prune.dry);
        let limit = most + 1;
        let mut needed = Vec::new();
        if task.dependents > 0 {
            let edges = self.step.tx.dependents(project, task.seq, Seq(0), limit)?;
            needed.extend(edges.into_iter().map(|(dependent, _)| dependent));
        }
        if task.children > 0 {
            needed.extend(self.step.tx.children(project, task.seq, limit)?);
        }
        let others: Vec<Seq> = needed
            .iter()
            .copied()
            .filter(|seq| !going.contains(seq))
            .collect();
        if others.is_empty() {
            return Ok(Some(needed));
        }
        for other in self.step.tx.tasks(project, &others)? {
            // A parent that is over has no more use for its subtasks.
            let parent = Some(other.seq) == task.parent && self.is_over(&other);
            let counted = dry && self.is_old(&other);
            if !parent && !counted {
                return Ok(None);
            }
            needed.retain(|seq| *seq != other.seq);
        }
        Ok(Some(needed))
    }

    /// Whether the task fell with a failure that is among the dead letters: its retry would revive the task.
    fn waits_for_letter(
        &mut self,
        task: &Task,
        bodies: &FxHashMap<Seq, (Option<Key>, Vec<Seq>)>,
    ) -> Result<bool> {
        let fell =
            |task: &Task| (task.state, task.reason) == (State::Cancelled, Some(Reason::UpstreamFailed));
        if !fell(task) {
            return Ok(false);
        }
        let project = self.step.project;
        let mut seen = FxHashSet::default();
        let mut ahead = bodies
            .get(&task.seq)
            .map_or_else(Vec::new, |(_, after)| after.clone());
        while !ahead.is_empty() {
            ahead.retain(|seq| seen.insert(*seq));
            if seen.len() > FALLEN {
                return Ok(true);
            }
            let rows = self.step.tx.tasks(project, &ahead)?;
            if rows.iter().any(|row| row.dead_letter) {
                return Ok(true);
            }
            let fallen: Vec<Seq> = rows.iter().filter(|row| fell(row)).map(|row| row.seq).collect();
            let found = self.step.tx.bodies(project, &fallen)?;
            ahead = found
                .into_iter()
                .flat_map(|(_, body)| body.after.into_iter().map(|(on, _)| on))
                .collect();
        }
        Ok(false)
    }

    /// Takes them out, and out of the count of what stays.
    pub(super) fn take_out(&mut self, going: Going) -> Result<()> {
        self.done.tasks += going.tasks.len() as u64;
        if self.prune.dry {
            return Ok(());
        }
        let gone: FxHashSet<Seq> = going.tasks.iter().map(|task| task.seq).collect();
        let parents = going.tasks.iter().filter_map(|task| task.parent);
        let before = going.bodies.iter().filter(|(seq, _)| gone.contains(seq));
        let before = before.flat_map(|(_, (_, after))| after.iter().copied());
        let staying: Vec<Seq> = parents.chain(before).filter(|seq| !gone.contains(seq)).collect();
        self.step.load(&staying)?;
        let Going { tasks, mut bodies } = going;
        for task in tasks {
            let (key, after) = bodies.remove(&task.seq).unwrap_or_default();
            for on in after.into_iter().filter(|on| !gone.contains(on)) {
                let mut row = self.step.task(on)?.clone();
                row.dependents = row.dependents.saturating_sub(1);
                self.step.put(row)?;
                self.step.writes.gone.edges.push((on, task.seq));
            }
            if let Some(parent) = task.parent.filter(|parent| !gone.contains(parent)) {
                self.leave_parent(&task, parent)?;
            }
            let key = name_of(&task, key)?;
            self.done.gone.push((task.id.clone(), task.seq));
            self.step.take_out(task, key);
        }
        Ok(())
    }

    fn leave_parent(&mut self, task: &Task, parent: Seq) -> Result<()> {
        let mut row = self.step.task(parent)?.clone();
        row.children = row.children.saturating_sub(1);
        if task.dependents > 0 {
            let at = Seq(parent.0.saturating_sub(1));
            let edges = self.step.tx.dependents(self.step.project, task.seq, at, 1)?;
            let joined = edges.iter().find(|(dependent, _)| *dependent == parent);
            let when = joined.map_or(When::Finished, |(_, when)| *when);
            if let Fate::Dead(_) = fate_for(when, On::from(task), &row) {
                row.dead = row.dead.saturating_sub(1);
            }
        }
        self.step.put(row)
    }
}
