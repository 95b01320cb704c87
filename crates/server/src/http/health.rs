//! Whether the server lives and works, and what it offers. Anybody may ask.

use schemars::SchemaGenerator;
use std::time::Duration;

use api::health::{Component, Ready};
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use domain::store::Result;

use crate::op::{Answer, Call, Op, json, typed};

/// A store that is slower than this is of no use to anybody.
const STORE: Duration = Duration::from_secs(2);

pub(super) fn ops() -> Vec<Op> {
    let open =
        |path,
         id,
         summary,
         answer,
         run: fn(Call) -> futures_util::future::BoxFuture<'static, Result<Response<Body>>>| {
            Op::raw(Method::GET, path, id, summary, answer, run).open()
        };
    vec![
        open(
            "/livez",
            "live",
            "Tell whether the process lives",
            Answer::Other(&["text/plain"]),
            |_| {
                Box::pin(async {
                    Ok(typed(
                        StatusCode::OK,
                        "text/plain; charset=utf-8",
                        b"ok\n".to_vec(),
                    ))
                })
            },
        ),
        open(
            "/readyz",
            "ready",
            "Tell whether every part works: 503 when one does not",
            Answer::Json(SchemaGenerator::subschema_for::<Ready>),
            |call| Box::pin(ready(call)),
        )
        .also(StatusCode::SERVICE_UNAVAILABLE),
        open(
            "/v1/openapi.json",
            "describe",
            "Describe every operation",
            Answer::Other(&["application/json"]),
            |call| {
                Box::pin(async move {
                    let text = call.app.description.clone().into_bytes();
                    Ok(typed(StatusCode::OK, "application/json", text))
                })
            },
        ),
        open(
            "/",
            "home",
            "Show a page for people",
            Answer::Other(&["text/html"]),
            |_| {
                Box::pin(async {
                    Ok(typed(
                        StatusCode::OK,
                        "text/html; charset=utf-8",
                        PAGE.as_bytes().to_vec(),
                    ))
                })
            },
        ),
    ]
}

const PAGE: &str = include_str!("../page.html");

async fn ready(call: Call) -> Result<Response<Body>> {
    let store = &call.engine.store;
    let status = tokio::time::timeout(STORE, store.status(&call.engine.project)).await;
    let told = match status {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refusal)) => Err(refusal.to_string()),
        Err(_) => Err(format!("no answer within {} s", STORE.as_secs())),
    };
    let leaving = *call.app.leaving.borrow();
    let parts = [
        ("store", told),
        (
            "duties",
            match call.app.keepers.alive() {
                true => Ok(()),
                false => Err("a project is no longer looked after".to_owned()),
            },
        ),
        (
            "listener",
            match leaving {
                false => Ok(()),
                true => Err("the server takes its leave".to_owned()),
            },
        ),
    ];
    let ready = parts.iter().all(|(_, told)| told.is_ok());
    let info = store.info();
    let answer = Ready {
        ready,
        engine: info.engine.to_owned(),
        durability: info.durability.as_str().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        components: parts
            .into_iter()
            .map(|(name, told)| Component {
                name: name.to_owned(),
                ready: told.is_ok(),
                why: told.err(),
            })
            .collect(),
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &answer)
}
