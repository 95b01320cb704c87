//! `task_why`: why a task stands where it stands, or where everything stands.

use domain::limits::PAGE_MAX;
use domain::task::state::Reason;
use engine::engine::Engine;
use serde_json::json;

use crate::session::Session;
use crate::tool::args::Args;
use crate::tool::field::{Form, may, some};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

pub(crate) const TOOL: Tool = Tool {
    name: "task_why",
    about: "Why a task stands where it stands: state, what it waits for, who can take it, its result or error. \
            Without a task: the whole queue, and what you hold.",
    sort: Sort::Looks,
    takes: &[may("task", Form::Text, "Its id or key")],
    gives: &[
        some("task", Form::Text),
        some("state", Form::Text),
        some("queue", Form::Object),
        some("held", Form::Texts),
    ],
    voice: Voice::Plain,
    run: |session, args, _| Box::pin(why(session, args)),
};

async fn why(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    find::catch_up(engine).await?;
    match args.maybe("task") {
        Some(task) => one(engine, task).await,
        None => {
            let status = desk::queue::status(engine).await?;
            Ok(json!({ "queue": status, "held": session.holds.tasks() }))
        }
    }
}

async fn one(engine: &Engine, text: &str) -> Answer {
    let view = find::view(engine, text).await?;
    let mut answer = json!(desk::task::why(engine, &view.task.id.to_string()).await?);
    if let Some(outcome) = view.outcome {
        if let Some(result) = outcome.result {
            answer["result"] = json!(result);
        }
        if let Some(failure) = outcome.error {
            answer["error"] = json!(failure.message);
        }
    }
    if matches!(view.task.reason, Some(Reason::Joining | Reason::Replanning)) {
        let (project, id) = (&engine.project, &view.task.id);
        let neighbours = engine.store.neighbours(project, id, PAGE_MAX).await?;
        let open = neighbours
            .children
            .iter()
            .filter(|child| !child.state.is_terminal());
        let open: Vec<_> = open
            .map(|child| json!({ "task": child.id, "state": child.state }))
            .collect();
        answer["subtasks"] = open.into();
    }
    if let Some(progress) = view.task.lease.and_then(|lease| lease.progress) {
        answer["progress"] = json!(progress);
    }
    Ok(answer)
}
