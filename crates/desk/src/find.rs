//! From what people type to what is stored, and from what is stored to what is shown.

use domain::code::{Code, Refusal, nearest};
use domain::id::{Key, RunId, Seq, TaskId};
use domain::limits::PAGE_MAX;
use domain::run::Run;
use domain::store::{Filter, Neighbours, Result, View};
use domain::task::spec::Spec;
use engine::engine::Engine;

/// The task with this id, or with this key in the newest run that has it.
pub async fn view(engine: &Engine, text: &str) -> Result<View> {
    let id = TaskId::new(text)?;
    if let Some(view) = by_id(engine, id).await? {
        return Ok(view);
    }
    let keyed = match Key::new(text) {
        Ok(key) => engine.store.by_key(&engine.project, &key).await?,
        Err(_) => None,
    };
    let found = match keyed {
        Some(id) => by_id(engine, id).await?,
        None => None,
    };
    match found {
        Some(view) => Ok(view),
        None => Err(unknown(engine, text).await?),
    }
}

pub async fn id(engine: &Engine, text: &str) -> Result<TaskId> {
    Ok(view(engine, text).await?.task.id)
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
    found.ok_or_else(|| {
        let detail = format!(
            "project {} has no run `{}`, and no plan of that name was run",
            engine.project,
            text.escape_debug()
        );
        Refusal::new(Code::RunNotFound, detail).help("`bell runs list` shows the runs")
    })
}

/// Everything about a task that is shown, bounded at [`PAGE_MAX`] neighbours and events.
pub async fn whole(engine: &Engine, view: View) -> Result<api::task::Task> {
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
    Ok(api::task::Task::new(view, &neighbours, &history, engine.now()))
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

pub(crate) fn spec(view: &domain::task::record::Body, id: &TaskId) -> Result<Spec> {
    view.read_spec().map_err(|e| {
        let detail = format!("the specification of task {id} cannot be read: {e}");
        Refusal::new(Code::StoreCorrupt, detail)
    })
}

/// Does what is due by time, so that what is shown or claimed is what holds now.
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
