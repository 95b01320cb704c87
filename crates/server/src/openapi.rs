//! The description of the interface, OpenAPI 3.1, made of the operations themselves.

use api::problem::Problem;
use axum::http::{Method, StatusCode};
use schemars::SchemaGenerator;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::op::{Answer, Op};
use crate::problem;

const DEFINITIONS: &str = "/components/schemas";
pub(crate) const STREAM: &str = "/v1/stream";

pub(crate) fn describe(ops: &[Op]) -> Value {
    // What is asked is written out in place, what is answered is named, so that the names of both never meet.
    let asked = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let answered = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = DEFINITIONS.into();
        settings.contract = Contract::Serialize;
    });
    let (mut asked, mut answered) = (asked.into_generator(), answered.into_generator());
    let refused = answered.subschema_for::<Problem>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for op in ops {
        let described = operation(op, &mut asked, &mut answered, &refused);
        let path = paths.entry(op.path).or_insert_with(|| json!({}));
        path[op.method.as_str().to_ascii_lowercase()] = described;
    }
    paths.insert(STREAM.to_owned(), json!({ "get": stream(&refused) }));
    let mut schemas = answered.take_definitions(true);
    schemas.extend(plan_words());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bellwether",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every operation of the orchestrator. Errors are RFC 9457 problems whose `code` \
                            `bell explain CODE` tells more about.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// The stream is no operation of the table: it answers by speaking another protocol.
fn stream(refused: &Value) -> Value {
    let mut responses = Map::new();
    let switched = json!({ "description": "WebSocket is spoken from here on, as docs/stream.md tells." });
    responses.insert("101".to_owned(), switched);
    let refusal = json!({ problem::CONTENT_TYPE: { "schema": refused } });
    for status in [400, 401, 403, 429, 503] {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        responses.insert(status.as_str().to_owned(), answer(status, &refusal));
    }
    let ticket =
        "`bellwether`, and a ticket of `POST /v1/stream/ticket` where no `Authorization` can be sent.";
    json!({
        "operationId": "listen",
        "summary": "Listen to what happens and what is measured, over WebSocket",
        "description": "Needs the role reader.",
        "parameters": [
            project(),
            {
                "name": "Sec-WebSocket-Protocol",
                "in": "header",
                "description": ticket,
                "schema": { "type": "string" },
            },
        ],
        "responses": responses,
    })
}

/// Every operation takes it.
fn project() -> Value {
    json!({
        "name": "project",
        "in": "query",
        "description": "The namespace; the server's own when absent.",
        "schema": { "type": "string", "pattern": "^[A-Za-z0-9_.][A-Za-z0-9_.-]*$", "maxLength": 64 },
    })
}

/// The words of plans that requests share with them; references to them are rewritten by [`rebased`].
fn plan_words() -> Map<String, Value> {
    let plan = domain::plan::schema();
    let defs = plan["$defs"].as_object().cloned().unwrap_or_default();
    let named = defs
        .into_iter()
        .map(|(name, schema)| (format!("plan.{name}"), rebased(schema)));
    named.collect()
}

/// The same schema with references that hold in this document.
fn rebased(schema: Value) -> Value {
    match schema {
        Value::Object(object) => {
            let each = object
                .into_iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("$ref", Value::String(name)) => {
                        let name = name.replace("#/$defs/", &format!("#{DEFINITIONS}/plan."));
                        (key, Value::String(name))
                    }
                    (_, value) => (key, rebased(value)),
                });
            Value::Object(each.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(rebased).collect()),
        other => other,
    }
}

fn operation(op: &Op, asked: &mut SchemaGenerator, answered: &mut SchemaGenerator, refused: &Value) -> Value {
    let mut described = json!({
        "operationId": op.id,
        "summary": op.summary,
        "description": format!("Needs the role {}.", op.role.as_str()),
        "parameters": parameters(op, asked),
        "responses": responses(op, answered, refused),
    });
    if op.open {
        described["security"] = json!([]);
        described["description"] = json!("Anybody may ask.");
    }
    if let Some(body) = op.body {
        let schema = rebased(body(asked).to_value());
        described["requestBody"] = json!({
            "required": op.body_needed,
            "content": { "application/json": { "schema": schema } },
        });
    }
    described
}

fn parameters(op: &Op, asked: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = names(op.path)
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
        })
        .collect();
    if op.open {
        return parameters;
    }
    parameters.push(project());
    if let Some(query) = op.query {
        let schema = query(asked).to_value();
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        for (name, schema) in properties {
            let description = schema["description"].clone();
            let mut parameter = json!({ "name": name, "in": "query", "schema": plain(schema) });
            if description.is_string() {
                parameter["description"] = description;
            }
            parameters.push(parameter);
        }
    }
    if op.repeat.takes_key() {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Repeating a request with its key changes nothing and answers as before, for 24 h.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[!-~]+$" },
        }));
    }
    if op.versioned.is_some() && op.method != Method::GET {
        for (name, about) in [
            (
                "If-Match",
                "Only while this is its version: an `ETag`, or `*` for any.",
            ),
            ("If-None-Match", "`*`: only if it is not there yet."),
        ] {
            let schema = json!({ "type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[!-~]+$" });
            parameters.push(json!({ "name": name, "in": "header", "description": about, "schema": schema }));
        }
    }
    parameters
}

/// In a query nothing is null: what is absent is left out.
fn plain(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.remove("description");
        object.remove("default");
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [one] = &types[..] {
                object["type"] = one.clone();
            }
        }
        if let Some(Value::Array(any)) = object.get_mut("anyOf") {
            any.retain(|schema| schema["type"] != "null");
        }
        if let Some(Value::Array(words)) = object.get_mut("enum") {
            words.retain(|word| !word.is_null());
        }
    }
    schema
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn responses(op: &Op, answered: &mut SchemaGenerator, refused: &Value) -> Value {
    let content = match &op.answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema(answered) } }),
        Answer::Other(kinds) => {
            let each = kinds
                .iter()
                .map(|kind| ((*kind).to_owned(), json!({ "schema": {} })));
            Value::Object(each.collect())
        }
    };
    let mut responses = Map::new();
    for status in std::iter::once(op.status).chain(op.also) {
        responses.insert(status.as_str().to_owned(), answer(status, &content));
    }
    let refusal = json!({ problem::CONTENT_TYPE: { "schema": refused } });
    let is_changed = op.versioned.is_some() && op.method != Method::GET;
    for status in REFUSALS.iter().chain(is_changed.then_some(&UNMET)) {
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = status.as_str().to_owned();
        responses.entry(code).or_insert_with(|| answer(status, &refusal));
    }
    Value::Object(responses)
}

/// How any operation may be refused.
const REFUSALS: &[u16] = &[400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 503];
/// And one that makes a change depend on a version.
const UNMET: u16 = 412;

fn answer(status: StatusCode, content: &Value) -> Value {
    json!({ "description": status.canonical_reason().unwrap_or("Answer"), "content": content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ops;

    #[test]
    fn ids_and_addresses_are_unique() {
        let ops = ops();
        let mut ids: Vec<&str> = ops.iter().map(|op| op.id).collect();
        let mut addresses: Vec<String> = ops.iter().map(|op| format!("{op:?}")).collect();
        ids.sort_unstable();
        ids.dedup();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!((ids.len(), addresses.len()), (ops.len(), ops.len()));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let described = describe(&ops());
        let text = described.to_string();
        assert!(!text.contains("#/$defs/"), "a reference was not rewritten");
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(described.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
