//! `bell plan graph`

use std::path::PathBuf;

use clap::ValueEnum;
use domain::plan::{Analysis, Plan, analyse};
use domain::task::spec::{Spec, When};
use domain::time::show_duration;
use draw::{Edge, Graph, Node, Style};
use rustc_hash::{FxHashMap, FxHashSet};

use super::file::load;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Draw a plan: who waits for whom, and which way decides how long it takes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bell plan graph plan.yaml                        (Mermaid, for Markdown)
  bell plan graph plan.yaml --format svg > plan.svg
  bell plan graph plan.yaml --format dot | dot -Tpng > plan.png")]
pub(crate) struct Args {
    /// The plan's file: YAML, JSON or TOML; - reads stdin
    plan: PathBuf,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
    Svg,
    Json,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result {
        let loaded = load(context, &self.plan)?;
        let plan = &loaded.plan;
        let graph = graph(
            plan,
            &analyse(plan, |task| task.spec.estimate, context.now().wall),
        );
        let format = if context.ui.json {
            Format::Json
        } else {
            self.format
        };
        let text = match format {
            Format::Mermaid => draw::mermaid(&graph),
            Format::Dot => draw::dot(&graph),
            Format::Svg => draw::svg(&graph),
            Format::Json => draw::json(&graph).to_string(),
        };
        context.ui.line(text.trim_end())?;
        Ok(Exit::DONE)
    }
}

/// The plan as a drawing knows it, its critical path marked.
fn graph(plan: &Plan, analysis: &Analysis) -> Graph {
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
