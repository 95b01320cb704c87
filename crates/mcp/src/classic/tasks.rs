//! Eight tools: from creating a task to its end.

use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability, Kind, WorkerId};
use domain::store::{Claim, Command, NewEdge, NewTask, On, Request, Target, View, Wants};
use domain::task::record::{Failure, Outcome};
use domain::task::retry::Retry;
use domain::task::spec::{Json, Source, Spec, When, Work};
use domain::task::state::State;
use engine::ids;
use serde_json::json;

use super::view::{self, STATUSES};
use crate::call::Call;
use crate::core::{admit, document, first_line, text_of};
use crate::session::Session;
use crate::tool::args::{Args, about};
use crate::tool::field::{Field, Form, has, may, must, null, some};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

const ID: Field = must("task_id", Form::Text, "");
const TOKEN: Field = may("token", Form::Text, "");
const TASK: Field = has("task_id", Form::Text);
const STATUS_FIELD: Field = has("status", Form::Text);
const MESSAGE: Field = has("message", Form::Text);
const LIST_MAX: i64 = 500;

pub(super) const CREATE: Tool = Tool {
    name: "orchestration_create_task",
    about: "Create a task",
    sort: Sort::Works,
    takes: &[
        must("content", Form::Text, "What to do"),
        must("task_type", Form::Text, "Such as research"),
        may("priority", Form::Text, "low, medium (default) or high"),
        may("requirements", Form::Texts, "Skills, all needed"),
        may("dependencies", Form::Texts, "Task ids"),
    ],
    gives: &[TASK, STATUS_FIELD, MESSAGE],
    voice: Voice::Classic,
    run: |session, args, call| Box::pin(create(session, args, call)),
};

pub(super) const POLL: Tool = Tool {
    name: "orchestration_poll_tasks",
    about: "List tasks, of pending ones only those that can start",
    sort: Sort::Looks,
    takes: &[
        may("agent_id", Form::Text, ""),
        may("status", Form::Word(STATUSES), "Default pending"),
        may("limit", Form::Whole(1, LIST_MAX), "Default 10"),
    ],
    gives: &[
        has("count", Form::Whole(0, LIST_MAX)),
        has(
            "tasks",
            Form::Many(&[has("id", Form::Text), has("content", Form::Text)]),
        ),
    ],
    voice: Voice::Classic,
    run: |session, args, _| Box::pin(poll(session, args)),
};

pub(super) const ASSIGN: Tool = Tool {
    name: "orchestration_assign_task",
    about: "Assign a task to an agent; this session holds and renews the lease. One that cannot start yet is kept for the agent.",
    sort: Sort::Works,
    takes: &[ID, must("agent_id", Form::Text, "")],
    gives: &[
        TASK,
        has("assigned_to", Form::Text),
        STATUS_FIELD,
        MESSAGE,
        some("token", Form::Text),
    ],
    voice: Voice::Classic,
    run: |session, args, call| Box::pin(assign(session, args, call)),
};

pub(super) const START: Tool = Tool {
    name: "orchestration_start_task",
    about: "Start an assigned task. Another session than the one that assigned it passes the token.",
    sort: Sort::Settles,
    takes: &[ID, TOKEN],
    gives: &[TASK, STATUS_FIELD, MESSAGE],
    voice: Voice::Classic,
    run: |session, args, call| {
        Box::pin(async move {
            let view = view::find(session.engine(), args.text("task_id")).await?;
            let reply = session
                .settle(&view.task.id, &args, call, Command::Start { at: None })
                .await?;
            let message = format!("Task {} started", reply.task);
            Ok(json!({ "task_id": reply.task, "status": view::status(reply.state), "message": message }))
        })
    },
};

pub(super) const COMPLETE: Tool = Tool {
    name: "orchestration_complete_task",
    about: "Complete a task with its result",
    sort: Sort::Works,
    takes: &[
        ID,
        must("result", Form::Any, "Text or JSON"),
        may("metrics", Form::Object, "Such as {\"duration_ms\": 1200}"),
        TOKEN,
    ],
    gives: &[TASK, STATUS_FIELD, MESSAGE],
    voice: Voice::Classic,
    run: |session, args, call| Box::pin(complete(session, args, call)),
};

pub(super) const FAIL: Tool = Tool {
    name: "orchestration_fail_task",
    about: "Fail a task; unless should_retry is false it is tried again later, as its policy says",
    sort: Sort::Works,
    takes: &[
        ID,
        must("error", Form::Text, ""),
        may("should_retry", Form::Flag, "Default true"),
        TOKEN,
    ],
    gives: &[TASK, STATUS_FIELD, MESSAGE],
    voice: Voice::Classic,
    run: |session, args, call| Box::pin(fail(session, args, call)),
};

pub(super) const STATUS: Tool = Tool {
    name: "orchestration_get_task_status",
    about: "Show a task",
    sort: Sort::Looks,
    takes: &[ID],
    gives: &[
        has("id", Form::Text),
        has("content", Form::Text),
        has("type", Form::Text),
        STATUS_FIELD,
        has("priority", Form::Text),
        null("assigned_to", Form::Text),
        has("requirements", Form::Texts),
        null("duration_ms", Form::Whole(0, i64::MAX)),
    ],
    voice: Voice::Classic,
    run: |session, args, _| Box::pin(status(session, args)),
};

pub(super) const QUERY: Tool = Tool {
    name: "orchestration_query_tasks",
    about: "Find tasks, the most urgent and oldest first",
    sort: Sort::Looks,
    takes: &[
        may("status", Form::Word(STATUSES), ""),
        may("agent_id", Form::Text, ""),
        may("task_type", Form::Text, ""),
        may("limit", Form::Whole(1, LIST_MAX), "Default 50"),
    ],
    gives: &[
        has("count", Form::Whole(0, LIST_MAX)),
        has("tasks", Form::Many(&[has("id", Form::Text)])),
    ],
    voice: Voice::Classic,
    run: |session, args, _| Box::pin(query(session, args)),
};

async fn create(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let content = text_of(&args, "content")?;
    let mut spec = Spec::new(first_line(content), Work::Prompt(content.to_owned()));
    spec.kind = kind(&args)?.unwrap_or(spec.kind);
    spec.source = Source::AgentImplementation;
    spec.needs = args.all::<Capability>("requirements")?;
    spec.needs.sort_unstable();
    spec.needs.dedup();
    if let Some(priority) = args.maybe("priority") {
        spec.priority = domain::task::spec::Priority::parse(priority)?;
    }
    // What `should_retry` means when nobody said how often.
    spec.retry = Retry::preset("operation");
    let mut task = NewTask::new(ids::task(), None, &spec, engine.now().wall);
    for id in args.texts("dependencies") {
        let on = On::Task(
            view::find(engine, id)
                .await
                .map_err(about("dependencies"))?
                .task
                .id,
        );
        task.after.push(NewEdge {
            on,
            when: When::Success,
        });
    }
    let (id, state) = admit(session, call, task, None).await?;
    let message = format!("Task {id} created");
    Ok(json!({ "task_id": id, "status": view::status(state), "message": message }))
}

/// Types are free text; what stands in for spaces keeps them one word.
fn kind(args: &Args) -> domain::store::Result<Option<Kind>> {
    let Some(text) = args.maybe("task_type") else {
        return Ok(None);
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    Kind::new(&words.join("-")).map(Some).map_err(about("task_type"))
}

async fn poll(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    find::catch_up(engine).await?;
    let wanted = args.maybe("status").unwrap_or("pending");
    let limit = args.count("limit", 10);
    let states = match wanted {
        "pending" => vec![State::Ready],
        other => view::states(other),
    };
    let mut tasks = Vec::new();
    for found in view::tasks(engine, states, None).await? {
        if tasks.len() == limit {
            break;
        }
        if !is_for(session, &found, wanted, args.maybe("agent_id")).await? {
            continue;
        }
        let mut task = view::brief(&found);
        task["content"] = json!(view::content(&found));
        task["requirements"] = json!(found.class.needs);
        tasks.push(task);
    }
    Ok(json!({ "count": tasks.len(), "tasks": tasks }))
}

/// What nobody has yet is for everybody, unless it is kept for another agent.
async fn is_for(
    session: &Session,
    view: &View,
    wanted: &str,
    agent: Option<&str>,
) -> domain::store::Result<bool> {
    let Some(agent) = agent else {
        return Ok(true);
    };
    let assignee = view::assignee(session.engine(), view).await?;
    Ok(assignee.map_or(wanted == "pending", |assignee| assignee == agent))
}

async fn assign(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    find::catch_up(engine).await?;
    let agent: AgentName = args.must("agent_id")?;
    let worker: WorkerId = args.must("agent_id")?;
    let view = view::find(engine, args.text("task_id")).await?;
    let id = view.task.id.clone();
    if let Some(lease) = &view.task.lease {
        let detail = format!("Task {id} is already assigned to {}", lease.worker);
        return Err(Refusal::new(Code::InvalidTransition, detail).help("poll for tasks that are free"));
    }
    if view.task.state != State::Ready {
        let request = Request {
            target: Target::Id(id.clone()),
            command: Command::Assign {
                agent: Some(agent.clone()),
            },
            actor: session.actor(call),
            idempotency_key: None,
        };
        let reply = session.one(request).await?;
        let message = format!("Task {id} is {} and kept for {agent}", reply.state);
        return Ok(json!({
            "task_id": id, "assigned_to": agent, "status": view::status(reply.state), "message": message
        }));
    }
    // Whoever assigns knows whom; only that the task is kept for somebody else stands against it.
    let claim = Claim {
        worker,
        wants: Wants {
            capabilities: view.class.needs.clone(),
            handlers: view.class.handler.iter().cloned().collect(),
            agent: Some(agent.clone()),
            task: Some(id.clone()),
            free: view.class.resources.clone(),
            ..Wants::default()
        },
        max: 1,
        ahead: 0,
        ttl: session.setup.ttl,
        start: false,
        seed: ids::seed(),
    };
    let taken = engine.store.claim(&engine.project, claim, engine.now()).await?;
    let Some(leased) = taken.first() else {
        return Err(Refusal::new(
            Code::Waiting,
            format!("Task {id} cannot be assigned now"),
        ));
    };
    session.keep(leased, session.setup.ttl);
    let message = format!("Task {id} assigned to {agent}");
    Ok(json!({
        "task_id": id, "assigned_to": agent, "status": "assigned", "message": message,
        "token": leased.token.to_string(),
    }))
}

async fn complete(session: &Session, args: Args, call: &Call) -> Answer {
    let view = view::find(session.engine(), args.text("task_id")).await?;
    let command = Command::Complete {
        outcome: Outcome {
            result: document(&args, "result")?,
            error: None,
            usage: metrics(&args)?,
        },
        cached: false,
        children: None,
    };
    let reply = session.settle(&view.task.id, &args, call, command).await?;
    let message = match reply.unblocked.len() {
        0 => format!("Task {} completed", reply.task),
        count => format!("Task {} completed; {count} more can start", reply.task),
    };
    Ok(json!({ "task_id": reply.task, "status": view::status(reply.state), "message": message }))
}

fn metrics(args: &Args) -> domain::store::Result<Option<Json>> {
    document(args, "metrics")
}

async fn fail(session: &Session, args: Args, call: &Call) -> Answer {
    let view = view::find(session.engine(), args.text("task_id")).await?;
    let command = Command::Fail {
        failure: Failure::new(args.text("error")),
        usage: None,
        timed_out: false,
        no_retry: args.flag("should_retry") == Some(false),
    };
    let reply = session.settle(&view.task.id, &args, call, command).await?;
    let message = match reply.retry_at {
        Some(at) => format!("Task {} failed and is tried again at {at}", reply.task),
        None => format!("Task {} failed", reply.task),
    };
    Ok(json!({ "task_id": reply.task, "status": view::status(reply.state), "message": message }))
}

async fn status(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    find::catch_up(engine).await?;
    let found = view::find(engine, args.text("task_id")).await?;
    let mut task = view::brief(&found);
    task["content"] = json!(view::content(&found));
    task["assigned_to"] = json!(view::assignee(engine, &found).await?);
    task["requirements"] = json!(found.class.needs);
    task["duration_ms"] = json!(view::duration(&found));
    task["retry_count"] = json!(found.task.failures);
    if let Some(outcome) = found.outcome {
        task["result"] = json!(outcome.result);
        task["error_message"] = json!(outcome.error.map(|failure| failure.message));
    }
    Ok(task)
}

async fn query(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    find::catch_up(engine).await?;
    let states = args.maybe("status").map(view::states).unwrap_or_default();
    let limit = args.count("limit", 50);
    let mut tasks = Vec::new();
    for found in view::tasks(engine, states, kind(&args)?).await? {
        if tasks.len() == limit {
            break;
        }
        let assignee = view::assignee(engine, &found).await?;
        if args
            .maybe("agent_id")
            .is_some_and(|agent| assignee.as_deref() != Some(agent))
        {
            continue;
        }
        let mut task = view::brief(&found);
        task["assigned_to"] = json!(assignee);
        tasks.push(task);
    }
    Ok(json!({ "count": tasks.len(), "tasks": tasks }))
}
