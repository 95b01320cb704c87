//! What workers ask.

use api::answer::{Completed, Failed, Moved, Printed, Renewed};
use api::ask;
use api::lease::{Beats, Leases, Settled};
use desk::lease;
use desk::token::Role;
use domain::store::Result;
use domain::task::spec::Json;

use crate::leave;
use crate::once::Repeat;
use crate::op::{Call, Op, post};

pub(super) fn ops() -> Vec<Op> {
    let ops = vec![
        post(
            "/v1/leases",
            "claim",
            "Take the next tasks in line; waits for them when asked to",
            claim,
        ),
        post(
            "/v1/leases/heartbeat",
            "heartbeatAll",
            "Keep many leases, report progress, and learn what is wished of each attempt",
            beats,
        ),
        post(
            "/v1/leases/settle",
            "settle",
            "End many attempts in one step",
            settle,
        ),
        post(
            "/v1/tasks/{id}/start",
            "startTask",
            "Start a task that was taken without starting it",
            start,
        )
        .repeat(Repeat::Remembered),
        post(
            "/v1/tasks/{id}/progress",
            "reportProgress",
            "Renew a lease, and say how far the work is",
            progress,
        ),
        post(
            "/v1/tasks/{id}/output",
            "sendOutput",
            "Add to what an attempt has printed",
            print,
        ),
        post("/v1/tasks/{id}/heartbeat", "heartbeat", "Renew a lease", progress),
        post(
            "/v1/tasks/{id}/complete",
            "completeTask",
            "Say that a task is done",
            complete,
        )
        .repeat(Repeat::Remembered),
        post(
            "/v1/tasks/{id}/fail",
            "failTask",
            "Say that an attempt has failed",
            fail,
        )
        .repeat(Repeat::Remembered),
        post(
            "/v1/tasks/{id}/release",
            "releaseTask",
            "Hand a task back; no try is spent",
            release,
        )
        .repeat(Repeat::Remembered),
    ];
    ops.into_iter().map(|op| op.role(Role::Worker)).collect()
}

async fn claim(call: Call, asked: ask::Claim) -> Result<Leases> {
    leave::check(&call.app)?;
    let worker = asked.worker.clone();
    let patient = lease::claim(&call.engine, asked);
    tokio::select! {
        leases = patient => {
            let leases = leases?;
            if !leases.leases.is_empty() {
                call.app.guests.note(&call.engine.project, &worker);
            }
            Ok(leases)
        }
        // What has been taken is not lost: a claim is only given up while it waits for work.
        () = call.app.left() => Ok(Leases { leases: Vec::new() }),
    }
}

async fn beats(call: Call, asked: ask::Heartbeat) -> Result<Beats> {
    let said: Vec<Option<Json>> = asked.leases.iter().map(|lease| lease.progress.clone()).collect();
    let beats = lease::heartbeat(&call.engine, asked).await?;
    for (beat, said) in beats.leases.iter().zip(said) {
        if let (Some(task), Some(state), Some(said)) = (&beat.task, beat.state, said) {
            call.app.streams.progressed(&call.engine, task, state, &said);
        }
    }
    Ok(beats)
}

async fn settle(call: Call, asked: ask::Settle) -> Result<Settled> {
    lease::settle(&call.engine, asked).await
}

async fn start(call: Call, asked: ask::Held) -> Result<Renewed> {
    lease::start(&call.engine, call.name(), &asked, call.idempotency_key.clone()).await
}

async fn progress(call: Call, asked: ask::Progress) -> Result<Renewed> {
    let said = asked.progress.clone();
    let renewed = lease::progress(&call.engine, call.name(), asked).await?;
    if let Some(said) = said {
        let streams = &call.app.streams;
        streams.progressed(&call.engine, &renewed.task, renewed.state, &said);
    }
    Ok(renewed)
}

async fn print(call: Call, asked: ask::Printed) -> Result<Printed> {
    lease::print(&call.engine, call.name(), asked).await
}

async fn complete(call: Call, asked: ask::Complete) -> Result<Completed> {
    lease::complete(&call.engine, call.name(), asked, call.idempotency_key.clone()).await
}

async fn fail(call: Call, asked: ask::Fail) -> Result<Failed> {
    lease::fail(&call.engine, call.name(), asked, call.idempotency_key.clone()).await
}

async fn release(call: Call, asked: ask::Held) -> Result<Moved> {
    lease::release(&call.engine, call.name(), &asked, call.idempotency_key.clone()).await
}
