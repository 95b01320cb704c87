//! Tasks: add, list, show, explain.

use api::ask;
use api::event::Event;
use api::list::{Events, Logs, Tasks};
use api::task::Task;
use api::why::Why;
use domain::agent::route::Decision;
use domain::code::{Code, Refusal};
use domain::event::Kind;
use domain::id::{Key, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::plan::Asked;
use domain::store::{Admission, AdmitLimits, Admitted, Filter, IntoRun, NewEdge, NewTask, On, Result, View};
use domain::task::spec::{Json, Source, Spec};
use domain::time::Timestamp;
use engine::engine::Engine;
use engine::ids;
use engine::order::order;
use engine::process::output;
use engine::trace::VARIABLE;
use rustc_hash::FxHashMap;

use crate::{curb, find, invalid, limit};

/// Stores tasks that were asked for, all or none.
pub async fn add(engine: &Engine, asked: Vec<Asked>, idempotency_key: Option<String>) -> Result<Admitted> {
    let now = engine.now();
    let mut index: FxHashMap<Key, u32> = FxHashMap::default();
    for (at, task) in (0..).zip(&asked) {
        if let Some(key) = &task.key
            && index.insert(key.clone(), at).is_some()
        {
            return Err(Refusal::new(
                Code::PlanDuplicate,
                format!("two tasks of the request have the key `{key}`"),
            )
            .help("rename one of them"));
        }
    }
    let mut limits = AdmitLimits::of(Source::Human);
    let mut known: FxHashMap<String, TaskId> = FxHashMap::default();
    let mut tasks = Vec::with_capacity(asked.len());
    for task in asked {
        if task.spec.source != Source::Human {
            limits = AdmitLimits::of(task.spec.source);
        }
        let id = task.id.unwrap_or_else(ids::task);
        let mut new = fresh(id, task.key, &task.spec, now.wall);
        for after in task.after {
            let on = match index.get(&after.task) {
                Some(at) => On::Batch(*at),
                None => On::Task(stored(engine, after.task.as_str(), &mut known).await?),
            };
            new.after.push(NewEdge { on, when: after.when });
        }
        if let Some(parent) = &task.parent {
            new.parent = Some(find::id(engine, parent).await?);
        }
        tasks.push(new);
    }
    let admission = Admission {
        tasks,
        run: IntoRun::None,
        supersede: Vec::new(),
        limits,
        actor: engine.actor.clone(),
        idempotency_key,
    };
    engine.store.admit(&engine.project, admission, now).await
}

/// A task that was not there before. The same one from within another trace is the same one.
pub fn fresh(id: TaskId, key: Option<Key>, spec: &Spec, now: Timestamp) -> NewTask {
    let mut new = NewTask::new(id, key, spec, now);
    if spec.env.contains_key(VARIABLE) {
        let mut plain = spec.clone();
        plain.env.remove(VARIABLE);
        new.digest = NewTask::new(new.id.clone(), None, &plain, now).digest;
    }
    new
}

/// A prerequisite by id, else by key. One that nobody knows goes on to the store, which names all that are missing.
async fn stored(engine: &Engine, text: &str, known: &mut FxHashMap<String, TaskId>) -> Result<TaskId> {
    if let Some(id) = known.get(text) {
        return Ok(id.clone());
    }
    let id = TaskId::new(text)?;
    let found = match find::by_id(engine, id.clone()).await? {
        Some(_) => None,
        None => engine.store.by_key(&engine.project, &Key::new(text)?).await?,
    };
    let id = found.unwrap_or(id);
    known.insert(text.to_owned(), id.clone());
    Ok(id)
}

/// The result of a task, whole: also one that is too large for the store.
pub async fn result(engine: &Engine, text: &str) -> Result<Json> {
    let view = find::view(engine, text).await?;
    let Some(result) = view.outcome.and_then(|outcome| outcome.result) else {
        return Ok(Json::of(&()));
    };
    engine.whole(&result).await.map_err(|e| {
        let detail = format!("the result of task {} cannot be read: {e}", view.task.id);
        Refusal::new(Code::StoreUnavailable, detail)
    })
}

pub async fn list(engine: &Engine, asked: ask::Tasks) -> Result<Tasks> {
    find::catch_up(engine).await?;
    let after = asked.cursor.as_deref().map_or(Ok(Seq(0)), cursor)?;
    let limit = limit(asked.limit)?;
    let run = match &asked.run {
        Some(run) => Some(find::run(engine, run).await?.id),
        None => None,
    };
    let parent = match &asked.parent {
        Some(id) => Some(find::id(engine, id).await?),
        None => None,
    };
    let filter = Filter {
        states: asked.state,
        run,
        kind: asked.kind,
        source: asked.source,
        agent: asked.agent,
        team: asked.team,
        parent,
        ..Filter::default()
    };
    whole(engine, page(engine, filter, after, limit).await?).await
}

/// Tasks as they are stored.
#[derive(Debug, Default)]
pub struct Page {
    pub views: Vec<View>,
    /// The last of them, when others follow.
    pub next: Option<Seq>,
}

/// The first `limit` tasks after one.
pub async fn page(engine: &Engine, filter: Filter, after: Seq, limit: usize) -> Result<Page> {
    let (store, project) = (&engine.store, &engine.project);
    let views = store.list(project, filter.clone(), after, limit).await?;
    let last = views.last().filter(|_| views.len() >= limit);
    let next = match last.map(|view| view.task.seq) {
        Some(last) if !store.list(project, filter, last, 1).await?.is_empty() => Some(last),
        _ => None,
    };
    Ok(Page { views, next })
}

/// Where a page goes on.
pub fn cursor(text: &str) -> Result<Seq> {
    let number = text.parse().map_err(|_| {
        invalid(format!("`{}` is no cursor", text.escape_debug()))
            .help("pass the `cursor` of the page before")
    })?;
    Ok(Seq(number))
}

/// A page with everything there is to tell of its tasks.
pub async fn whole(engine: &Engine, page: Page) -> Result<Tasks> {
    let order = order(engine).await?;
    let mut tasks = Vec::with_capacity(page.views.len());
    for view in page.views {
        tasks.push(find::whole_in(engine, view, &order).await?);
    }
    Ok(Tasks {
        count: tasks.len(),
        tasks,
        cursor: page.next.map(|next| next.0.to_string()),
    })
}

pub async fn show(engine: &Engine, text: &str) -> Result<Task> {
    // Two looks at the same time, and not one after the other.
    let (view, order) = tokio::try_join!(find::view(engine, text), order(engine))?;
    find::whole_in(engine, view, &order).await
}

/// Why a task stands where it stands: what it waits for, its score in parts, its place in line, who could take it.
pub async fn why(engine: &Engine, text: &str) -> Result<Why> {
    find::catch_up(engine).await?;
    let view = find::view(engine, text).await?;
    let (project, id) = (&engine.project, &view.task.id);
    let spec = find::spec(&view.body, id)?;
    let neighbours = engine.store.neighbours(project, id, PAGE_MAX).await?;
    let held = match spec.locks.is_empty() {
        true => Vec::new(),
        false => engine.store.locks(project).await?,
    };
    let ahead = match view.task.in_line() {
        true => Some(engine.store.ahead(project, id, PAGE_MAX).await?),
        false => None,
    };
    let (order, now) = (order(engine).await?, engine.now());
    let waiting = curb::waiting(engine, &view.task, &spec).await?;
    let mut why = Why::new(&view, spec, &neighbours, &held, ahead, now).ordered(&order, &view.task, now);
    if view.task.in_line() {
        why.held_back = curb::holding(engine, &view.class).await?;
    }
    why.held_back.extend(waiting);
    if view.class.routed {
        why.routed = decision(engine, id).await?;
    }
    Ok(why)
}

/// The latest choice of an agent for a task.
async fn decision(engine: &Engine, id: &TaskId) -> Result<Option<Decision>> {
    let history = engine.store.history(&engine.project, id, PAGE_MAX).await?;
    let mut facts = history.iter().rev().map(|seen| &seen.event.fact);
    let routed = facts.find(|fact| fact.kind == Kind::TaskRouted);
    let data = routed.and_then(|fact| fact.data.as_ref());
    Ok(data.and_then(|data| serde_json::from_str(data.get()).ok()))
}

pub async fn history(engine: &Engine, text: &str, asked: &ask::Limited) -> Result<Events> {
    let id = find::id(engine, text).await?;
    let seen = engine
        .store
        .history(&engine.project, &id, limit(asked.limit)?)
        .await?;
    let events: Vec<Event> = seen.into_iter().map(Event::from).collect();
    Ok(Events {
        count: events.len(),
        events,
        cursor: None,
    })
}

/// What an attempt printed, as far as it was captured on this machine or sent to it.
pub async fn logs(engine: &Engine, text: &str, asked: &ask::Logs) -> Result<Logs> {
    let view = find::view(engine, text).await?;
    let latest = view.task.attempt();
    let attempt = asked.attempt.unwrap_or(latest);
    if attempt == 0 || attempt > latest {
        let which = match latest {
            0 => "has not been tried yet".to_owned(),
            _ => format!("had {latest} attempts"),
        };
        return Err(invalid(format!("task {} {which}", view.task.id)));
    }
    let path = engine.home.output(&engine.project, view.task.seq, attempt);
    let after = asked.after;
    let read = tokio::task::spawn_blocking(move || output::read_from(&path, after)).await;
    let read = read.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    let part =
        read.map_err(|e| Refusal::new(Code::StoreUnavailable, format!("the output cannot be read: {e}")))?;
    Ok(Logs {
        task: view.task.id,
        attempt,
        output: String::from_utf8_lossy(&part.bytes).into_owned(),
        dropped: part.dropped,
        bytes: part.end,
    })
}
