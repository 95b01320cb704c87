//! Runs.

use api::ask::{self, Picture};
use api::list::{RunCancelled, RunShown, Runs};
use api::mine::Mined;
use api::run::Run;
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use domain::store::Result;
use schemars::SchemaGenerator;

use crate::op::{Answer, Call, Op, get, post, typed};

pub(super) fn ops() -> Vec<Op> {
    vec![
        post(
            "/v1/runs",
            "submitPlan",
            "Store a plan's tasks as a run, or continue the newest one of the plan",
            submit,
        ),
        get("/v1/runs", "listRuns", "List runs, the newest first", list),
        get(
            "/v1/runs/{run}",
            "showRun",
            "Show a run and its tasks; a plan's name stands for its newest run",
            show,
        ),
        post(
            "/v1/runs/{run}/cancel",
            "cancelRun",
            "Cancel a run with every task of it that has not ended",
            cancel,
        ),
        get(
            "/v1/plans/mined",
            "minePlans",
            "Propose plans from steps that came again in runs that succeeded",
            mine,
        ),
        Op {
            query: Some(SchemaGenerator::subschema_for::<ask::Graph>),
            ..Op::raw(
                Method::GET,
                "/v1/runs/{run}/graph",
                "drawRun",
                "Draw a run: what waits for what, and how it stands",
                Answer::Other(&["application/json", "text/plain", "image/svg+xml"]),
                |call| Box::pin(graph(call)),
            )
        },
    ]
}

async fn submit(call: Call, asked: ask::Submit) -> Result<Run> {
    let folder = desk::run::folder(&call.engine)?;
    Ok(
        desk::run::submit_within(&call.engine, &asked, &folder, call.trace)
            .await?
            .0,
    )
}

async fn list(call: Call, asked: ask::Runs) -> Result<Runs> {
    desk::run::list(&call.engine, &asked).await
}

async fn show(call: Call, _: ask::Nothing) -> Result<RunShown> {
    desk::run::show(&call.engine, call.name()).await
}

async fn cancel(call: Call, _: ask::Nothing) -> Result<RunCancelled> {
    desk::run::cancel(&call.engine, call.name()).await
}

async fn mine(call: Call, asked: ask::Mine) -> Result<Mined> {
    desk::mine::mine(&call.engine, &asked).await
}

async fn graph(call: Call) -> Result<Response<Body>> {
    let asked: ask::Graph = call.query()?;
    let run = desk::find::run(&call.engine, call.name()).await?;
    let graph = desk::graph::of_run(&call.engine, run.id, run.plan).await?;
    Ok(picture(&graph, asked.format))
}

pub(super) fn picture(graph: &draw::Graph, format: Picture) -> Response<Body> {
    let (kind, text) = match format {
        Picture::Json => ("application/json", draw::json(graph).to_string()),
        Picture::Mermaid => ("text/plain; charset=utf-8", draw::mermaid(graph)),
        Picture::Dot => ("text/plain; charset=utf-8", draw::dot(graph)),
        Picture::Svg => ("image/svg+xml", draw::svg(graph)),
    };
    typed(StatusCode::OK, kind, text.into_bytes())
}
