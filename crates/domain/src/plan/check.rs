//! What only the whole plan can tell: names that must exist, names twice, circles.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::code::Code;
use crate::graph::{Cycle, Dag, Graph};
use crate::id::Key;

use super::at::Findings;
use super::draft::Read;
use super::fault::{Fault, Faults, Place};
use super::keys::Head;
use super::model::{Plan, PlanTask, task_digest};
use super::near::near;

/// Tasks of a circle that are shown; a longer one is cut in the middle.
const SHOWN: usize = 24;

pub(super) fn check(head: Head, tasks: Vec<Read>, mut found: Findings) -> Result<Plan, Faults> {
    let index = index(&tasks, &mut found.faults);
    let edges = resolve(&tasks, &index, &mut found.faults);
    let graph = Graph::build(tasks.len() as u32, edges);
    let dag = match Dag::new(graph) {
        Ok(dag) => dag,
        Err(cycles) => {
            for cycle in &cycles {
                found.faults.push(circle(cycle, &tasks, &index));
            }
            return Err(found.faults);
        }
    };
    if !found.faults.is_empty() {
        return Err(found.faults);
    }
    let mut bytes = Vec::new();
    let tasks: Vec<PlanTask> = tasks
        .into_iter()
        .map(|read| finish(read.task, &index, &mut bytes))
        .collect();
    found.unsupported.sort();
    found.warnings.sort_by_key(|warning| warning.place);
    Ok(Plan {
        digest: plan_digest(head.name.as_deref(), &tasks),
        name: head.name,
        description: head.description,
        tasks,
        dag,
        unsupported: found.unsupported,
        warnings: found.warnings,
    })
}

/// Ids by key. Only a list of tasks can still have a key twice; mappings were checked as such.
fn index(tasks: &[Read], faults: &mut Faults) -> HashMap<Key, u32> {
    let mut index = HashMap::with_capacity(tasks.len());
    for (id, Read { task, .. }) in tasks.iter().enumerate() {
        let first = *index.entry(task.key.clone()).or_insert(id as u32);
        if first != id as u32 {
            let place = tasks[first as usize].task.place;
            let detail = format!("the task `{}` stands twice, first at {place}", task.key);
            let fault = Fault::new(Code::PlanDuplicate, task.place, detail);
            faults.push(
                fault
                    .at(format_args!("tasks.{}", task.key))
                    .help("rename one of them"),
            );
        }
    }
    index
}

/// The edges between tasks that exist, and faults for the others and for self-edges.
fn resolve(tasks: &[Read], index: &HashMap<Key, u32>, faults: &mut Faults) -> Vec<(u32, u32)> {
    let mut edges = Vec::with_capacity(tasks.iter().map(|read| read.places.len()).sum());
    for (id, Read { task, places }) in tasks.iter().enumerate() {
        for (after, &place) in task.after.iter().zip(places) {
            match index.get(&after.task) {
                Some(_) if after.task == task.key => {
                    let detail = format!("task `{0}` waits for itself: {0} -> {0}", task.key);
                    let fault = Fault::new(Code::PlanSelfEdge, place, detail);
                    faults.push(fault.at(way(task)).help("remove this entry of `after`"));
                }
                Some(&prerequisite) => edges.push((prerequisite, id as u32)),
                None if faults.is_full() => faults.more += 1,
                None => faults.push(unknown(task, &after.task, place, tasks)),
            }
        }
    }
    edges
}

fn way(task: &PlanTask) -> String {
    format!("tasks.{}.after", task.key)
}

fn unknown(task: &PlanTask, missing: &Key, place: Place, tasks: &[Read]) -> Fault {
    let detail = format!(
        "task `{}` waits for `{missing}`, which is no task of this plan",
        task.key
    );
    let known = tasks.iter().map(|read| read.task.key.as_str());
    let help = match near(missing.as_str(), known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("add a task `{missing}`, or remove the entry"),
    };
    Fault::new(Code::PlanUnknownTask, place, detail)
        .at(way(task))
        .help(help)
}

fn circle(cycle: &Cycle, tasks: &[Read], index: &HashMap<Key, u32>) -> Fault {
    let key = |v: u32| &tasks[v as usize].task.key;
    let first = cycle.path[0];
    let second = cycle.path.get(1).copied().unwrap_or(first);
    let mut detail = format!("tasks wait for each other: {}", key(first));
    let hidden = cycle.path.len().saturating_sub(SHOWN);
    for (i, &v) in cycle.path.iter().enumerate().skip(1) {
        if hidden > 0 && i == SHOWN / 2 {
            let _ = write!(detail, " -> ({hidden} more)");
        }
        if hidden == 0 || i < SHOWN / 2 || i >= SHOWN / 2 + hidden {
            let _ = write!(detail, " -> {}", key(v));
        }
    }
    let _ = write!(detail, " -> {}", key(first));
    if cycle.group > cycle.path.len() {
        let _ = write!(
            detail,
            " ({} tasks hang together in circles like this)",
            cycle.group
        );
    }
    let Read { task, places } = &tasks[first as usize];
    let entry = task
        .after
        .iter()
        .position(|after| index.get(&after.task) == Some(&second));
    let place = entry.map_or(task.place, |entry| places[entry]);
    Fault::new(Code::PlanCycle, place, detail)
        .at(way(task))
        .help("remove one of these entries of `after`; `a -> b` says that a waits for b")
}

/// A checked task in its final form; `bytes` is used again over a million of them.
fn finish(mut task: PlanTask, index: &HashMap<Key, u32>, bytes: &mut Vec<u8>) -> PlanTask {
    // Equal keys share their text: an edge then costs a pointer, not another copy of the name.
    for after in &mut task.after {
        if let Some((key, _)) = index.get_key_value(&after.task) {
            after.task = key.clone();
        }
    }
    task.digest = task_digest(&task.spec, &task.after, bytes);
    task
}

fn plan_digest(name: Option<&str>, tasks: &[PlanTask]) -> [u8; 32] {
    let mut digests: Vec<&[u8; 32]> = tasks.iter().map(|task| &task.digest).collect();
    digests.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::from(name.is_some())]);
    let name = name.unwrap_or_default();
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    for digest in digests {
        hasher.update(digest);
    }
    hasher.finalize().into()
}
