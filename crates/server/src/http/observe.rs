//! What monitoring asks: the text that is scraped, and what the measurements of the stream come to.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use desk::token::Role;
use domain::code::{Code, Refusal};
use domain::store::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::measure::{CONNECTIONS, DEGRADED, OPEN, SPANS, SPANS_DROPPED, Text, UNDER_WAY, UNREAD, UP};
use crate::once::Repeat;
use crate::op::{Answer, Call, Op, get, post, typed};
use crate::stream::metric::{Metric, MetricType, Priority};
use crate::stream::{Aggregate, Connection};

pub(super) fn ops() -> Vec<Op> {
    vec![
        Op::raw(
            Method::GET,
            "/metrics",
            "scrape",
            "Tell what is measured, in the text format of Prometheus",
            Answer::Other(&["text/plain"]),
            |call| Box::pin(scrape(call)),
        ),
        get(
            "/v1/metrics",
            "aggregateMetrics",
            "Tell what the last measurements of each type come to",
            aggregates,
        ),
        post(
            "/v1/metrics",
            "publishMetric",
            "Send a measurement to whoever listens to the stream",
            publish,
        )
        .role(Role::Worker),
        post(
            "/v1/stream/ticket",
            "giveTicket",
            "Give a ticket to the stream, for one connection within 30 s",
            ticket,
        )
        .role(Role::Reader)
        .repeat(Repeat::Refused("a ticket is good once")),
        get(
            "/v1/stream/connections",
            "listConnections",
            "List who listens to the stream",
            connections,
        )
        .role(Role::Operator),
    ]
}

async fn scrape(call: Call) -> Result<Response<Body>> {
    let streams = call.app.streams.all();
    let seen: Vec<_> = streams
        .iter()
        .filter(|stream| call.caller.sees(&stream.engine.project).is_ok())
        .collect();
    let (mut standing, mut unread) = (Vec::new(), 0);
    for stream in &seen {
        let project = &stream.engine.project;
        match stream.engine.store.status(project).await {
            Ok(status) => standing.push((project.clone(), status)),
            Err(_) => unread += 1,
        }
    }
    let mut text = Text::default();
    let ready = super::health::look(&call).await;
    text.gauge(&UP, f64::from(u8::from(ready.ready)));
    text.gauge(&DEGRADED, f64::from(u8::from(ready.load.degraded)));
    text.gauge(&UNREAD, f64::from(unread));
    text.projects(&standing);
    let measured: Vec<_> = seen
        .iter()
        .map(|stream| (&stream.engine.project, &stream.measured))
        .collect();
    text.measured(&measured);
    text.answered(&call.app.answered);
    let under_way = call.app.options.requests - call.app.room.available_permits();
    text.gauge(&UNDER_WAY, under_way as f64);
    let open = call.app.options.connections - call.app.connections.available_permits();
    text.gauge(&OPEN, open as f64);
    text.gauge(&CONNECTIONS, call.app.streams.open.load(Ordering::Relaxed) as f64);
    if let Some(tracer) = &call.app.tracer {
        text.gauge(&SPANS, tracer.counts.sent.load(Ordering::Relaxed) as f64);
        text.gauge(
            &SPANS_DROPPED,
            tracer.counts.dropped.load(Ordering::Relaxed) as f64,
        );
    }
    Ok(typed(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        text.into_bytes(),
    ))
}

#[derive(Debug, Serialize, JsonSchema)]
struct Aggregates {
    metrics: Vec<Aggregate>,
    count: usize,
}

async fn aggregates(call: Call, _: api::ask::Nothing) -> Result<Aggregates> {
    let metrics = call.app.streams.of(&call.engine.project)?.aggregates();
    Ok(Aggregates {
        count: metrics.len(),
        metrics,
    })
}

/// A measurement from outside.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sent {
    metric_type: MetricType,
    data: Value,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Published {
    timestamp: api::time::Time,
}

/// Of one measurement, so that a window of them stays small.
const DATA_BYTES: usize = 16 * 1024;
const TAGS: usize = 32;
const TAG_BYTES: usize = 256;

async fn publish(call: Call, asked: Sent) -> Result<Published> {
    let long = |text: &String| text.len() > TAG_BYTES;
    let tags = &asked.tags;
    if call.body.len() > DATA_BYTES
        || tags.len() > TAGS
        || tags.iter().any(|(name, value)| long(name) || long(value))
    {
        let detail =
            format!("a measurement has at most {DATA_BYTES} bytes and {TAGS} tags of {TAG_BYTES} bytes");
        return Err(
            Refusal::new(Code::LimitExceeded, detail).help("send what people look at, not everything")
        );
    }
    let now = call.engine.now().wall;
    let metric = Metric {
        priority: asked.priority,
        source: call.engine.actor.to_string(),
        tags: asked.tags,
        ..Metric::new(asked.metric_type, now, asked.data)
    };
    call.app.streams.of(&call.engine.project)?.publish(&metric);
    Ok(Published {
        timestamp: api::time::Time(now),
    })
}

#[derive(Debug, Serialize, JsonSchema)]
struct Ticket {
    /// A subprotocol of the handshake, beside `protocol`.
    ticket: String,
    protocol: &'static str,
    /// Seconds.
    good_for: u64,
}

async fn ticket(call: Call, _: api::ask::Nothing) -> Result<Ticket> {
    Ok(Ticket {
        ticket: call.app.tickets.give(call.authorization.clone())?,
        protocol: crate::ticket::PROTOCOL,
        good_for: crate::ticket::GOOD.as_secs(),
    })
}

#[derive(Debug, Serialize, JsonSchema)]
struct Connections {
    /// Since the server began.
    total_connections: u64,
    /// Over all projects.
    active_connections: usize,
    total_subscriptions: usize,
    /// Of the project.
    connections: Vec<Connection>,
}

async fn connections(call: Call, _: api::ask::Nothing) -> Result<Connections> {
    let streams = &call.app.streams;
    let stream: Arc<_> = streams.of(&call.engine.project)?;
    let connections = stream.listeners.connections();
    Ok(Connections {
        total_connections: streams.ever.load(Ordering::Relaxed),
        active_connections: streams.open.load(Ordering::Relaxed),
        total_subscriptions: connections.iter().map(|one| one.subscriptions.len()).sum(),
        connections,
    })
}
