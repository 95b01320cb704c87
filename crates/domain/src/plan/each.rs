//! `for_each`: the list that a task is done for.

use crate::id::{Key, Kind};
use crate::limits;
use crate::task::each::{Each, Found, NAME, Over};
use crate::task::spec::{After, Json, OnUpstreamFailure, Spec, When, Work};

use super::at::{At, Findings, Key as Reader};
use super::draft::{Draft, Link};
use super::node::Value;
use super::schema;

pub(super) fn for_each(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut result = Found::default();
    match &at.node.value {
        Value::Sequence(items) => {
            if items.is_empty() {
                at.wrong(found, "the list is empty", "name at least one item");
            }
            if items.len() > limits::EACH_ITEMS {
                let detail = format!("{} items, the limit is {}", items.len(), limits::EACH_ITEMS);
                at.wrong(found, detail, "let each item be a part of the list");
            }
            draft.over = at.json(found).map(Over::Items);
            return;
        }
        Value::Mapping(entries) => {
            at.keys(
                found,
                "a list, a task, or a mapping of `task` and `at`",
                FOR_EACH,
                &mut result,
            );
            if !entries.iter().any(|entry| entry.key == "task") {
                at.missing(
                    found,
                    "names no task",
                    "add `task`: the one whose result is a list",
                );
            }
        }
        _ => task(&mut result, at, found),
    }
    if result.task.is_empty() {
        return;
    }
    // Its result is there when the task begins.
    if let Ok(key) = Key::new(&result.task) {
        draft.after.push(Link {
            after: After {
                task: key,
                when: When::Success,
            },
            place: at.place(),
        });
    }
    draft.over = Some(Over::Result(result));
}

fn task(result: &mut Found, at: At<'_>, found: &mut Findings) {
    let key = at.content(found).and_then(|key| at.accept(found, Key::new(&key)));
    result.task = key.map_or_else(String::new, |key| key.to_string());
}

pub(super) const FOR_EACH: &[Reader<Found>] = &[
    Reader::new("task", "The task whose result has the list.", schema::text, task),
    Reader::new(
        "at",
        "Where in the result the list is: a JSON pointer such as `/files`.",
        schema::text,
        |result, at, found| {
            result.at = at.content(found);
            if result.at.as_ref().is_some_and(|at| !at.starts_with('/')) {
                at.wrong(
                    found,
                    "this is no JSON pointer",
                    "begin with a slash, as in `/files`",
                );
            }
        },
    ),
];

/// The task that splits, and inside of it the one that is done for each item. What concerns the whole stays outside: its
/// place in line, its times, and where it works.
pub(super) fn split(over: Over, task: Spec, at: At<'_>, found: &mut Findings) -> Spec {
    if let Work::Shell(line) = &task.work
        && line.contains("{item")
    {
        at.warn(
            found,
            "`{item}` is not filled in a line for the shell: write \"$BELL_ITEM\", or `run` as a list",
        );
    }
    let whole = Spec::new(&task.name, Work::Each(Json::of(&())));
    let part = Spec {
        run_at: None,
        estimate: None,
        cwd: None,
        on_upstream_failure: OnUpstreamFailure::default(),
        ..task.clone()
    };
    Spec {
        kind: Kind::new(NAME).expect("executor names are kinds"),
        work: Work::Each(Json::of(&Each { over, task: part })),
        priority: task.priority,
        source: task.source,
        deadline: task.deadline,
        estimate: task.estimate,
        run_at: task.run_at,
        on_upstream_failure: task.on_upstream_failure,
        cwd: task.cwd,
        summary: task.summary,
        session: task.session,
        spec_ref: task.spec_ref,
        ..whole
    }
}
