//! Spans in the words of OTLP.

use serde_json::{Value, json};

use super::span::{Held, Span};

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;
const ERROR: u8 = 2;

/// The body of an export.
pub(super) fn request(service: &str, spans: &[Span]) -> Value {
    json!({
        "resourceSpans": [{
            "resource": { "attributes": [
                attribute("service.name", &Held::Text(service.to_owned())),
                attribute("service.version", &Held::Text(env!("CARGO_PKG_VERSION").to_owned())),
            ] },
            "scopeSpans": [{
                "scope": { "name": "bellwether" },
                "spans": spans.iter().map(span).collect::<Vec<_>>(),
            }],
        }],
    })
}

fn span(span: &Span) -> Value {
    // Numbers of 64 bits are texts in the JSON of OTLP, ids are hexadecimal.
    let nanos = |at: domain::time::Timestamp| (i128::from(at.0) * 1_000_000).to_string();
    let mut told = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanos(span.from),
        "endTimeUnixNano": nanos(span.to.max(span.from)),
        "attributes": span.attributes.iter().map(|(name, held)| attribute(name, held)).collect::<Vec<_>>(),
    });
    if let Some(parent) = span.parent {
        told["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    if let Some(error) = &span.error {
        told["status"] = json!({ "code": ERROR, "message": error });
    }
    told
}

fn attribute(name: &str, held: &Held) -> Value {
    let value = match held {
        Held::Text(text) => json!({ "stringValue": text }),
        Held::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": name, "value": value })
}
