//! The published JSON Schema, made of the tables that the decoder reads by.

use serde_json::{Map, Value, json};

use crate::limits;
use crate::task::outside::Call;
use crate::task::retry::Retry;
use crate::task::spec::{OnUpstreamFailure, Source, When};

use super::at::Key;
use super::{each, holds, keys, outside, planner, retry, values, work};

/// The plan format as JSON Schema 2020-12. What a schema cannot say (names that must exist, cycles, one kind
/// of work) is left to [`read`](super::read).
pub fn schema() -> Value {
    let mut plan = object(keys::PLAN, &["tasks"]);
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bellwether plan",
        "$defs": {
            "task": task(),
            "duration": duration_form(),
            "name": name_form(),
            "text": { "type": "string", "minLength": 1, "maxLength": limits::TEXT_BYTES },
        },
    });
    if let (Value::Object(plan), Value::Object(head)) = (&mut plan, head) {
        plan.extend(head);
    }
    plan
}

fn task() -> Value {
    json!({ "oneOf": [reference("text"), object(keys::TASK, &[])] })
}

/// A mapping with the keys of `table` and no others.
pub(super) fn object<T>(table: &[Key<T>], required: &[&str]) -> Value {
    object_of(table.iter(), required)
}

fn object_of<'a, T: 'static>(keys: impl Iterator<Item = &'a Key<T>>, required: &[&str]) -> Value {
    let property = |key: &Key<T>| {
        let mut schema = (key.schema)();
        if let Value::Object(schema) = &mut schema {
            let note = if key.unsupported {
                " Not in this version."
            } else {
                ""
            };
            schema.insert("description".to_owned(), json!(format!("{}{note}", key.doc)));
        }
        (key.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = keys.map(property).collect();
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// The value itself or a list of such values.
fn one_or_list(item: &Value) -> Value {
    json!({ "anyOf": [item, list(item)] })
}

fn words(words: impl IntoIterator<Item = &'static str>) -> Value {
    json!({ "enum": words.into_iter().collect::<Vec<_>>() })
}

fn duration_form() -> Value {
    json!({
        "description": "500ms, 30s, 10m, 1h30m, 2d; a bare number means seconds.",
        "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": r"^\s*([0-9.]+|([0-9.]+(ms|s|sec|m|min|h|d|w))+)\s*$" },
        ],
    })
}

fn name_form() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": limits::KEY_BYTES, "pattern": r"^[^\s-]\S*$" })
}

pub(super) fn any() -> Value {
    json!({})
}

pub(super) fn text() -> Value {
    reference("text")
}

pub(super) fn name() -> Value {
    reference("name")
}

pub(super) fn duration() -> Value {
    reference("duration")
}

pub(super) fn label() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": limits::KEY_BYTES })
}

pub(super) fn names() -> Value {
    one_or_list(&name())
}

pub(super) fn texts() -> Value {
    one_or_list(&text())
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn mapping() -> Value {
    json!({ "type": "object" })
}

pub(super) fn version() -> Value {
    json!({ "const": 1 })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

pub(super) fn moment() -> Value {
    json!({ "anyOf": [duration(), { "type": "string", "format": "date-time" }] })
}

pub(super) fn summary() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 200 })
}

pub(super) fn run() -> Value {
    json!({ "anyOf": [text(), { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
}

pub(super) fn http() -> Value {
    json!({ "anyOf": [text(), object(outside::HTTP, &["url"])] })
}

pub(super) fn method() -> Value {
    words(Call::METHODS)
}

pub(super) fn statuses() -> Value {
    one_or_list(&json!({ "type": "integer", "minimum": 100, "maximum": 599 }))
}

pub(super) fn breakpoint() -> Value {
    json!({ "anyOf": [text(), object(work::BREAKPOINT, &["ask"])] })
}

pub(super) fn verdict() -> Value {
    json!({ "anyOf": [words(["accept", "reject"].into_iter()), object(work::VERDICT, &["answer"])] })
}

pub(super) fn wait() -> Value {
    let mut wait = object(outside::WAIT, &[]);
    wait["oneOf"] = json!([{ "required": ["file"] }, { "required": ["http"] }, { "required": ["signal"] }]);
    wait
}

pub(super) fn secrets() -> Value {
    one_or_list(&json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }))
}

pub(super) fn for_each() -> Value {
    let items = json!({ "type": "array", "minItems": 1, "maxItems": limits::EACH_ITEMS });
    json!({ "anyOf": [items, text(), object(each::FOR_EACH, &["task"])] })
}

pub(super) fn when() -> Value {
    words(When::ALL.iter().map(|when| when.as_str()))
}

pub(super) fn after() -> Value {
    one_or_list(&json!({ "anyOf": [name(), object(values::AFTER, &["task"])] }))
}

pub(super) fn priority() -> Value {
    json!({ "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 10 },
        { "enum": ["low", "normal", "medium", "high", "fix", "critical"] },
    ] })
}

pub(super) fn source() -> Value {
    words(Source::ALL.iter().map(|source| source.as_str()))
}

pub(super) fn on_upstream_failure() -> Value {
    words(OnUpstreamFailure::ALL.iter().map(|policy| policy.as_str()))
}

pub(super) fn on_exhausted() -> Value {
    words(["dead_letter", "replan"])
}

pub(super) fn planner() -> Value {
    object(planner::PLANNER, &[])
}

pub(super) fn preset() -> Value {
    words(Retry::PRESETS.iter().copied())
}

pub(super) fn backoff() -> Value {
    words(retry::BACKOFFS.map(|(name, _)| name))
}

pub(super) fn attempts() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": limits::ATTEMPTS })
}

pub(super) fn factor() -> Value {
    json!({ "type": "number", "minimum": 1, "maximum": 1000 })
}

pub(super) fn jitter() -> Value {
    json!({ "type": "number", "minimum": 0, "maximum": 1 })
}

pub(super) fn exits() -> Value {
    one_or_list(&json!({ "type": "integer", "minimum": 0, "maximum": 255 }))
}

pub(super) fn retry() -> Value {
    json!({ "anyOf": [preset(), attempts(), object(retry::RETRY, &[])] })
}

pub(super) fn locks() -> Value {
    let mut locks = one_or_list(&json!({ "anyOf": [label(), object(holds::LOCK, &["name"])] }));
    locks["maxItems"] = json!(limits::LOCKS);
    locks
}

pub(super) fn concurrency() -> Value {
    json!({ "anyOf": [label(), object(holds::CONCURRENCY, &["key"])] })
}

pub(super) fn cache() -> Value {
    object(holds::CACHE, &[])
}

pub(super) fn env() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
}

pub(super) fn amounts() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
}

pub(super) fn amount() -> Value {
    json!({ "type": ["string", "number"] })
}

pub(super) fn budget() -> Value {
    object(holds::BUDGET, &[])
}

pub(super) fn defaults() -> Value {
    object_of(keys::TASK.iter().filter(|key| key.default), &[])
}

pub(super) fn tasks() -> Value {
    let mut listed = object(keys::TASK, &["key"]);
    listed["properties"]["key"] = name();
    json!({ "anyOf": [
        { "type": "object", "additionalProperties": reference("task"), "propertyNames": name() },
        { "type": "array", "items": listed },
    ] })
}
