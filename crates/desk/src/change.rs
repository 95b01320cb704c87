//! What anybody may ask of a task: cancel, suspend, resume, retry, assign, answer.

use std::sync::Arc;

use api::answer::{Cancelled, Moved};
use api::ask;
use api::list::{Breakpoint, Breakpoints};
use domain::code::{Code, Refusal};
use domain::id::{Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::store::{Command, Filter, Reply, Request, Result, Target};
use domain::task::record::{Failure, Outcome, Task};
use domain::task::spec::Json;
use domain::task::state::{Reason, State};
use engine::engine::Engine;

use crate::find;

/// Carries out one request.
pub async fn one(engine: &Engine, request: Request) -> Result<Reply> {
    let (store, project) = (&engine.store, &engine.project);
    let mut replies = store.change(project, vec![request], engine.now()).await?;
    let none = || Err(Refusal::new(Code::Internal, "a request got no answer"));
    replies.pop().unwrap_or_else(none)
}

/// Asks something of a task, by its id or key.
pub async fn ask(engine: &Engine, text: &str, command: Command, key: Option<String>) -> Result<Reply> {
    ask_found(engine, find::id(engine, text).await?, command, key).await
}

/// As [`ask()`].
pub async fn ask_found(engine: &Engine, id: TaskId, command: Command, key: Option<String>) -> Result<Reply> {
    let request = Request {
        target: Target::Id(id.clone()),
        command: command.clone(),
        actor: Arc::clone(&engine.actor),
        idempotency_key: key,
    };
    match one(engine, request).await {
        Err(refusal) if refusal.code == Code::InvalidTransition => {
            Err(in_words(engine, id, &command, refusal).await)
        }
        answer => answer,
    }
}

/// The same "no", with what to do instead where the table of moves cannot know it.
async fn in_words(engine: &Engine, id: TaskId, command: &Command, refusal: Refusal) -> Refusal {
    match find::by_id(engine, id).await {
        Ok(Some(view)) => instead(&view.task, command).unwrap_or(refusal),
        _ => refusal,
    }
}

fn instead(task: &Task, command: &Command) -> Option<Refusal> {
    let (id, state) = (&task.id, task.state);
    let (detail, help) = match command {
        Command::Retry { .. } if state == State::Completed => (
            format!("task {id} has completed and is not tried again"),
            "add it anew, or begin a new run of its plan with `bell run PLAN --new`",
        ),
        // It asks by now.
        Command::Resolve { .. } if state == State::Awaiting => return None,
        Command::Resolve { .. } => {
            let why = match (task.asks, state.is_terminal()) {
                (false, _) => "is no breakpoint",
                (true, false) => "does not ask yet",
                (true, true) => "asks no more",
            };
            (
                format!("task {id} {why}; it is {state}"),
                "`bell breakpoint list` shows what waits for a person",
            )
        }
        _ => return None,
    };
    Some(Refusal::new(Code::InvalidTransition, detail).help(help))
}

/// How a task stands after it was moved.
pub async fn moved(engine: &Engine, reply: Reply, full: bool) -> Result<Moved> {
    let mut moved = Moved::from(reply);
    moved.full = find::full(engine, &moved.task, full).await?;
    Ok(moved)
}

pub async fn cancel(engine: &Engine, text: &str, key: Option<String>) -> Result<Cancelled> {
    let reason = Reason::Cancelled;
    let reply = ask(engine, text, Command::Cancel { reason }, key).await?;
    Ok(Cancelled::from(reply))
}

/// Everything that waits for a person.
pub async fn breakpoints(engine: &Engine, asked: &ask::Breakpoints) -> Result<Breakpoints> {
    find::catch_up(engine).await?;
    let filter = Filter {
        states: vec![State::Awaiting],
        ..Filter::default()
    };
    let views = engine
        .store
        .list(&engine.project, filter, Seq(0), PAGE_MAX)
        .await?;
    let mut breakpoints: Vec<Breakpoint> = views.into_iter().map(Breakpoint::from).collect();
    breakpoints.retain(|found| asked.owner.is_none() || found.owner == asked.owner);
    Ok(Breakpoints {
        count: breakpoints.len(),
        breakpoints,
    })
}

/// Answers a task that waits for a person.
pub async fn resolve(engine: &Engine, text: &str, asked: ask::Resolve, key: Option<String>) -> Result<Reply> {
    let accept = asked.accept;
    let outcome = match accept {
        true => Outcome {
            result: asked.answer,
            ..Outcome::default()
        },
        false => {
            let why = asked.answer.as_ref().map_or("\"rejected\"", Json::get);
            let message = serde_json::from_str::<String>(why).unwrap_or_else(|_| why.to_owned());
            Outcome {
                error: Some(Failure::new(message)),
                ..Outcome::default()
            }
        }
    };
    ask(engine, text, Command::Resolve { accept, outcome }, key).await
}
