//! Whether the server lives and works, and what it offers. Anybody may ask.

use schemars::SchemaGenerator;
use std::time::Duration;

use api::health::{Component, Load, Ready};
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use domain::run::Counts;
use domain::store::Result;
use domain::task::state::State;

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
    let answer = look(&call).await;
    let status = if answer.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &answer)
}

pub(super) async fn look(call: &Call) -> Ready {
    let store = &call.engine.store;
    let status = tokio::time::timeout(STORE, store.status(&call.engine.project)).await;
    let counts = match &status {
        Ok(Ok(status)) => status.counts,
        _ => Counts::default(),
    };
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
    Ready {
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
        load: load(&counts, call.app.keepers.jobs(), ready),
    }
}

fn load(counts: &Counts, jobs: usize, is_running: bool) -> Load {
    let processing_tasks = counts.of(State::Assigned) + counts.of(State::Running);
    let queue_size = counts.of(State::Ready) + processing_tasks;
    Load {
        degraded: !is_running || (jobs > 0 && queue_size >= 2 * jobs as u64),
        is_running,
        queue_size,
        processing_tasks,
        max_concurrent: (jobs > 0).then_some(jobs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves: SPEC 2.2
    #[test]
    fn twice_as_much_as_it_works_on_is_too_much() {
        let mut counts = Counts::default();
        counts.0[State::Ready as usize] = 12;
        counts.0[State::Running as usize] = 7;
        assert!(!load(&counts, 10, true).degraded);
        counts.0[State::Assigned as usize] = 1;
        let told = load(&counts, 10, true);
        assert_eq!(
            (told.degraded, told.queue_size, told.processing_tasks),
            (true, 20, 8)
        );
        assert!(!load(&counts, 0, true).degraded);
        assert!(load(&Counts::default(), 10, false).degraded);
    }
}
