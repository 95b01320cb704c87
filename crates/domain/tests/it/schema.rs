//! The published schema says what the reader does.

use domain::plan::{Format, read, schema};
use serde_json::{Value, json};

use crate::plan_read::{DESIGN, EVERY_KEY};

/// A validator of the part of JSON Schema that ours uses; anything else in it fails the test.
fn valid(schema: &Value, root: &Value, value: &Value) -> bool {
    let Value::Object(rules) = schema else {
        panic!("no schema: {schema}")
    };
    rules.iter().all(|(rule, want)| match (rule.as_str(), value) {
        ("$schema" | "$defs" | "title" | "description" | "format", _) => true,
        ("$ref", _) => {
            let name = want.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            valid(&root["$defs"][name], root, value)
        }
        ("const", _) => want == value,
        ("enum", _) => want.as_array().unwrap().contains(value),
        ("anyOf", _) => want.as_array().unwrap().iter().any(|one| valid(one, root, value)),
        ("oneOf", _) => {
            want.as_array()
                .unwrap()
                .iter()
                .filter(|one| valid(one, root, value))
                .count()
                == 1
        }
        ("type", _) => match want {
            Value::Array(types) => types.iter().any(|one| is(one.as_str().unwrap(), value)),
            one => is(one.as_str().unwrap(), value),
        },
        ("minimum", Value::Number(n)) => n.as_f64() >= want.as_f64(),
        ("maximum", Value::Number(n)) => n.as_f64() <= want.as_f64(),
        ("minLength", Value::String(s)) => s.chars().count() as u64 >= want.as_u64().unwrap(),
        ("maxLength", Value::String(s)) => s.chars().count() as u64 <= want.as_u64().unwrap(),
        // Editors check patterns; the tests of the reader know the forms better.
        ("pattern" | "minimum" | "maximum" | "minLength" | "maxLength", _) => true,
        ("minItems", Value::Array(items)) => items.len() as u64 >= want.as_u64().unwrap(),
        ("maxItems", Value::Array(items)) => items.len() as u64 <= want.as_u64().unwrap(),
        ("items", Value::Array(items)) => items.iter().all(|item| valid(want, root, item)),
        ("required", Value::Object(map)) => want
            .as_array()
            .unwrap()
            .iter()
            .all(|key| map.contains_key(key.as_str().unwrap())),
        ("properties", Value::Object(map)) => map
            .iter()
            .all(|(key, value)| want.get(key).is_none_or(|rule| valid(rule, root, value))),
        ("additionalProperties", Value::Object(map)) => {
            let declared = rules.get("properties").and_then(Value::as_object);
            let mut rest = map
                .iter()
                .filter(|(key, _)| !declared.is_some_and(|d| d.contains_key(*key)));
            match want {
                Value::Bool(false) => rest.next().is_none(),
                rule => rest.all(|(_, value)| valid(rule, root, value)),
            }
        }
        ("propertyNames", Value::Object(map)) => map
            .keys()
            .all(|key| valid(want, root, &Value::String(key.clone()))),
        ("minItems" | "maxItems" | "items" | "required" | "properties", _) => true,
        ("additionalProperties" | "propertyNames", _) => true,
        (rule, _) => panic!("the test does not know `{rule}`"),
    })
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        kind => panic!("the test does not know the type {kind}"),
    }
}

/// What schema and reader say; they must agree.
fn accepted(plan: &Value) -> bool {
    let schema = schema();
    let by_schema = valid(&schema, &schema, plan);
    let read = read(plan.to_string().as_bytes(), Format::Json, "plan.json");
    assert_eq!(
        by_schema,
        read.is_ok(),
        "schema and reader differ on {plan}: {read:?}"
    );
    by_schema
}

/// YAML as JSON, by way of a task's inputs.
fn block(yaml: &str) -> Value {
    let body = yaml
        .lines()
        .map(|line| format!("        {line}\n"))
        .collect::<String>();
    let text = format!("tasks:\n  t:\n    run: x\n    inputs:\n      plan:\n{body}");
    let plan = read(text.as_bytes(), Format::Yaml, "plan").unwrap();
    let inputs = plan.tasks[0].spec.inputs.clone().unwrap();
    serde_json::from_str::<Value>(inputs.get()).unwrap()["plan"].clone()
}

#[test]
fn the_example_and_the_plan_of_every_key_fit() {
    let schema = schema();
    assert!(accepted(&block(DESIGN)));
    let every = block(EVERY_KEY);
    assert!(accepted(&every));
    // What the sample does not use, the tests do not see.
    let used: Vec<&Value> = every["tasks"].as_object().unwrap().values().collect();
    for key in schema["$defs"]["task"]["oneOf"][1]["properties"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(
            used.iter().any(|task| task.get(key).is_some()),
            "no task uses `{key}`"
        );
    }
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(every.get(key).is_some(), "the sample lacks `{key}`");
    }
}

// proves: DESIGN 5
#[test]
fn schema_and_reader_refuse_alike() {
    for (pointer, value) in [
        ("/tasks", json!(null)),
        ("/name", json!(7)),
        ("/version", json!(2)),
        ("/tasks/full/timeout", json!([1])),
        ("/tasks/full/timeout", json!(-1)),
        ("/tasks/full/priority", json!(11)),
        ("/tasks/full/priority", json!("hihg")),
        ("/tasks/full/priority", json!(true)),
        ("/tasks/full/retry", json!(0)),
        ("/tasks/full/retry", json!("opertion")),
        ("/tasks/full/retry/attempts", json!("3")),
        ("/tasks/full/retry/jitter", json!(1.5)),
        ("/tasks/full/retry/factor", json!(0)),
        ("/tasks/full/retry/backoff", json!("slow")),
        ("/tasks/full/retry/not_on_exit", json!([256])),
        ("/tasks/full/after", json!([{ "when": "failure" }])),
        ("/tasks/full/after", json!([{ "task": "short", "when": "never" }])),
        ("/tasks/full/run", json!([])),
        ("/tasks/full/run", json!("")),
        ("/tasks/full/needs", json!([""])),
        ("/tasks/full/locks/1/shared", json!("yes")),
        ("/tasks/full/concurrency/limit", json!(0)),
        ("/tasks/full/env/LEVEL", json!(null)),
        ("/tasks/full/source", json!("robot")),
        ("/tasks/full/summary", json!("x".repeat(201))),
        ("/tasks/full/on_upstream_failure", json!("shrug")),
        ("/tasks/full/cache", json!("yes")),
        ("/tasks/fetched/http", json!({ "method": "GET" })),
        ("/tasks/fetched/on_exhausted", json!("retry")),
        ("/tasks/waited/wait", json!({ "file": "x", "signal": "y" })),
        ("/tasks/waited/wait", json!({})),
    ] {
        let mut plan = block(EVERY_KEY);
        *plan.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        assert!(!accepted(&plan), "{pointer}");
    }
    for path in [
        "",
        "/defaults",
        "/tasks/full",
        "/tasks/full/retry",
        "/tasks/full/cache",
        "/tasks/waited/wait",
    ] {
        let mut plan = block(EVERY_KEY);
        plan.pointer_mut(path).unwrap()["surprise"] = json!(1);
        assert!(!accepted(&plan), "{path}");
    }
    let mut plan = block(EVERY_KEY);
    plan["defaults"]["run"] = json!("x");
    assert!(!accepted(&plan));
}
