//! The event and plan tools of SPEC 3.6.
//!
//! A subscription is a place in the log of events, kept in the store: to ask again is to go on after what was told. So each
//! event is told once, across sessions and restarts.

use std::collections::BTreeMap;
use std::path::Path;

use api::event::Event;
use api::run::Run;
use domain::book::{Book, Edit, Entry};
use domain::code::{Code, Refusal};
use domain::event::pattern::{Pattern, glob};
use domain::id::{AgentName, EventNo, RunId};
use domain::limits::PAGE_MAX;
use domain::plan::{self, Format, Plan};
use domain::store::{Result, Seen, View};
use domain::task::spec::Work;
use domain::task::state::State;
use domain::time::Timestamp;
use engine::engine::Engine;
use engine::{health, recover, submit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::classic::{duration, tasks};
use crate::session::Session;
use crate::tool::args::{Args, about, wrong};
use crate::tool::field::{Form, has, must, some};
use crate::tool::{Answer, Sort, Tool, Voice};
use desk::find;

const COUNT: Form = Form::Whole(0, i64::MAX);
/// Events of the log that one call looks through; the next call goes on behind them.
const LOOK_MAX: usize = 10 * PAGE_MAX;
/// Events of one answer.
const TOLD_MAX: usize = 500;
/// Tasks that are named because much waits for them.
const NAMED: usize = 5;

pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "subscribe_to_events",
        about: "Remember which events an agent wants, such as task_completed:* or run.finished. Asked again, it answers \
                with what has happened since.",
        sort: Sort::Works,
        takes: &[
            must("agent_id", Form::Text, ""),
            must(
                "event_pattern",
                Form::Text,
                "A type, or TYPE:TASK; * stands for any text",
            ),
        ],
        gives: &[
            has("subscription_id", Form::Text),
            has("events", Form::Many(&[has("type", Form::Text)])),
        ],
        voice: Voice::Classic,
        run: |session, args, call| Box::pin(subscribe(session, args, call)),
    },
    Tool {
        name: "unsubscribe_from_events",
        about: "Forget a subscription",
        sort: Sort::Settles,
        takes: &[must("subscription_id", Form::Text, "")],
        gives: &[
            has("subscription_id", Form::Text),
            has("unsubscribed", Form::Flag),
        ],
        voice: Voice::Classic,
        run: |session, args, call| Box::pin(unsubscribe(session, args, call)),
    },
    Tool {
        name: "execute_workflow",
        about: "Submit a plan as an object: {name, tasks: {KEY: {prompt, after, needs, ...}}}. Its tasks are prompts and \
                breakpoints.",
        sort: Sort::Works,
        takes: &[must("workflow_spec", Form::Object, "")],
        gives: &[
            has("execution_id", Form::Text),
            has("status", Form::Text),
            has("tasks", Form::Object),
        ],
        voice: Voice::Classic,
        run: |session, args, _| Box::pin(execute(session, args)),
    },
    Tool {
        name: "get_execution_status",
        about: "How a submitted plan stands, or one task",
        sort: Sort::Looks,
        takes: &[must("task_id", Form::Text, "An execution or a task")],
        gives: &[has("status", Form::Text), some("counts", Form::Object)],
        voice: Voice::Classic,
        run: |session, args, _| Box::pin(status(session, args)),
    },
    Tool {
        name: "get_orchestration_insights",
        about: "What is stuck, what much waits for, and how each sort of task has gone",
        sort: Sort::Looks,
        takes: &[],
        gives: &[
            has("bottlenecks", Form::Any),
            has("patterns", Form::Any),
            has("count", COUNT),
        ],
        voice: Voice::Classic,
        run: |session, _, _| Box::pin(insights(session)),
    },
];

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Subscription {
    agent: AgentName,
    pattern: String,
    created_at: Timestamp,
    /// The last event that was looked at.
    seen: EventNo,
    last_triggered: Option<Timestamp>,
    trigger_count: u64,
}

/// Keys of subscriptions in the book of cursors.
const PREFIX: &str = "agent:";

/// A type of events, and of which tasks or runs.
struct Wanted {
    kind: Pattern,
    of: Option<String>,
}

impl Wanted {
    fn parse(text: &str) -> Result<Wanted> {
        let whole = text.parse::<Pattern>();
        let parts = text
            .rsplit_once(':')
            .and_then(|(name, of)| Some((name.parse().ok()?, of)));
        match (whole, parts) {
            (Ok(kind), _) => Ok(Wanted { kind, of: None }),
            (_, Some((kind, of))) => Ok(Wanted {
                kind,
                of: Some(of.to_owned()),
            }),
            (Err(refusal), _) => Err(about("event_pattern")(refusal)),
        }
    }

    fn matches(&self, seen: &Seen) -> bool {
        let is_about = |of: &String| {
            let task = seen.task.as_ref().map(ToString::to_string);
            let key = seen.key.as_ref().map(ToString::to_string);
            let run = seen.run.map(|run| run.to_string());
            let mut names = [task, key, run].into_iter().flatten();
            of == "*" || names.any(|name| glob(of, &name))
        };
        self.kind.matches(seen.event.fact.kind.as_str()) && self.of.as_ref().is_none_or(is_about)
    }
}

async fn subscribe(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let agent: AgentName = args.must("agent_id")?;
    let pattern = args.text("event_pattern").trim();
    let wanted = Wanted::parse(pattern)?;
    let key = format!("{PREFIX}{agent}/{pattern}");
    if key.len() > domain::limits::KEY_BYTES {
        return Err(wrong("event_pattern", "it is too long"));
    }
    let keys = [key.as_str().into()];
    let before = engine
        .store
        .entries_of(&engine.project, Book::Cursor, &keys)
        .await?
        .pop();
    let now = engine.now();
    let mut subscription = match &before {
        Some(entry) => entry.read()?,
        None => Subscription {
            agent,
            pattern: pattern.to_owned(),
            created_at: now.wall,
            seen: engine.store.status(&engine.project).await?.last_event,
            last_triggered: None,
            trigger_count: 0,
        },
    };
    let events = news(engine, &wanted, &mut subscription.seen).await?;
    if !events.is_empty() {
        subscription.last_triggered = Some(now.wall);
        subscription.trigger_count += events.len() as u64;
    }
    // Two that ask at once: one is told, the other has to ask again.
    let edit = Edit::put(Entry::new(Book::Cursor, &key, &subscription)).instead_of(before.as_ref());
    engine
        .store
        .edit(&engine.project, vec![edit], session.actor(call), now)
        .await?;
    Ok(json!({
        "subscription_id": key,
        "agent_id": subscription.agent,
        "event_pattern": subscription.pattern,
        "events": events,
        "count": events.len(),
        "trigger_count": subscription.trigger_count,
    }))
}

/// What is wanted of the log after `seen`, which moves on.
async fn news(engine: &Engine, wanted: &Wanted, seen: &mut EventNo) -> Result<Vec<Event>> {
    let mut news = Vec::new();
    let mut looked = 0;
    loop {
        let page = engine.store.events(&engine.project, *seen, PAGE_MAX).await?;
        let is_last = page.len() < PAGE_MAX;
        for event in page {
            *seen = event.event.no;
            looked += 1;
            if wanted.matches(&event) {
                news.push(Event::from(event));
            }
            if news.len() == TOLD_MAX {
                return Ok(news);
            }
        }
        if is_last || looked >= LOOK_MAX {
            return Ok(news);
        }
    }
}

async fn unsubscribe(session: &Session, args: Args, call: &Call) -> Answer {
    let engine = session.engine();
    let key = args.text("subscription_id");
    let keys = [key.into()];
    let found = engine
        .store
        .entries_of(&engine.project, Book::Cursor, &keys)
        .await?;
    let is_one = key.starts_with(PREFIX) && !found.is_empty();
    if is_one {
        let edits = vec![Edit::remove(Book::Cursor, key)];
        engine
            .store
            .edit(&engine.project, edits, session.actor(call), engine.now())
            .await?;
    }
    Ok(json!({ "subscription_id": key, "unsubscribed": is_one }))
}

async fn execute(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    let text = args
        .json("workflow_spec")
        .map_or_else(String::new, |json| json.get().to_owned());
    let plan = plan::read(text.as_bytes(), Format::Json, "workflow_spec")?;
    only_prompts(&plan)?;
    let options = submit::Options {
        into: submit::Into::New,
        profile: None,
        joins: recover::is_worked_on,
    };
    // Nothing in it runs in a folder; this only gives a plan without a name one.
    let file = Path::new("/mcp/plan.json");
    let submitted = submit::submit(engine, &plan, file, &options).await?;
    let run = run(engine, submitted.run).await?;
    let mut ids = Map::new();
    for task in &plan.tasks {
        if let Some(id) = engine.store.by_key(&engine.project, &task.key).await? {
            ids.insert(task.key.to_string(), json!(id));
        }
    }
    Ok(json!({ "execution_id": submitted.run, "status": run.state, "tasks": ids }))
}

/// Agents hand in prompts, and questions for people.
fn only_prompts(plan: &Plan) -> Result<()> {
    let other = plan
        .tasks
        .iter()
        .find(|task| !matches!(task.spec.work, Work::Prompt(_) | Work::Breakpoint(_)));
    let Some(task) = other else { return Ok(()) };
    let detail = format!(
        "task {} of the plan is a {}, which an agent may not hand in",
        task.key,
        task.spec.work.name()
    );
    Err(Refusal::new(Code::Forbidden, detail).help("give it a `prompt`, or let a person submit the plan"))
}

async fn run(engine: &Engine, id: RunId) -> Result<Run> {
    let run = engine.store.run(&engine.project, id).await?;
    let run = run.ok_or_else(|| Refusal::new(Code::RunNotFound, format!("there is no run {id}")))?;
    Ok(Run::from(run))
}

async fn status(session: &Session, args: Args) -> Answer {
    let engine = session.engine();
    find::catch_up(engine).await?;
    let id = args.text("task_id");
    if let Ok(run_id) = id.parse::<RunId>()
        && let Ok(run) = run(engine, run_id).await
    {
        let counts = json!(run)["counts"].clone();
        return Ok(
            json!({ "execution_id": run_id, "status": run.state, "counts": counts, "finished_at": run.finished_at }),
        );
    }
    let view = find::view(engine, id).await.map_err(about("task_id"))?;
    Ok(json!({ "task_id": view.task.id, "status": view.task.state, "execution_id": view.run }))
}

#[derive(Default)]
struct Tally {
    completed: u64,
    failed: u64,
    ms: u64,
}

async fn insights(session: &Session) -> Answer {
    let engine = session.engine();
    let mut bottlenecks: Vec<Value> = health::stuck(engine)
        .await?
        .iter()
        .map(|problem| json!(problem))
        .collect();
    find::catch_up(engine).await?;
    let open = tasks(engine, vec![State::Ready, State::Assigned, State::Running], None).await?;
    bottlenecks.extend(crowded(open));
    let mut kinds: BTreeMap<String, Tally> = BTreeMap::new();
    for view in tasks(engine, vec![State::Completed, State::Failed], None).await? {
        let tally = kinds.entry(view.class.kind.to_string()).or_default();
        match view.task.state {
            State::Completed => tally.completed += 1,
            _ => tally.failed += 1,
        }
        tally.ms += duration(&view).unwrap_or(0);
    }
    let pattern = |(kind, tally): (String, Tally)| {
        let ended = (tally.completed + tally.failed).max(1) as f64;
        json!({
            "type": kind,
            "completed": tally.completed,
            "failed": tally.failed,
            "success_rate": tally.completed as f64 / ended,
            "avg_execution_ms": tally.ms as f64 / ended,
        })
    };
    let patterns: Vec<Value> = kinds.into_iter().map(pattern).collect();
    Ok(json!({ "count": bottlenecks.len(), "bottlenecks": bottlenecks, "patterns": patterns }))
}

/// The tasks that most others wait for.
fn crowded(mut open: Vec<View>) -> impl Iterator<Item = Value> {
    open.retain(|view| view.task.dependents > 1);
    open.sort_by_key(|view| std::cmp::Reverse(view.task.dependents));
    open.into_iter().take(NAMED).map(|view| {
        json!({
            "kind": "waited_for",
            "subject": view.task.id,
            "cause": format!("{} tasks wait for it, and it is {}", view.task.dependents, view.task.state),
            "cure": "do it first",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_a_type_and_perhaps_a_task() {
        for (text, kind, has_subject) in [
            ("task_completed:*", "task.completed", true),
            ("task:completed", "task.completed", false),
            ("task_created", "task.submitted", false),
            ("task.*", "task.failed", false),
        ] {
            let wanted = Wanted::parse(text).unwrap();
            assert!(wanted.kind.matches(kind), "{text}");
            assert_eq!(wanted.of.is_some(), has_subject, "{text}");
        }
        let refusal = Wanted::parse("task.complted").err().unwrap();
        assert!(refusal.help.unwrap().contains("task.completed"));
    }
}
