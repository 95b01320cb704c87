//! Which task a key leads to.

use domain::id::{Key, Seq};
use domain::store::Result;
use domain::task::record::Task;
use rustc_hash::FxHashSet;

use super::tx::{Name, ProjectNo, Tx};

/// What a task goes by: its key, and in a run otherwise its id.
pub(super) fn name_of(task: &Task, key: Option<Key>) -> Result<Option<Key>> {
    match (key, task.run) {
        (None, Some(_)) => Key::new(&task.id.to_string()).map(Some),
        (key, _) => Ok(key),
    }
}

/// Names that are asked for, in order.
#[derive(Default)]
pub(super) struct Names {
    asked: Vec<(Name, Seq, bool)>,
    subtasks: bool,
}

impl Names {
    pub(super) fn ask(&mut self, task: &Task, key: Option<Key>) -> Result<()> {
        if let Some(key) = name_of(task, key)? {
            let subtask = task.parent.is_some();
            self.asked.push(((task.run, key), task.seq, subtask));
            self.subtasks |= subtask;
        }
        Ok(())
    }

    /// The names that are given: the latest task has one, but a subtask never takes that of a task which somebody
    /// planned.
    pub(super) fn give(self, tx: &mut dyn Tx, project: ProjectNo) -> Result<Vec<(Name, Seq)>> {
        let kept = if self.subtasks {
            self.kept(tx, project)?
        } else {
            FxHashSet::default()
        };
        let given = self.asked.into_iter();
        let given = given.filter(|(name, _, subtask)| !subtask || !kept.contains(name));
        Ok(given.map(|(name, seq, _)| (name, seq)).collect())
    }

    /// Names of tasks that are no subtasks, here or in the store, as far as they matter here.
    fn kept(&self, tx: &mut dyn Tx, project: ProjectNo) -> Result<FxHashSet<Name>> {
        let names = |of: bool| {
            let asked = self.asked.iter().filter(move |(_, _, subtask)| *subtask == of);
            asked.map(|(name, ..)| name.clone())
        };
        let asked: Vec<Name> = names(true).collect();
        let owners = tx.named(project, &asked)?;
        let seqs: Vec<Seq> = owners.iter().copied().flatten().collect();
        let planned: FxHashSet<Seq> = (tx.tasks(project, &seqs)?.into_iter())
            .filter(|task| task.parent.is_none() && !task.superseded)
            .map(|task| task.seq)
            .collect();
        let stored = asked
            .into_iter()
            .zip(owners)
            .filter(|(_, owner)| owner.is_some_and(|owner| planned.contains(&owner)));
        Ok(stored.map(|(name, _)| name).chain(names(false)).collect())
    }
}
