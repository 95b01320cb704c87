//! The six tools of the task queue service: `task_enqueue`, `task_get`, `task_list`, `task_queue_status`, `task_cancel`,
//! `task_execution_plan` (SPEC 1.11).

use api::ask;
use domain::id::Kind;
use domain::store::{Command, NewEdge, NewTask, On, Request, Result, Target};
use domain::task::spec::{Moment, Priority, Source, Spec, When, Work};
use domain::task::state::{Reason, State};
use domain::time::Timestamp;
use engine::ids;
use serde_json::json;
use std::time::Duration;

use crate::call::Call;
use crate::core::{admit, document, first_line, text_of};
use crate::session::Session;
use crate::tool::args::{Args, about, wrong};
use crate::tool::field::{Field, Form, has, may, must, null};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

const SOURCES: &[&str] = &[
    "human",
    "agent_requirements",
    "agent_planner",
    "agent_implementation",
];
const STATES: &[&str] = &[
    "pending",
    "blocked",
    "ready",
    "assigned",
    "running",
    "suspended",
    "awaiting",
    "retrying",
    "completed",
    "failed",
    "cancelled",
];
const ID: Field = must("task_id", Form::Text, "");
const COUNT: Form = Form::Whole(0, i64::MAX);
/// A century: longer is a mistake.
const ESTIMATE_MAX: i64 = 100 * 365 * 86_400;

pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "task_enqueue",
        about: "Put a task into the queue",
        sort: Sort::Works,
        takes: &[
            must("description", Form::Text, ""),
            must("source", Form::Word(SOURCES), ""),
            may(
                "agent_type",
                Form::Text,
                "The kind of work; default requirements-gatherer",
            ),
            may("base_priority", Form::Whole(0, 10), "Default 5"),
            may("prerequisites", Form::Texts, "Task ids"),
            may("parent_task_id", Form::Text, ""),
            may("deadline", Form::Text, "RFC 3339"),
            may("estimated_duration_seconds", Form::Whole(1, ESTIMATE_MAX), ""),
            may("session_id", Form::Text, ""),
            may("input_data", Form::Object, ""),
        ],
        gives: &[
            has("task_id", Form::Text),
            has("status", Form::Text),
            has("calculated_priority", Form::Number),
            has("dependency_depth", COUNT),
            has("submitted_at", Form::Text),
        ],
        voice: Voice::Service,
        run: |session, args, call| Box::pin(enqueue(session, args, call)),
    },
    Tool {
        name: "task_get",
        about: "Everything about a task",
        sort: Sort::Looks,
        takes: &[ID],
        gives: &[has("id", Form::Text), has("state", Form::Text)],
        voice: Voice::Service,
        run: |session, args, _| Box::pin(get(session, args)),
    },
    Tool {
        name: "task_list",
        about: "List tasks in the order in which they were added",
        sort: Sort::Looks,
        takes: &[
            may("status", Form::Word(STATES), ""),
            may("limit", Form::Whole(1, 500), "Default 50"),
            may("source", Form::Word(SOURCES), ""),
            may("agent_type", Form::Text, ""),
            may("cursor", Form::Text, "Of the page before"),
        ],
        gives: &[
            has(
                "tasks",
                Form::Many(&[has("id", Form::Text), has("state", Form::Text)]),
            ),
            has("count", COUNT),
            null("cursor", Form::Text),
        ],
        voice: Voice::Service,
        run: |session, args, _| Box::pin(list(session, args)),
    },
    Tool {
        name: "task_queue_status",
        about: "Count tasks by state",
        sort: Sort::Looks,
        takes: &[],
        gives: &[
            has("total_tasks", COUNT),
            has("avg_priority", Form::Number),
            has("max_depth", COUNT),
        ],
        voice: Voice::Service,
        run: |session, _, _| Box::pin(async move { Ok(json!(desk::queue::status(session.engine()).await?)) }),
    },
    Tool {
        name: "task_cancel",
        about: "Cancel a task and what can no longer run without it",
        sort: Sort::Steers,
        takes: &[ID],
        gives: &[
            has("cancelled_task_id", Form::Text),
            has("cascaded_task_ids", Form::Texts),
            has("total_cancelled", COUNT),
        ],
        voice: Voice::Service,
        run: |session, args, call| Box::pin(cancel(session, args, call)),
    },
    Tool {
        name: "task_execution_plan",
        about: "Order some tasks: those of one batch can be done side by side",
        sort: Sort::Looks,
        takes: &[must("task_ids", Form::Texts, "")],
        gives: &[
            has("batches", Form::Any),
            has("total_batches", COUNT),
            has("max_parallelism", COUNT),
        ],
        voice: Voice::Service,
        run: |session, args, _| Box::pin(plan(session, args)),
    },
];

async fn enqueue(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let spec = spec(&args)?;
    let mut task = NewTask::new(ids::task(), None, &spec, engine.now().wall);
    for id in args.texts("prerequisites") {
        let on = On::Task(find::id(engine, id).await.map_err(about("prerequisites"))?);
        task.after.push(NewEdge {
            on,
            when: When::Success,
        });
    }
    if let Some(parent) = args.maybe("parent_task_id") {
        task.parent = Some(find::id(engine, parent).await.map_err(about("parent_task_id"))?);
    }
    let (id, _) = admit(session, call, task, None).await?;
    let task = whole(session, &id.to_string()).await?;
    Ok(json!({
        "task_id": task.id,
        "status": task.state,
        "calculated_priority": task.score,
        "dependency_depth": task.depth,
        "submitted_at": task.submitted_at,
    }))
}

fn spec(args: &Args) -> Result<Spec> {
    let description = text_of(args, "description")?;
    let mut spec = Spec::new(first_line(description), Work::Prompt(description.to_owned()));
    spec.source = Source::parse(args.text("source"))?;
    let kind = args.maybe("agent_type").unwrap_or("requirements-gatherer");
    spec.kind = Kind::new(kind).map_err(about("agent_type"))?;
    spec.priority = Priority::number(args.whole("base_priority").unwrap_or(5))?;
    if let Some(text) = args.maybe("deadline") {
        // Without a zone there is no telling when it is; a duration would be no ISO time.
        let deadline = Timestamp::parse(text, Timestamp(0));
        let absolute = domain::time::parse_duration(text).is_err();
        let deadline = deadline.ok().filter(|_| absolute);
        let example = "write a time such as 2026-05-01T12:00:00Z";
        spec.deadline = Some(Moment::At(deadline.ok_or_else(|| wrong("deadline", example))?));
    }
    let seconds = args.whole("estimated_duration_seconds");
    spec.estimate = seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
    spec.session = args.maybe("session_id").map(str::to_owned);
    spec.inputs = document(args, "input_data")?;
    Ok(spec)
}

async fn whole(session: &Session, id: &str) -> Result<api::task::Task> {
    let view = find::view(session.engine(), id).await?;
    find::whole(session.engine(), view).await
}

async fn get(session: &Session, args: Args) -> Answer {
    find::catch_up(session.engine()).await?;
    Ok(json!(whole(session, args.text("task_id")).await?))
}

async fn list(session: &Session, args: Args) -> Answer {
    let asked = ask::Tasks {
        state: args.maybe("status").and_then(State::parse).into_iter().collect(),
        source: args.maybe("source").map(Source::parse).transpose()?,
        kind: args.named("agent_type")?,
        limit: Some(args.count("limit", 50)),
        cursor: args.maybe("cursor").map(str::to_owned),
        ..ask::Tasks::default()
    };
    Ok(json!(desk::task::list(session.engine(), asked).await?))
}

async fn cancel(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let id = find::id(engine, args.text("task_id")).await?;
    let request = Request {
        target: Target::Id(id.clone()),
        command: Command::Cancel {
            reason: Reason::Cancelled,
        },
        actor: session.actor(call),
        idempotency_key: None,
    };
    let reply = session.one(request).await?;
    let cascaded: Vec<_> = reply.cancelled.iter().filter(|other| **other != id).collect();
    let total = reply.cancelled.len() as u64 + reply.more;
    Ok(json!({ "cancelled_task_id": id, "cascaded_task_ids": cascaded, "total_cancelled": total }))
}

async fn plan(session: &Session, args: Args) -> Answer {
    let tasks = args.texts("task_ids").map(str::to_owned).collect();
    Ok(json!(
        desk::queue::order(session.engine(), &ask::Order { tasks }).await?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_queue() {
        assert_eq!(STATES, State::ALL.map(State::as_str));
        let sources: Vec<&str> = Source::ALL.iter().map(|source| source.as_str()).collect();
        assert_eq!(SOURCES, sources);
    }
}
