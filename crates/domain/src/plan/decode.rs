//! From the tree of values to tasks.

use crate::code::Code;
use crate::limits;

use super::at::{At, Findings};
use super::draft::{Draft, Read};
use super::fault::Fault;
use super::keys::{Head, PLAN, TASK};
use super::node::{Entry, Node, Scalar, Value};

/// Reads everything that can be read, and notes every fault on the way.
///
/// Takes the tree apart while it goes, so that the values of a million tasks and the tasks they become are
/// not both in memory.
pub(super) fn decode(mut root: Node<'_>, found: &mut Findings) -> (Head, Vec<Read>) {
    let mut head = Head::default();
    if root.is_null() {
        let fault = Fault::new(Code::PlanMissingKey, root.place, "the plan is empty");
        let help = "write for example `tasks: { hello: { run: \"echo hello\" } }`";
        found.faults.push(fault.help(help));
        return (head, Vec::new());
    }
    let listed = take(&mut root, "tasks");
    let at = At::root(&root);
    let Some(entries) = at.entries(found, "a mapping with `tasks`") else {
        return (head, Vec::new());
    };
    for entry in entries {
        match PLAN.iter().find(|key| key.name == entry.key) {
            Some(key) => at.entry(entry).read(key, &mut head, found),
            None if TASK.iter().any(|key| key.name == entry.key) => {
                let help = format!("write `{}` in a task or in `defaults`", entry.key);
                at.unknown_key(found, entry, help);
            }
            None => at.unknown(found, entry, PLAN),
        }
    }
    let mut defaults = Draft::new();
    defaults.planner = head.planner.clone();
    if let Some(entry) = entries.iter().find(|entry| entry.key == "defaults") {
        defaults.defaults(at.entry(entry), found);
    }
    match listed {
        Some(entry) => (head, tasks(at, entry, &defaults, found)),
        None => {
            at.missing(found, "has no tasks", "add `tasks`, a mapping of keys to tasks");
            (head, Vec::new())
        }
    }
}

fn take<'a>(root: &mut Node<'a>, key: &str) -> Option<Entry<'a>> {
    let Value::Mapping(entries) = &mut root.value else {
        return None;
    };
    let index = entries.iter().position(|entry| entry.key == key)?;
    Some(entries.remove(index))
}

fn tasks(plan: At<'_>, mut entry: Entry<'_>, defaults: &Draft, found: &mut Findings) -> Vec<Read> {
    let (mut named, mut listed) = (Vec::new(), Vec::new());
    match &mut entry.node.value {
        Value::Mapping(entries) => named = std::mem::take(entries),
        Value::Sequence(items) => listed = std::mem::take(items),
        Value::Scalar(..) => {
            plan.entry(&entry).entries(found, "a mapping of keys to tasks");
        }
    }
    let at = plan.entry(&entry);
    let count = named.len() + listed.len();
    if count > limits::BATCH_TASKS {
        let detail = format!("the plan has {count} tasks, the limit is {}", limits::BATCH_TASKS);
        let fault = at.fault(Code::PlanLimit, detail);
        found.faults.push(fault.help("submit it in parts"));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(count);
    for entry in named {
        read.extend(defaults.clone().task(at.entry(&entry), false, found));
    }
    for (index, node) in listed.into_iter().enumerate() {
        read.extend(listed_task(at.item(index, &node), defaults, found));
    }
    read
}

/// A task of a list, which has its key inside.
fn listed_task(at: At<'_>, defaults: &Draft, found: &mut Findings) -> Option<Read> {
    let entries = at.entries(found, "a mapping with a `key`")?;
    let key = entries.iter().find(|entry| entry.key == "key");
    match key.map(|entry| (entry, &entry.node.value)) {
        Some((entry, Value::Scalar(kind, key))) if *kind != Scalar::Null => {
            defaults.clone().task(at.renamed(key, entry.place), true, found)
        }
        _ => {
            at.missing(found, "has no key", "add `key: NAME`");
            None
        }
    }
}
