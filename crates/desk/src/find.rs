//! From what people type to what is stored, and from what is stored to what is shown.

use domain::code::{Code, Refusal, nearest};
use domain::id::{Key, RunId, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::run::Run;
use domain::store::{Filter, Neighbours, Result, View};
use domain::task::order::Order;
use domain::task::spec::Spec;
use engine::engine::Engine;
use engine::order::order;

/// Fewer characters of an id are more likely a typing error than a short form.
const PREFIX_MIN: usize = 4;
/// Tasks, and pages of them, among which a short form is looked for.
const SEARCHED: usize = 200 * PAGE_MAX;
/// How many of several meanings are named.
const NAMED: usize = 5;

/// The task with this id, or with this key in the newest run that has it. Programs ask so: a few reads whatever is sent.
pub async fn view(engine: &Engine, text: &str) -> Result<View> {
    match exactly(engine, text).await? {
        Some(view) => Ok(view),
        None => Err(unknown(engine, text).await?),
    }
}

/// The same as people type it: the beginning of an id will do, where only one begins so.
pub async fn typed(engine: &Engine, text: &str) -> Result<View> {
    if let Some(view) = exactly(engine, text).await? {
        return Ok(view);
    }
    match begun(engine, text).await? {
        Some(view) => Ok(view),
        None => Err(unknown(engine, text).await?),
    }
}

async fn exactly(engine: &Engine, text: &str) -> Result<Option<View>> {
    let id = TaskId::new(text)?;
    if let Some(view) = by_id(engine, id).await? {
        return Ok(Some(view));
    }
    let keyed = match Key::new(text) {
        Ok(key) => engine.store.by_key(&engine.project, &key).await?,
        Err(_) => None,
    };
    match keyed {
        Some(id) => by_id(engine, id).await,
        None => Ok(None),
    }
}

/// Reads page by page: stores keep no order of ids, and who types one has no million tasks in sight.
async fn begun(engine: &Engine, text: &str) -> Result<Option<View>> {
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
                Err(ambiguous("task", text, &ids))
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

pub async fn id(engine: &Engine, text: &str) -> Result<TaskId> {
    Ok(view(engine, text).await?.task.id)
}

/// As [`typed`].
pub async fn typed_id(engine: &Engine, text: &str) -> Result<TaskId> {
    Ok(typed(engine, text).await?.task.id)
}

/// A prerequisite as people type it. One that nobody knows goes on to the store, which names all that are missing.
pub async fn typed_prerequisite(engine: &Engine, text: &str) -> Result<TaskId> {
    let found = match exactly(engine, text).await? {
        Some(view) => Some(view),
        None => begun(engine, text).await?,
    };
    found.map_or_else(|| TaskId::new(text), |view| Ok(view.task.id))
}

pub(crate) async fn by_id(engine: &Engine, id: TaskId) -> Result<Option<View>> {
    Ok(engine.store.views(&engine.project, &[id]).await?.pop().flatten())
}

/// Says no, and offers the nearest name among the tasks of the first page.
async fn unknown(engine: &Engine, text: &str) -> Result<Refusal> {
    let (store, project) = (&engine.store, &engine.project);
    let views = store.list(project, Filter::default(), Seq(0), PAGE_MAX).await?;
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
    let refusal = Refusal::new(
        Code::TaskNotFound,
        format!("project {project} has no task `{}`", text.escape_debug()),
    );
    Ok(match nearest(text, names.iter().map(String::as_str)) {
        Some(near) => refusal.help(format!("did you mean `{near}`? `bell task list` shows all")),
        None => refusal.help("`bell task list` shows the tasks; --project chooses another project"),
    })
}

/// The run with this id, or the newest one of the plan with this name.
pub async fn run(engine: &Engine, text: &str) -> Result<Run> {
    let found = match text.parse::<RunId>() {
        Ok(id) => engine.store.run(&engine.project, id).await?,
        Err(_) => engine.store.runs(&engine.project, Some(text), 1).await?.pop(),
    };
    found.ok_or_else(|| no_run(engine, text))
}

/// The same as people type it: the beginning of an id will do, where only one of the newest [`PAGE_MAX`] begins so.
pub async fn typed_run(engine: &Engine, text: &str) -> Result<Run> {
    match run(engine, text).await {
        Err(refusal) if refusal.code == Code::RunNotFound && text.len() >= PREFIX_MIN => {}
        found => return found,
    }
    let mut found = engine.store.runs(&engine.project, None, PAGE_MAX).await?;
    found.retain(|run| run.id.to_string().starts_with(text));
    if found.len() > 1 {
        let ids: Vec<String> = found.iter().map(|run| run.id.to_string()).collect();
        return Err(ambiguous("run", text, &ids));
    }
    found.pop().ok_or_else(|| no_run(engine, text))
}

fn no_run(engine: &Engine, text: &str) -> Refusal {
    let (project, text) = (&engine.project, text.escape_debug());
    let detail = format!("project {project} has no run `{text}`, and no plan of that name was run");
    let refusal = Refusal::new(Code::RunNotFound, detail);
    refusal.help("`bell runs list` shows the runs; --project chooses another project")
}

/// Everything about a task that is shown, bounded at [`PAGE_MAX`] neighbours and events.
pub async fn whole(engine: &Engine, view: View) -> Result<api::task::Task> {
    whole_in(engine, view, &order(engine).await?).await
}

/// As [`whole`], in an order of the line that is known: for many at once.
pub(crate) async fn whole_in(engine: &Engine, view: View, order: &Order) -> Result<api::task::Task> {
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
    let score = api::task::score_in(order, &view.task, now).value();
    let task = api::task::Task::new(view, &neighbours, &history, now);
    Ok(api::task::Task { score, ..task })
}

/// The whole task, when it was asked for.
pub async fn full(engine: &Engine, id: &TaskId, wanted: bool) -> Result<Option<Box<api::task::Task>>> {
    if !wanted {
        return Ok(None);
    }
    match by_id(engine, id.clone()).await? {
        Some(view) => Ok(Some(Box::new(whole(engine, view).await?))),
        None => Ok(None),
    }
}

/// What was asked for, as it is stored.
pub fn spec(view: &domain::task::record::Body, id: &TaskId) -> Result<Spec> {
    view.read_spec().map_err(|e| {
        let detail = format!("the specification of task {id} cannot be read: {e}");
        Refusal::new(Code::StoreCorrupt, detail)
    })
}

/// Does what is due by time, so that what is shown or claimed is what holds now, and a flock of shells needs no server.
pub async fn catch_up(engine: &Engine) -> Result<()> {
    loop {
        match engine.store.tick(&engine.project, engine.now()).await {
            Ok(ticked) if ticked.more => {}
            Ok(_) => return Ok(()),
            // Looking at a store that cannot be written is still allowed.
            Err(refusal) if refusal.code == Code::StoreReadOnly => return Ok(()),
            Err(refusal) => return Err(refusal),
        }
    }
}
