//! A project as a whole: what it keeps, what goes because it is old, how its log is proven.

use api::answer::Signalled;
use api::ask;
use api::explain::{Page, Pages};
use api::list::Broken;
use api::project::{Anchors, Checked, Proofs, Pruned, Settings};
use api::stats::Stats;
use axum::http::Method;
use desk::token::Role;
use desk::{audit, explain, lock, prune, setting, signal, stats};
use domain::book::Book;
use domain::store::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::op::{Call, Op, get, post, send};
use crate::version::Versioned;

/// What a project keeps, as one.
const SETTINGS: Versioned = Versioned {
    book: Book::Setting,
    keys: &["order", "retention", "retry", "routing"],
};

pub(super) fn ops() -> Vec<Op> {
    vec![
        get(
            "/v1/settings",
            "listSettings",
            "List what the project keeps for all who work in it",
            settings,
        ).versioned_as(SETTINGS),
        send(
            Method::PATCH,
            "/v1/settings",
            "changeSettings",
            "Change how the project orders its line, how often it tries, and how long it keeps what has ended",
            set,
        ).versioned_as(SETTINGS),
        post(
            "/v1/signals/{name}",
            "sendSignal",
            "Send a signal to the tasks that wait for it",
            send_signal,
        ),
        post(
            "/v1/locks/break",
            "breakLock",
            "Take a lock from whoever holds it",
            break_lock,
        ),
        post(
            "/v1/prune",
            "prune",
            "Take out what ended long ago, or count it",
            take_out,
        ),
        get(
            "/v1/queue/stats",
            "showStats",
            "Tell what became of tasks and their tries, by kind",
            tell_stats,
        ),
        get(
            "/v1/audit",
            "verifyLog",
            "Follow the chain of digests from the first event to the last",
            verify,
        )
        .role(Role::Operator),
        get(
            "/v1/audit/anchor",
            "anchorLog",
            "Tell where the log stands, to be kept elsewhere",
            anchor,
        ),
        get(
            "/v1/store/check",
            "checkStore",
            "Compare everything that the store keeps twice",
            check_store,
        )
        .role(Role::Operator),
        get(
            "/v1/errors",
            "listErrors",
            "List every code of an error, with cause and cure",
            errors,
        ),
        get(
            "/v1/errors/{code}",
            "explainError",
            "Explain an error code",
            error,
        ),
    ]
}

async fn settings(call: Call, _: ask::Nothing) -> Result<Settings> {
    setting::list(&call.engine).await
}

async fn set(call: Call, asked: ask::Settings) -> Result<Settings> {
    setting::change(&call.engine, &asked).await
}

async fn send_signal(call: Call, asked: ask::Payload) -> Result<Signalled> {
    signal::send(&call.engine, call.name(), asked.payload).await
}

async fn break_lock(call: Call, asked: ask::Break) -> Result<Broken> {
    lock::break_it(&call.engine, &asked).await
}

async fn take_out(call: Call, asked: ask::Prune) -> Result<Pruned> {
    prune::prune(&call.engine, asked.older.0, asked.dry_run).await
}

async fn tell_stats(call: Call, asked: ask::Since) -> Result<Stats> {
    stats::stats(&call.engine, asked.since.map(|span| span.0)).await
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Through {
    /// Prove that the log leads through these too: lines that were kept elsewhere.
    anchor: Vec<String>,
}

async fn verify(call: Call, asked: Through) -> Result<Proofs> {
    let anchors: Result<Vec<_>> = asked.anchor.iter().map(|text| text.parse()).collect();
    let projects = vec![call.engine.project.clone()];
    audit::verify(&call.engine, projects, &anchors?).await
}

async fn anchor(call: Call, _: ask::Nothing) -> Result<Anchors> {
    audit::anchors(&call.engine, vec![call.engine.project.clone()]).await
}

async fn check_store(call: Call, _: ask::Nothing) -> Result<Checked> {
    audit::check(&call.engine, vec![call.engine.project.clone()]).await
}

async fn errors(_: Call, _: ask::Nothing) -> Result<Pages> {
    Ok(Pages::all())
}

async fn error(call: Call, _: ask::Nothing) -> Result<Page> {
    explain::page(call.name())
}
