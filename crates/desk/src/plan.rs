//! Looking at plans: what they will be like, and how they are drawn.

use std::path::Path;

use api::project::{Analysis, CriticalPath, Durations, Forecast, Judged, Verified};
use domain::id::Key;
use domain::plan::{self, Format, Never, Plan, Verdict, analyse};
use domain::store::Result;
use domain::task::spec::{Json, Spec, When};
use domain::time::{Timestamp, show_duration};
use draw::{Edge, Graph, Node, Style};
use engine::engine::Engine;
use engine::expect::{Expected, Sources};
use engine::simulate;
use engine::submit::identity;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::invalid;

/// The plan that was sent, as an object or as the text of its file, or all of its faults.
pub fn read(plan: Option<&Json>, text: Option<&str>, file: &str) -> Result<Plan> {
    let (bytes, format) = match (plan, text) {
        (Some(plan), None) => (plan.get().as_bytes(), Format::Json),
        (None, Some(text)) => (text.as_bytes(), Format::of(Path::new(file), text.as_bytes())),
        _ => return Err(invalid("send one of `plan` and `text`").help("`text` is the plan's file as it is")),
    };
    Ok(plan::read(bytes, format, file)?)
}

/// What a plan will be like.
pub async fn check(engine: &Engine, plan: &Plan, file: &str) -> Result<Analysis> {
    let expected = expected(engine, plan, file).await?;
    let analysis = analyse(plan, |task| expected.duration(task), engine.now().wall);
    Ok(told(plan, &analysis, expected.sources(plan)))
}

/// What is known of the tasks of a plan that was sent as `file`.
pub async fn expected(engine: &Engine, plan: &Plan, file: &str) -> Result<Expected> {
    Expected::soon(engine, plan, &identity(plan, Path::new(file))).await
}

/// An analysis in words.
pub fn told(plan: &Plan, analysis: &plan::Analysis, sources: Sources) -> Analysis {
    let report = analysis.report(plan);
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    Analysis {
        tasks: report.tasks,
        edges: report.edges,
        batches: report.batches.iter().map(|batch| owned(batch)).collect(),
        depth: report.depth,
        max_parallelism: report.max_parallelism,
        critical_path: CriticalPath {
            tasks: owned(&report.critical_path.tasks),
            seconds: report.critical_path.seconds,
        },
        durations: Durations {
            estimates: sources.estimates,
            runs: sources.runs,
            kinds: sources.kinds,
            unknown: sources.unknown,
        },
        warnings: report.warnings.to_vec(),
    }
}

/// A forecast in words.
pub fn foretold(workers: usize, forecast: &simulate::Forecast) -> Forecast {
    Forecast {
        workers,
        samples: forecast.samples,
        succeeded: forecast.succeeded,
        p50_seconds: forecast.p50.as_secs_f64(),
        p90_seconds: forecast.p90.as_secs_f64(),
        utilisation: (forecast.utilisation * 1_000.0).round() / 1_000.0,
        learned: forecast.learned,
        by_kind: forecast.by_kind,
    }
}

/// Judges rules about a plan, and looks for tasks that can never begin along so many edges.
pub fn verify(plan: &Plan, never: &[Never], edges: usize) -> Result<Verified> {
    let mut rules = Vec::with_capacity(never.len());
    for rule in never {
        let before: Vec<&str> = rule.before.iter().map(Key::as_str).collect();
        rules.push(Judged {
            rule: format!("never {} before {}", rule.task, before.join(" and ")),
            result: plan::verify(plan, rule)?,
        });
    }
    let (found, whole) = plan::unreachable(plan, edges);
    let unreachable: Vec<Key> = found
        .into_iter()
        .map(|v| plan.tasks[v as usize].key.clone())
        .collect();
    let holds = |rule: &Judged| matches!(rule.result, Verdict::Holds | Verdict::NeverBegins);
    Ok(Verified {
        sound: unreachable.is_empty() && rules.iter().all(holds),
        rules,
        unreachable,
        whole,
        asks: plan::asks(plan).cloned().collect(),
    })
}

/// The plan as a drawing knows it, its critical path marked.
pub fn graph(plan: &Plan, expected: &Expected, now: Timestamp) -> Graph {
    let analysis = analyse(plan, |task| expected.duration(task), now);
    let index: FxHashMap<&str, usize> = plan.tasks.iter().map(|task| task.key.as_str()).zip(0..).collect();
    let critical: FxHashSet<usize> = analysis.critical_path.iter().map(|v| *v as usize).collect();
    let steps: FxHashSet<(usize, usize)> = analysis
        .critical_path
        .windows(2)
        .map(|pair| (pair[0] as usize, pair[1] as usize))
        .collect();
    let nodes = plan.tasks.iter().enumerate().map(|(at, task)| Node {
        id: task.key.to_string(),
        label: task.key.to_string(),
        sublabel: sublabel(&task.spec),
        critical: critical.contains(&at),
        tooltip: Some(task.spec.summary.clone().unwrap_or_else(|| task.spec.work.text())),
        ..Node::default()
    });
    let edges = plan.tasks.iter().enumerate().flat_map(|(to, task)| {
        let (index, steps) = (&index, &steps);
        task.after.iter().map(move |on| {
            let from = index[on.task.as_str()];
            let unusual = on.when != When::Success;
            Edge {
                from,
                to,
                critical: steps.contains(&(from, to)),
                style: if unusual { Style::Dashed } else { Style::Solid },
                label: unusual.then(|| on.when.as_str().to_owned()),
                back: false,
            }
        })
    });
    Graph {
        title: plan.name.clone(),
        nodes: nodes.collect(),
        edges: edges.collect(),
        ..Graph::default()
    }
}

fn sublabel(spec: &Spec) -> Option<String> {
    let agent = spec.agent.as_ref().map(|agent| format!("@{agent}"));
    let estimate = spec.estimate.map(show_duration);
    let parts: Vec<String> = agent.into_iter().chain(estimate).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}
