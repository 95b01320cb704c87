//! A project as a whole: what it keeps, what goes because it is old, how its log is proven; and plans that are only looked at.

use api::answer::Signalled;
use api::ask::{self, Picture};
use api::explain::{Page, Pages};
use api::list::Broken;
use api::project::{Analysis, Anchors, Checked, Proofs, Pruned, Settings};
use api::stats::Stats;
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use desk::token::Role;
use desk::{audit, explain, lock, plan, prune, setting, signal, stats};
use domain::store::Result;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

use super::run::picture;
use crate::op::{Answer, Call, Op, get, json, post, send};

pub(super) fn ops() -> Vec<Op> {
    vec![
        get(
            "/v1/settings",
            "listSettings",
            "List what the project keeps for all who work in it",
            settings,
        ),
        send(
            Method::PATCH,
            "/v1/settings",
            "changeSettings",
            "Change how the project orders its line, how often it tries, and how long it keeps what has ended",
            set,
        ),
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
        post(
            "/v1/plans/check",
            "checkPlan",
            "Check a plan and tell what it will be like",
            check,
        )
        .role(Role::Reader),
        Op {
            body: Some(SchemaGenerator::subschema_for::<Drawn>),
            body_needed: false,
            ..Op::raw(
                Method::POST,
                "/v1/plans/graph",
                "drawPlan",
                "Draw a plan: who waits for whom, and which way decides how long it takes",
                Answer::Other(&["application/json", "text/plain", "image/svg+xml"]),
                |call| Box::pin(draw_plan(call)),
            )
        },
        Op::raw(
            Method::GET,
            "/v1/plans/schema",
            "showPlanSchema",
            "Show what a plan may be, as JSON Schema",
            Answer::Other(&["application/json"]),
            |_| Box::pin(async { json(StatusCode::OK, &domain::plan::schema()) }),
        ),
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

fn read(asked: &ask::Check) -> Result<domain::plan::Plan> {
    let file = asked.file.as_deref().unwrap_or("plan");
    plan::read(asked.plan.as_ref(), asked.text.as_deref(), file)
}

async fn check(call: Call, asked: ask::Check) -> Result<Analysis> {
    let file = asked.file.as_deref().unwrap_or("plan");
    plan::check(&call.engine, &read(&asked)?, file).await
}

/// A plan, and how it is drawn.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Drawn {
    plan: Option<domain::task::spec::Json>,
    text: Option<String>,
    file: Option<String>,
    format: Picture,
}

async fn draw_plan(call: Call) -> Result<Response<Body>> {
    let asked: Drawn = call.body()?;
    let file = asked.file.clone();
    let plan = read(&ask::Check {
        plan: asked.plan,
        text: asked.text,
        file: asked.file,
    })?;
    let file = file.as_deref().unwrap_or("plan");
    let expected = plan::expected(&call.engine, &plan, file).await?;
    let graph = plan::graph(&plan, &expected, call.engine.now().wall);
    Ok(picture(&graph, asked.format))
}

async fn errors(_: Call, _: ask::Nothing) -> Result<Pages> {
    Ok(Pages::all())
}

async fn error(call: Call, _: ask::Nothing) -> Result<Page> {
    explain::page(call.name())
}
