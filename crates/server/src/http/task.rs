//! Tasks: add, list, show, explain, and what anybody may ask of one.

use api::answer::{Cancelled, Moved};
use api::ask;
use api::list::{Events, Logs, Tasks};
use api::task::Task;
use api::why::Why;
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use desk::token::Role;
use domain::code::{Code, Refusal};
use domain::plan;
use domain::store::{Command, Result};
use domain::task::spec::Work;
use domain::task::state::State;
use engine::trace::VARIABLE;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use crate::once::Repeat;
use crate::op::{Answer, Call, Op, get, json, post, typed};

/// Tasks of one request.
const BATCH: usize = 10_000;

pub(super) fn ops() -> Vec<Op> {
    vec![
        add(),
        get(
            "/v1/tasks",
            "listTasks",
            "List tasks in the order in which they were added",
            list,
        ),
        get("/v1/tasks/{id}", "showTask", "Show a task", show),
        get(
            "/v1/tasks/{id}/why",
            "explainTask",
            "Explain why a task stands where it stands",
            why,
        ),
        get(
            "/v1/tasks/{id}/history",
            "showHistory",
            "List what happened to a task",
            history,
        ),
        get(
            "/v1/tasks/{id}/logs",
            "showLogs",
            "Show what an attempt printed",
            logs,
        ),
        Op::raw(
            Method::GET,
            "/v1/tasks/{id}/result",
            "showResult",
            "Show the result of a task, whole: also one that is too large for the store",
            Answer::Other(&["application/json"]),
            |call| {
                Box::pin(async move {
                    let result = desk::task::result(&call.engine, call.name()).await?;
                    Ok(typed(
                        StatusCode::OK,
                        "application/json",
                        result.get().as_bytes().to_vec(),
                    ))
                })
            },
        ),
        post(
            "/v1/tasks/{id}/cancel",
            "cancelTask",
            "Cancel a task and what can no longer run without it",
            cancel,
        )
        .repeat(Repeat::Remembered),
        post(
            "/v1/tasks/{id}/suspend",
            "suspendTask",
            "Stop a task for a while",
            suspend,
        )
        .repeat(Repeat::Remembered),
        post(
            "/v1/tasks/{id}/resume",
            "resumeTask",
            "Let a suspended task go on",
            resume,
        )
        .repeat(Repeat::Remembered),
        post(
            "/v1/tasks/{id}/retry",
            "retryTask",
            "Try a failed task again, with all its tries",
            retry,
        )
        .repeat(Repeat::Remembered),
        post(
            "/v1/tasks/{id}/assign",
            "assignTask",
            "Give a task to an agent, or back to everybody",
            assign,
        )
        .repeat(Repeat::Remembered),
    ]
}

/// What became of a batch.
#[derive(Debug, JsonSchema, Serialize)]
struct Added {
    /// Ids with their first states, in the order of the request.
    tasks: Vec<AddedTask>,
    count: usize,
    /// The idempotency key was used before: nothing was written.
    repeated: bool,
}

#[derive(Debug, JsonSchema, Serialize)]
struct AddedTask {
    task: domain::id::TaskId,
    state: State,
}

/// One task answers with the whole task, a batch with ids and states.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum OneOrMany {
    One(Box<Task>),
    Many(Added),
}

fn add() -> Op {
    Op {
        role: Role::Worker,
        status: StatusCode::CREATED,
        body: Some(|_| {
            let task = plan::request_schema();
            let tasks =
                serde_json::json!({ "type": "array", "items": task, "minItems": 1, "maxItems": BATCH });
            let many = serde_json::json!({
                "type": "object",
                "properties": { "tasks": tasks },
                "required": ["tasks"],
                "additionalProperties": false,
            });
            serde_json::json!({ "oneOf": [task, many] })
                .try_into()
                .unwrap_or_default()
        }),
        body_needed: true,
        repeat: Repeat::Remembered,
        ..Op::raw(
            Method::POST,
            "/v1/tasks",
            "addTasks",
            "Add a task, or up to 10,000 that may wait for each other: all or none",
            Answer::Json(SchemaGenerator::subschema_for::<OneOrMany>),
            |call| Box::pin(added(call)),
        )
    }
}

async fn added(call: Call) -> Result<Response<Body>> {
    let (mut asked, many) = plan::requests(&call.body, BATCH)?;
    for task in asked.iter_mut().filter(|_| call.trace.is_some()) {
        let place = task.spec.env.entry(VARIABLE.to_owned());
        place.or_insert_with(|| call.trace.map(|context| context.to_string()).unwrap_or_default());
    }
    if call.caller.role < Role::Operator
        && let Some(free) = asked
            .iter()
            .find(|task| !matches!(task.spec.work, Work::Prompt(_)))
    {
        let detail = format!("a worker adds prompts, and `{}` is none", free.spec.name);
        return Err(Refusal::new(Code::Forbidden, detail).help("use a token with the role operator"));
    }
    let admitted = desk::task::add(&call.engine, asked, call.idempotency_key).await?;
    if !many && let Some((id, _)) = admitted.tasks.first() {
        let task = desk::task::show(&call.engine, &id.to_string()).await?;
        return json(StatusCode::CREATED, &task);
    }
    let tasks: Vec<AddedTask> = admitted
        .tasks
        .into_iter()
        .map(|(task, state)| AddedTask { task, state })
        .collect();
    let added = Added {
        count: tasks.len(),
        tasks,
        repeated: admitted.repeated,
    };
    json(StatusCode::CREATED, &added)
}

async fn list(call: Call, asked: ask::Tasks) -> Result<Tasks> {
    desk::task::list(&call.engine, asked).await
}

async fn show(call: Call, _: ask::Nothing) -> Result<Task> {
    desk::task::show(&call.engine, call.name()).await
}

async fn why(call: Call, _: ask::Nothing) -> Result<Why> {
    desk::task::why(&call.engine, call.name()).await
}

async fn history(call: Call, asked: ask::Limited) -> Result<Events> {
    desk::task::history(&call.engine, call.name(), &asked).await
}

async fn logs(call: Call, asked: ask::Logs) -> Result<Logs> {
    desk::task::logs(&call.engine, call.name(), &asked).await
}

async fn cancel(call: Call, _: ask::Nothing) -> Result<Cancelled> {
    let key = call.idempotency_key.clone();
    desk::change::cancel(&call.engine, call.name(), key).await
}

async fn suspend(call: Call, asked: ask::Full) -> Result<Moved> {
    change(call, Command::Suspend, asked.full).await
}

async fn resume(call: Call, asked: ask::Full) -> Result<Moved> {
    change(call, Command::Resume, asked.full).await
}

async fn retry(call: Call, asked: ask::Retry) -> Result<Moved> {
    let at = asked.at.map(|moment| moment.0.resolve(call.engine.now().wall));
    change(call, Command::Retry { at }, false).await
}

async fn assign(call: Call, asked: ask::Assign) -> Result<Moved> {
    change(call, Command::Assign { agent: asked.agent }, false).await
}

async fn change(call: Call, command: Command, full: bool) -> Result<Moved> {
    let key = call.idempotency_key.clone();
    let reply = desk::change::ask(&call.engine, call.name(), command, key).await?;
    desk::change::moved(&call.engine, reply, full).await
}
