//! `task_add` and `task_subtasks`: more work, from an agent.

use std::sync::Arc;

use api::answer::Moved;
use domain::code::{Code, Refusal};
use domain::id::{AgentName, Capability, Key, Kind, TaskId, TeamName};
use domain::limits::{AGENT_PREREQUISITES, AGENT_SUBTASKS};
use domain::store::{Admission, AdmitLimits, Children, Command, IntoRun, NewEdge, NewTask, On, Result};
use domain::task::lock::{Lock, Mode};
use domain::task::record::{Join, Outcome};
use domain::task::spec::{Moment, Priority, Source, Spec, When, Work};
use domain::task::state::State;
use engine::engine::Engine;
use engine::ids;
use serde_json::json;

use super::finish::document;
use crate::call::Call;
use crate::session::Session;
use crate::tool::args::{Args, about, wrong};
use crate::tool::field::{Field, Form, has, may, must};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

const PROMPT: Field = must("prompt", Form::Text, "What to do");
const NAME: Field = may("name", Form::Text, "");
const NEEDS: Field = may("needs", Form::Texts, "Capabilities");
const LOCKS: Field = may("locks", Form::Texts, "Such as path:src/auth");
const AFTER: Field = may(
    "after",
    Form::Texts,
    "Tasks to wait for: ID, ID:failure or ID:finished",
);
const PRIORITY: Field = may("priority", Form::Text, "0-10, or low, normal, high, critical");
const INPUTS: Field = may("inputs", Form::Any, "");

pub(crate) const ADD: Tool = Tool {
    name: "task_add",
    about: "Add a task for whoever can do it.",
    sort: Sort::Works,
    takes: &[
        PROMPT,
        NAME,
        AFTER,
        PRIORITY,
        NEEDS,
        LOCKS,
        INPUTS,
        may("agent", Form::Text, "Only for this agent"),
        may("team", Form::Text, ""),
        may("parent", Form::Text, "Make it a subtask"),
        may("deadline", Form::Text, "Such as 2h"),
        may("idempotency_key", Form::Text, ""),
    ],
    gives: &[has("task", Form::Text), has("state", Form::Text)],
    voice: Voice::Plain,
    run: |session, args, call| Box::pin(add(session, args, call)),
};

pub(crate) const SUBTASKS: Tool = Tool {
    name: "task_subtasks",
    about: "Split your task: it waits for these subtasks and you are free. Then it is ready again with their results \
            (then=continue), or completes with them (then=complete).",
    sort: Sort::Works,
    takes: &[
        must("task", Form::Text, ""),
        must(
            "subtasks",
            Form::Many(&[
                PROMPT,
                may("key", Form::Text, "For `after` of its siblings"),
                may("after", Form::Texts, ""),
                may("needs", Form::Texts, ""),
                may("locks", Form::Texts, ""),
            ]),
            "",
        ),
        may("then", Form::Word(&["continue", "complete"]), ""),
        may("token", Form::Text, ""),
    ],
    gives: &[
        has("task", Form::Text),
        has("state", Form::Text),
        has("subtasks", Form::Texts),
    ],
    voice: Voice::Plain,
    run: |session, args, call| Box::pin(subtasks(session, args, call)),
};

async fn add(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let spec = spec(&args)?;
    let mut task = NewTask::new(ids::task(), None, &spec, engine.now().wall);
    task.after = edges(engine, &args, &[]).await?;
    if let Some(parent) = args.maybe("parent") {
        task.parent = Some(find::id(engine, parent).await.map_err(about("parent"))?);
    }
    let (task, state) = admit(session, call, task, args.maybe("idempotency_key")).await?;
    Ok(json!({ "task": task, "state": state }))
}

/// Admits one task, under the limits of agents.
pub(crate) async fn admit(
    session: &Session,
    call: &Call,
    task: NewTask,
    key: Option<&str>,
) -> Result<(TaskId, State)> {
    let engine = session.engine();
    let admission = Admission {
        idempotency_key: key.map(str::to_owned),
        ..admission(vec![task], session.actor(call))
    };
    let admitted = engine
        .store
        .admit(&engine.project, admission, engine.now())
        .await?;
    let first = admitted.tasks.into_iter().next();
    first.ok_or_else(|| Refusal::new(Code::Internal, "an admission got no answer"))
}

fn admission(tasks: Vec<NewTask>, actor: Arc<str>) -> Admission {
    Admission {
        tasks,
        run: IntoRun::None,
        supersede: Vec::new(),
        limits: AdmitLimits {
            prerequisites: AGENT_PREREQUISITES,
            children: AGENT_SUBTASKS,
        },
        actor,
        idempotency_key: None,
    }
}

/// Agents hand in prompts, never commands.
fn spec(args: &Args) -> Result<Spec> {
    let prompt = text_of(args, "prompt")?;
    let name = args.maybe("name").unwrap_or_else(|| first_line(prompt));
    let mut spec = Spec::new(name, Work::Prompt(prompt.to_owned()));
    spec.source = Source::AgentImplementation;
    spec.agent = args.named::<AgentName>("agent")?;
    spec.team = args.named::<TeamName>("team")?;
    spec.needs = args.all::<Capability>("needs")?;
    spec.needs.sort_unstable();
    spec.needs.dedup();
    spec.locks = locks(args)?;
    spec.inputs = document(args, "inputs")?;
    if let Some(priority) = args.maybe("priority") {
        spec.priority = Priority::parse(priority)?;
    }
    if let Some(kind) = args.named::<Kind>("kind")? {
        spec.kind = kind;
    }
    if let Some(deadline) = args.maybe("deadline") {
        spec.deadline = Some(Moment::parse(deadline).map_err(|why| wrong("deadline", &why))?);
    }
    Ok(spec)
}

/// A text that says something.
pub(crate) fn text_of<'a>(args: &'a Args, name: &str) -> Result<&'a str> {
    let text = args.text(name);
    if text.trim().is_empty() {
        return Err(wrong(name, "it must not be empty"));
    }
    Ok(text)
}

/// What a list shows of a prompt.
pub(crate) fn first_line(prompt: &str) -> &str {
    let line = prompt.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(80) {
        Some((end, _)) => &line[..end],
        None => line,
    }
}

fn locks(args: &Args) -> Result<Vec<Lock>> {
    let locks = args.texts("locks").map(|name| Lock::new(name, Mode::Exclusive));
    let mut locks = locks.collect::<Result<Vec<_>>>()?;
    locks.sort_unstable();
    locks.dedup();
    if locks.len() > domain::limits::LOCKS {
        let detail = format!("{} locks; the limit is {}", locks.len(), domain::limits::LOCKS);
        return Err(Refusal::new(Code::LimitExceeded, detail));
    }
    Ok(locks)
}

/// What `after` names: a sibling of the same call, or a stored task by its id or key.
async fn edges(engine: &Engine, args: &Args, siblings: &[Option<Key>]) -> Result<Vec<NewEdge>> {
    let mut edges = Vec::new();
    for text in args.texts("after") {
        let (name, when) = prerequisite(text);
        let sibling = siblings
            .iter()
            .position(|key| key.as_ref().is_some_and(|key| key.as_str() == name));
        let on = match sibling {
            Some(at) => On::Batch(at as u32),
            None => On::Task(find::id(engine, name).await.map_err(missing)?),
        };
        edges.push(NewEdge { on, when });
    }
    Ok(edges)
}

fn missing(refusal: Refusal) -> Refusal {
    match refusal.code {
        Code::TaskNotFound => Refusal {
            code: Code::PrerequisiteNotFound,
            ..refusal
        },
        _ => refusal,
    }
}

/// `ID` or `ID:WHEN`. Ids may contain colons, so only a known condition is split off.
fn prerequisite(text: &str) -> (&str, When) {
    let known = |name: &str| When::ALL.iter().copied().find(|when| when.as_str() == name);
    let split = text
        .rsplit_once(':')
        .and_then(|(task, name)| Some((task, known(name)?)));
    split.unwrap_or((text, When::default()))
}

async fn subtasks(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let parent = find::id(engine, args.text("task")).await?;
    let parts = args.objects("subtasks");
    if parts.is_empty() {
        return Err(wrong(
            "subtasks",
            "there are none; task_complete ends a task that needs none",
        ));
    }
    let keys: Vec<Option<Key>> = parts
        .iter()
        .map(|part| part.named("key"))
        .collect::<Result<_>>()?;
    let now = engine.now().wall;
    let mut tasks = Vec::with_capacity(parts.len());
    for (part, key) in parts.iter().zip(&keys) {
        let mut task = NewTask::new(ids::task(), key.clone(), &spec(part)?, now);
        task.after = edges(engine, part, &keys).await?;
        tasks.push(task);
    }
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
    let join = match args.maybe("then") {
        Some("complete") => Join::Complete,
        _ => Join::Continue,
    };
    let reply = leave(session, &args, call, &parent, tasks, join).await?;
    let mut answer = json!(Moved::from(reply));
    answer["subtasks"] = json!(ids);
    Ok(answer)
}

/// Ends the attempt; the task waits for `tasks` and then goes on.
pub(super) async fn leave(
    session: &Session,
    args: &Args,
    call: &Call,
    parent: &TaskId,
    tasks: Vec<NewTask>,
    join: Join,
) -> Result<domain::store::Reply> {
    let command = Command::Complete {
        outcome: Outcome::default(),
        cached: false,
        children: Some(Children {
            admission: Box::new(admission(tasks, session.actor(call))),
            join: Some(join),
        }),
    };
    session.settle(parent, args, call, command).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_condition_is_split_off() {
        assert_eq!(prerequisite("a:failure"), ("a", When::Failure));
        assert_eq!(prerequisite("src/a.py:main"), ("src/a.py:main", When::Success));
    }

    #[test]
    fn a_long_prompt_has_a_short_name() {
        assert_eq!(first_line("\n fix the tests \nand more"), "fix the tests ");
        assert_eq!(first_line(&"ä".repeat(200)).chars().count(), 80);
    }
}
