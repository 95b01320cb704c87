//! What a client may read: the queue, tasks, runs and their graphs, each as JSON under a URI of its own.

use domain::code::{Code, Refusal};
use domain::id::RunId;
use domain::limits::PAGE_MAX;
use domain::store::{Filter, Result, View};
use domain::task::state::State;
use engine::engine::Engine;
use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};

use desk::find;

const JSON: &str = "application/json";
const QUEUE: &str = "bell://queue";
const PROBLEMS: &str = "bell://problems";
const AWAITING: &str = "bell://awaiting";
/// Runs that are listed; older ones are read by their id.
const RUNS: usize = 200;
/// Tasks of a graph; a larger one is looked at with `bell plan graph`.
const GRAPH_MAX: usize = PAGE_MAX;

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    [
        (
            "bell://task/{id}",
            "task",
            "A task with its attempts and result, by id or key",
        ),
        ("bell://run/{id}", "run", "A run with the counts of its tasks"),
        (
            "bell://graph/{id}",
            "graph",
            "The tasks of a run and what waits for what",
        ),
    ]
    .into_iter()
    .map(|(uri, name, about)| {
        ResourceTemplate::new(uri, name)
            .with_description(about)
            .with_mime_type(JSON)
    })
    .collect()
}

pub(crate) async fn list(engine: &Engine) -> Result<Vec<Resource>> {
    let fixed = [
        (QUEUE, "queue", "How many tasks are in which state"),
        (AWAITING, "awaiting", "What waits for a person"),
        (
            PROBLEMS,
            "problems",
            "What is stuck, why, and what to do about it",
        ),
    ];
    let resource = |uri: &str, name: String, about: String| {
        Resource::new(uri, name)
            .with_description(about)
            .with_mime_type(JSON)
    };
    let mut all: Vec<Resource> = fixed
        .into_iter()
        .map(|(uri, name, about)| resource(uri, name.to_owned(), about.to_owned()))
        .collect();
    for run in engine.store.runs(&engine.project, None, RUNS).await? {
        let about = format!("Run of {}: {}", run.plan, run.state.as_str());
        all.push(resource(
            &format!("bell://run/{}", run.id),
            format!("run {}", run.id),
            about,
        ));
        let about = format!("What waits for what in a run of {}", run.plan);
        all.push(resource(
            &format!("bell://graph/{}", run.id),
            format!("graph {}", run.id),
            about,
        ));
    }
    Ok(all)
}

pub(crate) async fn read(engine: &Engine, uri: &str) -> std::result::Result<ReadResourceResult, ErrorData> {
    let value = match value(engine, uri).await {
        Ok(value) => value,
        Err(refusal) => return Err(error(uri, &refusal)),
    };
    let text = ResourceContents::text(value.to_string(), uri).with_mime_type(JSON);
    Ok(ReadResourceResult::new(vec![text]))
}

async fn value(engine: &Engine, uri: &str) -> Result<Value> {
    find::catch_up(engine).await?;
    let unknown = || {
        Refusal::new(
            Code::TaskNotFound,
            format!("there is no resource `{}`", uri.escape_debug()),
        )
    };
    match uri {
        QUEUE => Ok(json!(desk::queue::status(engine).await?)),
        PROBLEMS => Ok(json!(desk::queue::problems(engine).await?)),
        AWAITING => awaiting(engine).await,
        _ => {
            let rest = uri.strip_prefix("bell://").ok_or_else(unknown)?;
            match rest.split_once('/') {
                Some(("task", id)) => {
                    let view = find::view(engine, &decoded(id)).await?;
                    Ok(json!(find::whole(engine, view).await?))
                }
                Some(("run", id)) => Ok(json!(run(engine, id).await?)),
                Some(("graph", id)) => graph(engine, id).await,
                _ => Err(unknown()),
            }
        }
    }
}

fn error(uri: &str, refusal: &Refusal) -> ErrorData {
    let data = json!(api::problem::Problem::from(refusal));
    match api::problem::status(refusal.code) {
        404 => ErrorData::resource_not_found(format!("{uri}: {}", refusal.detail), Some(data)),
        400 => ErrorData::invalid_params(format!("{uri}: {}", refusal.detail), Some(data)),
        _ => ErrorData::internal_error(format!("{uri}: {}", refusal.detail), Some(data)),
    }
}

/// Keys are often paths of files, which clients may escape.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = rest.get(1..3).filter(|_| *first == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

async fn run(engine: &Engine, id: &str) -> Result<api::run::Run> {
    let id: RunId = id.parse()?;
    let run = engine.store.run(&engine.project, id).await?;
    let run = run.ok_or_else(|| Refusal::new(Code::RunNotFound, format!("there is no run {id}")))?;
    Ok(api::run::Run::from(run))
}

async fn awaiting(engine: &Engine) -> Result<Value> {
    let filter = Filter {
        states: vec![State::Awaiting],
        ..Filter::default()
    };
    let views = engine
        .store
        .list(&engine.project, filter, Default::default(), PAGE_MAX)
        .await?;
    let breakpoints: Vec<_> = views.into_iter().map(api::list::Breakpoint::from).collect();
    Ok(json!({ "count": breakpoints.len(), "breakpoints": breakpoints }))
}

/// The tasks of a run in order, and its edges by their places in that list.
async fn graph(engine: &Engine, id: &str) -> Result<Value> {
    let run = run(engine, id).await?;
    let filter = Filter {
        run: Some(id.parse()?),
        ..Filter::default()
    };
    let views = engine
        .store
        .list(&engine.project, filter, Default::default(), GRAPH_MAX)
        .await?;
    let seqs: Vec<_> = views.iter().map(|view| view.task.seq).collect();
    let place: FxHashMap<_, usize> = seqs.iter().copied().zip(0..).collect();
    let edges = engine.store.edges(&engine.project, &seqs).await?;
    let edges: Vec<Value> = edges
        .iter()
        .filter_map(|(on, dependent, when)| Some(json!([place.get(on)?, place.get(dependent)?, when])))
        .collect();
    let is_cut = views.len() == GRAPH_MAX;
    let tasks: Vec<Value> = views.iter().map(node).collect();
    Ok(json!({ "run": run, "tasks": tasks, "edges": edges, "cut": is_cut }))
}

fn node(view: &View) -> Value {
    json!({
        "id": view.task.id,
        "key": view.body.key,
        "name": api::task::name(&view.body, &view.task.id),
        "state": view.task.state,
        "reason": view.task.reason,
    })
}

/// Ids that begin with what was typed, of the kind that a template names.
pub(crate) async fn complete(
    engine: &Engine,
    template: &str,
    typed: &str,
    most: usize,
) -> Result<Vec<String>> {
    let runs = async || {
        let runs = engine.store.runs(&engine.project, None, PAGE_MAX).await?;
        Ok::<Vec<String>, Refusal>(runs.iter().map(|run| run.id.to_string()).collect())
    };
    let tasks = async || {
        let filter = Filter::default();
        let views = engine
            .store
            .list(&engine.project, filter, Default::default(), PAGE_MAX)
            .await?;
        let names = |view: &View| {
            [
                view.body.key.as_ref().map(ToString::to_string),
                Some(view.task.id.to_string()),
            ]
        };
        let mut names: Vec<String> = views.iter().flat_map(names).flatten().collect();
        names.sort_unstable();
        names.dedup();
        Ok::<_, Refusal>(names)
    };
    let known: Vec<String> = match template {
        "bell://task/{id}" => tasks().await?,
        "bell://run/{id}" | "bell://graph/{id}" => runs().await?,
        _ => Vec::new(),
    };
    Ok(known
        .into_iter()
        .filter(|name| name.starts_with(typed))
        .take(most)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        for (text, expected) in [
            ("src%2Fa.py", "src/a.py"),
            ("50%", "50%"),
            ("%zz", "%zz"),
            ("%C3%A4", "ä"),
            ("%ff", "%ff"),
        ] {
            assert_eq!(decoded(text), expected);
        }
    }
}
