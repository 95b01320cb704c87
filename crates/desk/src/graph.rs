//! Runs as pictures.

use domain::code::{Code, Refusal};
use domain::id::{RunId, Seq};
use domain::limits::PAGE_MAX;
use domain::store::{Filter, Result, View};
use domain::task::spec::When;
use domain::task::state::{Reason, State};
use draw::{Edge, Graph, Node, Status, Style};
use engine::engine::Engine;
use rustc_hash::FxHashMap;

/// Tasks that one picture holds.
pub const TASKS_MAX: usize = 5_000;

/// A run's tasks with their states, and what they wait for.
pub async fn of_run(engine: &Engine, run: RunId, title: String) -> Result<Graph> {
    let mut views: Vec<View> = Vec::new();
    loop {
        let after = views.last().map_or(Seq(0), |view| view.task.seq);
        let filter = Filter {
            run: Some(run),
            ..Filter::default()
        };
        let page = engine
            .store
            .list(&engine.project, filter, after, PAGE_MAX)
            .await?;
        let last = page.len() < PAGE_MAX;
        views.extend(page);
        if views.len() > TASKS_MAX {
            let detail = format!("the run has more than {TASKS_MAX} tasks, too many for one picture");
            return Err(Refusal::new(Code::LimitExceeded, detail));
        }
        if last {
            break;
        }
    }
    let seqs: Vec<Seq> = views.iter().map(|view| view.task.seq).collect();
    let index: FxHashMap<Seq, usize> = seqs.iter().copied().zip(0..).collect();
    let edges = engine.store.edges(&engine.project, &seqs).await?;
    let edges = edges.into_iter().filter_map(|(from, to, when)| {
        let unusual = when != When::Success;
        Some(Edge {
            from: *index.get(&from)?,
            to: *index.get(&to)?,
            style: if unusual { Style::Dashed } else { Style::Solid },
            label: unusual.then(|| when.as_str().to_owned()),
            ..Edge::default()
        })
    });
    Ok(Graph {
        title: Some(title),
        edges: edges.collect(),
        nodes: views.iter().map(node).collect(),
        ..Graph::default()
    })
}

fn node(view: &View) -> Node {
    let id = view.task.id.to_string();
    let key = view.body.key.as_ref().map(ToString::to_string);
    Node {
        label: key.unwrap_or_else(|| id.clone()),
        tooltip: Some(api::task::name(&view.body, &view.task.id)),
        status: status(view.task.state, view.task.reason),
        id,
        ..Node::default()
    }
}

fn status(state: State, reason: Option<Reason>) -> Status {
    match state {
        State::Pending => Status::Pending,
        State::Blocked => Status::Blocked,
        State::Ready => Status::Ready,
        State::Assigned => Status::Assigned,
        State::Running => Status::Running,
        State::Suspended => Status::Suspended,
        State::Awaiting => Status::Awaiting,
        State::Retrying => Status::Retrying,
        State::Completed => Status::Completed,
        State::Failed => Status::Failed,
        state if state.is_skipped(reason) => Status::Skipped,
        State::Cancelled => Status::Cancelled,
    }
}
