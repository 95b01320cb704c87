//! Which tasks of a plan would touch the same thing at the same time.
//!
//! In reading order: [`touch`] takes out of each task what it says that it works on, `meet` finds the places where
//! two of them meet, `apart` tells which pairs an order or a lock keeps apart.

mod apart;
mod meet;
pub mod touch;

use domain::plan::Plan;
use serde::Serialize;

use crate::tree::Tree;
use apart::count;
pub use touch::Top;

/// Conflicts that are named, and tasks of each. The rest is counted.
pub const CONFLICTS: usize = 1_000;
pub const TASKS: usize = 20;

#[derive(Debug, Serialize)]
pub struct Forecast<'a> {
    pub tasks: usize,
    /// Tasks that say nothing of what they work on: nothing can be told of them.
    pub silent: usize,
    /// Pairs of tasks at one place that may go at the same time and that nothing keeps apart.
    pub open: u64,
    /// Pairs that only a lock keeps apart: they are safe, and wait for each other.
    pub locked: u64,
    /// Those with the most open pairs first.
    pub conflicts: Vec<Conflict<'a>>,
    /// How many more there are.
    pub more: usize,
    /// Every pair was looked at; if not, there are at least so many.
    pub whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict<'a> {
    pub kind: Kind,
    /// A path from the top, the first file of a circle, or the name of a lock.
    pub component: String,
    /// How many tasks meet there, and the first of them.
    pub count: usize,
    pub tasks: Vec<&'a str>,
    pub open: u64,
    pub locked: u64,
    /// Two that may go at the same time, if nothing keeps them apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<(&'a str, &'a str)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The same file, or a file and a folder around it; or a lock with a name of its own.
    Same,
    /// Different files that all need each other.
    Circle,
    /// A file and one that it needs, and no order between their tasks.
    Needs,
}

/// The forecast for a plan, with what a tree says of its files if there is one.
pub fn forecast<'a>(plan: &'a Plan, top: &Top, tree: Option<&Tree>) -> Forecast<'a> {
    let touches: Vec<_> = plan
        .tasks
        .iter()
        .map(|task| touch::touches(&task.spec, top))
        .collect();
    let silent = touches.iter().filter(|touches| touches.is_empty()).count();
    let mut asked = meet::places(&touches);
    asked.extend(tree.into_iter().flat_map(|tree| meet::files(&touches, tree)));
    let (found, whole) = count(plan, &asked);
    let name = |task: u32| plan.tasks[task as usize].key.as_str();
    let mut conflicts: Vec<Conflict<'a>> = Vec::new();
    for (found, asked) in found.into_iter().zip(&asked) {
        if found.open + found.locked == 0 {
            continue;
        }
        conflicts.push(Conflict {
            kind: asked.kind,
            component: asked.component.clone(),
            count: asked.tasks().count(),
            tasks: asked.tasks().take(TASKS).map(name).collect(),
            open: found.open,
            locked: found.locked,
            example: found.example.map(|(a, b)| (name(a), name(b))),
        });
    }
    conflicts.sort_by(|a, b| {
        let most = (b.open, b.locked).cmp(&(a.open, a.locked));
        most.then_with(|| (a.kind, &a.component).cmp(&(b.kind, &b.component)))
    });
    let more = conflicts.len().saturating_sub(CONFLICTS);
    let (open, locked) = (
        conflicts.iter().map(|conflict| conflict.open).sum(),
        conflicts.iter().map(|conflict| conflict.locked).sum(),
    );
    conflicts.truncate(CONFLICTS);
    Forecast {
        tasks: plan.tasks.len(),
        silent,
        open,
        locked,
        conflicts,
        more,
        whole,
    }
}
