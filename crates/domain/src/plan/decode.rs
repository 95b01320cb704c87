//! From the tree of values to tasks.

use crate::code::Code;
use crate::limits;

use super::at::{At, Findings};
use super::draft::{Draft, Read};
use super::fault::Fault;
use super::keys::{Head, PLAN, TASK};
use super::node::{Entry, Node, Scalar, Value};

/// Reads everything that can be read, and notes every fault on the way.
pub(super) fn decode(root: &Node<'_>, found: &mut Findings) -> (Head, Vec<Read>) {
    let at = At::root(root);
    let mut head = Head::default();
    if root.is_null() {
        let fault = Fault::new(Code::PlanMissingKey, root.place, "the plan is empty");
        found
            .faults
            .push(fault.help("write for example `tasks: { hello: { run: \"echo hello\" } }`"));
        return (head, Vec::new());
    }
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
    let section = |name: &str| entries.iter().find(|entry| entry.key == name);
    let mut defaults = Draft::new();
    if let Some(entry) = section("defaults") {
        defaults.defaults(at.entry(entry), found);
    }
    match section("tasks") {
        Some(entry) => (head, tasks(at.entry(entry), entry, &defaults, found)),
        None => {
            at.missing(found, "has no tasks", "add `tasks`, a mapping of keys to tasks");
            (head, Vec::new())
        }
    }
}

fn tasks(at: At<'_>, entry: &Entry<'_>, defaults: &Draft, found: &mut Findings) -> Vec<Read> {
    let count = match &entry.node.value {
        Value::Mapping(entries) => entries.len(),
        Value::Sequence(items) => items.len(),
        Value::Scalar(..) => {
            at.entries(found, "a mapping of keys to tasks");
            return Vec::new();
        }
    };
    if count > limits::BATCH_TASKS {
        let detail = format!("the plan has {count} tasks, the limit is {}", limits::BATCH_TASKS);
        found
            .faults
            .push(at.fault(Code::PlanLimit, detail).help("submit it in parts"));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(count);
    match &entry.node.value {
        Value::Mapping(entries) => {
            for entry in entries {
                read.extend(defaults.clone().task(at.entry(entry), false, found));
            }
        }
        _ => at.each(found, |item, found| {
            let entries = item.entries(found, "a mapping with a `key`").unwrap_or_default();
            match entries.iter().find(|entry| entry.key == "key") {
                Some(Entry {
                    place,
                    node:
                        Node {
                            value: Value::Scalar(kind, key),
                            ..
                        },
                    ..
                }) if *kind != Scalar::Null => {
                    let task = at.named(key, *place, item.node);
                    read.extend(defaults.clone().task(task, true, found));
                }
                _ if item.node.is_mapping() => item.missing(found, "has no key", "add `key: NAME`"),
                _ => {}
            }
        }),
    }
    read
}
