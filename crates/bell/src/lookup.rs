//! From what people type to what is stored, and from what is stored to what is shown.

use domain::code::{Code, Refusal, nearest};
use domain::id::{Key, RunId, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::run::Run;
use domain::store::{Filter, Neighbours, View};
use engine::engine::Engine;
use engine::order::order;

use crate::error::Result;

/// Fewer characters of an id are more likely a typing error than a short form.
const PREFIX_MIN: usize = 4;
/// Tasks, and pages of them, among which a short form is looked for.
const SEARCHED: usize = 200 * PAGE_MAX;
/// How many of several meanings are named.
const NAMED: usize = 5;

/// The task with this id, or with this key in the newest run that has it, or the only one whose id begins so.
pub(crate) async fn view(engine: &Engine, text: &str) -> Result<View> {
    let id = TaskId::new(text)?;
    if let Some(view) = by_id(engine, id).await? {
        return Ok(view);
    }
    let keyed = match Key::new(text) {
        Ok(key) => engine.store.by_key(&engine.project, &key).await?,
        Err(_) => None,
    };
    match keyed {
        Some(id) => Ok(by_id(engine, id).await?.ok_or_else(|| not_found(engine, text))?),
        None => match by_prefix(engine, text).await? {
            Some(view) => Ok(view),
            None => Err(unknown(engine, text).await?.into()),
        },
    }
}

/// Reads page by page: stores keep no order of ids, and who types one has no million tasks in sight.
pub(crate) async fn by_prefix(engine: &Engine, text: &str) -> Result<Option<View>> {
    if text.len() < PREFIX_MIN {
        return Ok(None);
    }
    let (mut found, mut after, mut searched) = (Vec::new(), Seq(0), 0);
    loop {
        let filter = Filter {
            superseded: true,
            ..Filter::default()
        };
        let page = engine
            .store
            .list(&engine.project, filter, after, PAGE_MAX)
            .await?;
        searched += page.len();
        let is_last = page.len() < PAGE_MAX;
        after = page.last().map_or(after, |view| view.task.seq);
        let matching = page
            .into_iter()
            .filter(|view| view.task.id.to_string().starts_with(text));
        // One more than is named tells that there are more.
        found.extend(matching.take(PAGE_MAX.saturating_sub(found.len())));
        if !is_last && searched < SEARCHED {
            continue;
        }
        return match found.len() {
            0 => Ok(None),
            1 if is_last => Ok(found.pop()),
            _ => {
                let ids: Vec<String> = found.iter().map(|view| view.task.id.to_string()).collect();
                Err(ambiguous("task", text, &ids).into())
            }
        };
    }
}

/// Says which of several. Of a single one, that nobody has looked at all the others.
fn ambiguous(what: &str, text: &str, ids: &[String]) -> Refusal {
    let named = ids.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>();
    let more = match ids.len() {
        1 => " and perhaps others".to_owned(),
        count if count > NAMED => format!(" and {} more", count - NAMED),
        _ => String::new(),
    };
    let (text, named) = (text.escape_debug(), named.join(", "));
    let detail = format!("`{text}` begins the id of more than one {what}: {named}{more}");
    Refusal::new(Code::AmbiguousId, detail).help("type more of it, or the whole id")
}

pub(crate) async fn id(engine: &Engine, text: &str) -> Result<TaskId> {
    Ok(view(engine, text).await?.task.id)
}

async fn by_id(engine: &Engine, id: TaskId) -> Result<Option<View>> {
    Ok(engine.store.views(&engine.project, &[id]).await?.pop().flatten())
}

fn not_found(engine: &Engine, text: &str) -> Refusal {
    Refusal::new(
        Code::TaskNotFound,
        format!("project {} has no task `{}`", engine.project, text.escape_debug()),
    )
    .help("`bell task list` shows the tasks; --project chooses another project")
}

/// Says no, and offers the nearest name among the tasks of the first page.
async fn unknown(engine: &Engine, text: &str) -> Result<Refusal> {
    let views = engine
        .store
        .list(&engine.project, Filter::default(), Seq(0), PAGE_MAX)
        .await?;
    let names: Vec<String> = views
        .iter()
        .flat_map(|view| {
            [
                view.body.key.as_ref().map(ToString::to_string),
                Some(view.task.id.to_string()),
            ]
        })
        .flatten()
        .collect();
    let refusal = not_found(engine, text);
    Ok(match nearest(text, names.iter().map(String::as_str)) {
        Some(near) => refusal.help(format!("did you mean `{near}`? `bell task list` shows all")),
        None => refusal,
    })
}

/// The run with this id, or the newest one of the plan with this name, or the only one whose id begins so, of the newest
/// [`PAGE_MAX`].
pub(crate) async fn run_named(engine: &Engine, text: &str) -> Result<Run> {
    if let Ok(id) = text.parse::<RunId>() {
        return run(engine, id).await;
    }
    let (store, project) = (&engine.store, &engine.project);
    if let Some(run) = store.runs(project, Some(text), 1).await?.pop() {
        return Ok(run);
    }
    let mut found = match text.len() >= PREFIX_MIN {
        true => store.runs(project, None, PAGE_MAX).await?,
        false => Vec::new(),
    };
    found.retain(|run| run.id.to_string().starts_with(text));
    if found.len() > 1 {
        let ids: Vec<String> = found.iter().map(|run| run.id.to_string()).collect();
        return Err(ambiguous("run", text, &ids).into());
    }
    let detail = || {
        format!(
            "project {project} has no run `{}`, and no plan of that name was run",
            text.escape_debug()
        )
    };
    let run = found.pop();
    Ok(run.ok_or_else(|| Refusal::new(Code::RunNotFound, detail()).help("`bell runs list` shows the runs"))?)
}

pub(crate) async fn run(engine: &Engine, id: RunId) -> Result<Run> {
    let run = engine.store.run(&engine.project, id).await?;
    Ok(run.ok_or_else(|| {
        Refusal::new(
            Code::RunNotFound,
            format!("project {} has no run {id}", engine.project),
        )
        .help("`bell runs list` shows the runs; --project chooses another project")
    })?)
}

/// Everything about a task that is shown, bounded at [`PAGE_MAX`] neighbours and events.
pub(crate) async fn whole(engine: &Engine, view: View) -> Result<api::task::Task> {
    let (project, id) = (&engine.project, view.task.id.clone());
    let has_neighbours = !view.body.after.is_empty() || view.task.dependents > 0 || view.task.open > 0;
    let neighbours = match has_neighbours {
        true => engine.store.neighbours(project, &id, PAGE_MAX).await?,
        false => Neighbours::default(),
    };
    let history = match view.task.attempt() {
        0 => Vec::new(),
        _ => engine.store.history(project, &id, PAGE_MAX).await?,
    };
    let now = engine.now();
    let score = api::task::score_in(&order(engine).await?, &view.task, now).value();
    let task = api::task::Task::new(view, &neighbours, &history, now);
    Ok(api::task::Task { score, ..task })
}

/// The whole task, when it was asked for.
pub(crate) async fn full(engine: &Engine, id: &TaskId, wanted: bool) -> Result<Option<Box<api::task::Task>>> {
    if !wanted {
        return Ok(None);
    }
    match by_id(engine, id.clone()).await? {
        Some(view) => Ok(Some(Box::new(whole(engine, view).await?))),
        None => Ok(None),
    }
}

/// Does what is due by time, so that a flock of shells needs no server: expired leases, back-offs, `run_at`.
pub(crate) async fn catch_up(engine: &Engine) -> Result<()> {
    loop {
        match engine.store.tick(&engine.project, engine.now()).await {
            Ok(ticked) if ticked.more => {}
            Ok(_) => return Ok(()),
            // Looking at a store that cannot be written is still allowed.
            Err(refusal) if refusal.code == Code::StoreReadOnly => return Ok(()),
            Err(refusal) => return Err(refusal.into()),
        }
    }
}
