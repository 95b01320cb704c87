//! Looking at the whole: the queue, what is stuck, what happened.

use api::ask;
use api::letter::{Changed, Groups};
use api::list::{Events, Locks, Problems, Projects, Tasks};
use api::queue::{Plan, Stale, Status};
use api::worker::{Drained, Workers};
use domain::store::{Command, Result};

use crate::op::{Call, Op, get, post};

pub(super) fn ops() -> Vec<Op> {
    vec![
        get("/v1/projects", "listProjects", "List the projects", projects),
        get(
            "/v1/queue",
            "showQueue",
            "Count the tasks of a project by state",
            status,
        ),
        get(
            "/v1/queue/problems",
            "listProblems",
            "List what is stuck, why, and what to do about it",
            problems,
        ),
        get(
            "/v1/queue/stale",
            "listStale",
            "List attempts that have been under way for too long",
            stale,
        ),
        post(
            "/v1/queue/order",
            "orderTasks",
            "Tell in which order some tasks can be done",
            order,
        )
        .looks(),
        get("/v1/letters", "listLetters", "List the dead letters", letters),
        get(
            "/v1/letters/groups",
            "groupLetters",
            "Count the dead letters by cause",
            groups,
        ),
        post(
            "/v1/letters/requeue",
            "requeueLetters",
            "Try dead letters again, with all their tries",
            requeue,
        ),
        post(
            "/v1/letters/drop",
            "dropLetters",
            "Take tasks out of the dead letters for good",
            drop_letters,
        ),
        get(
            "/v1/locks",
            "listLocks",
            "List the locks that are held, by whom, and how many wait",
            locks,
        ),
        get(
            "/v1/workers",
            "listWorkers",
            "List who works, as far as the server can tell",
            workers,
        ),
        post(
            "/v1/workers/{name}/drain",
            "drainWorker",
            "Let a worker of the server's machine end its attempts and go",
            drain,
        ),
        get(
            "/v1/events",
            "listEvents",
            "List what happened; waits for what happens when asked to",
            events,
        ),
    ]
}

async fn projects(call: Call, _: ask::Nothing) -> Result<Projects> {
    let mut projects = call.engine.store.projects().await?;
    projects.retain(|project| call.caller.sees(project).is_ok());
    Ok(Projects {
        count: projects.len(),
        projects,
    })
}

async fn status(call: Call, _: ask::Nothing) -> Result<Status> {
    desk::queue::status(&call.engine).await
}

async fn problems(call: Call, _: ask::Nothing) -> Result<Problems> {
    desk::queue::problems(&call.engine).await
}

async fn stale(call: Call, asked: ask::Stale) -> Result<Stale> {
    desk::queue::stale(&call.engine, &asked).await
}

async fn order(call: Call, asked: ask::Order) -> Result<Plan> {
    desk::queue::order(&call.engine, &asked).await
}

async fn letters(call: Call, asked: ask::Letters) -> Result<Tasks> {
    desk::letter::list(&call.engine, asked).await
}

async fn groups(call: Call, _: ask::Nothing) -> Result<Groups> {
    desk::letter::groups(&call.engine).await
}

async fn requeue(call: Call, asked: ask::Requeue) -> Result<Changed> {
    desk::letter::change(&call.engine, asked, &Command::Retry { at: None }).await
}

async fn drop_letters(call: Call, asked: ask::Requeue) -> Result<Changed> {
    desk::letter::change(&call.engine, asked, &Command::DropLetter).await
}

async fn locks(call: Call, _: ask::Nothing) -> Result<Locks> {
    desk::queue::locks(&call.engine).await
}

async fn workers(call: Call, _: ask::Nothing) -> Result<Workers> {
    desk::pool::workers(&call.engine).await
}

async fn drain(call: Call, _: ask::Nothing) -> Result<Drained> {
    desk::pool::drain(&call.engine, &call.parsed()?).await
}

async fn events(call: Call, asked: ask::Events) -> Result<Events> {
    let at_once = ask::Events {
        wait: None,
        ..asked.clone()
    };
    tokio::select! {
        events = desk::log::list(&call.engine, &asked) => events,
        () = call.app.closed() => desk::log::list(&call.engine, &at_once).await,
    }
}
