//! Runs as sequences of steps.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::id::{Kind, RunId, Seq};
use domain::limits::PAGE_MAX;
use domain::run::RunState;
use domain::store::{Result, View};
use domain::task::each::Each;
use domain::task::spec::{Spec, Work};
use domain::task::state::State;
use rustc_hash::FxHashMap;

use super::{By, Options};
use crate::engine::Engine;
use crate::submit;

/// Runs that are looked at, and their tasks in all.
const RUNS: usize = PAGE_MAX;
const TASKS: u64 = 50_000;
/// Steps of one run; longer ones are left out.
const STEPS: usize = 200;

/// A run that succeeded.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) plan: String,
    /// What its steps are, in the order of the graph; each once.
    pub(super) labels: Vec<u32>,
    /// The steps themselves.
    pub(super) steps: Vec<Done>,
    /// For each step, whether each other one had to be done before it.
    pub(super) before: Vec<Vec<bool>>,
}

/// A step as it was done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) key: String,
    pub(super) spec: Spec,
    pub(super) took: Option<Duration>,
}

/// The latest runs that succeeded, the newest first, and whether there are more.
pub(super) async fn courses(engine: &Engine, options: &Options) -> Result<(Vec<Course>, bool)> {
    let (store, project) = (&engine.store, &engine.project);
    let runs = store.runs(project, options.plan.as_deref(), RUNS).await?;
    let mut cut = runs.len() == RUNS;
    let mut labels: BTreeMap<String, u32> = BTreeMap::new();
    let mut courses = Vec::new();
    let mut room = TASKS;
    for run in runs.iter().filter(|run| run.state == RunState::Succeeded) {
        let Some(left) = room.checked_sub(run.counts.total()) else {
            cut = true;
            break;
        };
        room = left;
        match course(engine, run.id, run.plan.clone(), options.by, &mut labels).await? {
            Some(course) => courses.push(course),
            None => cut = true,
        }
    }
    Ok((courses, cut))
}

/// One run; `None` if it has too many steps.
async fn course(
    engine: &Engine,
    run: RunId,
    plan: String,
    by: By,
    labels: &mut BTreeMap<String, u32>,
) -> Result<Option<Course>> {
    let mut done: Vec<View> = submit::stored_tasks(engine, run).await?;
    done.retain(|view| view.task.state == State::Completed);
    let seqs: Vec<Seq> = done.iter().map(|view| view.task.seq).collect();
    let edges = engine.store.edges(&engine.project, &seqs).await?;
    // The title decides among steps that could be done side by side, so that runs of other plans have the same order.
    let mut named: Vec<(String, String, Spec, View)> = Vec::with_capacity(done.len());
    let mut split: Vec<(Seq, String)> = Vec::new();
    let labelled = |key: &str, kind: &Kind| match by {
        By::Title => format!("{kind} {key}"),
        By::Kind => kind.to_string(),
    };
    for view in done {
        let Ok(spec) = view.body.read_spec() else { continue };
        let key = match &view.body.key {
            Some(key) => stem(key.as_str()),
            None => stem(&spec.name),
        };
        match &spec.work {
            // What it was split into is the step, and what waits for it waits for that.
            Work::Each(each) => {
                let part = serde_json::from_str::<Each>(each.get());
                split.extend(part.map(|each| (view.task.seq, labelled(&key, &each.task.kind))));
            }
            _ => named.push((labelled(&key, &spec.kind), key, spec, view)),
        }
    }
    named.sort_by(|(a, .., x), (b, .., y)| (x.task.depth, a, x.task.seq).cmp(&(y.task.depth, b, y.task.seq)));
    let mut course = Course {
        plan,
        labels: Vec::new(),
        steps: Vec::new(),
        before: Vec::new(),
    };
    let mut step_of: FxHashMap<Seq, usize> = FxHashMap::default();
    for (label, key, spec, view) in named {
        let next = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        let label = *labels.entry(label).or_insert(next);
        let task = &view.task;
        let known = course.labels.iter().position(|other| *other == label);
        step_of.insert(task.seq, known.unwrap_or(course.labels.len()));
        if known.is_some() {
            continue;
        }
        if course.labels.len() == STEPS {
            return Ok(None);
        }
        course.labels.push(label);
        let took = task.started_at.zip(task.finished_at);
        course.steps.push(Done {
            key,
            spec,
            took: took.map(|(from, to)| to.since(from)),
        });
    }
    for (seq, label) in split {
        let known = labels.get(&label);
        let step = known.and_then(|label| course.labels.iter().position(|other| other == label));
        step_of.extend(step.map(|step| (seq, step)));
    }
    course.before = closure(
        course.labels.len(),
        edges
            .iter()
            .filter_map(|(on, of, _)| Some((*step_of.get(on)?, *step_of.get(of)?))),
    );
    Ok(Some(course))
}

/// What has to be done before what, directly or by way of others.
fn closure(count: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<bool>> {
    let mut before = vec![vec![false; count]; count];
    for (on, of) in edges.filter(|(on, of)| on != of) {
        before[of][on] = true;
    }
    for via in 0..count {
        let earlier = before[via].clone();
        for row in before.iter_mut().filter(|row| row[via]) {
            row.iter_mut()
                .zip(&earlier)
                .for_each(|(cell, other)| *cell |= other);
        }
    }
    before
}

/// A title without what differs from case to case: `check[src/a.rs]`, `check-12` and `Check 3` are `check`.
fn stem(title: &str) -> String {
    let head = title.split('[').next().unwrap_or(title);
    let words: Vec<&str> = head
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !word.chars().any(|c| c.is_ascii_digit()))
        .collect();
    let text = words.join("-").to_lowercase();
    match text.is_empty() {
        true => "step".to_owned(),
        false => text.chars().take(48).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_lose_what_differs() {
        for (title, expected) in [
            ("check[src/a.rs]", "check"),
            ("check-12", "check"),
            ("Write the docs (v2)", "write-the-docs"),
            ("42", "step"),
            ("prüfen", "prüfen"),
        ] {
            assert_eq!(stem(title), expected);
        }
    }

    #[test]
    fn what_comes_before_reaches_along_edges() {
        let before = closure(4, [(0, 1), (1, 2), (2, 2)].into_iter());
        assert_eq!(before[2], [true, true, false, false]);
        assert_eq!(before[3], [false; 4]);
    }
}
